package scenario

import (
	"fmt"
	"slices"
	"strings"

	"offload-e2e/harness/report"
)

// outcome is one that is being told.
type outcome struct{ report.Outcome }

// Judge compares what was found with what the scenario expects.
func (s *Scenario) Judge(findings []report.Finding) report.Outcome {
	o := &outcome{report.Outcome{ID: s.ID, Title: s.Title, Layer: s.Layer, Silent: s.Silent, File: s.File, Check: s.Then.Check.Name,
		Expected: strings.Join(s.Then.Codes(), ", "), Causes: report.Rank(findings), Found: []string{}}}
	for _, c := range o.Causes {
		o.Found = append(o.Found, c.Code)
	}
	var unknown []string
	for _, f := range findings {
		if f.State == report.Errored && f.Diagnosis == nil {
			unknown = append(unknown, f.Check+" could not be made: "+f.Reason)
		}
	}
	bare := unexplained(findings, o.Causes)
	if s.Then.Hold.Any() {
		o.Result = report.Held
		if len(o.Causes)+len(bare) > 0 {
			o.Result = report.NotHeld
			o.tell(bare...)
			o.blame(o.Causes)
		}
	} else {
		o.Result = s.judgeBroken(o, findings, bare)
	}
	o.tell(unknown...)
	if o.Good() && len(unknown) > 0 {
		// A check that says nothing is no proof that nothing else broke.
		o.Result = report.NotKnown
	}
	return o.Outcome
}

// unexplained are the broken findings that no root cause explains, in words.
func unexplained(findings []report.Finding, causes []report.RootCause) (lines []string) {
	for _, f := range findings {
		explained := slices.ContainsFunc(causes, func(c report.RootCause) bool { return slices.Contains(c.Explains, f.Check) })
		if f.State == report.Broken && !explained {
			lines = append(lines, f.Check+" broke, and nothing says why: "+f.Title)
		}
	}
	return lines
}

func (s *Scenario) judgeBroken(o *outcome, findings []report.Finding, bare []string) string {
	if own := s.Then.Check; own.Name != "" && !slices.ContainsFunc(findings, func(f report.Finding) bool {
		return f.State == report.Broken && own.Is(f.Check)
	}) {
		o.tell(fmt.Sprintf("%s holds, and should have broken", own.Name))
		o.blame(o.Causes)
		if len(o.Causes) > 0 {
			return report.WrongDiagnosis
		}
		return report.Missed
	}
	for _, code := range s.Then.Codes() {
		at := slices.Index(o.Found, code)
		if at < 0 || code == s.Then.Diagnosis && at > 0 {
			o.tell(fmt.Sprintf("%s is not what is blamed", code))
			o.blame(o.Causes)
			if len(o.Causes) == 0 {
				return report.Missed
			}
			return report.WrongDiagnosis
		}
	}
	unrelated := slices.DeleteFunc(slices.Clone(o.Causes), func(c report.RootCause) bool {
		return slices.Contains(s.Then.Codes(), c.Code) || slices.Contains(s.Then.Also, c.Code)
	})
	if len(unrelated)+len(bare) > 0 {
		o.tell(bare...)
		o.blame(unrelated)
		return report.FalseAlarm
	}
	return report.Caught
}

// tell adds lines to the detail.
func (o *outcome) tell(lines ...string) {
	for _, line := range lines {
		if o.Detail != "" {
			o.Detail += "\n"
		}
		o.Detail += line
	}
}

func (o *outcome) blame(causes []report.RootCause) {
	for _, c := range causes {
		o.tell(fmt.Sprintf("%s on the %s (%s): %s", c.Code, c.Machine, strings.Join(c.Explains, ", "), c.Sentence))
	}
}
