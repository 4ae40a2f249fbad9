//go:build labs

package verdicts

import (
	"context"
	"strings"
	"testing"
	"time"
)

// A harness that is killed in the middle of a scenario takes its machines with it; what
// else it had is removed by down.
func TestKilledInAScenario(t *testing.T) {
	for _, test := range []struct{ name, said string }{
		{"on the way to the phases' end", "To the end of the four phases"},
		{"while a fault is in force", "applies: "},
		{"while all has to hold again", "undoes: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPlace(t)
			c := p.start("scenario", "run", "W3-reject", "--report", p.reports)
			c.until("the moment to kill it", func() bool { return strings.Contains(c.said(), test.said) })
			must(t, c.cmd.Process.Kill())
			<-c.done
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			for left := processes(t, p.state); len(left) > 0; left = processes(t, p.state) {
				select {
				case <-ctx.Done():
					t.Fatalf("processes %d are left", left)
				case <-time.After(50 * time.Millisecond):
				}
			}
			p.start("down").end().is(exitOK)
			p.nothingLeft()
		})
	}
}
