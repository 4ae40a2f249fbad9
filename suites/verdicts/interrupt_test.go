package verdicts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offload-e2e/harness/report"
)

// interruption is a moment to press Ctrl-C at.
type interruption struct {
	name    string
	prepare func(p *place)
	labels  string
	at      func(p *place, c *process) bool
	ended   bool // the verdict was there already
}

// Ctrl-C ends a run in good order, before anything boots as later.
func TestInterruptedEarly(t *testing.T) {
	for _, test := range []interruption{
		{name: "while the guest image is built", prepare: func(p *place) {
			p.cache = filepath.Join(p.t.TempDir(), "cache")
			p.fakes(false, map[string]string{"mmdebstrap": "echo I: unpacking >&2; exec sleep 1000"})
		}, at: func(_ *place, c *process) bool { return strings.Contains(c.said(), "unpacking") }},
		{name: "while the configuration is evaluated", at: func(_ *place, c *process) bool { return strings.Contains(c.said(), "holds   guest image") }},
	} {
		t.Run(test.name, test.run)
	}
}

// run interrupts a run: nothing is left, and the report says how far it came.
func (test interruption) run(t *testing.T) {
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
}
