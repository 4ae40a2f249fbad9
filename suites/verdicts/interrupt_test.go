package verdicts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offload-e2e/harness/report"
)

// Ctrl-C ends a run in good order, wherever it is: nothing is left, and the report
// says how far it came.
func TestInterrupted(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(p *place)
		labels  string
		at      func(p *place, c *process) bool
		ended   bool // the verdict was there already
	}{
		{name: "while the guest image is built", prepare: func(p *place) {
			p.cache = filepath.Join(p.t.TempDir(), "cache")
			p.fakes(false, map[string]string{"mmdebstrap": "echo I: unpacking >&2; exec sleep 1000"})
		}, at: func(_ *place, c *process) bool { return strings.Contains(c.said(), "unpacking") }},
		{name: "while the configuration is evaluated", at: func(_ *place, c *process) bool { return strings.Contains(c.said(), "holds   guest image") }},
		{name: "while the machines boot", prepare: func(p *place) {
			kept := p.cache
			p.cache = filepath.Join(p.t.TempDir(), "cache")
			must(p.t, os.Mkdir(p.cache, 0o755))
			for _, name := range []string{"images", "eval"} {
				must(p.t, os.Symlink(filepath.Join(kept, name), filepath.Join(p.cache, name)))
			}
		}, at: func(p *place, _ *process) bool { return p.machines() == 2 }},
		{name: "while the machines are restored", at: func(p *place, _ *process) bool { return p.machines() > 0 }},
		{name: "in the middle of a switch", at: func(_ *place, c *process) bool { return strings.Contains(c.said(), "passwordless sudo") }},
		{name: "while the lab is taken down", labels: "phase3", ended: true,
			at: func(p *place, c *process) bool {
				return strings.Contains(c.said(), "Phase 3") && !exists(filepath.Join(p.state, "lab", "lab.json"))
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPlace(t)
			if test.prepare != nil {
				test.prepare(p)
			}
			c := p.begin("--labels", test.labels)
			c.until("the moment to interrupt it", func() bool { return test.at(p, c) })
			c.interrupt()
			o := c.end()
			p.nothingLeft()
			if o.report == nil {
				t.Fatalf("there is no report:\n%s", o.output)
			}
			// Where the folder is this test's own, nobody else builds in it.
			if left, _ := filepath.Glob(filepath.Join(p.cache, "images", "*.building-*")); len(left) > 0 && strings.HasPrefix(p.cache, os.TempDir()) {
				t.Errorf("%q is left", left)
			}
			if test.ended {
				if o.exit != exitBroken && o.exit != exitInfra {
					t.Errorf("exit status %d:\n%s", o.exit, o.output)
				}
				return
			}
			o.is(exitInfra, "Interrupted", "nothing was left behind")
			if o.report.Verdict != report.Error || len(o.report.Errors) == 0 || o.report.Errors[0].Heading != "Interrupted" {
				t.Errorf("the report's verdict is %s, its errors %+v", o.report.Verdict, o.report.Errors)
			}
		})
	}
}

// A second run in the same place is refused, says who is there, and harms nobody.
func TestASecondRunAtTheSameTime(t *testing.T) {
	p := newPlace(t)
	first := p.begin("--labels", onDesktop)
	first.until("the machines run", func() bool { return p.machines() > 0 })
	second := *p
	second.reports = filepath.Join(t.TempDir(), "reports")
	o := second.begin("--labels", onDesktop).end()
	o.is(exitInfra, "Another lab is up", "offload-e2e run", "holds "+p.state, "down", "OFFLOAD_E2E_STATE")
	if exists(second.reports) {
		t.Error("a run that was refused leaves a report")
	}
	first.end().is(exitOK)
	p.nothingLeft()
}
