// Package scenario loads what is to go wrong, and what has to be found then: one
// file a fault, readable by a person who knows Nix and not Go.
package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"offload-e2e/harness/nixos"
)

// Scenario is one fault of the configuration with its expected diagnosis.
type Scenario struct {
	// ID is the row of the catalogue, or a name: "X1".
	ID    string `yaml:"id"`
	Title string `yaml:"title"`
	Layer string `yaml:"layer"`
	Given Given  `yaml:"given"`
	Then  Then   `yaml:"then"`

	file string
}

// Given is what is done to the configuration under test.
type Given struct {
	// Edits change the text of files, relative to the repository.
	Edits []Edit `yaml:"edits"`
	// Modules are extra Nix modules, as text, by machine.
	Modules map[nixos.Role]string `yaml:"modules"`
}

// Edit replaces a text that must occur exactly once in a file.
type Edit struct {
	File string `yaml:"file"`
	From string `yaml:"from"`
	To   string `yaml:"to"`
}

// Then is what must be found.
type Then struct {
	// Check must break, with Diagnosis as the first root cause of all.
	Check     string `yaml:"check"`
	Diagnosis string `yaml:"diagnosis"`
}

// Load reads one scenario; the error names the file and, where it can, the line.
func Load(file string) (*Scenario, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	s := &Scenario{file: file}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(s); err != nil {
		return nil, fmt.Errorf("read scenario %s: %w", file, err)
	}
	var missing []string
	for name, value := range map[string]string{"id": s.ID, "title": s.Title, "layer": s.Layer, "then.check": s.Then.Check, "then.diagnosis": s.Then.Diagnosis} {
		if value == "" {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		return nil, fmt.Errorf("read scenario %s: %s must be set", file, strings.Join(missing, ", "))
	}
	if len(s.Given.Edits) == 0 && len(s.Given.Modules) == 0 {
		return nil, fmt.Errorf("read scenario %s: given says nothing: it has edits or modules", file)
	}
	for role := range s.Given.Modules {
		if role != nixos.Desktop && role != nixos.Laptop {
			return nil, fmt.Errorf("read scenario %s: given.modules.%s: a machine is desktop or laptop", file, role)
		}
	}
	return s, nil
}

// Find loads the scenarios of a folder, or of files that match a glob, sorted by
// their path. Two of the same id are an error.
func Find(where string) ([]*Scenario, error) {
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
		return nil, fmt.Errorf("no scenarios at %s", where)
	}
	slices.Sort(files)
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
			errs = append(errs, fmt.Errorf("scenario %s stands in %s and in %s", s.ID, other, f))
		}
		seen[s.ID] = f
		all = append(all, s)
	}
	return all, errors.Join(errs...)
}

// Apply copies a repository into the empty folder dir and changes the copy.
func (s *Scenario) Apply(repository, dir string) error {
	if err := os.CopyFS(dir, nixFiles(repository)); err != nil {
		return fmt.Errorf("copy the configuration: %w", err)
	}
	for _, e := range s.Given.Edits {
		if err := e.apply(dir); err != nil {
			return fmt.Errorf("scenario %s (%s): %w", s.ID, s.file, err)
		}
	}
	return nil
}

// Settings are the modules to import besides, by machine.
func (s *Scenario) Settings(role nixos.Role) []string {
	if text := strings.TrimSpace(s.Given.Modules[role]); text != "" {
		return []string{text}
	}
	return nil
}

func (e Edit) apply(dir string) error {
	if !filepath.IsLocal(e.File) {
		return fmt.Errorf("edit of %q: the file must be in the configuration", e.File)
	}
	path := filepath.Join(dir, e.File)
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("edit: %w", err)
	}
	if n := strings.Count(string(text), e.From); n != 1 || e.From == "" {
		return fmt.Errorf("edit of %s: %q occurs %d times, and must occur exactly once", e.File, e.From, n)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(text), e.From, e.To, 1)), 0o644)
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
