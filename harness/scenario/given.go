package scenario

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"offload-e2e/harness/document"
)

// Apply copies a repository into the empty folder dir and changes the copy. An edit
// that matches never, or more than once, is a problem of the scenario's file.
func (s *Scenario) Apply(repository, dir string) error {
	if err := os.CopyFS(dir, nixFiles(repository)); err != nil {
		return fmt.Errorf("copy the configuration: %w", err)
	}
	for _, e := range s.Given.Edits {
		if what, wayOut := e.apply(dir); what != "" {
			return &document.Problem{File: s.File, Line: e.line, Column: e.column, What: what, WayOut: wayOut}
		}
	}
	return nil
}

func (e Edit) apply(dir string) (what, wayOut string) {
	if !filepath.IsLocal(e.File) {
		return fmt.Sprintf("the edit's file %q is not in the configuration", e.File), "write its path relative to the configuration"
	}
	path := filepath.Join(dir, e.File)
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Sprintf("the configuration has no file %q to edit", e.File), document.Suggest(e.File, nixPaths(dir))
	}
	switch n := strings.Count(string(text), e.From); {
	case n == 0:
		return fmt.Sprintf("%q is not in %s", e.From, e.File), "copy the text from the file, as it stands there"
	case n > 1:
		return fmt.Sprintf("%q is in %s %d times", e.From, e.File, n), "write more of the line, so that it is meant once"
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), e.From, e.To, 1)), 0o644); err != nil {
		return err.Error(), ""
	}
	return "", ""
}

// nixPaths are the Nix files of a configuration, relative to it.
func nixPaths(dir string) []string {
	var paths []string
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".nix" {
			rel, _ := filepath.Rel(dir, path)
			paths = append(paths, rel)
		}
		return nil
	})
	return paths
}

// nixFiles is a repository without what is no part of a configuration.
func nixFiles(dir string) fs.FS { return filtered{os.DirFS(dir)} }

type filtered struct{ fs.FS }

// ReadDir leaves out version control and our own evaluator.
func (f filtered) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(f.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return e.Name() == ".git" || name == "." && e.Name() == "embedded" || e.Type()&fs.ModeSymlink != 0
	}), err
}
