package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"offload-e2e/harness/e2e"
	"offload-e2e/harness/report"
	"offload-e2e/harness/scenario"
)

// gateOptions are what scenarios are tried with.
type gateOptions struct {
	runOptions
	// verbose tells each step of a scenario.
	verbose bool
	// same is the command that tries the same again.
	same string
}

func newGateCommand(p *paths) *cobra.Command {
	o := gateOptions{runOptions: runOptions{keep: "never"}}
	where, base := "", ""
	c := &cobra.Command{
		Use:   "gate",
		Short: "Break everything on purpose, and see whether each fault is caught",
		Long: `gate walks to the end of the four phases, keeps that moment, and returns to it
for every scenario: what the scenario says goes wrong, and all checks are made. A
scenario is caught when its own check breaks with its own diagnosis, and nothing
else does. With --config the faults are made in another configuration: which would
it survive? What breaks of it without a fault does not count then; a fault that this
hides is skipped, and so is an edit of a text that the configuration does not have.

With --base it is the gate of a change: how it changes what both machines come to
is shown at once, against that revision of the configuration; then the four phases
are run, and of the rest what the change can affect. Scenarios are then tried only
where --scenarios names them.`,
		Example: `  offload-e2e gate --config . --base origin/main`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(c); err != nil {
				return err
			}
			var scenarios []*scenario.Scenario
			var err error
			if base == "" || c.Flags().Changed("scenarios") {
				if scenarios, err = findScenarios(where); err != nil {
					return err
				}
			}
			o.same = o.again(p, "make gate", "embedded")
			if where != p.scenarios() {
				o.same += " SCENARIOS='" + where + "'"
			}
			if base != "" {
				return p.against(c.Context(), o, base, scenarios, c.OutOrStdout())
			}
			if scenarios, err = p.scenariosOfPart(o.part, scenarios); err != nil {
				return err
			}
			return p.gate(c.Context(), o, scenarios, nil, c.OutOrStdout())
		},
	}
	addGateFlags(c, p, &o)
	c.Flags().StringVar(&where, "scenarios", p.scenarios(), "a folder of scenarios, or files by glob")
	c.Flags().StringVar(&base, "base", "", "the revision that the configuration is compared with, e.g. origin/main")
	c.Flags().Var(&o.part, "shard", "try one part of so many, as 2/8: scenarios are dealt out by how long they took; report merge joins the parts")
	addKnownFlag(c, &o.known)
	c.MarkFlagsMutuallyExclusive("base", "shard")
	return c
}

func addGateFlags(c *cobra.Command, p *paths, o *gateOptions) {
	c.Flags().StringVar(&o.config, "config", p.config(), "the configuration to break")
	addProviderFlag(c, &o.provider)
	c.Flags().StringVar(&o.keys, "keys", "exchange", "exchange: the laptop is told the desktop's new cache key; config: only keys in the configuration count")
	c.Flags().StringVar(&o.report, "report", p.reports(), "the folder of reports")
	c.Flags().StringVar(&o.guest, "guest", "embedded", "what the machines are: embedded, nixos (each broken configuration is built), auto")
}

// findScenarios loads scenarios. What is wrong with them is told with its place.
func findScenarios(where ...string) ([]*scenario.Scenario, error) {
	var all []*scenario.Scenario
	var errs []error
	for _, w := range where {
		found, err := scenario.Find(w)
		all, errs = append(all, found...), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &userError{Heading: "The scenarios cannot be read", Sentence: err.Error(),
			WayOut: "Mend the places that are named. fixtures/scenarios/README.md shows the format;\n" +
				"`scenario faults` and `scenario checks` list what there is.", Exit: exitUsage}
	}
	return all, nil
}

// gate tries scenarios on one lab, and writes scenarios.json and the matrix. With a
// supervisor the lab may stay up, as the last scenario has left it.
func (p *paths) gate(ctx context.Context, o gateOptions, scenarios []*scenario.Scenario, s *supervisor, out io.Writer) error {
	held, err := p.hold("gate")
	if err != nil {
		return err
	}
	defer held.release()
	layout := report.Layout{Root: abs(mustWorkingDir(), o.report)}
	m := &report.Matrix{Run: report.NewRunID(time.Now()), Config: o.config, Harness: version()}
	dir, err := layout.Create(m.Run)
	if err != nil {
		return fmt.Errorf("make the report's folder: %w", err)
	}
	recorder := report.NewRecorder(report.Run{ID: m.Run, Config: o.config, Keys: o.keys, Provider: o.chosen(), Harness: version(), Command: o.same, Shard: o.part.String()})
	progress := report.NewProgress(out, report.LookOf(out, os.Getenv))
	defer progress.Close()
	l, err := p.openLab(ctx, o.runOptions, "gate", held.dir, dir, recorder, progress)
	if err != nil {
		return err
	}
	defer func() { _ = l.close(ctx) }()
	err = tryAll(ctx, l.run, o, dir, m, scenarios, progress)
	progress.Close()
	if err == nil || len(m.Scenarios) > 0 {
		err = errors.Join(err, conclude(out, dir, m))
	}
	// The page shows what the machines have to tell.
	err = errors.Join(err, l.gather(ctx))
	if err := saveGate(dir, recorder, m.Scenarios, layout); err != nil {
		return err
	}
	var status exitStatus
	if s == nil || ctx.Err() != nil || err != nil && !errors.As(err, &status) || !o.keeps(err, report.Pass) {
		return errors.Join(err, l.close(ctx))
	}
	return p.stay(ctx, s, l, err, out)
}

// saveGate writes the gate's report: what the walk to the end of the phases recorded,
// with the matrix.
func saveGate(dir string, recorder *report.Recorder, scenarios []report.Outcome, layout report.Layout) error {
	r := recorder.Report()
	r.Scenarios = report.Count(scenarios)
	r.Verdict = report.Judge(r)
	if err := publish(layout, dir, r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// tryAll walks to the moments the scenarios begin at, and tries them one by one.
func tryAll(ctx context.Context, r *e2e.Run, o gateOptions, dir string, m *report.Matrix, scenarios []*scenario.Scenario, progress *report.Progress) error {
	phases := map[int]bool{e2e.Phases: true}
	for _, s := range scenarios {
		phases[e2e.StartPhase(s)] = true
	}
	progress.Heading("To the end of the four phases")
	if err := r.Moments(ctx, phases); err != nil {
		return err
	}
	progress.Heading("Scenarios")
	say := func(string) {}
	if o.verbose {
		say = func(text string) { progress.Note("          " + text) }
	}
	try := func(id, title string, do func() (report.Outcome, []report.Finding)) error {
		o, findings := shown(progress, id, title, do)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m.Scenarios = append(m.Scenarios, o)
		return keepFindings(dir, o, findings)
	}
	if err := try("-", "the configuration as it is: all must hold", func() (report.Outcome, []report.Finding) { return r.AsItIs(ctx) }); err != nil {
		return err
	}
	if err := r.KeepEnd(ctx); err != nil {
		return err
	}
	for _, s := range scenarios {
		if err := try(s.ID, s.Title, func() (report.Outcome, []report.Finding) { return r.Try(ctx, s, say) }); err != nil {
			return err
		}
	}
	return nil
}

// keepFindings keeps what a scenario's checks found, with their evidence, beside the
// matrix.
func keepFindings(dir string, o report.Outcome, findings []report.Finding) error {
	dir = filepath.Join(dir, "scenarios")
	text, err := json.MarshalIndent(slices.Concat([]report.Finding{}, findings), "", "  ")
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		name := o.ID
		if name == "-" {
			name = "as-it-is"
		}
		err = os.WriteFile(filepath.Join(dir, name+".json"), append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("keep a scenario's findings: %w", err)
	}
	return nil
}

// shown tries a scenario and shows what became of it.
func shown(progress *report.Progress, id, title string, try func() (report.Outcome, []report.Finding)) (report.Outcome, []report.Finding) {
	step := progress.Start(id + "  " + title)
	o, findings := try()
	state := report.Broken
	switch {
	case o.Good():
		state = report.Holds
	case o.Result == report.NotTried:
		state = report.Skipped
	case o.Result == report.NotKnown:
		state = report.Errored
	}
	step.End(state, strings.TrimSuffix(o.Result+": "+strings.Join(o.Found, ", "), ": "))
	return o, findings
}

// conclude writes scenarios.json and the matrix. Its error is the exit status: 1
// where a scenario failed, 3 where one could not be found out and none failed.
func conclude(out io.Writer, dir string, m *report.Matrix) error {
	m.Conclude()
	if err := m.Write(dir); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%-28s %-16s %6s  %s\n", "scenario", "result", "s", "root causes")
	for _, o := range m.Scenarios {
		fmt.Fprintf(out, "%-28s %-16s %6.1f  %s\n", o.ID, o.Result, o.Seconds, strings.Join(o.Found, ", "))
		for _, line := range o.Shaky {
			fmt.Fprintf(out, "    broke once, and held when it was made again: %s\n", line)
		}
		if o.Good() {
			continue
		}
		if o.Expected != "" && o.Result != report.NotTried {
			fmt.Fprintf(out, "  expected %s by %s\n", o.Expected, o.Check)
		}
		if o.Detail != "" {
			fmt.Fprintf(out, "    %s\n", strings.ReplaceAll(o.Detail, "\n", "\n    "))
		}
	}
	fmt.Fprintf(out, "\nMedian: %.1f s a scenario. Report: %s\n%d passed, %d failed, %d skipped\n", m.MedianSeconds, dir, m.Passed, m.Failed, m.Skipped)
	return verdictStatus(report.Judge(&report.Report{Scenarios: report.Count(m.Scenarios)}))
}
