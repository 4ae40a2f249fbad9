package e2e

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"offload-e2e/harness/check"
	"offload-e2e/harness/report"
	"offload-e2e/harness/scenario"
)

// besides is how many families of checks are made at the same time. They wait for
// machines most of the time; more of them would only wait for each other.
const besides = 4

// longest are the families that take longest, which begin first; slowest takes as long
// as all others together, and begins before the rest of its family.
var longest = []string{"RB", "CH", "SR", "NF"}

const slowest = "RB.build"

// own are the checks that the scenario itself names.
func (t *trial) own() (own []check.Check) {
	for _, ref := range slices.Concat(t.s.Then.Hold.Checks, []scenario.CheckRef{t.s.Then.Check}, t.s.Then.Run) {
		if ref.Maker != nil {
			own = append(own, ref.Make(t.Bench()))
		}
	}
	return own
}

// checks makes the scenario's own checks first, one after another, and then the
// others, some at a time; or all together, where nothing speaks against it.
func (t *trial) checks(ctx context.Context) []report.Finding {
	bench, own := t.Bench(), t.own()
	others := t.others(own)
	if t.together(own) {
		t.say("makes all checks")
		findings := runAll(t.facts.In(ctx), bench, slices.Concat(after(t.switched, own, nil), after(t.switched, others, early)))
		return t.again(ctx, slices.Concat(t.held, findings[:len(own)]), others, findings[len(own):])
	}
	findings := t.held
	for _, c := range own {
		t.say("checks: " + c.Title)
		if t.s.Then.Hold.Any() {
			findings = append(findings, t.untilHeld(ctx, []check.Check{c}, t.budget(0))...)
		} else {
			findings = append(findings, t.untilBroken(ctx, c))
		}
	}
	if len(t.s.Then.Hold.Checks) > 0 {
		t.notes = append(t.notes, "only what must hold was checked while the fault was in force")
		return findings
	}
	if gone := t.gone(); gone != "" {
		t.notes = append(t.notes, "the other checks were not made: "+gone)
		return findings
	}
	if t.s.Then.Hold.All {
		t.say("checks that all holds")
		return append(findings, t.untilHeld(ctx, others, t.budget(0))...)
	}
	t.say("checks that nothing else broke")
	if m := mootBy(findings); m != nil {
		t.notes = append(t.notes, m.what+" was not checked besides: "+m.code+" explains it, and each would wait for its end of time")
		others = slices.DeleteFunc(others, func(c check.Check) bool { return m.is(c.Family()) })
	}
	return t.again(ctx, findings, others, runAll(t.facts.In(ctx), bench, others))
}

// early are the families whose services are ready when their start has ended
// (systemd.service(5), Type=): sshd says so itself, NFS's are oneshot or forking, and
// Nix's daemon is started by its socket.
var early = []string{"RB", "SR", "NF"}

// after are the checks, of which all but those of some families wait until begin is
// closed; where it is nil none does.
func after(begin <-chan struct{}, checks []check.Check, but []string) []check.Check {
	if begin == nil {
		return checks
	}
	checks = slices.Clone(checks)
	for i, c := range checks {
		if !slices.Contains(but, c.Family()) {
			checks[i].Run = func(ctx context.Context, p *check.Proof) {
				<-begin
				c.Run(ctx, p)
			}
		}
	}
	return checks
}

// together reports whether the scenario's own checks can be made along with the
// others: each is one of the usual, what goes wrong has done so by now and stays so, and
// none of the others will be moot.
func (t *trial) together(own []check.Check) bool {
	usual := t.Bench().Proofs()
	return !t.s.Then.Hold.Any() && t.s.Then.Budget == 0 && t.gone() == "" &&
		!slices.ContainsFunc(own, func(o check.Check) bool {
			return !slices.ContainsFunc(usual, func(c check.Check) bool { return c.Name == o.Name })
		}) &&
		!slices.ContainsFunc(t.s.When, func(e scenario.Event) bool {
			return e.For > 0 || e.At.Kind != scenario.Before && e.At.Kind != scenario.AfterPhase
		}) &&
		!slices.ContainsFunc(t.s.Then.Codes(), func(code string) bool { return mootOf(code) != nil })
}

// moot is what need not be checked where a diagnosis explains it.
type moot struct {
	code, what string
	is         func(family string) bool
}

// mootBy is what the scenario's own findings make moot, nil where that is nothing.
func mootBy(own []report.Finding) *moot {
	for _, f := range own {
		if f.Fails() && f.Diagnosis != nil {
			if m := mootOf(f.Diagnosis.Code); m != nil {
				return m
			}
		}
	}
	return nil
}

// mootOf is what a diagnosis makes moot, nil where that is nothing.
func mootOf(code string) *moot {
	switch code {
	case "network.unreachable", "network.dropped", "network.rejected":
		return &moot{code, "what goes over the network", func(family string) bool { return family != "EV" && family != "OF" }}
	case "builder.upload-locked", "builder.waits-for-internet":
		return &moot{code, "what is sent to the desktop", func(family string) bool { return family == "RB" }}
	case "nfs.waits-forever":
		return &moot{code, "what goes through the shares", func(family string) bool { return family == "NF" }}
	}
	return nil
}

// again makes those of the other checks once more that keep the scenario from its
// result: only what breaks twice is an alarm. What held then is told as shaky.
func (t *trial) again(ctx context.Context, own []report.Finding, others []check.Check, found []report.Finding) []report.Finding {
	all := slices.Concat(own, found)
	if o := t.judge(all); o.Good() || o.Result == report.NotTried || ctx.Err() != nil {
		return all
	}
	var checks []check.Check
	var at []int
	for i, f := range found {
		if f.Fails() && !t.baseline.has(f) || f.State == report.Errored {
			checks, at = append(checks, others[i]), append(at, len(own)+i)
		}
	}
	for i, f := range runAll(check.Together(ctx), t.Bench(), checks) {
		if !f.Fails() && f.State != report.Errored {
			t.shaky = append(t.shaky, strings.Join(reasons(all[at[i]:at[i]+1]), ""))
		}
		all[at[i]] = f
	}
	return all
}

// others are the proofs of the four phases that are not among own, and have not been
// seen to hold by now.
func (t *trial) others(own []check.Check) []check.Check {
	return slices.DeleteFunc(t.Bench().Proofs(), func(c check.Check) bool {
		return slices.ContainsFunc(own, func(o check.Check) bool { return o.Name == c.Name }) ||
			slices.ContainsFunc(t.held, func(f report.Finding) bool { return f.Check == c.Name })
	})
}

// budget is the scenario's, or else what is usual, stretched for slow machines.
func (t *trial) budget(usual time.Duration) time.Duration {
	if t.s.Then.Budget > 0 {
		usual = t.s.Then.Budget
	}
	return time.Duration(float64(usual) * t.Slow)
}

// untilHeld makes checks, and those that break again until they hold or the budget
// is used up. The last finding of each is returned.
func (t *trial) untilHeld(ctx context.Context, checks []check.Check, budget time.Duration) []report.Finding {
	deadline := time.Now().Add(budget)
	bench := t.Bench()
	findings := runAll(check.Together(ctx), bench, checks)
	for ctx.Err() == nil && time.Now().Before(deadline) {
		var again []check.Check
		var at []int
		for i, f := range findings {
			if f.Fails() && !t.baseline.has(f) {
				again, at = append(again, checks[i]), append(at, i)
			}
		}
		if len(again) == 0 {
			break
		}
		for i, f := range runAll(check.Together(ctx), bench, again) {
			findings[at[i]] = f
		}
	}
	return findings
}

// untilBroken makes a check, and where the scenario gives it time, once more each time
// that it holds: of a race it depends on who is first.
func (t *trial) untilBroken(ctx context.Context, c check.Check) report.Finding {
	deadline := time.Now().Add(t.budget(0))
	for {
		f := t.Bench().Run(ctx, c)
		if f.State != report.Holds || ctx.Err() != nil || !time.Now().Before(deadline) {
			return f
		}
	}
}

// runAll makes checks of one moment and keeps their order: those of one family one after
// another, as they look at the same thing, and some families at a time.
func runAll(ctx context.Context, bench *check.Bench, checks []check.Check) []report.Finding {
	findings := make([]report.Finding, len(checks))
	var families []string
	members := map[string][]int{}
	for i, c := range checks {
		name := c.Family()
		if members[name] == nil {
			families = append(families, name)
		}
		if c.Name == slowest {
			members[name] = slices.Insert(members[name], 0, i)
		} else {
			members[name] = append(members[name], i)
		}
	}
	slices.SortStableFunc(families, func(a, b string) int {
		// -1, of those that are not among them, is the largest.
		return cmp.Compare(uint(slices.Index(longest, a)), uint(slices.Index(longest, b)))
	})
	var g errgroup.Group
	g.SetLimit(besides)
	for _, name := range families {
		g.Go(func() error {
			for _, i := range members[name] {
				findings[i] = bench.Run(ctx, checks[i])
			}
			return nil
		})
	}
	_ = g.Wait()
	return findings
}

// gone says why nothing else can be checked: a machine cannot be asked anything now, or
// the desktop went in the middle of a check, and what all others found of that would
// hide what this one did. "" where all can be.
func (t *trial) gone() string {
	for _, e := range t.s.When {
		if e.For > 0 {
			continue
		}
		switch e.Fault.Name {
		case "power-off", "pause":
			return "of " + e.Fault.String() + " no machine can be asked"
		case "link-down", "drop", "refuse", "reject":
			if e.At.Kind == scenario.Accepted || e.At.Kind == scenario.AfterNAR {
				return "the desktop is away since the middle of the first: " + e.Fault.String()
			}
		}
	}
	return ""
}
