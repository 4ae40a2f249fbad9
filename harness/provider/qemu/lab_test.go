package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"offload-e2e/harness/provider"
)

func readPidfile(t *testing.T, path string) pidfile {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var p pidfile
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLabComesUpAndLeavesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, sectorBundle(t), nil, "desktop", "laptop")
	if got := l.Origin(); got != (Origin{}) {
		t.Errorf("origin %+v, want booted without a reason", got)
	}
	var pids []pidfile
	for _, name := range []string{"desktop", "laptop"} {
		if !l.machine(name).Running() {
			t.Errorf("%s is not running", name)
		}
		if got := l.last(t, name).boots; got != 1 {
			t.Errorf("%s: boot %d of its disk, want 1", name, got)
		}
		p := l.pidfile(t, name)
		if !p.alive() || p.Machine != name {
			t.Errorf("pid file of %s: %+v, alive %v", name, p, p.alive())
		}
		pids = append(pids, p)
	}
	for range 2 { // idempotent
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range pids {
		if p.alive() {
			t.Errorf("QEMU of %s is still alive", p.Machine)
		}
		left, err := os.ReadDir(filepath.Join(l.stateDir, p.Machine))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range left {
			if !strings.HasSuffix(e.Name(), ".log") {
				t.Errorf("%s is left of %s", e.Name(), p.Machine)
			}
		}
	}
	if _, err := l.machine("desktop").Exec(t.Context(), provider.Cmd("true")); !errors.Is(err, ErrOff) {
		t.Errorf("exec after close: %v, want ErrOff", err)
	}
	if err := l.machine("desktop").PowerOn(t.Context()); err == nil {
		t.Error("a closed lab's machine was switched on")
	}
}

func TestSnapshotRestoresMemoryAndDiskOfAll(t *testing.T) {
	t.Parallel()
	l := newLab(t, sectorBundle(t), nil, "desktop", "laptop")
	ctx := t.Context()
	if err := l.Snapshot(ctx, "../evil"); err == nil {
		t.Error("a snapshot name with a slash was accepted")
	}
	l.await(t, "desktop", 5)
	if err := l.Snapshot(ctx, "clean"); err != nil {
		t.Fatal(err)
	}
	saved := l.last(t, "desktop").count
	l.await(t, "desktop", saved+20)

	// The desktop is booted anew, so its disk changes; the laptop is off.
	for _, err := range []error{
		l.machine("desktop").PowerOff(ctx, true),
		l.machine("desktop").PowerOn(ctx),
		l.machine("laptop").PowerOff(ctx, true),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := l.last(t, "desktop").boots; got != 2 {
		t.Fatalf("the desktop's disk was booted %d times, want 2", got)
	}
	if err := l.Snapshot(ctx, "other"); !errors.Is(err, ErrOff) {
		t.Errorf("snapshot with a machine off: %v, want ErrOff", err)
	}
	if err := l.Restore(ctx, "clean"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"desktop", "laptop"} {
		lines := l.lines(t, name)
		at := len(lines) - 1
		for at > 0 && lines[at-1].count < lines[at].count && lines[at-1].boots == lines[at].boots {
			at--
		}
		if lines[at].boots != 1 || lines[at].count == 0 || lines[at].count > saved+3 {
			t.Errorf("%s goes on at %+v, want boot 1 and about count %d", name, lines[at], saved)
		}
	}
	if err := l.Restore(ctx, "none"); err == nil || !strings.Contains(err.Error(), "clean") {
		t.Errorf("restore of an unknown snapshot: %v, want the names there are", err)
	}

	// The same name again replaces it.
	l.await(t, "desktop", saved+10)
	if err := l.Snapshot(ctx, "clean"); err != nil {
		t.Fatal(err)
	}
	mark := len(l.lines(t, "desktop"))
	if err := l.Restore(ctx, "clean"); err != nil {
		t.Fatal(err)
	}
	for _, line := range l.lines(t, "desktop")[mark+1:] {
		if line.count < saved+10 {
			t.Errorf("restored to %+v, before the replacement", line)
		}
	}
}

func TestPowerButtonAndPlug(t *testing.T) {
	t.Parallel()
	l := newLab(t, sectorBundle(t), nil, "desktop")
	ctx, m := t.Context(), l.machine("desktop")
	if err := m.PowerOff(ctx, false); err != nil {
		t.Fatal(err)
	}
	_, err := m.Exec(ctx, provider.Cmd("true"))
	var death *DeathError
	if m.Running() || !errors.Is(err, ErrOff) || errors.As(err, &death) {
		t.Errorf("after the power button: running %v, exec: %v", m.Running(), err)
	}
	if _, err := os.Stat(filepath.Join(l.stateDir, "desktop", pidfileName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("pid file of a machine that is off: %v", err)
	}
	if err := m.PowerOff(ctx, true); err != nil {
		t.Errorf("power off of a machine that is off: %v", err)
	}
	for range 2 { // the second finds it on
		if err := m.PowerOn(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.last(t, "desktop").boots; got != 2 {
		t.Errorf("boots of the disk: %d, want 2", got)
	}
}

func TestPowerButtonUnheeded(t *testing.T) {
	t.Parallel()
	l := newLab(t, sectorBundle(t), func(o *Options) { o.PowerOffTimeout = 200 * time.Millisecond }, "desktop")
	ctx, m := t.Context(), l.machine("desktop")
	if err := m.Freeze(ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.PowerOff(ctx, false); err == nil || !strings.Contains(err.Error(), "thaw") {
		t.Errorf("power button of a frozen machine: %v", err)
	}
	// Stopped behind our back, it cannot heed the button.
	if err := errors.Join(m.Thaw(ctx), m.command(ctx, "stop")); err != nil {
		t.Fatal(err)
	}
	err := m.PowerOff(ctx, false)
	if err == nil || !strings.Contains(err.Error(), "desktop") || !strings.Contains(err.Error(), "200ms") || !m.Running() {
		t.Errorf("unheeded power button: %v, running %v", err, m.Running())
	}
}

func TestFreezeStopsTheGuest(t *testing.T) {
	t.Parallel()
	l := newLab(t, sectorBundle(t), nil, "desktop")
	ctx, m := t.Context(), l.machine("desktop")
	if err := m.Freeze(ctx); err != nil {
		t.Fatal(err)
	}
	frozen := l.last(t, "desktop")
	if err := l.Snapshot(ctx, "x"); err == nil || !strings.Contains(err.Error(), "frozen") {
		t.Errorf("snapshot of a frozen machine: %v", err)
	}
	status := func() string {
		var s struct {
			Status string `json:"status"`
		}
		if err := m.proc.qmp.Execute(ctx, "query-status", nil, &s); err != nil {
			t.Fatal(err)
		}
		return s.Status
	}
	if got := status(); got != "paused" {
		t.Errorf("QEMU's status %q, want paused", got)
	}
	if got := l.last(t, "desktop"); got != frozen {
		t.Errorf("a frozen guest went from %+v to %+v", frozen, got)
	}
	if err := m.Thaw(ctx); err != nil {
		t.Fatal(err)
	}
	l.await(t, "desktop", frozen.count+1)
}

func TestDeathIsNoticed(t *testing.T) {
	t.Parallel()
	l := newLab(t, sectorBundle(t), nil, "desktop")
	ctx, m := t.Context(), l.machine("desktop")
	failed := make(chan error, 1)
	go func() {
		_, err := m.Exec(ctx, provider.Cmd("wait"))
		failed <- err
	}()
	if err := syscall.Kill(l.pidfile(t, "desktop").PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{<-failed, func() error { _, err := m.Exec(ctx, provider.Cmd("true")); return err }()} {
		var death *DeathError
		if !errors.As(err, &death) || !errors.Is(err, ErrOff) {
			t.Fatalf("exec on a dead machine: %v, want a DeathError", err)
		}
		if death.Machine != "desktop" || !strings.Contains(death.How, "killed") || !strings.Contains(death.Console, "b0001 n") {
			t.Errorf("death told as %+v", death)
		}
	}
	if m.Running() {
		t.Error("a dead machine is said to be running")
	}
	if err := m.PowerOn(ctx); err != nil {
		t.Fatal(err)
	}
	// What was written and not flushed may be lost with QEMU, as with a real
	// machine's power: this boot is the disk's first or second.
	if got := l.last(t, "desktop").boots; got != 1 && got != 2 {
		t.Errorf("boots of the disk: %d, want 1 or 2", got)
	}
}

func TestSetLink(t *testing.T) {
	t.Parallel()
	l := newLab(t, sectorBundle(t), nil, "desktop")
	ctx, m := t.Context(), l.machine("desktop")
	if err := m.SetLink(ctx, "eth7", false); err == nil {
		t.Error("a cable that does not exist was pulled")
	}
	if err := m.SetLink(ctx, CableLAN, false); err != nil {
		t.Fatal(err)
	}
	if err := l.SaveState(ctx, filepath.Join(t.TempDir(), "s")); err == nil || !strings.Contains(err.Error(), "lan0") {
		t.Errorf("state saved with a cable pulled: %v", err)
	}
	if err := m.SetLink(ctx, CableLAN, true); err != nil {
		t.Fatal(err)
	}
}

func TestCreateFails(t *testing.T) {
	t.Parallel()
	b := sectorBundle(t)
	for name, c := range map[string]struct {
		change func(*Options, *provider.Request)
		want   string
	}{
		"no machines":       {func(_ *Options, r *provider.Request) { r.Machines = nil }, "no machines"},
		"name leads out":    {func(_ *Options, r *provider.Request) { r.Machines[0].Name = "../x" }, "no file name"},
		"same MAC":          {func(_ *Options, r *provider.Request) { r.Machines[1].MAC = r.Machines[0].MAC }, "same name or hardware"},
		"malformed MAC":     {func(_ *Options, r *provider.Request) { r.Machines[0].MAC = "52:54" }, "desktop"},
		"nobody listens":    {func(o *Options, _ *provider.Request) { o.Cables = nobody }, "is the network up?"},
		"path too long":     {func(o *Options, _ *provider.Request) { o.Cables = tooLong }, "shorter state directory"},
		"QEMU refuses":      {func(_ *Options, r *provider.Request) { r.Machines[1].MemoryMiB = 1 << 40 }, "laptop"},
		"QEMU is missing":   {func(o *Options, _ *provider.Request) { o.Binary = "/nonexistent/qemu" }, "/nonexistent/qemu"},
		"never ready":       {func(o *Options, _ *provider.Request) { o.BootTimeout = time.Millisecond }, "not reachable within 1ms"},
		"no qemu-img":       {func(o *Options, _ *provider.Request) { o.ImageTool = "/nonexistent/img" }, "/nonexistent/img"},
		"no state dir made": {func(_ *Options, r *provider.Request) { r.StateDir = "/dev/null/x" }, "mkdir /dev/null"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stateDir := t.TempDir()
			o, req := sectorOptions(t, stateDir, b), testRequest(stateDir, "desktop", "laptop")
			c.change(&o, &req)
			p, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Create(t.Context(), req)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("create: %v, want an error with %q", err, c.want)
			}
			for _, pattern := range []string{"*/" + pidfileName, "*/*" + diskSuffix} {
				if left, _ := filepath.Glob(filepath.Join(stateDir, pattern)); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			}
			if err := p.Close(context.Background()); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

func nobody(string) (Cables, error) {
	return Cables{LAN: "/nonexistent/lan", Mgmt: "/nonexistent/mgmt"}, nil
}

func tooLong(string) (Cables, error) {
	return Cables{LAN: "/" + strings.Repeat("x", 200), Mgmt: "/m"}, nil
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	b := sectorBundle(t)
	stateDir := t.TempDir()
	o := sectorOptions(t, stateDir, b)
	asked := make(chan struct{}, 1000)
	o.Transport = func(string) (provider.Transport, error) { return &deafTransport{asked: asked}, nil }
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	created := make(chan error, 1)
	go func() {
		_, err := p.Create(context.Background(), testRequest(stateDir, "desktop"))
		created <- err
	}()
	<-asked
	begin := time.Now()
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-created; !errors.Is(err, errClosed) {
		t.Errorf("create: %v, want %v", err, errClosed)
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("close took %s", took)
	}
}

// deafTransport never reaches its machine.
type deafTransport struct {
	consoleTransport
	asked chan struct{}
}

func (d *deafTransport) Exec(ctx context.Context, _ provider.Command) (provider.Result, error) {
	select {
	case d.asked <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return provider.Result{}, ctx.Err()
}
