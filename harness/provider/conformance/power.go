package conformance

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/provider"
)

func freezing(t *testing.T, _ Bed, lab *Lab) {
	m := of(t, lab, Laptop)
	f, ok := m.(provider.Freezer)
	if !ok {
		t.Skip("the machines cannot be frozen")
	}
	for range 2 { // to freeze what is frozen is no error
		if err := f.Freeze(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := m.Exec(ctx, provider.Cmd("true")); err == nil {
		t.Error("a frozen machine runs commands")
	}
	if p, ok := m.(provider.PowerController); ok && !p.Running() {
		t.Error("a frozen machine is said to be off")
	}
	for range 2 {
		if err := f.Thaw(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, commandTimeout, func(ctx context.Context) error {
		r, err := m.Exec(ctx, provider.Cmd("true"))
		return errors.Join(err, r.Err())
	})
}

// restart pulls the plug, and presses the power button.
func restart(t *testing.T, bed Bed, lab *Lab) {
	m := of(t, lab, Desktop)
	p, ok := m.(provider.PowerController)
	if !ok {
		t.Skip("the machines cannot be switched off")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*bed.Boot)
	defer cancel()
	for _, hard := range []bool{true, false} {
		word := map[bool]string{true: "plug-pulled", false: "button-pressed"}[hard]
		if err := m.CopyTo(ctx, strings.NewReader(word), "/var/tmp/on-disk", 0o600); err != nil {
			t.Fatal(err)
		}
		if err := m.CopyTo(ctx, strings.NewReader(word), "/run/in-memory", 0o600); err != nil {
			t.Fatal(err)
		}
		succeed(t, m, "sync")
		succeed(t, m, "sh", "-c", "echo last words: "+word+" >/dev/console")
		for range 2 { // what is off is off
			if err := p.PowerOff(ctx, hard); err != nil {
				t.Fatal(err)
			}
		}
		if p.Running() {
			t.Error("it is off and said to run")
		}
		began := time.Now()
		if _, err := m.Exec(ctx, provider.Cmd("true")); !errors.Is(err, provider.ErrOff) || time.Since(began) > 10*time.Second {
			t.Errorf("a command on a machine that is off: %v after %s", err, time.Since(began))
		}
		if logs := console(t, m); !strings.Contains(logs, "last words: "+word) {
			t.Errorf("the console of a machine that is off has not its last words; it ends with %q", logs[max(0, len(logs)-300):])
		}
		if err := p.PowerOn(ctx); err != nil {
			t.Fatal(err)
		}
		if got := succeed(t, m, "cat", "/var/tmp/on-disk"); got != word {
			t.Errorf("the disk has %q, want %q", got, word)
		}
		if r := exec(t, m, provider.Cmd("cat", "/run/in-memory")); r.OK() {
			t.Error("its memory outlived the machine")
		}
	}
}

func console(t *testing.T, m provider.Machine) string {
	t.Helper()
	logs, err := m.Logs(t.Context())
	if errors.Is(err, os.ErrNotExist) {
		return ""
	} else if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	text, err := io.ReadAll(logs)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func snapshots(t *testing.T, bed Bed, lab *Lab) {
	s, ok := lab.Provider.(provider.Snapshotter)
	if !ok {
		t.Skip("the provider has no snapshots")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*bed.Boot)
	defer cancel()
	places := []string{"/etc/snapshot", "/var/lib/snapshot", "/nix/snapshot"}
	write := func(text string) {
		for _, m := range lab.Provider.Machines() {
			for _, path := range places {
				if err := m.CopyTo(ctx, strings.NewReader(text), path, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	write("before")
	began := time.Now()
	if err := s.Snapshot(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	t.Logf("snapshot: %s", time.Since(began).Round(time.Millisecond))
	for range 2 { // a snapshot can be returned to again
		write("after")
		began = time.Now()
		if err := s.Restore(ctx, "one"); err != nil {
			t.Fatal(err)
		}
		t.Logf("restore: %s", time.Since(began).Round(time.Millisecond))
		for _, m := range lab.Provider.Machines() {
			for _, path := range places {
				if got := succeed(t, m, "cat", path); got != "before" {
					t.Errorf("%s: %s has %q after the restore", m.Name(), path, got)
				}
			}
		}
	}
	if err := s.Restore(ctx, "none"); err == nil {
		t.Error("a snapshot that is not there can be restored")
	}
}
