package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Markdown writes summary.md, to be read top down: the verdict, why, and only
// then everything. It renders on GitHub.
type Markdown struct{}

// File is summary.md.
func (Markdown) File() string { return MarkdownFile }

func (Markdown) Write(w io.Writer, r *Report) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "# %s\n\n%s\n\n", headline(r), cell(subject(r)))
	for _, e := range r.Errors {
		fmt.Fprintf(b, "**%s**: %s\n\n%s\n\n", cell(e.Heading), cell(e.Sentence), cell(e.WayOut))
	}
	causesMarkdown(b, r)
	disagreementsMarkdown(b, r)
	findingsMarkdown(b, r)
	timelineMarkdown(b, r)
	runMarkdown(b, r)
	_, err := io.WriteString(w, b.String())
	return err
}

// headline is the verdict in one line.
func headline(r *Report) string {
	n := r.count()
	if t := r.Scenarios; t != nil && n[Broken] == 0 {
		return map[Verdict]string{Pass: "Pass", Fail: "Fail", Error: "Error"}[r.Verdict] + ": " + t.words()
	}
	switch r.Verdict {
	case Pass:
		hold := plural(n[Holds]+n[Warns], "check") + " hold"
		if n[Holds]+n[Warns] == 1 {
			hold += "s"
		}
		return "Pass: " + hold + extras(n)
	case Fail:
		return "Fail: " + plural(n[Broken], "check") + " broken, " + plural(len(r.RootCauses), "root cause") + extras(n)
	}
	return "Error: there is no verdict" + extras(n)
}

// words are a tally in words: "2 of 98 scenarios did not end as they should, 3 skipped".
func (t Tally) words() string {
	tried := t.Passed + t.Failed + t.Unknown
	text := plural(t.Passed, "scenario") + " ended as they should"
	if t.Passed == 1 {
		text = "1 scenario ended as it should"
	}
	if t.Failed > 0 {
		text = fmt.Sprintf("%d of %s did not end as they should", t.Failed, plural(tried, "scenario"))
	}
	return text + extras(map[State]int{Skipped: t.Skipped, Errored: t.Unknown})
}

// short is a tally of a few: "13 of 14, 2 skipped".
func (t Tally) short() string {
	return fmt.Sprintf("%d of %d", t.Passed, t.Passed+t.Failed+t.Unknown) + extras(map[State]int{Skipped: t.Skipped})
}

func extras(n map[State]int) string {
	var text string
	for _, e := range []struct {
		state State
		word  string
	}{{State(Known), "known"}, {Warns, "warned"}, {Skipped, "skipped"}, {Errored, "in error"}} {
		if n[e.state] > 0 {
			text += fmt.Sprintf(", %d %s", n[e.state], e.word)
		}
	}
	return text
}

// subject is what was tested on what, so that nobody mistakes one for another.
func subject(r *Report) string {
	text := "Configuration " + r.Run.Config
	if r.Run.Guest.Kind == Own {
		return text + ", on your own machines"
	}
	if r.Run.Guest.Kind != "" {
		text += ", on " + r.Run.Guest.Kind + " guests"
	}
	if r.Run.Provider != "" {
		text += " of " + r.Run.Provider
	}
	if r.Run.Engine != "" {
		text += " (" + r.Run.Engine + ")"
	}
	if r.Run.Accelerator != "" {
		text += " (" + r.Run.Accelerator + ")"
	}
	if r.Run.Restored {
		text += ", restored"
	}
	if d := r.Run.Ended.Sub(r.Run.Started); d > 0 {
		text += ", in " + seconds(d.Seconds())
	}
	return text + "."
}

func causesMarkdown(b *strings.Builder, r *Report) {
	if len(r.RootCauses) == 0 {
		return
	}
	b.WriteString("## Root causes\n\n")
	for _, c := range r.RootCauses {
		fmt.Fprintf(b, "%d. **%s** on %s: %s\n", c.Rank, cell(c.Code), cell(c.Machine), cell(c.Sentence))
		if c.Effective != "" || c.Expected != "" {
			fmt.Fprintf(b, "   - is %s, should be %s\n", code(c.Effective), code(c.Expected))
		}
		if c.Source != "" {
			fmt.Fprintf(b, "   - defined at %s\n", code(c.Source))
		}
		if c.Remedy != "" {
			fmt.Fprintf(b, "   - to do: %s\n", cell(c.Remedy))
		}
		fmt.Fprintf(b, "   - more: %s\n", code("offload-e2e explain "+c.Code))
		fmt.Fprintf(b, "   - explains %s\n", cell(strings.Join(c.Explains, ", ")))
	}
	b.WriteString("\n")
}

func disagreementsMarkdown(b *strings.Builder, r *Report) {
	if len(r.Disagreements) == 0 {
		return
	}
	b.WriteString("## Commands that say otherwise\n\n| phase | machine | command | said | check | proved |\n|---|---|---|---|---|---|\n")
	for _, d := range r.Disagreements {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", cell(d.Phase), cell(d.Machine), strings.ReplaceAll(code(d.Command), "|", `\|`), cell(d.Said), cell(d.Check), cell(d.Proof))
	}
	b.WriteString("\n")
}

func findingsMarkdown(b *strings.Builder, r *Report) {
	if len(r.Findings) == 0 {
		return
	}
	b.WriteString("## Findings\n")
	for _, phase := range r.phases() {
		fmt.Fprintf(b, "\n### %s\n\n| | check | machine | what | time |\n|---|---|---|---|---|\n", cell(phaseHeading(phase)))
		for _, f := range r.Findings {
			if f.Phase == phase {
				fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", stateWord(f), cell(f.Check), cell(f.Machine), cell(f.words()), seconds(f.Seconds))
			}
		}
		for _, f := range r.Findings {
			if f.Phase != phase || f.State != Broken && f.State != Errored || len(f.Evidence) == 0 {
				continue
			}
			fmt.Fprintf(b, "\n<details><summary>Evidence of %s on %s</summary>\n", escaped(f.Check), escaped(f.Machine))
			for _, e := range f.Evidence {
				fmt.Fprintf(b, "\n%s\n\n%s\n", cell(e.heading()), fenced(e.Text))
			}
			b.WriteString("\n</details>\n")
		}
	}
	b.WriteString("\n")
}

// stateWord marks what is not as it should be.
func stateWord(f Finding) string {
	switch {
	case f.State == Broken && f.Class == Known:
		return "known"
	case f.State == Broken:
		return "**broken**"
	case f.State == Errored:
		return "**error**"
	}
	return string(f.State)
}

func timelineMarkdown(b *strings.Builder, r *Report) {
	if len(r.Timeline) == 0 {
		return
	}
	b.WriteString("## Time\n\n| from | what | took | budget | | elsewhere |\n|---|---|---|---|---|---|\n")
	spans := slices.Clone(r.Timeline)
	slices.SortStableFunc(spans, func(a, c Span) int { return a.Started.Compare(c.Started) })
	for _, s := range spans {
		if s.Kind == "command" || s.Kind == "step" && s.Budget == 0 && s.Seconds < 1 {
			continue // in report.json
		}
		name := cell(s.Name)
		if s.Machine != "" {
			name += " on " + cell(s.Machine)
		}
		if s.Kind == "phase" || s.Kind == "setup" {
			name = "**" + name + "**"
		}
		budget, over := "", ""
		if s.Budget > 0 {
			budget = seconds(s.Budget)
			if s.Seconds > s.Budget {
				over = "over"
			}
		}
		from := ""
		if d := s.Started.Sub(r.Run.Started); !r.Run.Started.IsZero() && d >= 0 {
			from = seconds(d.Seconds())
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", from, name, seconds(s.Seconds), budget, over, cell(s.elsewhere()))
	}
	b.WriteString("\n")
}

func runMarkdown(b *strings.Builder, r *Report) {
	b.WriteString("## The run\n\n")
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "- %s: %s\n", name, cell(value))
		}
	}
	line("id", r.Run.ID)
	line("harness", r.Run.Harness)
	line("keys", r.Run.Keys)
	line("image", r.Run.Guest.Image)
	line("without a sandbox", r.Run.NoSandbox)
	for _, k := range sortedKeys(r.Run.Guest.Versions) {
		line(k, r.Run.Guest.Versions[k])
	}
	for _, m := range sortedKeys(r.Run.Imports) {
		line(m, strings.Join(r.Run.Imports[m], ", "))
	}
	if r.Run.Command != "" {
		fmt.Fprintf(b, "\nThe same again:\n\n%s\n", fenced(r.Run.Command))
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// escaped is text that no browser takes for markup.
func escaped(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(oneLine(text))
}

// cell is text for a table or a sentence: one line, nothing of it markup.
func cell(text string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`).Replace(escaped(text))
}

// code is text as an inline code span, also when it has backticks.
func code(text string) string {
	text = oneLine(text)
	if text == "" {
		return "empty"
	}
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	pad := ""
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		pad = " "
	}
	return fence + pad + text + pad + fence
}

// fenced is a code block that no line of the text can end.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "text\n" + strings.TrimRight(visible(text), "\n") + "\n" + fence
}
