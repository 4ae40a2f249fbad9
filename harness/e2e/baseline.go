package e2e

import (
	"cmp"
	"slices"

	"offload-e2e/harness/report"
	"offload-e2e/harness/scenario"
)

// baseline is what is broken of a configuration without a fault: the codes of its
// diagnoses, and the names of checks that broke without one. It is none of a scenario's
// doing, whichever other checks break of it.
type baseline map[string]bool

func baselineOf(findings []report.Finding) baseline {
	b := baseline{}
	for _, f := range findings {
		if f.State == report.Broken {
			b[cmp.Or(f.Code(), f.Check)] = true
		}
	}
	return b
}

// has reports whether a finding is broken by what is broken without a fault.
func (b baseline) has(f report.Finding) bool {
	return f.State == report.Broken && b[cmp.Or(f.Code(), f.Check)]
}

// judge judges what was found besides the baseline.
func (t *trial) judge(findings []report.Finding) report.Outcome {
	if hides := slices.IndexFunc(findings, t.hides); hides >= 0 {
		o := t.s.Judge(nil)
		o.Result, o.Detail = report.NotTried, joined("broken without the fault, too:", reasons(findings[hides:hides+1])...)
		return o
	}
	return t.s.Judge(slices.DeleteFunc(slices.Clone(findings), t.baseline.has))
}

// hides reports whether a finding of the baseline hides what the scenario is about.
func (t *trial) hides(f report.Finding) bool {
	own := slices.ContainsFunc(slices.Concat(t.s.Then.Hold.Checks, []scenario.CheckRef{t.s.Then.Check}), func(c scenario.CheckRef) bool { return c.Name != "" && c.Is(f.Check) })
	return t.baseline.has(f) && (own || slices.Contains(t.s.Then.Codes(), f.Code()))
}
