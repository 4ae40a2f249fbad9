package check

import (
	"errors"
	"testing"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// What is one machine's own affair holds without the other.
func TestAlone(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range newWorld(t).bench.Proofs() {
		role := c.Alone()
		if role == "" {
			continue
		}
		seen[c.Name] = true
		w := newWorld(t)
		other := w.desktop
		if role == nixos.Desktop {
			other = w.laptop
		}
		other.Gone = errors.New("the machine is gone")
		if f := w.bench.Run(t.Context(), c); f.State != report.Holds {
			t.Errorf("%s is %s without the other machine: %s %+v", c.Name, f.State, f.Reason, f.Diagnosis)
		}
		if len(other.Asked) > 0 {
			t.Errorf("%s asked the other machine %q", c.Name, other.Asked)
		}
	}
	if len(seen) != len(alone) {
		t.Errorf("of %v only %v are proofs of the phases", alone, seen)
	}
}
