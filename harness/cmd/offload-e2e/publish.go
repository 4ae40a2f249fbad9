package main

import (
	"errors"

	"offload-e2e/harness/report"
)

// publish writes a run's report with what its checks found before, makes it the
// latest, and lets runs go that are too many or too large.
func publish(layout report.Layout, dir string, r *report.Report) error {
	errs := []error{layout.Remember(r), report.Save(dir, r), layout.Publish(r.Run.ID)}
	_, err := layout.Prune(report.UsualBounds)
	return errors.Join(append(errs, err)...)
}
