package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"offload-e2e/harness/document"
)

// Load reads one scenario. Each mistake in it is told with file, line and column.
func Load(file string) (*Scenario, error) {
	s := &Scenario{File: file}
	if err := document.Load(file, s); err != nil {
		return nil, err
	}
	return s, nil
}

// Find loads the scenarios of a folder, or of files that match a glob, sorted by
// their path. Two of the same id are an error.
func Find(where string) ([]*Scenario, error) {
	files, err := Files(where)
	if err != nil {
		return nil, err
	}
	var all []*Scenario
	var errs []error
	seen := map[string]string{}
	for _, f := range files {
		s, err := Load(f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if other, twice := seen[s.ID]; twice {
			errs = append(errs, &document.Problem{File: f, Line: 1, Column: 1, What: fmt.Sprintf("the id %q is that of %s too", s.ID, other), WayOut: "give each its own"})
		}
		seen[s.ID] = f
		all = append(all, s)
	}
	return all, errors.Join(errs...)
}

// Files are the files of scenarios in a folder and below, or that match a glob.
func Files(where string) ([]string, error) {
	var files []string
	if info, err := os.Stat(where); err == nil && info.IsDir() {
		err := filepath.WalkDir(where, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && filepath.Ext(path) == ".yaml" {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	} else if files, err = filepath.Glob(where); err != nil {
		return nil, fmt.Errorf("scenarios %q: %w", where, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no scenarios at %s: name a folder, a file, or files by glob", where)
	}
	slices.Sort(files)
	return files, nil
}
