// Package scenario holds what is to go wrong, and what has to be found then: one
// file a fault, readable by a person who knows Nix and not Go.
package scenario

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"offload-e2e/harness/check"
	"offload-e2e/harness/document"
	"offload-e2e/harness/fault"
	"offload-e2e/harness/nixos"
)

// Scenario is one thing that goes wrong, and what has to be found then.
type Scenario struct {
	ID     string  `yaml:"id" need:"yes" doc:"the row of the fault catalogue (X1), or a name of letters, digits and hyphens"`
	Title  string  `yaml:"title" need:"yes" doc:"what is wrong, as a sentence"`
	Layer  string  `yaml:"layer" need:"yes" enum:"ssh,cache,nfs,nix,network,keys,power,disk,concurrency,time,together" doc:"the part of the stack; the folder of the file has the same name"`
	Silent string  `yaml:"silent" enum:"no,status,all" doc:"which user commands say that all is well meanwhile: none (no), the status commands (status), all of them (all)"`
	Field  string  `yaml:"field" doc:"the story, where it happened to a user"`
	Real   string  `yaml:"really" doc:"where the fault does not do what one would expect: what it does, and the evidence"`
	Given  Given   `yaml:"given" doc:"what is done to the configuration before the machines switch to it"`
	When   []Event `yaml:"when" doc:"what goes wrong while the machines run, in order"`
	Then   Then    `yaml:"then" need:"yes" doc:"what has to be found"`
	Undo   string  `yaml:"undo" enum:"restore,hold again" doc:"how it ends: the machines are restored (restore, the default), or the faults are taken back and all has to hold again (hold again)"`

	// File is where it was read from.
	File string
}

// Given is what is done to the configuration under test.
type Given struct {
	Edits   []Edit                `yaml:"edits" doc:"changes of the text of files"`
	Modules map[nixos.Role]string `yaml:"modules" enum:"desktop,laptop" doc:"extra Nix modules, by machine"`
}

// Edit replaces a text that must occur exactly once in a file.
type Edit struct {
	File string `yaml:"file" need:"yes" doc:"the file, relative to the configuration"`
	From string `yaml:"from" need:"yes" doc:"the text to replace; it must occur exactly once"`
	To   string `yaml:"to" doc:"what stands there instead"`

	// node is where it was written.
	line, column int
}

// Decode reads an edit, and where it stands.
func (e *Edit) Decode(s *document.Source, n *yaml.Node) {
	type plain Edit
	s.Decode(n, (*plain)(e))
	e.line, e.column = n.Line, n.Column
}

// Event is one fault at one moment.
type Event struct {
	At    Moment        `yaml:"at" doc:"when: before the checks (the default), after 10 s, after phase 3, when 1 MiB of a NAR has passed, when the builder has accepted the build"`
	Fault FaultRef      `yaml:"fault" need:"yes" doc:"what goes wrong"`
	For   time.Duration `yaml:"for" doc:"how long; nothing is to the end"`
}

// FaultRef is one fault, by name and with its parameters.
type FaultRef struct {
	Name string
	fault.Fault
}

// Noun, Kinds and Choose make a fault one of several kinds.
func (*FaultRef) Noun() string                 { return "fault" }
func (*FaultRef) Kinds() map[string]func() any { return fault.Kinds() }
func (f *FaultRef) Choose(name string, value any) {
	f.Name, f.Fault = name, value.(fault.Fault)
}
func (f *FaultRef) Decode(s *document.Source, n *yaml.Node) { s.Choose(n, f) }

// CheckRef is one check, by name and with its parameters.
type CheckRef struct {
	Name string
	check.Maker
}

// Is reports whether a finding's check is the one that is meant, or one of those.
func (c *CheckRef) Is(name string) bool {
	return name == c.Name || strings.HasPrefix(name, c.Name+"-")
}

// Noun, Kinds and Choose make a check one of several kinds.
func (*CheckRef) Noun() string { return "check" }
func (*CheckRef) Kinds() map[string]func() any {
	kinds := map[string]func() any{"EV.evaluates": func() any { return &evaluates{} }, "EV.switch": func() any { return &evaluates{} }}
	for name, fresh := range check.Makers() {
		kinds[name] = func() any { return fresh() }
	}
	return kinds
}
func (c *CheckRef) Choose(name string, value any) {
	c.Name = name
	c.Maker, _ = value.(check.Maker)
}
func (c *CheckRef) Decode(s *document.Source, n *yaml.Node) { s.Choose(n, c) }

// evaluates are the checks that come with a switch, and are made by nobody else.
type evaluates struct{}

// Then is what has to be found.
type Then struct {
	Check     CheckRef      `yaml:"check" doc:"the check that must break"`
	Diagnosis string        `yaml:"diagnosis" doc:"the code of its diagnosis, which must be the first root cause"`
	Diagnoses []string      `yaml:"diagnoses" doc:"the codes that must all be root causes, where several things are broken at once"`
	Also      []string      `yaml:"also" doc:"further root causes that come with the fault; say in a comment why"`
	Hold      Hold          `yaml:"hold" doc:"all, or a list of checks that must hold in spite of the fault"`
	Run       []CheckRef    `yaml:"run" doc:"further checks to make, beside those of the four phases"`
	Budget    time.Duration `yaml:"budget" doc:"within which time what has to hold must hold (30 s), or come to hold again; what breaks by chance, as in a race, is looked for so long"`
}

// Hold is what must hold: all, or some checks.
type Hold struct {
	All    bool
	Checks []CheckRef
}

// Decode reads "all" or a list of checks.
func (h *Hold) Decode(s *document.Source, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Value == "all" {
		h.All = true
		return
	}
	s.Decode(n, &h.Checks)
}

// Schema is "all", one check, or a list of them.
func (h *Hold) Schema(of func(reflect.Type) map[string]any) map[string]any {
	return map[string]any{"anyOf": []any{map[string]any{"const": "all"}, of(reflect.TypeFor[[]CheckRef]())}}
}

// Any reports whether anything is to hold.
func (h Hold) Any() bool { return h.All || len(h.Checks) > 0 }

// Codes are the diagnoses that must be found.
func (t Then) Codes() []string {
	if t.Diagnosis != "" {
		return append([]string{t.Diagnosis}, t.Diagnoses...)
	}
	return t.Diagnoses
}

// Validate refuses an expectation that is none, or two.
func (t *Then) Validate() error {
	const way = "write check and diagnosis of what must break, or diagnoses where two things are broken, or hold"
	switch {
	case t.Hold.Any() && (t.Check.Name != "" || len(t.Codes()) > 0):
		return &document.KeyError{Key: "hold", What: "what holds does not break", WayOut: way}
	case t.Hold.Any():
		return nil
	case t.Diagnosis != "" && len(t.Diagnoses) > 0:
		return &document.KeyError{Key: "diagnoses", What: "write diagnosis or diagnoses, not both", WayOut: way}
	case len(t.Codes()) == 0:
		return &document.KeyError{Key: "", What: "nothing is expected", WayOut: way}
	case t.Check.Name == "" && t.Diagnosis != "":
		return &document.KeyError{Key: "diagnosis", What: "the check that must break is missing", WayOut: "name it with check"}
	case t.Budget < 0:
		return &document.KeyError{Key: "budget", What: "it is negative"}
	}
	for key, codes := range map[string][]string{"diagnosis": t.Codes(), "also": t.Also} {
		for _, code := range codes {
			if _, known := check.Catalogue[code]; !known {
				return &document.KeyError{Key: key, What: fmt.Sprintf("there is no diagnosis %q", code), WayOut: document.Suggest(code, slices.Sorted(maps.Keys(check.Catalogue)))}
			}
		}
	}
	return nil
}

// Validate refuses what is sound in each part, and not as a whole.
func (s *Scenario) Validate() error {
	switch {
	case strings.ContainsFunc(s.ID, func(r rune) bool {
		return !(r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	}):
		return &document.KeyError{Key: "id", What: fmt.Sprintf("%q has more than letters, digits and hyphens", s.ID)}
	case len(s.Given.Edits) == 0 && len(s.Given.Modules) == 0 && len(s.When) == 0:
		return &document.KeyError{Key: "", What: "nothing goes wrong", WayOut: "given has edits or modules, when has faults"}
	}
	for i, e := range s.When {
		if i > 0 && e.At.Kind == Before && s.When[i-1].At.Kind != Before && s.When[i-1].At.Kind != AfterPhase {
			return &document.KeyError{Key: "when", What: fmt.Sprintf("event %d comes before the checks, and stands after one that comes while they are made", i+1), WayOut: "put the events in their order"}
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
