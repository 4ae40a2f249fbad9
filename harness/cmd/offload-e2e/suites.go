package main

import (
	"context"
	"fmt"
	"os"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/formatter"
	"github.com/onsi/ginkgo/v2/types"

	"offload-e2e/harness/e2e"
	"offload-e2e/suites/fallback"
	"offload-e2e/suites/phases"
	"offload-e2e/suites/promises"
)

// counts are the specs of a run by what became of them.
type counts struct{ passed, failed, skipped int }

// failer is what Ginkgo tells of a failed suite; the findings say more.
type failer struct{}

func (failer) Fail() {}

// checkLabels refuses a label filter that Ginkgo does not understand.
func checkLabels(filter string) error {
	if _, err := types.ParseLabelFilter(filter); err != nil {
		return fmt.Errorf("--labels %q: %w", filter, err)
	}
	return nil
}

// runSuites runs the suites with Ginkgo, whose own words go to a log: what a
// person reads is the run's progress and report.
func runSuites(ctx context.Context, r *e2e.Run, labels, log string) (counts, error) {
	var c counts
	w, err := os.Create(log)
	if err != nil {
		return c, err
	}
	defer w.Close()
	formatter.ColorableStdOut, formatter.ColorableStdErr = w, w
	suite, reporter := ginkgo.GinkgoConfiguration()
	suite.LabelFilter, suite.Timeout, suite.RandomizeAllSpecs = labels, 0, false
	reporter.NoColor, reporter.Verbose = true, true
	// One ordered container: the phases build upon one another, and what fails in one
	// does not keep the next from being looked at.
	ginkgo.Describe("offload", ginkgo.Ordered, ginkgo.ContinueOnFailure, func() {
		phases.Describe(r)
		fallback.Describe(r)
		promises.Describe(r)
	})
	ginkgo.ReportAfterSuite("counts", func(report ginkgo.Report) {
		for _, s := range report.SpecReports {
			switch {
			case s.LeafNodeType != types.NodeTypeIt:
				if s.Failed() {
					c.failed++
				}
			case s.State == types.SpecStatePassed:
				c.passed++
			case s.Failed():
				c.failed++
			default:
				c.skipped++
			}
		}
	})
	ginkgo.RunSpecs(failer{}, "offload-e2e", suite, reporter)
	if ctx.Err() != nil {
		return c, context.Cause(ctx)
	}
	if c.passed+c.failed+c.skipped == 0 {
		return c, &userError{Heading: "Nothing was run", Sentence: fmt.Sprintf("No part of the run has labels that match %q.", labels),
			WayOut: "Labels are phase1, phase2, phase3, phase4, fallback, promises.", Exit: exitUsage}
	}
	return c, nil
}
