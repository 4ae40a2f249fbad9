package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Difference is what changed from one run to another.
type Difference struct {
	Before Side `json:"before"`
	After  Side `json:"after"`
	// Broke are findings that held, or were not there, and are broken or in error now.
	Broke []Change `json:"broke"`
	// Mended are those that hold now and did not.
	Mended []Change `json:"mended"`
	// Changed are broken in both, for another reason.
	Changed []Change `json:"changed"`
	// Slowed and Faster took a good deal longer, or less, than before.
	Slowed []Change `json:"slowed"`
	Faster []Change `json:"faster"`
	// NoLonger are findings that are not made any more; New are made now, and well.
	NoLonger []Change `json:"no_longer"`
	New      []Change `json:"new"`
}

// Side is one of two runs.
type Side struct {
	ID       string  `json:"id"`
	Config   string  `json:"config"`
	Harness  string  `json:"harness"`
	Verdict  Verdict `json:"verdict"`
	Headline string  `json:"headline"`
	Seconds  float64 `json:"seconds"`
}

// Change is a finding as it was and is.
type Change struct {
	Check   string  `json:"check"`
	Machine string  `json:"machine"`
	Phase   string  `json:"phase"`
	Title   string  `json:"title"`
	Was     State   `json:"was,omitempty"`
	Is      State   `json:"is,omitempty"`
	Words   string  `json:"words"`
	Code    string  `json:"code,omitempty"`
	Source  string  `json:"source,omitempty"`
	Remedy  string  `json:"remedy,omitempty"`
	Before  float64 `json:"seconds_before"`
	After   float64 `json:"seconds_after"`
}

// What counts as slower: half as much again, and by more than machines vary.
const (
	slowerBy      = 1.5
	slowerSeconds = 3
)

// Diff compares two runs.
func Diff(before, after *Report) *Difference {
	d := &Difference{Before: sideOf(before), After: sideOf(after), Broke: []Change{}, Mended: []Change{}, Changed: []Change{},
		Slowed: []Change{}, Faster: []Change{}, NoLonger: []Change{}, New: []Change{}}
	old := map[key]Finding{}
	for i, k := range keysOf(before.Findings) {
		old[k] = before.Findings[i]
	}
	for i, k := range keysOf(after.Findings) {
		is := after.Findings[i]
		was, there := old[k]
		delete(old, k)
		c := changeOf(was, is)
		wasBad, isBad := there && bad(was), bad(is)
		switch {
		case isBad && !wasBad:
			d.Broke = append(d.Broke, c)
		case wasBad && good(is.State):
			d.Mended = append(d.Mended, c)
		case isBad && wasBad && was.Code() != is.Code():
			d.Changed = append(d.Changed, c)
		case !there && good(is.State):
			d.New = append(d.New, c)
		case there && good(was.State) && good(is.State) && is.Seconds > was.Seconds*slowerBy && is.Seconds > was.Seconds+slowerSeconds:
			d.Slowed = append(d.Slowed, c)
		case there && good(was.State) && good(is.State) && was.Seconds > is.Seconds*slowerBy && was.Seconds > is.Seconds+slowerSeconds:
			d.Faster = append(d.Faster, c)
		}
	}
	for i, k := range keysOf(before.Findings) {
		if was, left := old[k]; left && was.State != Skipped {
			c := changeOf(before.Findings[i], Finding{})
			c.Check, c.Machine, c.Phase, c.Title, c.Words = k.check, k.machine, k.phase, was.Title, was.words()
			d.NoLonger = append(d.NoLonger, c)
		}
	}
	slices.SortStableFunc(d.Slowed, func(a, b Change) int { return cmp.Compare(b.After-b.Before, a.After-a.Before) })
	slices.SortStableFunc(d.Faster, func(a, b Change) int { return cmp.Compare(b.Before-b.After, a.Before-a.After) })
	return d
}

// scenariosPhase is the phase of scenarios that are told as findings.
const scenariosPhase = "scenarios"

// WithScenarios is a run with its scenarios as findings: for programs that know no
// others, and to compare two gates.
func (r *Report) WithScenarios(outcomes []Outcome) *Report {
	all := *r
	all.Findings = slices.Clone(r.Findings)
	for _, o := range outcomes {
		words := o.Result
		if o.Detail != "" {
			words += ": " + o.Detail
		}
		all.Findings = append(all.Findings, Finding{Check: "scenario " + o.ID, Title: o.Title, Phase: scenariosPhase, State: o.Tone(), Reason: words, Seconds: o.Seconds})
	}
	return &all
}

func bad(f Finding) bool { return f.Fails() || f.State == Errored }

func sideOf(r *Report) Side {
	return Side{ID: r.Run.ID, Config: r.Run.Config, Harness: r.Run.Harness, Verdict: r.Verdict, Headline: headline(r), Seconds: r.Run.Ended.Sub(r.Run.Started).Seconds()}
}

func changeOf(was, is Finding) Change {
	c := Change{Check: is.Check, Machine: is.Machine, Phase: is.Phase, Title: is.Title, Was: was.State, Is: is.State, Words: is.words(),
		Before: was.Seconds, After: is.Seconds, Code: is.Code()}
	if is.Diagnosis != nil {
		c.Source, c.Remedy = is.Diagnosis.Source, is.Diagnosis.Remedy
	}
	return c
}

// Worse reports whether something broke, or broke otherwise.
func (d *Difference) Worse() bool { return len(d.Broke)+len(d.Changed) > 0 }

// JSON writes the difference for programs.
func (d *Difference) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(d)
}

// Markdown writes the difference as a comment on a pull request: what broke first.
func (d *Difference) Markdown(w io.Writer) error {
	b := &strings.Builder{}
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{{len(d.Broke), "broke"}, {len(d.Changed), "broken otherwise"}, {len(d.Mended), "mended"}, {len(d.Slowed), "slowed"}, {len(d.Faster), "faster"},
		{len(d.New), "new"}, {len(d.NoLonger), "no longer made"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	title := strings.Join(parts, ", ")
	if title == "" {
		title = "nothing changed"
	}
	fmt.Fprintf(b, "### offload-e2e: %s\n\n| | before | after |\n|---|---|---|\n", title)
	fmt.Fprintf(b, "| run | %s | %s |\n| configuration | %s | %s |\n| verdict | %s | %s |\n| time | %s | %s |\n", cell(d.Before.ID), cell(d.After.ID),
		cell(d.Before.Config), cell(d.After.Config), cell(d.Before.Headline), cell(d.After.Headline), seconds(d.Before.Seconds), seconds(d.After.Seconds))
	for _, list := range []struct {
		heading string
		changes []Change
	}{{"Broke", d.Broke}, {"Broken otherwise than before", d.Changed}} {
		if len(list.changes) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n**%s**\n", list.heading)
		for _, same := range byCause(list.changes) {
			d.cause(b, same)
		}
		b.WriteString("\n")
	}
	for _, list := range []struct {
		heading string
		changes []Change
		times   bool
	}{{"Mended", d.Mended, false}, {"Slowed", d.Slowed, true}, {"Faster", d.Faster, true}, {"New", d.New, false}, {"No longer made", d.NoLonger, false}} {
		if len(list.changes) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n<details><summary>%s: %d</summary>\n", list.heading, len(list.changes))
		for _, c := range list.changes {
			fmt.Fprintf(b, "\n- **%s**%s: %s", cell(c.Check), on(c.Machine), cell(c.Title))
			if list.times {
				fmt.Fprintf(b, ", %s, was %s", seconds(c.After), seconds(c.Before))
			}
		}
		b.WriteString("\n\n</details>\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// byCause takes changes together that have one cause, in the order of the first.
func byCause(changes []Change) [][]Change {
	var groups [][]Change
	for _, c := range changes {
		i := slices.IndexFunc(groups, func(g []Change) bool {
			return c.Code != "" && g[0].Code == c.Code && g[0].Machine == c.Machine && g[0].Source == c.Source
		})
		if i < 0 {
			groups = append(groups, []Change{c})
		} else {
			groups[i] = append(groups[i], c)
		}
	}
	return groups
}

// on names a machine; a scenario has none.
func on(machine string) string {
	if machine == "" {
		return ""
	}
	return " on " + cell(machine)
}

// cause writes what broke by one cause.
func (d *Difference) cause(b *strings.Builder, same []Change) {
	first := same[0]
	var checks []string
	for _, c := range same {
		checks = union(checks, []string{"**" + cell(c.Check) + "**"})
	}
	fmt.Fprintf(b, "\n- %s%s: ", strings.Join(checks, ", "), on(first.Machine))
	if first.Code != "" {
		fmt.Fprintf(b, "%s: ", code(first.Code))
	}
	b.WriteString(cell(first.Words))
	if file, line, ok := Place(first.Source, d.After.Config); ok && line > 0 {
		fmt.Fprintf(b, "<br>at %s", code(fmt.Sprintf("%s:%d", file, line)))
	} else if first.Source != "" {
		fmt.Fprintf(b, "<br>at %s", code(first.Source))
	}
	if first.Remedy != "" {
		fmt.Fprintf(b, "<br>to do: %s", cell(first.Remedy))
	}
}
