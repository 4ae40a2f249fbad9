package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/check"
	"offload-e2e/harness/internal/machinetest"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixos/activate"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

var errGone = errors.New("the machine is gone")

func broken(name, sentence string) check.Check {
	return check.Check{Name: name, Title: "it is so", Machine: "laptop", Run: func(_ context.Context, p *check.Proof) {
		p.Broken(report.Diagnosis{Code: "cache.http-error", Sentence: sentence})
	}}
}

// What a check finds is shown and recorded, with the phase it was made in.
func TestCheck(t *testing.T) {
	s := newStage(t)
	s.Slow = 2
	end := s.Phase("phase1", "Phase 1: the desktop", 30)
	if f := s.Check(t.Context(), broken("CH.info", "the cache is silent")); f.Phase != "phase1" || f.State != report.Broken {
		t.Errorf("found %+v", f)
	}
	end()
	r := s.Recorder.Report()
	if r.Verdict != report.Fail || len(r.Findings) != 1 || r.RootCauses[0].Code != "cache.http-error" {
		t.Errorf("the report says %s, %+v", r.Verdict, r.Findings)
	}
	if span := r.Timeline[0]; span.Kind != "phase" || span.Name != "phase1" || span.Budget != 60 {
		t.Errorf("the time line has %+v", span)
	}
	for _, line := range []string{"Phase 1: the desktop\n", "broken  it is so: the cache is silent"} {
		if !strings.Contains(s.shown.String(), line) {
			t.Errorf("%q is not shown: %s", line, s.shown)
		}
	}
}

// A quiet run finds the same, and shows nothing of it.
func TestCheckQuietly(t *testing.T) {
	s := newStage(t)
	s.quiet = true
	s.Check(t.Context(), broken("CH.info", "the cache is silent"))
	if s.shown.Len() > 0 || len(s.Recorder.Findings()) != 1 {
		t.Errorf("shown: %q", s.shown)
	}
}

// What commands say is compared with what their phase proves, and with no other's;
// what was typed aside is not.
func TestCommandsAreComparedWithTheirPhase(t *testing.T) {
	status := check.UserCommand{Name: "offload-status", Role: nixos.Laptop, Deadline: time.Minute}
	for _, test := range []struct {
		name string
		do   func(s stage)
		want int
	}{
		{"a lie", func(s stage) {
			defer s.Phase("phase4", "", 1)()
			s.Type(t.Context(), status)
			s.Check(t.Context(), broken("CH.info", "the cache is silent"))
		}, 1},
		{"proved later in another phase", func(s stage) {
			s.Phase("phase2", "", 1)()
			end := s.Phase("phase2", "", 1)
			s.Type(t.Context(), status)
			end()
			defer s.Phase("phase4", "", 1)()
			s.Check(t.Context(), broken("CH.info", "the cache is silent"))
		}, 0},
		{"during a fault", func(s stage) {
			defer s.Phase("phase4", "", 1)()
			said, f := s.TypeAside(t.Context(), status)
			if f.State != report.Holds || !strings.Contains(string(said.Result.Stdout), "✅") {
				t.Errorf("it said %q: %+v", said.Result.Stdout, f)
			}
			s.Check(t.Context(), broken("CH.info", "the cache is silent"))
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t)
			s.laptop.On("timeout * offload-status", machinetest.Out("✅ Desktop cache accessible\n"))
			test.do(s)
			r := s.Recorder.Report()
			if len(r.Disagreements) != test.want {
				t.Errorf("disagreements: %+v", r.Disagreements)
			}
			if !slices.ContainsFunc(r.Timeline, func(span report.Span) bool {
				return span.Name == "offload-status" && span.Kind == "command" && span.Machine == "laptop"
			}) {
				t.Errorf("the command is not on the time line: %+v", r.Timeline)
			}
		})
	}
}

func TestSwitchFindings(t *testing.T) {
	const program = "/usr/lib/offload-e2e/bin/switch-to-configuration switch"
	after := func(units ...string) provider.Result {
		var result activate.Result
		for _, u := range units {
			result.Failed = append(result.Failed, activate.FailedUnit{Unit: u, State: "failed", Journal: "why\nit has no key"})
		}
		text, err := json.Marshal(result)
		must(t, err)
		return provider.Result{Stdout: text, Stderr: []byte("starting units\n"), ExitStatus: min(4, 4*len(units))}
	}
	for _, test := range []struct {
		name   string
		answer provider.Result
		gone   error
		state  report.State
		code   string
		says   string
	}{
		{"all is well", after(), nil, report.Holds, "", ""},
		{"a unit of the user's failed", after("backup.service"), nil, report.Broken, "config.unit-failed", "backup.service does not run (failed): it has no key"},
		{"a mount failed: its check says why", after("nix-store\\x2dremote.mount"), nil, report.Warns, "config.unit-failed", "mount"},
		{"a server of the stack failed: its checks say why", after("nix-serve.service"), nil, report.Warns, "config.unit-failed", "nix-serve"},
		{"a unit that is tried again failed", after("waits.service"), nil, report.Warns, "config.unit-failed", "waits"},
		{"of several the user's is told", after("nix-serve.service", "backup.service"), nil, report.Broken, "config.unit-failed", "backup.service"},
		{"the switch failed", machinetest.Said(1, "no such group\n"), nil, report.Broken, "config.switch-failed", "no such group"},
		{"the machine is gone", provider.Result{}, errGone, report.Errored, "", "the machine is gone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t)
			s.Configurations[nixos.Desktop].UnitFiles = map[string]nixos.Unit{"waits.service": {Text: "[Service]\nRestart=on-failure\n"}}
			s.desktop.On(program, test.answer)
			s.desktop.Gone = test.gone
			f := s.Switch(t.Context(), nixos.Desktop)
			said, code := f.Reason, ""
			if f.Diagnosis != nil {
				said, code = f.Diagnosis.Sentence, f.Diagnosis.Code
			}
			if f.State != test.state || code != test.code || !strings.Contains(said, test.says) {
				t.Errorf("%s %s: %s", f.State, code, said)
			}
			if f.State == report.Errored && f.Class != report.Infra {
				t.Errorf("a machine that is gone is of class %s", f.Class)
			}
		})
	}
}

// A step that fails leaves the rest in doubt: that is recorded, and no verdict on the
// configuration.
func TestWalk(t *testing.T) {
	s := newStage(t)
	defer s.Phase("phase3", "", 1)()
	must(t, s.Walk(t.Context(), "hands over the key", func(context.Context) error { return nil }))
	err := s.Walk(t.Context(), "hands over the key", func(context.Context) error { return errGone })
	if !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
	found := s.Recorder.Findings()
	if len(found) != 1 || found[0].State != report.Errored || found[0].Class != report.Infra || found[0].Phase != "phase3" || found[0].Reason != errGone.Error() {
		t.Errorf("found %+v", found)
	}
	if verdict := s.Recorder.Report().Verdict; verdict != report.Error {
		t.Errorf("the verdict is %s", verdict)
	}
}

func TestSucceed(t *testing.T) {
	s := newStage(t)
	s.laptop.On("tee x", machinetest.Out(" text\n"))
	s.laptop.On("false", machinetest.Said(1, "no\n"))
	if text, err := s.Succeed(t.Context(), nixos.Laptop, "in", "tee", "x"); err != nil || text != "text" || s.laptop.Input[0] != "in" {
		t.Errorf("%q, %v, with input %q", text, err, s.laptop.Input)
	}
	if _, err := s.Succeed(t.Context(), nixos.Laptop, "", "false"); err == nil || !strings.Contains(err.Error(), "laptop: false: exit status 1: no") {
		t.Errorf("got %v", err)
	}
	s.desktop.Gone = errGone
	if _, err := s.Succeed(t.Context(), nixos.Desktop, "", "true"); !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
}
