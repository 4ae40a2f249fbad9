package qemu

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"offload-e2e/harness/provider"
)

// savedLab is the folder of a state saved when the desktop had counted to at
// least 10, and to what it had.
func savedLab(t *testing.T, b Bundle) (dir string, count int) {
	t.Helper()
	l := newLab(t, b, nil, "desktop", "laptop")
	l.await(t, "desktop", 10)
	dir = filepath.Join(t.TempDir(), "cache", "it's, saved")
	if err := l.SaveState(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	count = l.last(t, "desktop").count
	l.await(t, "desktop", count+2) // it goes on
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir, count
}

func from(dir string) func(*Options) { return func(o *Options) { o.SavedState = dir } }

func TestSavedStateIsRestored(t *testing.T) {
	t.Parallel()
	b := sectorBundle(t)
	dir, count := savedLab(t, b)

	// Two labs at the same time share what is saved.
	one := newLab(t, b, from(dir), "desktop", "laptop")
	two := newLab(t, b, from(dir), "desktop", "laptop")
	for _, l := range []*testLab{one, two} {
		if got := l.Origin(); !got.Restored {
			t.Fatalf("origin %+v, want restored", got)
		}
		if first := l.lines(t, "desktop")[0]; first.boots != 1 || first.count < 10 || first.count > count+2 {
			t.Errorf("first line after the restore %+v, want boot 1 and 10 to %d", first, count+2)
		}
	}
	// A disk changed in one is not changed in the other, nor in what is saved. By
	// the power button: that way QEMU flushes what this guest does not.
	for range 2 {
		if err := errors.Join(one.machine("desktop").PowerOff(t.Context(), false), one.machine("desktop").PowerOn(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if got := one.last(t, "desktop").boots; got != 3 {
		t.Errorf("boots in the first lab: %d, want 3", got)
	}
	if err := errors.Join(two.machine("desktop").PowerOff(t.Context(), false), two.machine("desktop").PowerOn(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := two.last(t, "desktop").boots; got != 2 {
		t.Errorf("boots in the second lab: %d, want 2", got)
	}

	// Snapshots work on restored machines, and a restored lab can be saved,
	// over the very folder two labs stand on.
	if err := errors.Join(one.Snapshot(t.Context(), "x"), one.Restore(t.Context(), "x")); err != nil {
		t.Fatal(err)
	}
	if err := one.SaveState(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	three := newLab(t, b, from(dir), "desktop", "laptop")
	if got := three.Origin(); !got.Restored || three.last(t, "desktop").boots != 3 || three.last(t, "laptop").boots != 1 {
		t.Errorf("restored from a restored lab: %+v, %+v", got, three.last(t, "desktop"))
	}
	if err := errors.Join(two.machine("laptop").PowerOff(t.Context(), true), two.machine("laptop").PowerOn(t.Context())); err != nil {
		t.Errorf("a lab on the replaced state: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left beside the state: %v, %v", left, err)
	}
}

func TestUnusableStateIsBootedInstead(t *testing.T) {
	t.Parallel()
	b := sectorBundle(t)
	saved, _ := savedLab(t, b)
	edit := func(change func(*savedState)) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			s, err := readState(dir)
			if err != nil {
				t.Fatal(err)
			}
			change(s)
			content, err := json.Marshal(s)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, stateManifest), content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   string
	}{
		"missing":           {func(t *testing.T, dir string) { mustDo(t, os.RemoveAll(dir)) }, "missing"},
		"manifest cut off":  {truncate(stateManifest, 20), "damaged"},
		"memory flipped":    {flip("laptop.memory"), "laptop.memory is damaged"},
		"memory cut off":    {truncate("desktop.memory", 5000), "desktop.memory is damaged"},
		"memory gone":       {func(t *testing.T, dir string) { mustDo(t, os.Remove(filepath.Join(dir, "desktop.memory"))) }, "desktop"},
		"disk flipped":      {flip("desktop.0.qcow2"), "desktop.0.qcow2 is damaged"},
		"disk gone":         {func(t *testing.T, dir string) { mustDo(t, os.Remove(filepath.Join(dir, "laptop.0.qcow2"))) }, "laptop"},
		"another QEMU":      {edit(func(s *savedState) { s.QEMU = "6.0.0" }), "its QEMU is 6.0.0"},
		"another image":     {edit(func(s *savedState) { s.BundleID = "x" }), "its guest image is x"},
		"newer format":      {edit(func(s *savedState) { s.Version = 2 }), "its format is 2"},
		"other hardware":    {edit(func(s *savedState) { s.Machines[0].Hardware = "x" }), "its desktop has other hardware"},
		"a machine missing": {edit(func(s *savedState) { s.Machines = s.Machines[:1] }), "number of machines is 1"},
		"other machine":     {edit(func(s *savedState) { s.Machines[1].Name = "server" }), "no machine laptop"},
		"name leads out":    {edit(func(s *savedState) { s.Machines[0].Memory.File = "../../x" }), "leads out"},
		"no disk":           {edit(func(s *savedState) { s.Machines[0].Layers = nil }), "has no disk"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			mustDo(t, os.CopyFS(dir, os.DirFS(saved)))
			c.damage(t, dir)
			l := newLab(t, b, from(dir), "desktop", "laptop")
			if got := l.Origin(); got.Restored || !strings.Contains(got.Reason, c.want) {
				t.Errorf("origin %+v, want booted because %q", got, c.want)
			}
			for _, machine := range []string{"desktop", "laptop"} {
				if got := l.last(t, machine).boots; got != 1 {
					t.Errorf("%s: boot %d, want 1", machine, got)
				}
			}
			if layers, _ := filepath.Glob(filepath.Join(l.stateDir, "*", "layer*")); len(layers) > 0 {
				t.Errorf("layers left of a state not used: %v", layers)
			}
		})
	}
}

func TestSaveStateFails(t *testing.T) {
	t.Parallel()
	l := newLab(t, sectorBundle(t), nil, "desktop")
	ctx := t.Context()
	if err := l.SaveState(ctx, "/dev/null/state"); err == nil {
		t.Error("saved below a device")
	}
	// The disk fills up: the save fails, the machine goes on.
	mustDo(t, l.pause(ctx))
	before := l.last(t, "desktop").count
	if _, err := l.machine("desktop").saveMemory(ctx, &fullDisk{room: 100_000}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("save to a full disk: %v", err)
	}
	mustDo(t, l.resume(ctx))
	l.await(t, "desktop", before+2)
	// And can be saved again.
	if err := l.SaveState(ctx, filepath.Join(t.TempDir(), "s")); err != nil {
		t.Errorf("save after a failed one: %v", err)
	}
	mustDo(t, l.machine("desktop").PowerOff(ctx, true))
	if err := l.SaveState(ctx, filepath.Join(t.TempDir(), "s")); !errors.Is(err, ErrOff) {
		t.Errorf("saved a machine that is off: %v", err)
	}
	mustDo(t, l.machine("desktop").PowerOn(ctx))
	if _, err := l.machine("desktop").Exec(ctx, provider.Cmd("true")); err != nil {
		t.Errorf("after failed saves (count was %d): %v", before, err)
	}
}

// fullDisk takes room bytes.
type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.room -= len(p); d.room < 0 {
		return 0, syscall.ENOSPC
	}
	return len(p), nil
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func truncate(name string, size int64) func(*testing.T, string) {
	return func(t *testing.T, dir string) { mustDo(t, os.Truncate(filepath.Join(dir, name), size)) }
}

// flip inverts a byte in the middle of a file.
func flip(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		mustDo(t, err)
		b[len(b)/2] ^= 0xff
		mustDo(t, os.WriteFile(path, b, 0o600))
	}
}
