package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/internal/machinetest"
	"offload-e2e/harness/machine"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixos/activate"
	"offload-e2e/harness/provider"
)

func strongOf(m *Machine) *strong { return m.Machine.Machine.(*strong) }

// Machines that are booted get what the image has not, and are kept.
func TestUpBoots(t *testing.T) {
	o, p := parts(t)
	l := up(t, o)
	if l.Restored || len(p.kept) != 1 || filepath.Dir(p.kept[0]) != filepath.Join(o.CacheDir, "booted") {
		t.Errorf("restored: %v, kept in %q", l.Restored, p.kept)
	}
	var asked []string
	for _, r := range p.request.Machines {
		asked = append(asked, fmt.Sprint(r.Name, " ", r.Addr, " ", r.MAC))
	}
	if want := []string{"desktop 192.168.15.7 52:54:00:0f:00:07", "laptop 192.168.15.9 52:54:00:0f:00:09"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q", asked)
	}
	for _, m := range l.Machines() {
		s := strongOf(m)
		for path, text := range map[string]string{
			guestPrograms + "/management-sshd": "enters", guestPrograms + "/nix-serve": "serves", guestPrograms + "/switch-to-configuration": "switches", guestNixpkgs + "/default.nix": "{ }",
		} {
			if s.Copied[path] != text {
				t.Errorf("%s: %s holds %q", m.Name(), path, s.Copied[path])
			}
		}
		if ca := s.Copied[guestCABundle]; ca != string(l.Internet.caPEM()) {
			t.Errorf("%s trusts %q", m.Name(), ca)
		}
		if i := slices.Index(s.Asked, guestPrograms+"/switch-to-configuration switch"); i < 0 || !strings.Contains(s.Input[i], o.Base[m.Role].HostName) {
			t.Errorf("%s was not switched to its base: %q", m.Name(), s.Asked)
		}
		if m.Configuration() != o.Base[m.Role] {
			t.Errorf("%s has the configuration %+v", m.Name(), m.Configuration())
		}
		if len(s.clocks) == 0 || time.Since(s.clocks[len(s.clocks)-1]) > time.Minute {
			t.Errorf("%s has no right clock: %v", m.Name(), s.clocks)
		}
	}
	if l.Desktop.Addr != DesktopAddr || l.Laptop.Addr != LaptopAddr || l.Desktop.Image() != o.Images[nixos.Desktop] {
		t.Errorf("the desktop is %v, the laptop %v", l.Desktop, l.Laptop)
	}
}

// Machines that are restored have all of it, and only their clocks are wrong.
func TestUpRestores(t *testing.T) {
	o, p := parts(t)
	p.restored = true
	l := up(t, o)
	if !l.Restored || len(p.kept) != 0 {
		t.Errorf("restored: %v, kept in %q", l.Restored, p.kept)
	}
	for _, m := range l.Machines() {
		if s := strongOf(m); len(s.Asked) != 0 || len(s.clocks) != 1 {
			t.Errorf("%s was told %q, and the time %d times", m.Name(), s.Asked, len(s.clocks))
		}
	}
}

// A lab that does not come up leaves nothing, and says why.
func TestUpFails(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(o *Options, p *able)
		says   string
	}{
		{"the provider cannot", func(_ *Options, p *able) { p.failure = errBroken }, "bring the machines up: it broke"},
		{"a machine goes away", func(_ *Options, p *able) { p.machines[1].(*strong).Gone = errBroken }, "it broke"},
		{"the base configuration is broken", func(_ *Options, p *able) {
			p.machines[0].(*strong).switches.Failed = []activate.FailedUnit{{Unit: "x.service", State: "failed"}}
		}, "the base configuration leaves failed units"},
		{"no programs", func(o *Options, _ *able) { o.Programs += "/nowhere" }, "make build"},
		{"an image without keys", func(o *Options, _ *able) { o.Images = images(&guest.Image{Keys: "/nowhere"}) }, "read the guest image's keys"},
		{"a folder whose name is too long for sockets", func(o *Options, _ *able) {
			o.StateDir = filepath.Join(o.StateDir, strings.Repeat("x", 120))
			_ = os.Mkdir(o.StateDir, 0o700)
		}, "open the cable of the desktop"},
		{"no such provider", func(o *Options, _ *able) { o.Provider = "abacus" }, `no provider "abacus"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			o, p := parts(t)
			test.change(&o, p)
			l, err := Up(t.Context(), o)
			if err == nil || l != nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("%v, and not %q", err, test.says)
			}
			if p.request.StateDir != "" && p.closed == 0 {
				t.Error("the provider was not closed")
			}
			left, _ := filepath.Glob(filepath.Join(o.StateDir, "*"))
			if len(left) > 0 {
				t.Errorf("%q is left", left)
			}
		})
	}
}

// What cannot be kept for later runs is told, and harms no run.
func TestUpWithoutKeeping(t *testing.T) {
	o, p := parts(t)
	p.keeps = errBroken
	var said []string
	o.Say = func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	up(t, o)
	if !slices.Contains(said, "the booted machines could not be kept: it broke") {
		t.Errorf("it says %q", said)
	}
}

// Booted machines are kept under a name that changes with whatever is in them.
func TestStatePath(t *testing.T) {
	o, _ := parts(t)
	internet, err := openInternet(filepath.Join(o.CacheDir, "internet"))
	must(t, err)
	path := func(o Options) string { return (&Lab{options: o, Internet: internet}).statePath() }
	before := path(o)
	if again := path(o); again != before {
		t.Errorf("%s, then %s", before, again)
	}
	for name, change := range map[string]func(o *Options){
		"image":    func(o *Options) { o.Images = images(&guest.Image{Manifest: guest.Manifest{ID: "4567"}}) },
		"memory":   func(o *Options) { o.MemoryMiB = 2048 },
		"base":     func(o *Options) { o.Base = map[nixos.Role]*nixos.Configuration{nixos.Desktop: {HostName: "x"}} },
		"programs": func(o *Options) { o.Programs = o.Nixpkgs },
		"nixpkgs":  func(o *Options) { o.Nixpkgs = o.Programs },
	} {
		changed := o
		change(&changed)
		if path(changed) == before {
			t.Errorf("another %s, and the same name", name)
		}
	}
}

func TestSnapshots(t *testing.T) {
	o, p := parts(t)
	l := up(t, o)
	must(t, l.Snapshot(t.Context(), "moment"))
	for _, m := range l.Machines() {
		strongOf(m).Copied[nonceFile] = "something since"
	}
	clocks := len(strongOf(l.Laptop).clocks)
	must(t, l.Restore(t.Context(), "moment"))
	if len(strongOf(l.Laptop).clocks) == clocks {
		t.Error("the laptop's clock stands where it was cut")
	}
	p.lose = true
	if err := l.Restore(t.Context(), "moment"); err == nil || !strings.Contains(err.Error(), "laptop is not what was restored") {
		t.Errorf("a restore of something else: %v", err)
	}
}

// What a provider cannot do is an error by type, with the provider's name.
func TestAbilitiesThatAreMissing(t *testing.T) {
	o, p := parts(t)
	plain := func(name string) provider.Machine {
		m := newStrong(t, name)
		return struct{ provider.Machine }{m.Machine}
	}
	p.bare.machines = []provider.Machine{plain("desktop"), plain("laptop")}
	o.fake = &p.bare
	l := up(t, o)
	if !l.Desktop.Running() {
		t.Error("a machine whose power cannot be switched is off")
	}
	ctx := t.Context()
	for what, err := range map[string]error{
		"snapshot": l.Snapshot(ctx, "x"), "restore": l.Restore(ctx, "x"), "power off": l.Desktop.PowerOff(ctx, true),
		"power on": l.Desktop.PowerOn(ctx), "freeze": l.Laptop.Freeze(ctx), "thaw": l.Laptop.Thaw(ctx),
	} {
		var missing *provider.MissingError
		if !errors.As(err, &missing) || missing.Provider != "fake" || missing.Ability == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestPower(t *testing.T) {
	o, _ := parts(t)
	l := up(t, o)
	m, ctx := strongOf(l.Desktop), t.Context()
	must(t, l.Desktop.PowerOff(ctx, true))
	if l.Desktop.Running() || !m.hard[0] {
		t.Error("it runs without power")
	}
	clocks := len(m.clocks)
	must(t, l.Desktop.PowerOn(ctx))
	if !l.Desktop.Running() || len(m.clocks) != clocks+1 {
		t.Error("it does not run, or does not know the time")
	}
	must(t, l.Desktop.Freeze(ctx))
	if !m.frozen {
		t.Error("it is not frozen")
	}
	must(t, l.Desktop.Thaw(ctx))
	if m.frozen {
		t.Error("it is frozen")
	}
}

// A switch that failed is told from one of which nothing is known.
func TestSwitch(t *testing.T) {
	const program = guestPrograms + "/switch-to-configuration switch"
	c := &nixos.Configuration{HostName: "new"}
	for _, test := range []struct {
		name   string
		change func(m *strong)
		failed bool // the switch did
		says   string
		units  int
	}{
		{"all is well", func(*strong) {}, false, "", 0},
		{"units failed", func(m *strong) { m.switches.Failed, m.switchesStatus = make([]activate.FailedUnit, 2), 4 }, false, "", 2},
		{"it failed", func(m *strong) { m.On(program, machinetest.Said(1, "no such user\n")) }, true, "no such user", 0},
		{"it says nothing", func(m *strong) { m.On(program, machinetest.Out("")) }, false, "did not say what it did", 0},
		{"the machine is gone", func(m *strong) { m.Gone = errBroken }, false, "it broke", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			o, _ := parts(t)
			l := up(t, o)
			test.change(strongOf(l.Laptop))
			var log strings.Builder
			result, err := l.Laptop.SwitchLogged(t.Context(), c, &log)
			var failed *machine.CommandError
			if errors.As(err, &failed) != test.failed || (err != nil) != (test.says != "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v", err)
			}
			if (l.Laptop.Configuration() == c) != (err == nil) {
				t.Errorf("its configuration is %+v", l.Laptop.Configuration())
			}
			if err == nil && (log.String() != "starting x.service\n" || len(result.Failed) != test.units) {
				t.Errorf("log %q, result %+v", log.String(), result)
			}
		})
	}
}

// What the machines printed is kept, and a lab closes once.
func TestClose(t *testing.T) {
	o, p := parts(t)
	l, err := Up(t.Context(), o)
	must(t, err)
	for range 2 {
		must(t, l.Close(context.Background()))
	}
	if p.closed == 0 {
		t.Error("the provider was not closed")
	}
	for _, name := range []string{"desktop", "laptop"} {
		if text, _ := os.ReadFile(filepath.Join(o.ArtifactsDir, name+"-console.log")); string(text) != "console of "+name+"\n" {
			t.Errorf("%s's console is %q", name, text)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(o.StateDir, "*")); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
	if info, err := os.Stat(filepath.Join(o.ArtifactsDir, "lan.pcapng")); err != nil || info.Size() == 0 {
		t.Errorf("no capture: %v", err)
	}
}
