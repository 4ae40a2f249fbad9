package e2e

import (
	"strings"
	"testing"

	"offload-e2e/harness/lab"
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
