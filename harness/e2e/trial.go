package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"offload-e2e/harness/check"
	"offload-e2e/harness/document"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
	"offload-e2e/harness/scenario"
)

// besides is how many checks are made at the same time. They wait for machines most
// of the time; more of them would only wait for each other.
const besides = 4

// undoPatience bounds the undoing of faults after the trial itself was cut short.
const undoPatience = 2 * time.Minute

// DefaultBudget is within which time what has to hold again must hold.
const DefaultBudget = 30 * time.Second

// trial is one scenario under way.
type trial struct {
	*Run  // broken as the scenario says
	s     *scenario.Scenario
	line  *scenario.Timeline
	say   func(string)
	notes []string
}

// StartPhase is the end of which phase a scenario begins at.
func StartPhase(s *scenario.Scenario) int {
	for _, e := range s.When {
		if e.At.Kind == scenario.AfterPhase {
			return e.At.Phase
		}
	}
	return Phases
}

// Try carries a scenario out on a lab that has the moments, and judges what was
// found. It leaves no fault in force in the network; the machines are to be restored.
func (r *Run) Try(ctx context.Context, s *scenario.Scenario, say func(string)) report.Outcome {
	started := time.Now()
	o := r.try(ctx, s, say)
	o.Seconds = time.Since(started).Seconds()
	for _, e := range s.When {
		o.Faults = append(o.Faults, e.At.String()+": "+e.Fault.String())
	}
	return o
}

func (r *Run) try(ctx context.Context, s *scenario.Scenario, say func(string)) (o report.Outcome) {
	failed := func(err error) report.Outcome {
		o := s.Judge(nil)
		o.Result, o.Detail = report.NotKnown, err.Error()
		return o
	}
	// Both take seconds, and neither needs the other.
	var broken *Run
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.Lab.Restore(gctx, moment(StartPhase(s))) })
	var evaluation error
	g.Go(func() error {
		broken, evaluation = r.Broken(gctx, s)
		return nil
	})
	if err := errors.Join(g.Wait(), ctx.Err()); err != nil {
		return failed(err)
	}
	if evaluation != nil {
		return r.unevaluated(s, evaluation, failed)
	}
	defer broken.Discard()
	t := &trial{Run: broken, s: s, say: say}
	t.line = &scenario.Timeline{World: world{broken}, Events: s.When, Wait: broken.waitFor, Say: say}
	defer func() {
		undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoPatience)
		defer cancel()
		if err := t.line.TakeBack(undoing, true); err != nil && o.Result != report.NotKnown {
			o.Result, o.Detail = report.NotKnown, joined(o.Detail, err.Error())
		}
	}()
	findings, err := t.find(ctx)
	if err != nil {
		return failed(err)
	}
	o = s.Judge(findings)
	o.NotMade = strings.Join(t.notes, "; ")
	o.Undone = "restored"
	if s.Undo == "hold again" && o.Good() {
		t.holdAgain(ctx, &o)
	}
	return o
}

// unevaluated judges a configuration that does not evaluate, as the scenario has
// made it.
func (r *Run) unevaluated(s *scenario.Scenario, err error, failed func(error) report.Outcome) report.Outcome {
	var place *document.Problem
	if errors.As(err, &place) {
		o := failed(err)
		o.Result = report.NotTried
		return o
	}
	var evaluation *nixos.EvaluationError
	var assertion *nixos.AssertionError
	switch {
	case errors.As(err, &evaluation):
		return s.Judge([]report.Finding{check.NotEvaluated(evaluation.Role, err)})
	case errors.As(err, &assertion):
		return s.Judge([]report.Finding{check.NotEvaluated(assertion.Role, err)})
	}
	return failed(err)
}

// find brings the scenario about, and makes the checks.
func (t *trial) find(ctx context.Context) ([]report.Finding, error) {
	phase := StartPhase(t.s)
	if err := t.line.Before(ctx, scenario.AfterPhase, phase); err != nil {
		return nil, err
	}
	findings := t.switchChanged(ctx, phase)
	if err := t.WalkPhases(ctx, phase, Phases); err != nil {
		return nil, err
	}
	if err := t.line.Before(ctx, scenario.Before, 0); err != nil {
		return nil, err
	}
	t.line.Begin(ctx)
	defer t.line.End() //nolint:errcheck // after the first call it says nothing
	findings = append(findings, t.checks(ctx)...)
	if err := t.line.End(); err != nil {
		return nil, err
	}
	return findings, ctx.Err()
}

// switchChanged switches the machines whose configuration the scenario has changed,
// and which have been switched by the end of the phase. Only failures are findings.
func (t *trial) switchChanged(ctx context.Context, phase int) []report.Finding {
	found := make([][]report.Finding, 2)
	var g errgroup.Group
	for i, role := range []nixos.Role{nixos.Desktop, nixos.Laptop} {
		if role == nixos.Laptop && phase < 2 || t.Machine(role).Configuration().Same(t.Configurations[role]) {
			continue
		}
		g.Go(func() error {
			found[i] = []report.Finding{t.Switch(ctx, role)}
			return nil
		})
	}
	_ = g.Wait()
	return slices.Concat(found...)
}

// checks makes the scenario's own checks first, one after another, and then the
// others, some at a time.
func (t *trial) checks(ctx context.Context) []report.Finding {
	bench := t.Bench()
	var own []check.Check
	add := func(refs ...scenario.CheckRef) {
		for _, ref := range refs {
			if ref.Maker != nil {
				own = append(own, ref.Make(bench))
			}
		}
	}
	add(t.s.Then.Hold.Checks...)
	add(t.s.Then.Check)
	add(t.s.Then.Run...)
	var findings []report.Finding
	for _, c := range own {
		t.say("checks: " + c.Title)
		findings = append(findings, t.within(ctx, c))
	}
	if len(t.s.Then.Hold.Checks) > 0 {
		t.notes = append(t.notes, "only what must hold was checked while the fault was in force")
		return findings
	}
	if gone := t.gone(); gone != "" {
		t.notes = append(t.notes, "the other checks were not made: "+gone)
		return findings
	}
	t.say("checks that nothing else broke")
	return append(findings, t.others(ctx, own)...)
}

// others makes the proofs of the four phases that are not among own.
func (t *trial) others(ctx context.Context, own []check.Check) []report.Finding {
	bench := t.Bench()
	proofs := slices.DeleteFunc(bench.Proofs(), func(c check.Check) bool {
		return slices.ContainsFunc(own, func(o check.Check) bool { return o.Name == c.Name })
	})
	return runAll(ctx, bench, proofs)
}

// runAll makes checks, some at a time, and keeps their order.
func runAll(ctx context.Context, bench *check.Bench, checks []check.Check) []report.Finding {
	findings := make([]report.Finding, len(checks))
	var g errgroup.Group
	g.SetLimit(besides)
	for i, c := range checks {
		g.Go(func() error {
			findings[i] = bench.Run(ctx, c)
			return nil
		})
	}
	_ = g.Wait()
	return findings
}

// within makes a check; one that must hold is made again within the budget.
func (t *trial) within(ctx context.Context, c check.Check) report.Finding {
	deadline := time.Now().Add(t.s.Then.Budget)
	for {
		f := t.Bench().Run(ctx, c)
		if !f.Fails() || !t.s.Then.Hold.Any() || ctx.Err() != nil || time.Now().After(deadline) {
			return f
		}
	}
}

// gone says which machine cannot be asked anything now, "" where both can.
func (t *trial) gone() string {
	for _, e := range t.s.When {
		if e.For > 0 {
			continue
		}
		switch e.Fault.Name {
		case "power-off", "pause":
			return "of " + e.Fault.String() + " no machine can be asked"
		}
	}
	return ""
}

// holdAgain takes the faults back and proves that everything holds, within the
// budget.
func (t *trial) holdAgain(ctx context.Context, o *report.Outcome) {
	started := time.Now()
	if err := t.line.TakeBack(ctx, false); err != nil {
		o.Result, o.Detail = report.NotUndone, joined(o.Detail, err.Error())
		return
	}
	budget := t.s.Then.Budget
	if budget == 0 {
		budget = DefaultBudget
	}
	budget = time.Duration(float64(budget) * t.Slow)
	t.say("checks that all holds again")
	bench := t.Bench()
	broken := bench.Proofs()
	for {
		findings := runAll(ctx, bench, broken)
		var again []check.Check
		var failing []report.Finding
		for i, f := range findings {
			if f.Fails() {
				again, failing = append(again, broken[i]), append(failing, f)
			}
		}
		took := time.Since(started)
		switch {
		case ctx.Err() != nil:
			o.Result, o.Detail = report.NotKnown, joined(o.Detail, context.Cause(ctx).Error())
			return
		case len(failing) == 0:
			o.Undone = fmt.Sprintf("all held again after %.0f s", took.Seconds())
			return
		case took > budget:
			o.Result, o.Undone = report.NotUndone, ""
			o.Detail = joined(o.Detail, fmt.Sprintf("%.0f s after the faults were taken back, this does not hold:", took.Seconds()))
			o.Detail = joined(o.Detail, reasons(failing)...)
			return
		}
		broken = again
	}
}

// reasons are the words of findings that do not hold.
func reasons(findings []report.Finding) (lines []string) {
	for _, f := range findings {
		words := f.Reason
		if f.Diagnosis != nil {
			words = f.Diagnosis.Code + ": " + f.Diagnosis.Sentence
		}
		lines = append(lines, f.Check+": "+words)
	}
	return lines
}

// joined adds lines to a text.
func joined(text string, lines ...string) string {
	return strings.TrimPrefix(strings.Join(append([]string{text}, lines...), "\n"), "\n")
}

// AsItIs restores the end of the phases and makes all checks on the configuration as
// it is: nothing may be found.
func (r *Run) AsItIs(ctx context.Context) report.Outcome {
	started := time.Now()
	s := &scenario.Scenario{ID: "-", Title: "the configuration as it is", Then: scenario.Then{Hold: scenario.Hold{All: true}}}
	err := r.Lab.Restore(ctx, moment(Phases))
	var findings []report.Finding
	if err == nil {
		bench := r.Bench()
		findings, err = runAll(ctx, bench, bench.Proofs()), ctx.Err()
	}
	o := s.Judge(findings)
	if err != nil {
		o.Result, o.Detail = report.NotKnown, err.Error()
	}
	o.Undone, o.Seconds = "restored", time.Since(started).Seconds()
	return o
}
