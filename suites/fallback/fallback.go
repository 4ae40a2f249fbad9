// Package fallback takes the desktop away in every way of being away, and proves
// that the laptop goes on, and that offload resumes when the desktop returns.
package fallback

import (
	"time"

	"github.com/onsi/ginkgo/v2"

	"offload-e2e/harness/check"
	"offload-e2e/harness/e2e"
	"offload-e2e/suites/internal/proofs"
)

// ways are the ways of being away, in the order they are tried.
func ways() []proofs.Way { return []proofs.Way{proofs.Refusing, proofs.Dropping, proofs.PoweredOff} }

// again is the label of what is done once the desktop is back.
const again = "set-up-again"

// Labels are the labels of the suite's parts, in order: each can be run alone.
func Labels() []string {
	var labels []string
	for _, way := range ways() {
		labels = append(labels, way.Label())
	}
	return append(labels, again)
}

// Describe registers the suite with Ginkgo, for a run that has walked the phases.
func Describe(r *e2e.Run) {
	s := proofs.For(r)
	s.Phase("fallback", "Fallback: the desktop away", 175, func() {
		for _, way := range ways() {
			ginkgo.Describe("the desktop is "+way.Name, ginkgo.Label(way.Label()), func() { s.Away(way, 60*time.Second) })
		}
		// Whoever goes through the set-up once more, now that all is back, is told so.
		ginkgo.Describe("the desktop is back", ginkgo.Label(again), func() {
			s.Proves(check.Login())
			s.Proves(check.RemoteBuild())
			s.Types(proofs.SetUp)
		})
	})
}
