package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2/types"

	"offload-e2e/harness/report"
	"offload-e2e/harness/shard"
	"offload-e2e/suites/fallback"
)

// TestPartsOfARunAreTheRun: every label is selected by the filter of exactly one
// part, also with the user's own filter.
func TestPartsOfARunAreTheRun(t *testing.T) {
	p := &paths{Root: t.TempDir()}
	specs := [][]string{{"phase1"}, {"phase2"}, {"phase3"}, {"phase4"}}
	for _, way := range fallback.Labels() {
		specs = append(specs, []string{"fallback", way})
	}
	for _, own := range []string{"", "!phase2", "fallback"} {
		mine, err := types.ParseLabelFilter(own)
		must(t, err)
		for n := 1; n <= 8; n++ {
			for _, spec := range specs {
				times := 0
				for i := 1; i <= n; i++ {
					filter, err := p.labelsOfPart(runOptions{labels: own, part: shard.Part{Index: i, Of: n}})
					must(t, err)
					selects, err := types.ParseLabelFilter(filter)
					must(t, err)
					if filter != nothing && selects(spec) {
						times++
					}
				}
				want := 0
				if mine(spec) {
					want = 1
				}
				if times != want {
					t.Errorf("of %d parts of %q, %d run %v, want %d", n, own, times, spec, want)
				}
			}
		}
	}
}

func TestBeginsLater(t *testing.T) {
	for labels, want := range map[string]bool{"": false, "phase1": false, "fallback": true, "refusing": true, "phase4 || fallback": false,
		"!phase1": false, thePhases: false, "(powered-off)": true, "nonsense": false} {
		if got := beginsLater(labels); got != want {
			t.Errorf("%q: got %v", labels, got)
		}
	}
}

func TestShards(t *testing.T) {
	p := &paths{Root: clone(t), Cache: t.TempDir(), State: "/nowhere"}
	write(t, filepath.Join(p.Root, "fixtures", "scenarios", "nix", "A.yaml"), scenarioText("A"))
	write(t, filepath.Join(p.Root, "fixtures", "scenarios", "nix", "B.yaml"), scenarioText("B"))
	started := time.Date(2026, 11, 22, 22, 35, 1, 0, time.UTC)
	id := report.NewRunID(started)
	dir, err := report.Layout{Root: p.reports()}.Create(id)
	must(t, err)
	m := report.Matrix{Scenarios: []report.Outcome{{ID: "A", Layer: "nix", Result: report.Caught, Seconds: 40}, {ID: "B", Layer: "nix", Result: report.NotTried, Seconds: 1}}}
	m.Conclude()
	must(t, m.Write(dir))
	must(t, report.Save(dir, &report.Report{Verdict: report.Pass, Run: report.Run{ID: id},
		Findings: []report.Finding{{Check: "OF.build-refusing", Family: "OF", Phase: "fallback", Machine: "laptop", State: report.Holds, Seconds: 5}},
		Timeline: []report.Span{{Name: "phase1", Kind: "phase", Seconds: 60}, {Name: "phase2", Kind: "phase", Seconds: 30},
			{Name: "takes the desktop away: refusing", Kind: "step", Parent: "fallback", Seconds: 2}}}))
	out, exit := offload(t, p, "shards", "2", "--measure", id)
	if exit != exitOK {
		t.Fatalf("exit %d: %s", exit, out)
	}
	contains(t, out, "phase1 || phase2 || phase3 || phase4, set-up-again", "1/2          1     40  A", "2/2          1     40  B")
	text, err := os.ReadFile(p.durations())
	must(t, err)
	contains(t, string(text), `"A": 40.0`, `"refusing": 7.0`)
	if strings.Contains(string(text), `"B"`) {
		t.Error("what was not tried was measured")
	}
	for _, wrong := range []string{"0", "many"} {
		if out, exit := offload(t, p, "shards", wrong); exit != exitUsage {
			t.Errorf("%s: exit %d: %s", wrong, exit, out)
		}
	}
}

func scenarioText(id string) string {
	return "id: " + id + "\ntitle: a fault\nlayer: nix\nsilent: no\ngiven:\n  modules:\n    laptop: \"{ }\"\nthen:\n  check: EV.builders\n  diagnosis: builder.not-configured\n"
}
