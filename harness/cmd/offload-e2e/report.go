package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"offload-e2e/harness/report"
)

func newReportCommand(p *paths) *cobra.Command {
	var asJSON, path, list, annotations bool
	c := &cobra.Command{
		Use:   "report [run]",
		Short: "Print, open, compare, merge and serve the reports of runs",
		Long: `Print the summary of a run: the last one, or the one named by its id or folder.
The parts below do more with reports.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			out := c.OutOrStdout()
			layout := report.Layout{Root: p.reports()}
			if list {
				ids, err := layout.Runs()
				for _, id := range ids {
					fmt.Fprintln(out, id)
				}
				return err
			}
			dir, err := findReport(layout, args)
			if err != nil {
				return err
			}
			result, err := loadReport(dir)
			if err != nil {
				return err
			}
			switch {
			case path:
				_, err = fmt.Fprintln(out, dir)
				return err
			case annotations:
				return report.Annotations(out, result)
			case asJSON:
				return report.JSON{}.Write(out, result)
			}
			return report.Summary(out, result, dir, report.LookOf(out, os.Getenv))
		},
	}
	f := c.Flags()
	f.BoolVar(&asJSON, "json", false, "print report.json")
	f.BoolVar(&path, "path", false, "print the report's folder")
	f.BoolVar(&list, "list", false, "list the runs there are, the oldest first")
	f.BoolVar(&annotations, "github", false, "print root causes as GitHub's annotations, at the lines to blame")
	c.MarkFlagsMutuallyExclusive("json", "path", "list", "github")
	c.AddCommand(newReportOpenCommand(p), newReportDiffCommand(p), newReportMergeCommand(p), newReportServeCommand(p))
	return c
}

// loadReport reads the report in a run's folder.
func loadReport(dir string) (*report.Report, error) {
	r, err := report.Load(filepath.Join(dir, report.JSONFile))
	if err != nil {
		return nil, &userError{Heading: "The report cannot be read", Sentence: err.Error(),
			WayOut: "See which there are: .bin/offload-e2e report --list", Exit: exitUsage, Cause: err}
	}
	return r, nil
}

// findReport is the folder of the run that is named: by its id, its folder, or
// not at all.
func findReport(layout report.Layout, args []string) (string, error) {
	if len(args) == 0 {
		dir, err := layout.Latest()
		if errors.Is(err, fs.ErrNotExist) {
			return "", &userError{Heading: "There is no report yet", Sentence: "No run has been reported to " + layout.Root + ".",
				WayOut: "Make a run: make e2e", Exit: exitUsage, Cause: err}
		}
		return dir, err
	}
	for _, dir := range []string{args[0], filepath.Join(layout.Root, args[0])} {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return filepath.Abs(dir)
		}
	}
	return "", &userError{Heading: "There is no such report", Sentence: fmt.Sprintf("%s is neither a folder nor the id of a run in %s.", args[0], layout.Root),
		WayOut: "See which there are: .bin/offload-e2e report --list", Exit: exitUsage}
}
