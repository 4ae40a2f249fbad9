package e2e

import (
	"strings"
	"testing"

	"offload-e2e/harness/lab"
	"offload-e2e/harness/report"
	"offload-e2e/harness/scenario"
)

// What would befall the engine's host, or needs mounts, is not tried on containers.
func TestBeyond(t *testing.T) {
	all, err := scenario.Find("../../fixtures/scenarios")
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]*scenario.Scenario{}
	for _, s := range all {
		byID[s.ID] = s
	}
	virtual := &Run{provider: lab.QEMU, Lab: &lab.Lab{}}
	containers := &Run{provider: lab.Docker, Lab: &lab.Lab{NoKernelNFS: "the kernel has no NFS", NoSandbox: "no sandbox"}}
	for id, want := range map[string]string{
		"Q1": "must not fill", "clock-laptop": "clock", "sleep-twice": "sleep", "reboot-desktop": "boot id",
		"N1": "no NFS", "no-export": "", "N4": "", "N9": "", "O2": "no NFS", "O5": "no NFS", "C2": "", "X1": "", "X11": "no sandbox", "W3-drop": "", "away-off": "",
	} {
		s := byID[id]
		if s == nil {
			t.Errorf("there is no scenario %s", id)
			continue
		}
		if why := virtual.beyond(s); why != "" {
			t.Errorf("%s on virtual machines: %s", id, why)
		}
		if why := containers.beyond(s); (why == "") != (want == "") || !strings.Contains(why, want) {
			t.Errorf("%s on containers: %q", id, why)
		}
	}
}

// A scenario's own checks are made before the others where something goes wrong while
// they are made, where they are none of the usual, or make others moot.
func TestTogether(t *testing.T) {
	all, err := scenario.Find("../../fixtures/scenarios")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"C2": true, "C5": true, "X1": true, "S7": true, "K1": true, "N2": true, // from the beginning
		"build-unplugged": false, "C7": false, "X4": false, "W5": false, // a check of its own
		"W3-drop": false, "W8": false, "O5": false, // moot
		"M1": false, "away-off": false}
	for _, s := range all {
		together, asked := want[s.ID]
		if !asked {
			continue
		}
		delete(want, s.ID)
		tr := &trial{Run: newStage(t).Run, s: s}
		if got := tr.together(tr.own()); got != together {
			t.Errorf("%s: all together is %v", s.ID, got)
		}
	}
	if len(want) > 0 {
		t.Errorf("there are no scenarios %v", want)
	}
}

// What held while the other machine switched is not made again.
func TestHeld(t *testing.T) {
	tr := &trial{Run: newStage(t).Run, s: &scenario.Scenario{}, held: []report.Finding{{Check: "EV.builders", State: report.Holds}}}
	for _, c := range tr.others(nil) {
		if c.Name == "EV.builders" {
			t.Error("it is")
		}
	}
	if got, want := len(tr.others(nil)), len(tr.Bench().Proofs())-1; got != want {
		t.Errorf("%d other checks, want %d", got, want)
	}
}
