package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"offload-e2e/harness/check"
	"offload-e2e/harness/internal/machinetest"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixos/activate"
	"offload-e2e/harness/provider"
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

// While a switch only waits for services, the checks begin that look at none of them.
func TestChecksWhileSettling(t *testing.T) {
	s := newStage(t)
	result, err := json.Marshal(activate.Result{})
	must(t, err)
	const program = "/usr/lib/offload-e2e/bin/switch-to-configuration switch"
	s.laptop.On("*", provider.Result{ExitStatus: 1})
	s.laptop.On(program, machinetest.Out(string(result)))
	must(t, s.switchQuietly(nixos.Laptop)(t.Context()))
	s.Configurations[nixos.Desktop] = &nixos.Configuration{HostName: "desktop"}
	tr := &trial{Run: s.Run, s: &scenario.Scenario{}}
	over := make(chan struct{})
	s.desktop.Does(program, func([]string) provider.Result {
		_, _ = (&switchLog{settling: tr.settling}).Write([]byte("starting nix-serve.service\n" + activate.Settling + "\n"))
		<-over
		return machinetest.Out(string(result))
	})
	wait := tr.switchChanged(t.Context(), Phases)
	made := make(chan string, 3)
	probe := func(name string) check.Check {
		return check.Check{Name: name, Run: func(context.Context, *check.Proof) { made <- name }}
	}
	var g errgroup.Group
	for _, c := range append(after(tr.switched, []check.Check{probe("RB.own")}, nil), after(tr.switched, []check.Check{probe("RB.build"), probe("CH.hit")}, early)...) {
		g.Go(func() error { s.Bench().Run(t.Context(), c); return nil })
	}
	if name := <-made; name != "RB.build" {
		t.Errorf("%s is made before the switch is over", name)
	}
	select {
	case <-tr.switched:
		t.Error("the switch is over")
	default:
	}
	close(over)
	_ = g.Wait()
	if findings := wait(); len(findings) != 1 || findings[0].State != report.Holds || len(made) != 2 {
		t.Errorf("found %+v, and %d checks made after it", findings, len(made))
	}
}

// Where something else goes wrong, or both machines switch, all checks are made after it.
func TestChecksAfterTheSwitch(t *testing.T) {
	all, err := scenario.Find("../../fixtures/scenarios")
	must(t, err)
	for _, s := range append(all, &scenario.Scenario{ID: "both"}) {
		if s.ID != "both" && s.ID != "S2" && s.ID != "build-unplugged" {
			continue
		}
		stage := newStage(t)
		stage.desktop.Gone, stage.laptop.Gone = errGone, errGone
		tr := &trial{Run: stage.Run, s: s}
		findings := tr.switchChanged(t.Context(), Phases)()
		if tr.switched != nil || len(findings) != 2 || errored(findings) == nil {
			t.Errorf("%s: found %+v", s.ID, findings)
		}
	}
}
