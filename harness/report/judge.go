package report

// Judge is the verdict that follows from what was found. What is broken decides
// first, unless it is of class known, which is on record already, and scenarios that
// did not end as they should; then what kept the run from finding out.
func Judge(r *Report) Verdict {
	if len(r.Errors) > 0 {
		return Error
	}
	verdict := Pass
	if t := r.Scenarios; t != nil {
		switch {
		case t.Failed > 0:
			return Fail
		case t.Unknown > 0:
			verdict = Error
		}
	}
	for _, f := range r.Findings {
		switch {
		case f.Fails():
			return Fail
		case f.State == Errored:
			verdict = Error
		}
	}
	return verdict
}

// Fails reports whether a finding by itself makes a run fail.
func (f Finding) Fails() bool { return f.State == Broken && f.Class != Known }

// Code is the finding's diagnosis, "" where it has none.
func (f Finding) Code() string {
	if f.Diagnosis == nil {
		return ""
	}
	return f.Diagnosis.Code
}

// count is how many findings are in each state; known defects are one of their own,
// and scenarios have a tally.
func (r *Report) count() map[State]int {
	n := map[State]int{}
	for _, f := range r.Findings {
		if f.Phase == scenariosPhase {
			continue
		}
		if f.State == Broken && f.Class == Known {
			n[State(Known)]++
		} else {
			n[f.State]++
		}
	}
	return n
}

// phases are the findings' phases in the order of their first finding.
func (r *Report) phases() []string {
	var names []string
	for _, f := range r.Findings {
		names = union(names, []string{f.Phase})
	}
	return names
}
