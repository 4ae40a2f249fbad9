package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"offload-e2e/harness/provider"
)

// JournalQuery says which entries of a machine's journal are wanted; all of
// its fields together narrow it.
type JournalQuery struct {
	// Unit is a unit's name; "" is all of them.
	Unit string
	// After is the cursor of the last entry already had; "" is none.
	After string
	// Since is by the machine's clock; zero is the beginning. Prefer After:
	// clocks jump when a machine is restored.
	Since time.Time
	// Lines is how many of the last entries; 0 is all.
	Lines int
	// OtherBoots takes in entries of earlier boots.
	OtherBoots bool
}

// Journal is entries in order of time.
type Journal []JournalEntry

// JournalEntry is one message (systemd.journal-fields(7)).
type JournalEntry struct {
	Time       time.Time
	Unit       string // _SYSTEMD_UNIT
	Identifier string // SYSLOG_IDENTIFIER
	PID        int    // 0: not known
	Priority   int    // 0 emerg … 7 debug (syslog(3)); 6 where there is none
	Message    string
	Cursor     string
}

// String is the entries as lines, as journalctl -o short shows them.
func (j Journal) String() string {
	var b strings.Builder
	for _, e := range j {
		fmt.Fprintf(&b, "%s %s", e.Time.UTC().Format("15:04:05.000"), e.Identifier)
		if e.PID != 0 {
			fmt.Fprintf(&b, "[%d]", e.PID)
		}
		fmt.Fprintf(&b, ": %s\n", e.Message)
	}
	return b.String()
}

// Journal reads a machine's journal.
func (m *Machine) Journal(ctx context.Context, q JournalQuery) (Journal, error) {
	argv := []string{"journalctl", "--no-pager", "--quiet", "--output=json", "--all"}
	if q.Unit != "" {
		argv = append(argv, "--unit="+q.Unit)
	}
	if q.After != "" {
		argv = append(argv, "--after-cursor="+q.After)
	}
	if !q.Since.IsZero() {
		us := q.Since.UnixMicro()
		argv = append(argv, fmt.Sprintf("--since=@%d.%06d", us/1e6, us%1e6))
	}
	if q.Lines > 0 {
		argv = append(argv, "--lines="+strconv.Itoa(q.Lines))
	}
	if !q.OtherBoots {
		argv = append(argv, "--boot")
	}
	res, err := m.Exec(ctx, provider.Cmd(argv...))
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	if !res.OK() {
		return nil, fmt.Errorf("read journal: %w", &CommandError{Machine: m.Name(), Result: res})
	}
	j, err := parseJournal(res.Stdout)
	if err != nil {
		return nil, fmt.Errorf("read journal of %s: %w", m.Name(), err)
	}
	return j, nil
}

// JournalCursor is that of the newest entry, to read on from there later; it
// is "" for an empty journal.
func (m *Machine) JournalCursor(ctx context.Context) (string, error) {
	j, err := m.Journal(ctx, JournalQuery{Lines: 1})
	if err != nil || len(j) == 0 {
		return "", err
	}
	return j[len(j)-1].Cursor, nil
}

// parseJournal reads journalctl's JSON: an object a line. A value is a string,
// an array of bytes where it is no UTF-8, null where it is too long, or an
// array of these where the field occurs more than once.
func parseJournal(text []byte) (Journal, error) {
	var j Journal
	cut := bytes.Contains(text, []byte(leftOut))
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(line, &fields); err != nil {
			if cut {
				continue // what is left of entries where a long output was cut
			}
			return nil, fmt.Errorf("entry is no JSON: %w", err)
		}
		text := func(name string) string { return journalText(fields[name]) }
		e := JournalEntry{
			Unit: text("_SYSTEMD_UNIT"), Identifier: text("SYSLOG_IDENTIFIER"),
			Message: text("MESSAGE"), Cursor: text("__CURSOR"), Priority: 6,
		}
		if us, err := strconv.ParseInt(text("__REALTIME_TIMESTAMP"), 10, 64); err == nil {
			e.Time = time.UnixMicro(us)
		}
		if pid, err := strconv.Atoi(text("_PID")); err == nil {
			e.PID = pid
		}
		if p, err := strconv.Atoi(text("PRIORITY")); err == nil {
			e.Priority = p
		}
		j = append(j, e)
	}
	return j, nil
}

func journalText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var codes []int
	if json.Unmarshal(raw, &codes) == nil {
		b := make([]byte, len(codes))
		for i, c := range codes {
			b[i] = byte(c)
		}
		return strings.ToValidUTF8(string(b), "�")
	}
	var several []json.RawMessage
	if json.Unmarshal(raw, &several) == nil && len(several) > 0 {
		return journalText(several[0])
	}
	return ""
}
