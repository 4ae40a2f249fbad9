//go:build labs

package verdicts

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/provider/docker"
)

// A harness that is killed in the middle of a scenario takes its machines with it, and
// all else it had: nobody has to clean up.
func TestKilledInAScenario(t *testing.T) {
	for _, provider := range []struct {
		name string
		// machines lists what runs in a place.
		machines func(t *testing.T, p *place) []string
	}{
		{"qemu", func(*testing.T, *place) []string { return nil }}, // processes of this host
		{"docker", containersOf},
	} {
		for _, test := range []struct{ name, said string }{
			{"on the way to the phases' end", "To the end of the four phases"},
			{"while a fault is in force", "applies: "},
			{"while all has to hold again", "undoes: "},
		} {
			t.Run(provider.name+" "+test.name, func(t *testing.T) {
				p := newPlace(t)
				provider.machines(t, p) // skips where there is no engine
				c := p.start("scenario", "run", "W3-reject", "--provider", provider.name, "--report", p.reports)
				c.until("the moment to kill it", func() bool { return strings.Contains(c.said(), test.said) })
				if len(provider.machines(t, p))+p.machines() == 0 {
					t.Error("no machine runs")
				}
				must(t, c.cmd.Process.Kill())
				<-c.done
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				for {
					left := slices.Concat(provider.machines(t, p), p.left())
					if len(left) == 0 {
						break
					}
					select {
					case <-ctx.Done():
						t.Fatalf("these are left: %s", left)
					case <-time.After(50 * time.Millisecond):
					}
				}
			})
		}
	}
}

// containersOf lists the containers and snapshots of a place, running or not.
func containersOf(t *testing.T, p *place) []string {
	t.Helper()
	e, err := docker.Connect(t.Context())
	if err != nil {
		t.Skip(err)
	}
	defer e.Close()
	left, err := e.Left(t.Context(), docker.LabOf(filepath.Join(p.state, "lab")))
	must(t, err)
	return left
}
