package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offload-e2e/harness/check"
	"offload-e2e/harness/nixos"
)

const sound = `id: X
title: a title
layer: nix
given:
  edits:
    - {file: a.nix, from: one, to: two}
then:
  check: EV.builders
  diagnosis: builder.not-configured
`

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an unknown key":       {strings.Replace(sound, "layer: nix", "lajer: nix", 1), "line 3: field lajer not found"},
		"no YAML":              {"id: [", "line 1"},
		"nothing expected":     {strings.Split(sound, "then:")[0], "then.check, then.diagnosis must be set"},
		"nothing given":        {"id: X\ntitle: t\nlayer: l\nthen: {check: a, diagnosis: b}\n", "given says nothing"},
		"an unknown machine":   {strings.Replace(sound, "  edits:\n    - {file: a.nix, from: one, to: two}", "  modules: {tower: '{ }'}", 1), "a machine is desktop or laptop"},
		"an edit of two lines": {strings.Replace(sound, "{file:", "[file:", 1), "line"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(write(t, map[string]string{"s.yaml": c.text}), "s.yaml")
			_, err := Load(file)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("the error is %v; it should name %s and say %q", err, file, c.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	dir := write(t, map[string]string{"a/one.yaml": sound, "b/two.yaml": strings.Replace(sound, "id: X", "id: Y", 1), "b/README.md": "no scenario"})
	found, err := Find(dir)
	if err != nil || len(found) != 2 || found[0].ID != "X" || found[1].ID != "Y" {
		t.Errorf("found %v, %v", found, err)
	}
	if found, err := Find(filepath.Join(dir, "b", "*.yaml")); err != nil || len(found) != 1 {
		t.Errorf("by glob found %v, %v", found, err)
	}
	if _, err := Find(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a folder that is not there holds scenarios")
	}
	twice := write(t, map[string]string{"one.yaml": sound, "two.yaml": sound})
	if _, err := Find(twice); err == nil || !strings.Contains(err.Error(), "scenario X stands in") {
		t.Errorf("two of an id: %v", err)
	}
}

func TestApply(t *testing.T) {
	for name, c := range map[string]struct{ text, from, file, want string }{
		"once":         {"a one b", "one", "a.nix", ""},
		"twice":        {"one one", "one", "a.nix", "occurs 2 times"},
		"never":        {"none of it", "uno", "a.nix", "occurs 0 times"},
		"nothing":      {"one", "", "a.nix", "must occur exactly once"},
		"no such file": {"one", "one", "b.nix", "no such file"},
		"outside":      {"one", "one", "../a.nix", "must be in the configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			repository := write(t, map[string]string{"a.nix": c.text, ".git/config": "x", "embedded/default.nix": "x", "modules/m.nix": "kept"})
			dir := filepath.Join(t.TempDir(), "copy")
			s := &Scenario{ID: "X", Given: Given{Edits: []Edit{{File: c.file, From: c.from, To: "two"}}}}
			err := s.Apply(repository, dir)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("the error is %v, it should say %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if text, _ := os.ReadFile(filepath.Join(dir, "a.nix")); string(text) != "a two b" {
				t.Errorf("the copy holds %q", text)
			}
			if text, _ := os.ReadFile(filepath.Join(repository, "a.nix")); string(text) != c.text {
				t.Errorf("the user's own file was changed to %q", text)
			}
			for name, copied := range map[string]bool{"modules/m.nix": true, ".git": false, "embedded": false} {
				if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != copied {
					t.Errorf("%s: copied %v, want %v", name, err == nil, copied)
				}
			}
		})
	}
}

// Every scenario of the repository is sound, applies to the reference, and expects
// a diagnosis that exists.
func TestOurScenarios(t *testing.T) {
	all, err := Find("../../fixtures/scenarios")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Errorf("there are %d scenarios, ten ways of breaking the reference are the least", len(all))
	}
	for _, s := range all {
		t.Run(s.ID, func(t *testing.T) {
			if _, known := check.Catalogue[s.Then.Diagnosis]; !known {
				t.Errorf("no check gives the diagnosis %s", s.Then.Diagnosis)
			}
			if got := filepath.Base(filepath.Dir(s.file)); got != s.Layer {
				t.Errorf("its layer is %s, its folder %s", s.Layer, got)
			}
			if err := s.Apply("../../vmconfigs", filepath.Join(t.TempDir(), "copy")); err != nil {
				t.Error(err)
			}
			for role := range s.Given.Modules {
				if len(s.Settings(role)) != 1 {
					t.Errorf("its module for the %s is empty", role)
				}
			}
		})
	}
	if got := all[0].Settings(nixos.Role("tower")); got != nil {
		t.Errorf("a machine nobody spoke of gets %v", got)
	}
}
