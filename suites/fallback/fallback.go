// Package fallback takes the desktop away in every way of being away, and proves
// that the laptop goes on, and that offload resumes when the desktop returns.
package fallback

import (
	"time"

	"offload-e2e/harness/e2e"
	"offload-e2e/suites/internal/proofs"
)

// Describe registers the suite with Ginkgo, for a run that has walked the phases.
func Describe(r *e2e.Run) {
	s := proofs.For(r)
	s.Phase("fallback", "Fallback: the desktop away", 150, func() {
		for _, way := range []proofs.Way{proofs.Refusing, proofs.Dropping, proofs.PoweredOff} {
			s.Away(way, 60*time.Second)
		}
	})
}
