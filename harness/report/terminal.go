package report

import (
	"fmt"
	"io"
	"strings"
)

// Summary writes what a person reads at the end of a run: the verdict, why,
// what to do, and where the rest is. Dir is the run's folder.
func Summary(w io.Writer, r *Report, dir string, look Look) error {
	b := &strings.Builder{}
	sgr := map[Verdict]string{Pass: green, Fail: red, Error: red}[r.Verdict]
	fmt.Fprintf(b, "\n%s\n%s\n", look.paint(bold, look.paint(sgr, headline(r))), oneLine(subject(r)))

	for _, e := range r.Errors {
		fmt.Fprintf(b, "\n%s\n  %s\n", look.paint(bold, oneLine(e.Heading)), oneLine(e.Sentence))
		if e.WayOut != "" {
			fmt.Fprintf(b, "  to do: %s\n", oneLine(e.WayOut))
		}
	}
	for i, c := range r.RootCauses {
		if i == 0 {
			fmt.Fprintf(b, "\n%s\n", look.paint(bold, "Root causes"))
		}
		fmt.Fprintf(b, "  %d. %s on %s: %s\n", c.Rank, look.paint(red, oneLine(c.Code)), oneLine(c.Machine), oneLine(c.Sentence))
		if c.Source != "" {
			fmt.Fprintf(b, "     at: %s\n", oneLine(c.Source))
		}
		if c.Remedy != "" {
			fmt.Fprintf(b, "     to do: %s\n", oneLine(c.Remedy))
		}
		fmt.Fprintf(b, "     more: offload-e2e explain %s\n", c.Code)
		fmt.Fprintf(b, "     explains: %s\n", oneLine(strings.Join(c.Explains, ", ")))
	}
	unexplained(b, r, look)
	for i, d := range r.Disagreements {
		if i == 0 {
			fmt.Fprintf(b, "\n%s\n", look.paint(bold, "Commands that say otherwise than was proved"))
		}
		fmt.Fprintf(b, "  %s on %s said %q\n     %s: %s\n", oneLine(d.Command), oneLine(d.Machine), oneLine(d.Said), oneLine(d.Check), oneLine(d.Proof))
	}
	first := true
	for _, s := range r.Timeline {
		if s.Kind != "phase" && s.Kind != "setup" {
			continue
		}
		if first {
			fmt.Fprintf(b, "\n%s\n", look.paint(bold, "Time"))
			first = false
		}
		line := fmt.Sprintf("  %-32s %12s", cut(oneLine(s.Name), 32), seconds(s.Seconds))
		switch {
		case s.Budget > 0 && s.Seconds > s.Budget:
			line += look.paint(yellow, " of "+seconds(s.Budget)+", over budget")
		case s.Budget > 0:
			line += " of " + seconds(s.Budget)
		}
		if len(s.Elsewhere) > 0 {
			line += "; " + s.elsewhere()
		}
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(b, "\nReport: %s\n", dir)
	if r.Run.Command != "" && r.Verdict != Pass {
		fmt.Fprintf(b, "The same again: %s\n", oneLine(r.Run.Command))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// unexplained names what fails without a cause, so that nothing broken stays unsaid.
func unexplained(b *strings.Builder, r *Report, look Look) {
	known := map[string]bool{}
	for _, c := range r.RootCauses {
		for _, check := range c.Explains {
			known[check] = true
		}
	}
	first := true
	for _, f := range r.Findings {
		if f.State != Broken && f.State != Errored || f.Diagnosis != nil || known[f.Check] {
			continue // told with the root causes
		}
		if first {
			fmt.Fprintf(b, "\n%s\n", look.paint(bold, "Not as it should be, cause not known"))
			first = false
		}
		fmt.Fprintf(b, "  %s %s on %s: %s\n", look.mark(f.State), oneLine(f.Check), oneLine(f.Machine), f.words())
	}
}
