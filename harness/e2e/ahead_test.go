package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"offload-e2e/harness/internal/machinetest"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixos/activate"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// What was begun ahead is done once, and told when its turn comes.
func TestAhead(t *testing.T) {
	s := newStage(t)
	result, err := json.Marshal(activate.Result{})
	must(t, err)
	switches, taken, turn := 0, 0, make(chan struct{})
	s.laptop.Does("/usr/lib/offload-e2e/bin/switch-to-configuration switch", func([]string) provider.Result {
		switches++
		<-turn
		return provider.Result{Stdout: result, Stderr: []byte("starting units\n")}
	})
	step := func(context.Context) error { taken++; return nil }
	failing := func(context.Context) error { taken++; return errGone }
	s.Ahead(t.Context(), nixos.Laptop, Step{"makes a key", step}, Step{"trusts a key", failing})
	// The other machine is worked on meanwhile.
	s.desktop.On("true", machinetest.Out(""))
	if _, err := s.Succeed(t.Context(), nixos.Desktop, "", "true"); err != nil {
		t.Error(err)
	}
	if err := s.Walk(t.Context(), "makes a key", step); err != nil {
		t.Error(err)
	}
	if err := s.Walk(t.Context(), "trusts a key", failing); !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
	close(turn)
	f := s.Switch(t.Context(), nixos.Laptop)
	if f.State != report.Holds || len(f.Evidence) != 1 || !strings.Contains(f.Evidence[0].Text, "starting units\n(begun ahead of its phase; it took ") {
		t.Errorf("found %+v", f)
	}
	if switches != 1 || taken != 2 {
		t.Errorf("%d switches, %d steps", switches, taken)
	}
	// It is what it was; the next one is one more.
	if f := s.Switch(t.Context(), nixos.Laptop); f.State != report.Holds || switches != 2 {
		t.Errorf("after %d switches found %+v", switches, f)
	}
}

// Nobody has to wait for what was begun.
func TestAheadIsEnded(t *testing.T) {
	for name, end := range map[string]func(*Run) report.Finding{
		"the run ends": func(r *Run) report.Finding { r.cutAhead(); return report.Finding{State: report.Errored} },
		"who waits is interrupted": func(r *Run) report.Finding {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return r.Switch(ctx, nixos.Laptop)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.laptop.Gone = errGone
			s.Ahead(t.Context(), nixos.Laptop)
			if f := end(s.Run); f.State != report.Errored || s.ahead != nil {
				t.Errorf("found %+v, and %v", f, s.ahead)
			}
		})
	}
}

// A guest has not every program: of those that the configuration adds it is told.
func TestSwitchTellsWhatTheGuestLacks(t *testing.T) {
	s := newStage(t)
	result, err := json.Marshal(activate.Result{Missing: []string{"cal of util-linux", "doas of security.wrappers", "zsh of zsh"}})
	must(t, err)
	s.laptop.On("/usr/lib/offload-e2e/bin/switch-to-configuration switch", machinetest.Out(string(result)))
	const utilLinux, zsh = "/nix/store/a-util-linux-2", "/nix/store/b-zsh-5"
	for _, c := range []struct {
		installed []string
		want      string
	}{
		{[]string{utilLinux}, "cal of util-linux\ndoas of security.wrappers"},
		{[]string{utilLinux, zsh}, "doas of security.wrappers\nzsh of zsh"},
	} {
		s.Configurations[nixos.Laptop] = &nixos.Configuration{SystemPath: c.installed,
			Packages: map[string]nixos.Package{utilLinux: {Pname: "util-linux"}, zsh: {Pname: "zsh"}}}
		if f := s.Switch(t.Context(), nixos.Laptop); f.State != report.Holds || len(f.Evidence) != 2 || f.Evidence[1].Text != c.want {
			t.Errorf("found %+v, want %q", f, c.want)
		}
	}
}
