//go:build labs

package verdicts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Ctrl-C ends a run in good order, wherever it is.
func TestInterrupted(t *testing.T) {
	for _, test := range []interruption{
		{name: "while the machines boot", prepare: func(p *place) {
			kept := p.cache
			p.cache = filepath.Join(p.t.TempDir(), "cache")
			must(p.t, os.Mkdir(p.cache, 0o755))
			for _, name := range []string{"images", "eval"} {
				must(p.t, os.Symlink(filepath.Join(kept, name), filepath.Join(p.cache, name)))
			}
		}, at: func(p *place, _ *process) bool { return p.machines() == 2 }},
		{name: "while the machines are restored", at: func(p *place, _ *process) bool { return p.machines() > 0 }},
		{name: "in the middle of a switch", at: func(_ *place, c *process) bool { return strings.Contains(c.said(), "sudo without a password") }},
		{name: "while the lab is taken down", labels: "phase3", ended: true,
			at: func(p *place, c *process) bool {
				return strings.Contains(c.said(), "Phase 3") && !exists(filepath.Join(p.state, "lab", "lab.json"))
			}},
	} {
		t.Run(test.name, test.run)
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

// A disk that fills up while machines run ends the run, and says so.
func TestADiskThatFillsUp(t *testing.T) {
	p := newPlace(t)
	disk := smallDisk(t, "2600m")
	p.state = filepath.Join(disk, "state")
	c := p.begin("--labels", onDesktop)
	c.until("the machines are up", func() bool { return strings.Contains(c.said(), "Phase 1") })
	fill := exec.Command("dd", "if=/dev/zero", "of="+filepath.Join(disk, "filler"), "bs=1M", "status=none")
	out, _ := fill.CombinedOutput()
	if !strings.Contains(string(out), "No space left on device") {
		t.Fatalf("the disk is not full: %s", out)
	}
	c.end().is(exitInfra, "disk", "OFFLOAD_E2E_STATE")
	must(t, os.Remove(filepath.Join(disk, "filler")))
	p.nothingLeft()
}
