// Package report holds the one results model of a run, and its writers.
package report

import "time"

// Schema is the version of report.json. It changes when a field changes its
// meaning or goes; new fields do not change it.
const Schema = 1

// Report is one run: what was done, what was proved, and what is wrong.
type Report struct {
	Schema        int            `json:"schema"`
	Run           Run            `json:"run"`
	Verdict       Verdict        `json:"verdict"`
	RootCauses    []RootCause    `json:"root_causes"`
	Findings      []Finding      `json:"findings"`
	Disagreements []Disagreement `json:"disagreements"`
	Timeline      []Span         `json:"timeline"`
	// Scenarios counts those that were tried, where any were; scenarios.json has them.
	Scenarios *Tally `json:"scenarios,omitempty"`
	// Promises are those that were measured in this run.
	Promises []Promise `json:"promises,omitempty"`
	// Artifacts are the files beside the report, and what each is.
	Artifacts []Artifact `json:"artifacts,omitempty"`
	// Errors are the words of what kept the run from a verdict (exit 2 and 3).
	Errors []RunError `json:"errors,omitempty"`
}

// Run says what ran, on what, and with which input.
type Run struct {
	ID          string              `json:"id"`
	Started     time.Time           `json:"started"`
	Ended       time.Time           `json:"ended"`
	Config      string              `json:"config"`  // CONFIG, as given
	Imports     map[string][]string `json:"imports"` // machine -> module files imported, settings made
	Keys        string              `json:"keys"`    // exchange | config
	Provider    string              `json:"provider"`
	Guest       Guest               `json:"guest"`
	Accelerator string              `json:"accelerator"` // kvm | tcg
	Restored    bool                `json:"restored"`    // machines were restored, not booted
	Command     string              `json:"command"`     // how to run the same again
	Harness     string              `json:"harness"`     // version of the harness
	// Machines are the addresses on the LAN, by machine.
	Machines map[string]string `json:"machines,omitempty"`
	// Inputs is a hash of the configuration and the guest image: of two runs with the
	// same, a finding that differs is flaky.
	Inputs string `json:"inputs,omitempty"`
	// Grants are the rights beyond the usual that the provider took, and why.
	Grants []string `json:"grants,omitempty"`
	// Engine is what ran the machines, where that is a program with a version: "Docker
	// Engine 20.10.24, Linux 6.1".
	Engine string `json:"engine,omitempty"`
	// NoSandbox is why the harness set the machines' Nix to build without a sandbox.
	NoSandbox string `json:"no_sandbox,omitempty"`
	// Shard is "2/8" for a part of a run.
	Shard string `json:"shard,omitempty"`
}

// Guest names what the machines run, so that nobody mistakes one for the other.
type Guest struct {
	Kind     string            `json:"kind"`             // embedded | nixos | own
	Reason   string            `json:"reason,omitempty"` // why this kind was taken
	Image    string            `json:"image"`
	Versions map[string]string `json:"versions"` // nix, systemd, linux, openssh
}

// Own is the kind of guests that are none: somebody's own machines.
const Own = "own"

// Verdict is the run in one word.
type Verdict string

const (
	Pass  Verdict = "pass"
	Fail  Verdict = "fail"
	Error Verdict = "error"
)

// State is what a check found.
type State string

const (
	Holds   State = "holds"
	Warns   State = "warns"
	Broken  State = "broken"
	Skipped State = "skipped"
	Errored State = "error"
)

// Class is whose fault a finding that does not hold is.
type Class string

const (
	Product Class = "product"
	Infra   Class = "infra"
	Timeout Class = "timeout"
	Known   Class = "known"
)

// Layer orders causes: a broken layer explains what is broken above it.
type Layer string

const (
	Evaluation     Layer = "evaluation"
	Reachability   Layer = "reachability"
	Port           Layer = "port"
	Authentication Layer = "authentication"
	Trust          Layer = "trust"
	Protocol       Layer = "protocol"
	Content        Layer = "content"
)

// Finding is what one check found on one machine.
type Finding struct {
	// Check is the check's stable name, e.g. "CH.hit"; Family its first part.
	Check  string `json:"check"`
	Family string `json:"family"`
	// Title is the claim as a sentence: "a path only the desktop has arrives from its cache".
	Title     string     `json:"title"`
	Phase     string     `json:"phase"` // phase1 … phase4, fallback
	Machine   string     `json:"machine"`
	State     State      `json:"state"`
	Class     Class      `json:"class,omitempty"`
	Reason    string     `json:"reason,omitempty"` // why skipped or in error
	Diagnosis *Diagnosis `json:"diagnosis,omitempty"`
	Evidence  []Evidence `json:"evidence"`
	Started   time.Time  `json:"started"`
	Seconds   float64    `json:"seconds"`
	// Promise is what the check measured of a promise; the report has it apart.
	Promise *Promise `json:"-"`
	// History is what the same check found in the runs before.
	History *History `json:"history,omitempty"`
}

// History is what a check found lately, the oldest first and this run last.
type History struct {
	Outcomes []State `json:"outcomes"`
	// FlakeRate is the share of runs that found something else than the run before
	// although configuration and image were the same: 0 is steady, 1 changes always.
	FlakeRate float64 `json:"flake_rate"`
}

// Diagnosis names the cause of a finding in one line.
type Diagnosis struct {
	Code      string `json:"code"`     // "cache.key-name"
	Sentence  string `json:"sentence"` // one line, with both values in it
	Layer     Layer  `json:"layer"`
	Effective string `json:"effective,omitempty"`
	Expected  string `json:"expected,omitempty"`
	Source    string `json:"source,omitempty"` // file:line of the definition to blame
	Remedy    string `json:"remedy,omitempty"` // what to do
}

// Evidence is one thing seen: a command with its output, log lines, frames.
type Evidence struct {
	Kind       string  `json:"kind"` // command | log | file | probe | network | option
	Machine    string  `json:"machine,omitempty"`
	Title      string  `json:"title"` // the command line, the log's or file's name
	ExitStatus *int    `json:"exit_status,omitempty"`
	Text       string  `json:"text"`
	Seconds    float64 `json:"seconds,omitempty"`
	// File holds the whole text, of Bytes, where it is long: Text is then its
	// beginning and its end.
	File  string `json:"file,omitempty"`
	Bytes int    `json:"bytes,omitempty"`
}

// Artifact is a file beside the report.
type Artifact struct {
	File  string `json:"file"` // relative to the run's folder
	Kind  string `json:"kind"` // capture | journal | console | settings | log | other
	Bytes int64  `json:"bytes"`
}

// RootCause is a diagnosis that explains one or more broken findings.
type RootCause struct {
	Rank      int `json:"rank"`
	Diagnosis `json:"diagnosis"`
	Machine   string   `json:"machine"`
	Explains  []string `json:"explains"` // checks
}

// Disagreement is a user's command that says one thing where the proof says
// another.
type Disagreement struct {
	Phase   string `json:"phase"`
	Machine string `json:"machine"`
	Command string `json:"command"`
	Said    string `json:"said"` // the line quoted
	Check   string `json:"check"`
	Proof   string `json:"proof"` // what was proved
}

// Span is a stretch of the run on the time line.
type Span struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"` // setup | phase | step | fault | command
	Parent  string    `json:"parent,omitempty"`
	Machine string    `json:"machine,omitempty"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	Budget  float64   `json:"budget_seconds,omitempty"`
	// Elsewhere is how long a phase took when the configuration was last run on the
	// machines of another provider.
	Elsewhere []Elsewhere `json:"elsewhere,omitempty"`
}

// Elsewhere is a phase of another run.
type Elsewhere struct {
	Provider string  `json:"provider"`
	Seconds  float64 `json:"seconds"`
	Run      string  `json:"run"`
}

// RunError is what kept a run from a verdict.
type RunError struct {
	Heading  string `json:"heading"`
	Sentence string `json:"sentence"`
	WayOut   string `json:"way_out"`
}
