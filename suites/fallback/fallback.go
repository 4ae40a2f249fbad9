// Package fallback takes the desktop away in every way of being away, and proves
// that the laptop goes on, and that offload resumes when the desktop returns.
package fallback

import (
	"time"

	"offload-e2e/harness/check"
	"offload-e2e/harness/e2e"
	"offload-e2e/suites/internal/proofs"
)

// Describe registers the suite with Ginkgo, for a run that has walked the phases.
func Describe(r *e2e.Run) {
	s := proofs.For(r)
	s.Phase("fallback", "Fallback: the desktop away", 175, func() {
		for _, way := range []proofs.Way{proofs.Refusing, proofs.Dropping, proofs.PoweredOff} {
			s.Away(way, 60*time.Second)
		}
		// Whoever goes through the set-up once more, now that all is back, is told so.
		s.Proves(check.Login())
		s.Proves(check.RemoteBuild())
		s.Types(proofs.SetUp)
	})
}
