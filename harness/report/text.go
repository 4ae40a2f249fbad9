package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// oneLine is text as one line that a terminal or a table can show: guests and
// users write into reports, escape sequences too.
func oneLine(text string) string { return strings.Join(strings.Fields(visible(text)), " ") }

// visible shows control characters but newline and tab as their pictures
// (U+2400 and on), and bytes that are no UTF-8 as U+FFFD.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return -1
		case r < 0x20:
			return 0x2400 + r
		case r == 0x7f:
			return 0x2421
		case unicode.Is(unicode.Cc, r), r == 0xfffe, r == 0xffff:
			return unicode.ReplacementChar
		case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			// Would turn the direction of what follows.
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
}

// cut shortens a line to so many characters.
func cut(line string, width int) string {
	r := []rune(line)
	if width < 1 || len(r) <= width {
		return line
	}
	return string(r[:width-1]) + "…"
}

// seconds shows a duration as people read it: "0.3 s", "14 s", "2 min 05 s".
func seconds(s float64) string {
	switch {
	case s < 9.95:
		return fmt.Sprintf("%.1f s", s)
	case s < 119.5:
		return fmt.Sprintf("%.0f s", s)
	}
	d := time.Duration(s * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
}

// plural is "1 check", "2 checks".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// words is what a finding says in one line.
func (f Finding) words() string {
	switch {
	case f.Diagnosis != nil && f.Diagnosis.Sentence != "":
		return oneLine(f.Diagnosis.Sentence)
	case f.Reason != "":
		return oneLine(f.Reason)
	}
	return oneLine(f.Title)
}

// secondsOf is a duration from the model's unit.
func secondsOf(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// words is a history as a person reads it; nothing where there is none to speak of.
func (h *History) words() string {
	if h == nil || len(h.Outcomes) < 2 {
		return ""
	}
	held := 0
	for _, s := range h.Outcomes {
		if s == Holds || s == Warns {
			held++
		}
	}
	text := fmt.Sprintf("held in %d of the last %d runs", held, len(h.Outcomes))
	if h.FlakeRate > 0 {
		text += fmt.Sprintf(", flaky: %.0f %%", 100*h.FlakeRate)
	}
	return text
}

// elsewhere is how long a phase took on other providers' machines: "docker 3.4 s".
func (s Span) elsewhere() string {
	texts := make([]string, len(s.Elsewhere))
	for i, e := range s.Elsewhere {
		texts[i] = e.Provider + " " + seconds(e.Seconds)
	}
	return strings.Join(texts, ", ")
}
