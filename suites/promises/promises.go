// Package promises measures what the product promises: how much faster builds are,
// which part of downloads comes from the desktop, and how many laptops it takes. It
// takes minutes, and is run when it is asked for by its label.
package promises

import (
	"offload-e2e/harness/check"
	"offload-e2e/harness/e2e"
	"offload-e2e/suites/internal/proofs"
)

// Label is what the suite is asked for by.
const Label = "promises"

// Describe registers the suite with Ginkgo, for a run that has walked the phases.
func Describe(r *e2e.Run) {
	s := proofs.For(r)
	s.Phase(Label, "Promises, measured", 300, func() {
		s.Proves(check.CacheShare())
		s.Proves(check.MoreClients())
		s.Proves(check.SpeedUp())
	})
}
