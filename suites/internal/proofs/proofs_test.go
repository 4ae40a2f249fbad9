package proofs

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"

	"offload-e2e/harness/check"
	"offload-e2e/harness/e2e"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/machine"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// resultsVariable makes this test binary a suite in the vocabulary under test, that
// writes what became of its specs to a file: Ginkgo runs one suite a process.
const resultsVariable = "OFFLOAD_E2E_TEST_RESULTS"

// results are what became of specs, by their titles, and what the run recorded.
type results struct {
	Specs  map[string]spec
	Report *report.Report
}

type spec struct {
	State, Message string
	Labels         []string
}

type failer struct{}

func (failer) Fail() {}

func TestMain(m *testing.M) {
	file := os.Getenv(resultsVariable)
	if file == "" {
		os.Exit(m.Run())
	}
	progress := report.NewProgress(os.Stderr, report.Look{})
	// Machines that no check here talks to.
	machines := &lab.Lab{Desktop: &lab.Machine{Machine: &machine.Machine{}}, Laptop: &lab.Machine{Machine: &machine.Machine{}}}
	r := &e2e.Run{Lab: machines, Recorder: report.NewRecorder(report.Run{}), Progress: progress, Slow: 1, Configurations: map[nixos.Role]*nixos.Configuration{}}
	got := results{Specs: map[string]spec{}}
	describe(For(r))
	ginkgo.ReportAfterSuite("results", func(all ginkgo.Report) {
		for _, s := range all.SpecReports {
			if s.LeafNodeType == types.NodeTypeIt {
				got.Specs[s.LeafNodeText] = spec{s.State.String(), s.Failure.Message, s.Labels()}
			}
		}
	})
	ginkgo.RunSpecs(failer{}, "vocabulary")
	got.Report = r.Recorder.Report()
	text, err := json.Marshal(got)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

var errStep = errors.New("the key is lost")

// found is a check with an outcome of its own.
func found(name string, run func(p *check.Proof)) check.Check {
	return check.Check{Name: name, Title: name + " is so", Machine: "laptop", Run: func(_ context.Context, p *check.Proof) { run(p) }}
}

// describe are specs of every kind, in two phases.
func describe(s Suite) {
	ginkgo.Describe("all", ginkgo.Ordered, ginkgo.ContinueOnFailure, func() {
		s.Phase("phase1", "Phase 1", 10, func() {
			s.Proves(found("PT.holds", func(*check.Proof) {}))
			s.Proves(found("PT.warns", func(p *check.Proof) { p.Warn(report.Diagnosis{Code: "cache.key-unused", Sentence: "a remark"}) }))
			s.Proves(found("PT.broken", func(p *check.Proof) {
				p.Evidence("log", nixos.Laptop, "journal", "its last words")
				p.Broken(report.Diagnosis{Code: "cache.http-error", Sentence: "the cache is silent"})
			}))
		})
		s.Phase("phase2", "Phase 2", 20, func() {
			s.Proves(found("PT.skipped", func(p *check.Proof) { p.Skip("nothing to look at") }))
			s.Proves(found("PT.errored", func(p *check.Proof) { p.Error(errors.New("the machine is gone")) }))
			s.Step("hands over the key", func(context.Context) error { return errStep })
			s.Step("goes on", func(context.Context) error { return nil })
		})
	})
}

// What a check finds is what its spec ends in, with the evidence in its message; what
// fails keeps nothing after it from being looked at.
func TestVocabulary(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), resultsVariable+"="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got results
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for title, want := range map[string]struct {
		state, phase string
		says         []string
	}{
		"PT.holds is so [laptop]":   {"passed", "phase1", nil},
		"PT.warns is so [laptop]":   {"passed", "phase1", nil},
		"PT.broken is so [laptop]":  {"failed", "phase1", []string{"PT.broken is so: the cache is silent", "journal", "its last words"}},
		"PT.skipped is so [laptop]": {"skipped", "phase2", []string{"nothing to look at"}},
		"PT.errored is so [laptop]": {"failed", "phase2", []string{"it could not be found out: the machine is gone"}},
		"hands over the key":        {"failed", "phase2", []string{"hands over the key: the key is lost"}},
		"goes on":                   {"passed", "phase2", nil},
	} {
		s, ok := got.Specs[title]
		if !ok || s.State != want.state || len(s.Labels) != 1 || s.Labels[0] != want.phase {
			t.Errorf("%s: %+v", title, s)
		}
		for _, words := range want.says {
			if !strings.Contains(s.Message, words) {
				t.Errorf("%s does not say %q: %s", title, words, s.Message)
			}
		}
	}
	phases := map[string]string{}
	for _, f := range got.Report.Findings {
		phases[f.Check] = f.Phase
	}
	if phases["PT.broken"] != "phase1" || phases["PT.errored"] != "phase2" || phases["ST.step"] != "phase2" {
		t.Errorf("the findings' phases are %v", phases)
	}
	budgets := map[string]float64{}
	for _, span := range got.Report.Timeline {
		if span.Kind == "phase" {
			budgets[span.Name] = span.Budget
		}
	}
	if budgets["phase1"] != 10 || budgets["phase2"] != 20 {
		t.Errorf("the phases' budgets are %v", budgets)
	}
}
