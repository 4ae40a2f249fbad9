package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// view is all that the page's template shows.
type view struct {
	*Report
	assets
	Headline, Subject string
	Tone              string // of the verdict: a state's
	Causes            []causeView
	Unexplained       []findingView
	Picture           picture
	Rows              []timeRow
	Phases            []phaseView
	Promised          []promiseView
	Scenarios         []Outcome
	Layers            []layerView
	Tried             string // what became of the scenarios, in words
	Skips             []findingView
	Logs              []logView
	Facts             []fact
}

// layerView are the scenarios of one layer.
type layerView struct {
	Name, Tally string
	Outcomes    []Outcome
}

type causeView struct {
	RootCause
	Tone  string // known, where it explains nothing else
	Links []link
}

type link struct{ Name, Anchor string }

type fact struct{ Name, Value string }

type findingView struct {
	Finding
	Anchor, Words string
	Tone, Word    string // how it looks, and what it is called
	Path          string // of its history, as a person reads it
	Open          bool
}

type phaseView struct {
	Name, Heading, Anchor string
	Findings              []findingView
	Tally                 string
}

func (h HTML) view(r *Report) (*view, error) {
	a, err := loadAssets()
	if err != nil {
		return nil, err
	}
	v := &view{Report: r, assets: a, Headline: headline(r), Subject: subject(r), Scenarios: h.Scenarios,
		Tone: map[Verdict]string{Pass: "holds", Fail: "broken", Error: "error"}[r.Verdict]}
	all := findingViews(r.Findings)
	explained := map[string]bool{}
	for _, c := range r.RootCauses {
		cause := causeView{RootCause: c, Tone: "known"}
		if slices.ContainsFunc(all, func(f findingView) bool { return slices.Contains(c.Explains, f.Check) && f.Fails() }) {
			cause.Tone = "broken"
		}
		for _, check := range c.Explains {
			explained[check] = true
			cause.Links = append(cause.Links, link{check, anchorOf(all, check)})
		}
		v.Causes = append(v.Causes, cause)
	}
	for _, f := range all {
		switch {
		case f.State == Skipped:
			v.Skips = append(v.Skips, f)
		case (f.State == Broken || f.State == Errored) && f.Diagnosis == nil && !explained[f.Check]:
			v.Unexplained = append(v.Unexplained, f)
		}
	}
	for _, name := range r.phases() {
		phase := phaseView{Name: name, Heading: phaseHeading(name), Anchor: "phase-" + fileName(name)}
		counts := map[string]int{}
		for _, f := range all {
			if f.Phase == name {
				phase.Findings = append(phase.Findings, f)
				counts[f.Word]++
			}
		}
		phase.Tally = tally(counts)
		v.Phases = append(v.Phases, phase)
	}
	for _, p := range r.Promises {
		v.Promised = append(v.Promised, viewPromise(p))
	}
	for _, name := range layersOf(h.Scenarios) {
		layer := layerView{Name: cmp.Or(name, "the configuration as it is")}
		for _, o := range h.Scenarios {
			if o.Layer == name {
				layer.Outcomes = append(layer.Outcomes, o)
			}
		}
		layer.Tally = Count(layer.Outcomes).short()
		v.Layers = append(v.Layers, layer)
	}
	if t := Count(h.Scenarios); t != nil {
		v.Tried = t.words()
	}
	v.Picture = draw(r)
	v.Rows = timeRows(r, all)
	v.Facts = facts(r.Run)
	v.Logs, err = logsOf(h.Dir, r.Artifacts)
	return v, err
}

// findingViews gives each finding its anchor: check and machine, and a number where
// a check was made more than once.
func findingViews(findings []Finding) []findingView {
	var all []findingView
	seen := map[string]int{}
	for _, f := range findings {
		anchor := fileName(f.Check + "-" + f.Machine)
		if seen[anchor]++; seen[anchor] > 1 {
			anchor += fmt.Sprintf("-%d", seen[anchor])
		}
		word := string(f.State)
		if f.State == Broken && f.Class == Known {
			word = string(Known)
		}
		all = append(all, findingView{Finding: f, Anchor: anchor, Words: f.words(), Tone: word, Word: word, Path: f.History.words()})
	}
	return all
}

// anchorOf is that of the finding a check is remembered by: one that fails, if any does.
func anchorOf(all []findingView, check string) string {
	best := ""
	for _, f := range all {
		if f.Check == check && (best == "" || f.State == Broken) {
			if best = f.Anchor; f.State == Broken {
				break
			}
		}
	}
	return best
}

var phaseHeadings = map[string]string{
	"phase1": "Phase 1: the desktop", "phase2": "Phase 2: the laptop", "phase3": "Phase 3: the exchange of keys",
	"phase4": "Phase 4: final validation", "fallback": "Fallback: the desktop away", "fleet": "Fleet: more laptops",
	"promises": "Promises: measured", AsItIs: "The configuration as it is, at the end of the phases", scenariosPhase: "Faults made on purpose",
}

func phaseHeading(name string) string { return cmp.Or(phaseHeadings[name], name, "Outside of phases") }

// tally counts words, those that need attention first: "2 broken, 31 hold".
func tally(counts map[string]int) string {
	var parts []string
	for _, s := range []State{Broken, Errored, State(Known), Warns, Skipped, Holds} {
		switch n := counts[string(s)]; {
		case n == 0:
		case s == Holds && n > 1:
			parts = append(parts, fmt.Sprintf("%d hold", n))
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(parts, ", ")
}

func facts(run Run) []fact {
	var out []fact
	add := func(name, value string) {
		if value != "" {
			out = append(out, fact{name, value})
		}
	}
	add("run", run.ID)
	if !run.Started.IsZero() {
		add("started", run.Started.Format("2006-01-02 15:04:05 MST"))
	}
	add("configuration", run.Config)
	add("part", run.Shard)
	add("keys", run.Keys)
	add("harness", run.Harness)
	add("provider", run.Provider)
	add("engine", run.Engine)
	add("without a sandbox", run.NoSandbox)
	add("accelerator", run.Accelerator)
	add("guest", run.Guest.Kind)
	add("image", run.Guest.Image)
	for _, name := range sortedKeys(run.Guest.Versions) {
		add(name, run.Guest.Versions[name])
	}
	return out
}

// timeRow is a stretch of the run: where it stands, in percent of the whole.
type timeRow struct {
	Name         string
	Left, Width  float64
	Seconds      float64
	Budget, Over string
	Elsewhere    string
	Anchor       string
	Parts        []timePart
}

// timePart is a finding in its row.
type timePart struct {
	Left, Width float64
	Tone, Title string
}

func timeRows(r *Report, all []findingView) []timeRow {
	spans := slices.DeleteFunc(slices.Clone(r.Timeline), func(s Span) bool { return s.Kind != "phase" && s.Kind != "setup" })
	if len(spans) == 0 {
		return nil
	}
	begin, end := spans[0].Started, spans[0].Started
	for _, s := range spans {
		if s.Started.Before(begin) {
			begin = s.Started
		}
		if e := s.Started.Add(secondsOf(s.Seconds)); e.After(end) {
			end = e
		}
	}
	whole := max(end.Sub(begin).Seconds(), 0.001)
	share := func(s float64) float64 { return min(100, max(0, 100*s/whole)) }
	var rows []timeRow
	for _, s := range spans {
		row := timeRow{Name: s.Name, Left: share(s.Started.Sub(begin).Seconds()), Width: max(0.4, share(s.Seconds)), Seconds: s.Seconds, Elsewhere: s.elsewhere()}
		if s.Budget > 0 {
			row.Budget = seconds(s.Budget)
			if s.Seconds > s.Budget {
				row.Over = "over budget"
			}
		}
		if s.Kind == "phase" {
			row.Name = phaseHeading(s.Name)
			for _, f := range all {
				if f.Phase == s.Name {
					row.Anchor = "phase-" + fileName(s.Name)
				}
				if at := f.Started.Sub(begin).Seconds(); f.Phase == s.Name && !f.Started.IsZero() && f.Seconds > 0 {
					row.Parts = append(row.Parts, timePart{Left: share(at), Width: max(0.25, share(f.Seconds)), Tone: f.Tone,
						Title: f.Check + " on " + f.Machine + ": " + f.Word + ", " + seconds(f.Seconds)})
				}
			}
		}
		rows = append(rows, row)
	}
	return rows
}
