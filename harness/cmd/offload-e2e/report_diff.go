package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"offload-e2e/harness/report"
)

func newReportDiffCommand(p *paths) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "diff <run> <run>",
		Short: "Say what broke, mended and slowed from one run to another",
		Long: `Compare two runs, each named by its id or folder: what broke, what mended, what
takes longer, of two gates by scenario as well. It is Markdown, as a comment on a pull request, or JSON.
Exit status 1 where something broke.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			var sides [2]*report.Report
			for i, name := range args {
				dir, err := findReport(report.Layout{Root: p.reports()}, []string{name})
				if err != nil {
					return err
				}
				if sides[i], err = loadReport(dir); err != nil {
					return err
				}
				outcomes, err := report.LoadOutcomes(dir)
				if err != nil {
					return err
				}
				sides[i] = sides[i].WithScenarios(outcomes)
			}
			d := report.Diff(sides[0], sides[1])
			write := d.Markdown
			if asJSON {
				write = d.JSON
			}
			if err := write(c.OutOrStdout()); err != nil {
				return err
			}
			if d.Worse() {
				return exitStatus(exitBroken)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newReportMergeCommand(p *paths) *cobra.Command {
	where := ""
	c := &cobra.Command{
		Use:   "merge <folder>...",
		Short: "Make one report of the parts of a run",
		Long: `Join the reports of parts, that were made side by side with --shard, into a run of
its own: one verdict, one page. Each part is named by its id or folder; all of
them have to be there. The exit status is that of the whole.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			layout := report.Layout{Root: abs(mustWorkingDir(), where)}
			var parts []string
			for _, name := range args {
				dir, err := findReport(layout, []string{name})
				if err != nil {
					return err
				}
				parts = append(parts, dir)
			}
			id := report.NewRunID(time.Now())
			dir, err := layout.Create(id)
			if err != nil {
				return err
			}
			merged, err := report.Merge(dir, parts)
			if err != nil {
				return &userError{Heading: "These reports cannot be merged", Sentence: err.Error(), WayOut: "Name all parts of one run, and no others.",
					Exit: exitUsage, Cause: errors.Join(err, os.RemoveAll(dir))}
			}
			if err := errors.Join(report.Save(dir, merged), layout.Publish(id)); err != nil {
				return fmt.Errorf("write the report: %w", err)
			}
			out := c.OutOrStdout()
			if err := report.Summary(out, merged, dir, report.LookOf(out, os.Getenv)); err != nil {
				return err
			}
			return verdictStatus(merged.Verdict)
		},
	}
	c.Flags().StringVar(&where, "report", p.reports(), "the folder of reports")
	return c
}

// verdictStatus is the exit status of a verdict.
func verdictStatus(v report.Verdict) error {
	switch v {
	case report.Fail:
		return exitStatus(exitBroken)
	case report.Error:
		return exitStatus(exitInfra)
	}
	return nil
}
