package scenario

import (
	"bytes"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"offload-e2e/harness/document"
	"offload-e2e/harness/nixos"
)

var update = flag.Bool("update", false, "write fixtures/scenarios/schema.json")

const (
	fixtures   = "../../fixtures/scenarios"
	schemaFile = fixtures + "/schema.json"
)

const sound = `id: X
title: a title
layer: nix
given:
  edits:
    - {file: a.nix, from: one, to: two}
when:
  - fault: {drop: {to: desktop, port: 5000}}
    for: 10 s
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

func replace(from, to string) string { return strings.Replace(sound, from, to, 1) }

// What people get wrong, and what they are told. What the schema refuses too is
// marked so: it knows no names of diagnoses, and no other text than keys.
var mistakes = map[string]struct {
	text, want string
	schemaToo  bool
}{
	"an unknown key":               {replace("layer: nix", "lajer: nix"), `:3:1: there is no key "lajer"; did you mean "layer"?`, true},
	"no YAML":                      {"id: [", `:1:1: this is no YAML: `, false},
	"an empty file":                {"", `:1:1: the file is empty`, false},
	"two documents":                {sound + "---\n" + sound, `:13:1: a second document begins; write each in a file of its own`, false},
	"a key twice":                  {sound + "id: Y\n", `:13:1: the key "id" stands here a second time`, false},
	"a title missing":              {replace("title: a title\n", ""), `:1:1: "title" must be set`, true},
	"an id of two words":           {replace("id: X", "id: X 1"), `:1:5: id: "X 1" has more than letters, digits and hyphens`, false},
	"an unknown layer":             {replace("layer: nix", "layer: nic"), `:3:8: there is no layer "nic"; did you mean "nix"?`, true},
	"nothing expected":             {strings.Split(sound, "then:")[0], `:1:1: "then" must be set`, true},
	"an empty expectation":         {strings.Split(sound, "  check:")[0] + "  budget: 10 s\n", `:11:3: nothing is expected; write check and diagnosis`, false},
	"an unknown check":             {replace("EV.builders", "EV.bilders"), `:11:10: there is no check "EV.bilders"; did you mean "EV.builders"?`, true},
	"an unknown diagnosis":         {replace("builder.not-configured", "builder.not-configurd"), `:12:14: diagnosis: there is no diagnosis "builder.not-configurd"; did you mean "builder.not-configured"?`, false},
	"a diagnosis without a check":  {replace("  check: EV.builders\n", ""), `:11:14: diagnosis: the check that must break is missing`, false},
	"what holds and what breaks":   {sound + "  hold: all\n", `:13:9: hold: what holds does not break`, false},
	"nothing goes wrong":           {"id: X\ntitle: t\nlayer: nix\nthen: {hold: all}\n", `:1:1: nothing goes wrong; given has edits or modules, when has faults`, false},
	"an unknown machine":           {replace("  edits:\n    - {file: a.nix, from: one, to: two}", "  modules: {tower: '{ }'}"), `:5:13: there is no modules key "tower"; there is desktop and laptop`, true},
	"an edit of no file":           {replace("file: a.nix, ", ""), `:6:7: "file" must be set; the file, relative to the configuration`, true},
	"an edit that is a list":       {replace("{file: a.nix, from: one, to: two}", "[a.nix, one]"), `:6:7: this is a list, and should be a set of keys; the keys are file, from and to`, true},
	"an unknown fault":             {replace("drop:", "drob:"), `:8:13: there is no fault "drob"; did you mean "drop"?`, true},
	"an unknown parameter":         {replace("port: 5000", "prot: 5000"), `:8:33: there is no key "prot"; did you mean "proto"?`, true},
	"a port that is none":          {replace("port: 5000", "port: 500000"), `:8:39: port: "500000" should be a whole number, 0 or more`, false},
	"a fault without its need":     {replace("{drop: {to: desktop, port: 5000}}", "link-down"), `:8:12: "machine" must be set; whose cable`, true},
	"two faults in one":            {replace("port: 5000}}", "port: 5000}, loss: {percent: 1}}"), `:8:12: this should be one fault, and is a set of keys`, true},
	"a parameter out of range":     {replace("{drop: {to: desktop, port: 5000}}", "{loss: {percent: 120}}"), `:8:19: percent: 120 is not above 0 and at most 100`, false},
	"no duration":                  {replace("for: 10 s", "for: 10"), `:9:10: for: "10" is no duration: write a number and ms, s, min, h or d`, true},
	"no moment":                    {replace("- fault:", "- at: after fase 3\n    fault:"), `:8:9: at: there is no moment "after fase 3"; did you mean "after phase 3"?`, true},
	"a NAR of no size":             {replace("- fault:", "- at: when much of a NAR has passed\n    fault:"), `:8:9: at: "much" is no size`, false},
	"a moment out of order":        {replace("when:\n", "when:\n  - at: after 10 s\n    fault: {drop: {to: desktop}}\n"), `:8:3: when: event 2 comes before the checks, and stands after one that comes while they are made`, false},
	"an unknown undo":              {sound + "undo: never\n", `:13:7: there is no undo "never"; there is restore and hold again`, true},
	"a check that holds and isn't": {"id: X\ntitle: t\nlayer: nix\nwhen: {fault: {pause: {machine: laptop}}}\nthen: {hold: [OF.bild]}\n", `:5:15: there is no check "OF.bild"; did you mean "OF.build"?`, true},
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range mistakes {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(write(t, map[string]string{"s.yaml": c.text}), "s.yaml")
			_, err := Load(file)
			if err == nil || !strings.Contains(err.Error(), file+c.want) {
				t.Errorf("the error is\n%v\nit should say\n%s", err, file+c.want)
			}
		})
	}
}

// All mistakes of a file are told, in the order of their lines.
func TestLoadTellsAll(t *testing.T) {
	text := strings.NewReplacer("layer: nix", "layer: nic", "drop:", "drob:", "title: a title", "titel: a title").Replace(sound)
	err := document.Parse("s.yaml", []byte(text), &Scenario{})
	var lines []string
	for line := range strings.Lines(err.Error()) {
		lines = append(lines, strings.Join(strings.Split(line, ":")[:3], ":"))
	}
	if want := []string{"s.yaml:1:1", "s.yaml:2:1", "s.yaml:3:8", "s.yaml:8:13"}; !slices.Equal(lines, want) {
		t.Errorf("told are %v, not %v:\n%v", lines, want, err)
	}
}

func TestFind(t *testing.T) {
	dir := write(t, map[string]string{"a/one.yaml": sound, "b/two.yaml": replace("id: X", "id: Y"), "b/README.md": "no scenario"})
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
	if _, err := Find(twice); err == nil || !strings.Contains(err.Error(), `two.yaml:1:1: the id "X" is that of `) {
		t.Errorf("two of an id: %v", err)
	}
}

func TestApply(t *testing.T) {
	for name, c := range map[string]struct{ text, from, file, want string }{
		"once":         {"a one b", "one", "a.nix", ""},
		"twice":        {"one one", "one", "a.nix", `s.yaml:6:7: "one" is in a.nix 2 times; write more of the line`},
		"never":        {"none of it", "uno", "a.nix", `s.yaml:6:7: "uno" is not in a.nix; copy the text`},
		"no such file": {"one", "one", "a.nx", `s.yaml:6:7: the configuration has no file "a.nx" to edit; did you mean "a.nix"?`},
		"outside":      {"one", "one", "../a.nix", `s.yaml:6:7: the edit's file "../a.nix" is not in the configuration`},
	} {
		t.Run(name, func(t *testing.T) {
			repository := write(t, map[string]string{"a.nix": c.text, ".git/config": "x", "embedded/default.nix": "x", "modules/m.nix": "kept"})
			dir := filepath.Join(t.TempDir(), "copy")
			s := &Scenario{File: "s.yaml"}
			if err := document.Parse("s.yaml", []byte(replace("file: a.nix, from: one", "file: "+c.file+", from: "+c.from)), s); err != nil {
				t.Fatal(err)
			}
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

// schema compiles what is checked in.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile(SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func validate(s *jsonschema.Schema, text string) error {
	var doc any
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return err
	}
	return s.Validate(doc)
}

// The schema that is checked in is that of the types, and refuses what they refuse.
func TestSchema(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if kept, _ := os.ReadFile(schemaFile); !bytes.Equal(kept, text) {
		t.Errorf("%s is not the schema of the types: go test ./harness/scenario -run TestSchema -update", schemaFile)
	}
	s := schema(t)
	if err := validate(s, sound); err != nil {
		t.Errorf("a sound scenario: %v", err)
	}
	for name, c := range mistakes {
		var verr *jsonschema.ValidationError
		if err := validate(s, c.text); c.schemaToo && !errors.As(err, &verr) {
			t.Errorf("%s: the schema says %v", name, err)
		}
	}
}

// Every scenario of the repository is sound, by its types and by the schema, and
// applies to the reference.
func TestOurScenarios(t *testing.T) {
	all, err := Find(fixtures)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Errorf("there are %d scenarios, ten ways of breaking the reference are the least", len(all))
	}
	compiled := schema(t)
	for _, s := range all {
		t.Run(s.ID, func(t *testing.T) {
			text, err := os.ReadFile(s.File)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate(compiled, string(text)); err != nil {
				t.Error(err)
			}
			if got := filepath.Base(filepath.Dir(s.File)); got != s.Layer {
				t.Errorf("its layer is %s, its folder %s", s.Layer, got)
			}
			if name := filepath.Base(s.File); !strings.HasPrefix(name, s.ID) {
				t.Errorf("the file's name %s does not begin with its id %s", name, s.ID)
			}
			if err := s.Apply("../../vmconfigs", filepath.Join(t.TempDir(), "copy")); err != nil {
				t.Error(err)
			}
			for _, role := range slices.Collect(maps.Keys(s.Given.Modules)) {
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

// Whatever is in a file, reading it ends in a scenario or in problems with places.
func FuzzParse(f *testing.F) {
	f.Add(sound)
	for _, c := range mistakes {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := &Scenario{}
		err := document.Parse("s.yaml", []byte(text), s)
		if err == nil && (s.ID == "" || s.Then.Check.Name == "" && len(s.Then.Codes()) == 0 && !s.Then.Hold.Any()) {
			t.Errorf("accepted, and incomplete: %+v", s)
		}
		var p *document.Problem
		if err != nil && (!errors.As(err, &p) || p.Line < 1 || p.Column < 1) {
			t.Errorf("an error without a place: %v", err)
		}
	})
}
