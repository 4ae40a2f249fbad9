package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"offload-e2e/harness/e2e"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
	"offload-e2e/harness/scenario"
)

// outcome is what became of one scenario.
type outcome struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Expected string   `json:"expected"`
	Result   string   `json:"result"` // caught, missed, wrong-diagnosis, error
	Found    []string `json:"found"`  // root causes, ranked
	Detail   string   `json:"detail,omitempty"`
	Seconds  float64  `json:"seconds"`
}

func newGateCommand(p *paths) *cobra.Command {
	o := runOptions{provider: "qemu", guest: "embedded", keys: "exchange"}
	where := ""
	c := &cobra.Command{
		Use:   "gate",
		Short: "Break the configuration on purpose, and see whether each fault is caught",
		Long: `gate walks to the end of the four phases, keeps that moment, and returns to it
for every scenario: the configuration is broken in the way the scenario says, both
machines switch to it, and all checks are made. A scenario is caught when the
diagnosis it expects is the first root cause.`,
		RunE: func(c *cobra.Command, _ []string) error { return p.gate(c.Context(), o, where, c.OutOrStdout()) },
	}
	c.Flags().StringVar(&o.config, "config", p.config(), "the configuration to break")
	c.Flags().StringVar(&o.report, "report", p.reports(), "the folder of reports")
	c.Flags().StringVar(&where, "scenarios", filepath.Join(p.Root, "fixtures", "scenarios"), "a folder of scenarios, or files by glob")
	return c
}

func (p *paths) gate(ctx context.Context, o runOptions, where string, out io.Writer) (err error) {
	scenarios, err := scenario.Find(where)
	if err != nil {
		return &userError{Heading: "The scenarios cannot be read", Sentence: err.Error(), WayOut: "Mend the files that are named.", Exit: exitUsage}
	}
	held, err := p.hold("gate")
	if err != nil {
		return err
	}
	defer held.release()
	id := report.NewRunID(time.Now())
	dir, err := report.Layout{Root: abs(mustWorkingDir(), o.report)}.Create(id)
	if err != nil {
		return fmt.Errorf("make the report's folder: %w", err)
	}
	recorder := report.NewRecorder(report.Run{ID: id, Config: o.config, Keys: o.keys, Provider: o.chosen(), Harness: version()})
	progress := report.NewProgress(out, report.LookOf(out, os.Getenv))
	defer progress.Close()
	r, err := e2e.Open(ctx, p.openOptions(o, held.dir, dir, recorder, progress))
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, r.Close(closing, dir))
	}()
	progress.Heading("To the end of the four phases")
	if err := r.Establish(ctx); err != nil {
		return err
	}
	const moment = "established"
	progress.Heading("Scenarios")
	outcomes := []outcome{prove(ctx, r, progress)}
	if err := r.Lab.Snapshot(ctx, moment); err != nil {
		return err
	}
	for _, s := range scenarios {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		outcomes = append(outcomes, tryScenario(ctx, r, s, moment, progress))
	}
	progress.Close()
	return conclude(out, dir, outcomes)
}

// prove checks that nothing is found where nothing is broken.
func prove(ctx context.Context, r *e2e.Run, progress *report.Progress) outcome {
	return judged(outcome{ID: "-", Title: "the configuration as it is: all must hold"}, progress, func() ([]report.RootCause, []report.Finding, error) {
		return evidence(ctx, r)
	})
}

// evidence makes all checks, and ranks what they found.
func evidence(ctx context.Context, r *e2e.Run) ([]report.RootCause, []report.Finding, error) {
	var findings []report.Finding
	for _, c := range r.Bench().Proofs() {
		findings = append(findings, r.Bench().Run(ctx, c))
	}
	return report.Rank(findings), findings, ctx.Err()
}

func tryScenario(ctx context.Context, r *e2e.Run, s *scenario.Scenario, moment string, progress *report.Progress) outcome {
	return judged(outcome{ID: s.ID, Title: s.Title, Expected: s.Then.Diagnosis}, progress, func() ([]report.RootCause, []report.Finding, error) {
		if err := r.Lab.Restore(ctx, moment); err != nil {
			return nil, nil, err
		}
		broken, err := r.Broken(ctx, s)
		if err != nil {
			return nil, nil, err
		}
		var findings []report.Finding
		for _, role := range []nixos.Role{nixos.Desktop, nixos.Laptop} {
			findings = append(findings, broken.Switch(ctx, role))
		}
		defer broken.Discard()
		_, more, err := evidence(ctx, broken)
		findings = append(findings, more...)
		return report.Rank(findings), findings, err
	})
}

// judged compares what was found with what was expected.
func judged(o outcome, progress *report.Progress, find func() ([]report.RootCause, []report.Finding, error)) outcome {
	step := progress.Start(o.ID + "  " + o.Title)
	started := time.Now()
	causes, findings, err := find()
	o.Seconds = time.Since(started).Seconds()
	for _, c := range causes {
		o.Found = append(o.Found, c.Code)
		o.Detail += c.Sentence + "\n"
	}
	for _, f := range findings {
		if f.State == report.Errored {
			o.Detail += f.Check + " in error: " + f.Reason + "\n"
		}
	}
	switch {
	case err != nil:
		o.Result, o.Detail = "error", err.Error()
	case o.Expected == "" && len(causes) == 0 && o.Detail == "":
		o.Result = "holds"
	case o.Expected == "":
		o.Result = "false-alarm"
	case len(causes) == 0:
		o.Result = "missed"
	case causes[0].Code == o.Expected:
		o.Result = "caught"
	default:
		o.Result = "wrong-diagnosis"
	}
	state := report.Holds
	if !o.good() {
		state = report.Broken
	}
	step.End(state, o.Result+": "+strings.Join(o.Found, ", "))
	return o
}

func (o outcome) good() bool { return o.Result == "caught" || o.Result == "holds" }

// conclude writes scenarios.json and the matrix.
func conclude(out io.Writer, dir string, outcomes []outcome) error {
	text, err := json.MarshalIndent(outcomes, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "scenarios.json"), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	passed, failed := 0, 0
	fmt.Fprintf(out, "\n%-20s %-16s %6s  %s\n", "scenario", "result", "s", "root causes")
	for _, o := range outcomes {
		fmt.Fprintf(out, "%-20s %-16s %6.1f  %s\n", o.ID, o.Result, o.Seconds, strings.Join(o.Found, ", "))
		if o.good() {
			passed++
			continue
		}
		failed++
		fmt.Fprintf(out, "  expected %q; found:\n    %s\n", o.Expected, strings.ReplaceAll(strings.TrimSpace(o.Detail), "\n", "\n    "))
	}
	fmt.Fprintf(out, "\nReport: %s\n%d passed, %d failed, 0 skipped\n", dir, passed, failed)
	if failed > 0 {
		return exitStatus(exitBroken)
	}
	return nil
}
