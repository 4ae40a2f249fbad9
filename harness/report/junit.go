package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// JUnit writes junit.xml as CI systems read it: a suite a phase, a case a check
// on a machine. A case fails when its finding is broken, is in error when it is
// not known, and is skipped with its reason; a known defect is skipped too, as
// it does not fail the run. What kept the run from a verdict is a suite of its own.
type JUnit struct{}

// File is junit.xml.
func (JUnit) File() string { return JUnitFile }

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr,omitempty"`
	Cases     []junitCase `xml:"testcase"`
	Out       string      `xml:"system-out,omitempty"`
	seconds   float64
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitProblem `xml:"failure"`
	Error   *junitProblem `xml:"error"`
	Skipped *junitProblem `xml:"skipped"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Type    string `xml:"type,attr,omitempty"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (JUnit) Write(w io.Writer, r *Report) error {
	var suites []junitSuite
	for _, phase := range r.phases() {
		s := junitSuite{Name: visible(phase)}
		for _, f := range r.Findings {
			if f.Phase != phase {
				continue
			}
			if s.Timestamp == "" && !f.Started.IsZero() {
				s.Timestamp = f.Started.UTC().Format("2006-01-02T15:04:05")
			}
			s.add(junitCaseOf(f), f.Seconds)
		}
		var out strings.Builder
		for _, d := range r.Disagreements {
			if d.Phase == phase {
				fmt.Fprintf(&out, "%s: %s said %q, but %s: %s\n", d.Machine, d.Command, d.Said, d.Check, d.Proof)
			}
		}
		s.Out = visible(out.String())
		suites = append(suites, s)
	}
	if len(r.Errors) > 0 {
		s := junitSuite{Name: "run"}
		for _, e := range r.Errors {
			s.add(junitCase{Class: "run", Name: visible(e.Heading),
				Error: &junitProblem{Type: "run", Message: oneLine(e.Sentence), Text: visible(e.Sentence + "\n" + e.WayOut)}}, 0)
		}
		suites = append(suites, s)
	}
	all := junitSuites{Name: "offload-e2e", Suites: suites}
	var total float64
	for i := range suites {
		s := &suites[i]
		s.Time = fmt.Sprintf("%.3f", s.seconds)
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		all.Skipped += s.Skipped
		total += s.seconds
	}
	all.Time = fmt.Sprintf("%.3f", total)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(c junitCase, took float64) {
	c.Time = fmt.Sprintf("%.3f", took)
	s.seconds += took
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

func junitCaseOf(f Finding) junitCase {
	c := junitCase{Class: visible(f.Phase + "." + f.Machine), Name: visible(f.Check + " on " + f.Machine)}
	message := f.words()
	if f.Diagnosis != nil {
		message = f.Diagnosis.Code + ": " + message
	}
	text := visible(f.detail())
	switch {
	case f.Fails():
		c.Failure = &junitProblem{Type: string(f.Class), Message: message, Text: text}
	case f.State == Broken:
		c.Skipped = &junitProblem{Message: "known: " + message}
		c.Out = text
	case f.State == Errored:
		c.Error = &junitProblem{Type: string(f.Class), Message: message, Text: text}
	case f.State == Skipped:
		c.Skipped = &junitProblem{Message: message}
	case f.State == Warns:
		c.Out = text
	}
	return c
}

// detail is all that a finding says, as plain text.
func (f Finding) detail() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	line("claim", f.Title)
	if d := f.Diagnosis; d != nil {
		line("diagnosis", d.Code+": "+d.Sentence)
		line("effective", d.Effective)
		line("expected", d.Expected)
		line("source", d.Source)
		line("remedy", d.Remedy)
	}
	line("reason", f.Reason)
	for _, e := range f.Evidence {
		fmt.Fprintf(&b, "\n--- %s\n%s\n", e.heading(), strings.TrimRight(e.Text, "\n"))
	}
	return b.String()
}

func (e Evidence) heading() string {
	h := e.Kind
	if e.Machine != "" {
		h += " on " + e.Machine
	}
	h += ": " + e.Title
	if e.ExitStatus != nil {
		h += fmt.Sprintf(" (exit status %d)", *e.ExitStatus)
	}
	if e.Seconds > 0 {
		h += ", " + seconds(e.Seconds)
	}
	return h
}
