package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offload-e2e/harness/check"
	"offload-e2e/harness/document"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
	"offload-e2e/harness/scenario"
)

// undoPatience bounds the undoing of faults after the trial itself was cut short.
const undoPatience = 2 * time.Minute

// DefaultBudget is within which time what has to hold again must hold.
const DefaultBudget = 30 * time.Second

// trial is one scenario under way.
type trial struct {
	*Run // broken as the scenario says
	s    *scenario.Scenario
	line *scenario.Timeline
	say  func(string)
	// notes say which checks were not made, shaky which held the second time only.
	notes, shaky []string
	// held are checks that held on one machine while the other switched, and facts what
	// they read there.
	held  []report.Finding
	facts check.Facts
	// switched is closed when a switch is over that checks need not all wait for; nil
	// where they are made after it.
	switched chan struct{}
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
// found, which it returns as well. It leaves no fault in force in the network; the
// machines are to be restored.
func (r *Run) Try(ctx context.Context, s *scenario.Scenario, say func(string)) (report.Outcome, []report.Finding) {
	started := time.Now()
	o, findings := r.try(ctx, s, say)
	if o.Result == report.NotKnown && ctx.Err() == nil {
		// Machines are in the way sometimes; twice would be no accident.
		say("once more: " + o.Detail)
		o, findings = r.try(ctx, s, say)
	}
	o.Seconds = time.Since(started).Seconds()
	for _, e := range s.When {
		o.Faults = append(o.Faults, e.At.String()+": "+e.Fault.String())
	}
	return o, findings
}

func (r *Run) try(ctx context.Context, s *scenario.Scenario, say func(string)) (o report.Outcome, findings []report.Finding) {
	failed := func(err error) (report.Outcome, []report.Finding) {
		o := s.Judge(nil)
		o.Result, o.Detail = report.NotKnown, err.Error()
		if missing := (*provider.MissingError)(nil); errors.As(err, &missing) {
			o.Result = report.NotTried
		}
		return o, findings
	}
	if why := r.beyond(s); why != "" {
		o := s.Judge(nil)
		o.Result, o.Detail = report.NotTried, why
		return o, nil
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
		return r.unevaluated(s, evaluation)
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
	var err error
	if findings, err = t.find(ctx); err != nil {
		return failed(err)
	}
	o = t.judge(findings)
	o.NotMade, o.Shaky = strings.Join(t.notes, "; "), t.shaky
	o.Undone = "restored"
	if s.Undo == "hold again" && o.Good() {
		findings = append(findings, t.holdAgain(ctx, &o)...)
	}
	return o, findings
}

// ofTheHost are faults that would befall the engine's host, or that a container cannot
// have: its disk, clock and boot are the host's.
var ofTheHost = map[string]string{
	"fill-disk": "a container's disk is its engine's host's, which a scenario must not fill",
	"clock":     "a container's clock is its engine's host's",
	"suspend":   "a container does not sleep",
	"reboot":    "a container has its engine's host's boot id, by which a boot is proved",
}

// beyond is why the lab's machines cannot have a scenario, "" where they can.
func (r *Run) beyond(s *scenario.Scenario) string {
	if r.provider == lab.Docker {
		for _, e := range s.When {
			if why := ofTheHost[e.Fault.Name]; why != "" {
				return why
			}
		}
	}
	if s.Then.Check.Name == "EV.sandbox" && r.Lab.NoSandbox != "" {
		return r.Lab.NoSandbox
	}
	if r.Lab.NoKernelNFS == "" {
		return ""
	}
	mounts := false
	for _, name := range append([]string{s.Then.Check.Name}, names(s.Then.Hold.Checks)...) {
		mounts = mounts || strings.HasPrefix(name, "NF.") && !strings.HasPrefix(name, "NF.export-") || strings.Contains(name, ".share-") || name == "RC.mount-after"
	}
	if mounts {
		return r.Lab.NoKernelNFS
	}
	return ""
}

func names(checks []scenario.CheckRef) (all []string) {
	for _, c := range checks {
		all = append(all, c.Name)
	}
	return all
}

// unevaluated judges a configuration that does not evaluate, as the scenario has
// made it.
func (r *Run) unevaluated(s *scenario.Scenario, err error) (report.Outcome, []report.Finding) {
	var place *document.Problem
	var evaluation *nixos.EvaluationError
	var assertion *nixos.AssertionError
	o := s.Judge(nil)
	switch {
	case errors.As(err, &place):
		o.Result, o.Detail = report.NotTried, err.Error()
		return o, nil
	case errors.As(err, &evaluation):
		findings := []report.Finding{check.NotEvaluated(evaluation.Role, err)}
		return s.Judge(findings), findings
	case errors.As(err, &assertion):
		findings := []report.Finding{check.NotEvaluated(assertion.Role, err)}
		return s.Judge(findings), findings
	}
	o.Result, o.Detail = report.NotKnown, err.Error()
	return o, nil
}

// find brings the scenario about, and makes the checks.
func (t *trial) find(ctx context.Context) ([]report.Finding, error) {
	phase := StartPhase(t.s)
	if err := t.line.Before(ctx, scenario.AfterPhase, phase); err != nil {
		return nil, err
	}
	wait := t.switchChanged(ctx, phase)
	var switches []report.Finding
	if t.switched == nil {
		switches = wait()
		if err := errored(switches); err != nil {
			return switches, err
		}
	}
	if err := t.WalkPhases(ctx, phase, Phases); err != nil {
		return nil, err
	}
	if err := t.line.Before(ctx, scenario.Before, 0); err != nil {
		return nil, err
	}
	t.line.Begin(ctx)
	findings := t.checks(ctx)
	if t.switched != nil {
		switches = wait()
	}
	return append(switches, findings...), errors.Join(errored(switches), t.line.End(), ctx.Err())
}

// errored is why a finding could not be made, nil where all were.
func errored(findings []report.Finding) error {
	for _, f := range findings {
		if f.State == report.Errored {
			return fmt.Errorf("%s: %s", f.Title, f.Reason)
		}
	}
	return nil
}

// switchChanged begins to switch the machines whose configuration the scenario has
// changed, and which have been switched by the end of the phase; what it returns waits
// for them. Where one machine switches and nothing else happens, the checks of the other
// are made meanwhile, and it returns when the switch does nothing any more but wait for
// services.
func (t *trial) switchChanged(ctx context.Context, phase int) (wait func() []report.Finding) {
	var switching, resting []nixos.Role
	for _, role := range []nixos.Role{nixos.Desktop, nixos.Laptop} {
		if role == nixos.Laptop && phase < 2 || t.Machine(role).Configuration().Same(t.Configurations[role]) {
			resting = append(resting, role)
		} else {
			switching = append(switching, role)
		}
	}
	alone := phase == Phases && len(t.s.When) == 0 && len(switching) == 1
	settling := make(chan struct{})
	if alone && t.together(t.own()) {
		t.switched = make(chan struct{})
		t.settling = sync.OnceFunc(func() { close(settling) })
	}
	found := make([]report.Finding, len(switching))
	var g errgroup.Group
	for i, role := range switching {
		g.Go(func() error {
			found[i] = t.Switch(ctx, role)
			return nil
		})
	}
	if alone {
		t.checkResting(ctx, resting[0])
	}
	if t.switched != nil {
		go func() {
			defer close(t.switched)
			_ = g.Wait()
		}()
		select {
		case <-settling:
		case <-t.switched:
		}
	}
	return func() []report.Finding {
		_ = g.Wait()
		return found
	}
}

// checkResting makes, while one machine switches, those of the others' checks that are
// the other machine's own affair, as nothing goes wrong there. What does not hold is
// left for when both are ready.
func (t *trial) checkResting(ctx context.Context, role nixos.Role) {
	checks := slices.DeleteFunc(t.others(t.own()), func(c check.Check) bool { return c.Alone() != role })
	t.held = slices.DeleteFunc(runAll(t.facts.In(ctx), t.Bench(), checks), func(f report.Finding) bool { return f.State != report.Holds })
}

// holdAgain takes the faults back and proves that everything holds, within the
// budget. What did not at the end is returned.
func (t *trial) holdAgain(ctx context.Context, o *report.Outcome) []report.Finding {
	started := time.Now()
	if err := t.line.TakeBack(ctx, false); err != nil {
		o.Result, o.Detail = report.NotUndone, joined(o.Detail, err.Error())
		return nil
	}
	t.say("checks that all holds again")
	findings := t.untilHeld(ctx, t.Bench().Proofs(), t.budget(DefaultBudget))
	failing := slices.DeleteFunc(findings, func(f report.Finding) bool { return !f.Fails() || t.baseline.has(f) })
	took := time.Since(started)
	switch {
	case ctx.Err() != nil:
		o.Result, o.Detail = report.NotKnown, joined(o.Detail, context.Cause(ctx).Error())
	case len(failing) > 0:
		o.Result, o.Undone = report.NotUndone, ""
		o.Detail = joined(o.Detail, fmt.Sprintf("%.0f s after the faults were taken back, this does not hold:", took.Seconds()))
		o.Detail = joined(o.Detail, reasons(failing)...)
	default:
		o.Undone = fmt.Sprintf("all held again after %.0f s", took.Seconds())
	}
	return failing
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

// AsItIs makes all checks on the configuration as it is, at the end of the phases, and
// records them: nothing may be found. What is used for the first time here is not, in
// scenarios.
func (r *Run) AsItIs(ctx context.Context) (report.Outcome, []report.Finding) {
	started := time.Now()
	s := &scenario.Scenario{ID: "-", Title: "the configuration as it is", Then: scenario.Then{Hold: scenario.Hold{All: true}}}
	t := &trial{Run: r, s: s, say: func(string) {}}
	bench := r.Bench()
	proofs := bench.Proofs()
	findings := t.again(ctx, nil, proofs, runAll(check.Together(ctx), bench, proofs))
	for _, f := range findings {
		f.Phase = report.AsItIs
		r.Recorder.AddFinding(r.known.Judge(f, r.provider, time.Now()))
	}
	o := s.Judge(findings)
	if r.baseline = baselineOf(findings); len(r.baseline) > 0 {
		o.Detail = joined(o.Detail, "scenarios are judged by what breaks besides")
	}
	if err := ctx.Err(); err != nil {
		o.Result, o.Detail = report.NotKnown, err.Error()
	}
	o.Shaky, o.Seconds = t.shaky, time.Since(started).Seconds()
	return o, findings
}

// joined adds lines to a text.
func joined(text string, lines ...string) string {
	return strings.TrimPrefix(strings.Join(append([]string{text}, lines...), "\n"), "\n")
}
