package nixserve

import (
	"regexp"
	"strconv"
	"time"
)

// combinedLine is a line of the real nix-serve, in Apache's combined log format, as
// Plack's AccessLog writes it. A path has no bare space or quote there, so no
// request can smuggle in a line.
var combinedLine = regexp.MustCompile(`^(?:(?:[A-Z][a-z]{2} +\d+ [\d:.]+|\d{4}-\d\d-\d\dT[\d:.+,Z-]+) \S+ [^\s\[\]]+\[\d+\]: )?` +
	`([0-9a-fA-F.:]+) \S+ \S+ \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "([A-Z]+) ([^\s"]+) HTTP/[\d.]+" (\d{3}) (\d+|-)(?: |$)`)

// parseCombined reads such a line; others give false.
func parseCombined(line string) (Access, bool) {
	m := combinedLine.FindStringSubmatch(line)
	if m == nil {
		return Access{}, false
	}
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[2])
	if err != nil {
		return Access{}, false
	}
	a := Access{Time: at.UTC(), Client: m[1], Method: m[3], Path: m[4]}
	a.Status, _ = strconv.Atoi(m[5])
	// "-": the length was not known when the answer began.
	a.Bytes, _ = strconv.ParseInt(m[6], 10, 64)
	return a, true
}
