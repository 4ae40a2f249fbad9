package report

import (
	"fmt"
	"io"
	"strings"
)

// Annotations writes root causes as workflow commands of GitHub Actions, which show
// them at the lines to blame; a known defect is a notice.
func Annotations(w io.Writer, r *Report) error {
	b := &strings.Builder{}
	for _, e := range r.Errors {
		fmt.Fprintf(b, "::error title=%s::%s\n", property(e.Heading), data(e.Sentence+" "+e.WayOut))
	}
	for _, c := range r.RootCauses {
		kind := "error"
		if !r.fails(c) {
			kind = "notice"
		}
		var where string
		if file, line, ok := Place(c.Source, r.Run.Config); ok {
			where = "file=" + property(file) + ","
			if line > 0 {
				where += fmt.Sprintf("line=%d,", line)
			}
		}
		text := c.Sentence
		if c.Remedy != "" {
			text += " To do: " + c.Remedy
		}
		fmt.Fprintf(b, "::%s %stitle=%s::%s\n", kind, where, property(c.Code+" on "+c.Machine), data(text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// data and property escape text as the runner unescapes it.
func data(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(oneLine(text))
}

func property(text string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(data(text))
}
