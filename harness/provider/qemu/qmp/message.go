package qmp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxMessage bounds one message of QEMU, in bytes. The longest seen in practice
// (query-qmp-schema) is under 1 MiB.
const maxMessage = 8 << 20

// errMalformed marks what is JSON but not QMP, or no JSON at all.
var errMalformed = errors.New("malformed QMP message")

// Event is something QEMU reports unasked, e.g. SHUTDOWN.
type Event struct {
	Name string
	// Data is the event's own JSON object, or nil.
	Data json.RawMessage
	Time time.Time
}

// Version is QEMU's, as its greeting says.
type Version struct {
	Major, Minor, Micro int
	// Package is the distribution's addition, e.g. "Debian 1:7.2+dfsg-7".
	Package string
}

// String is "7.2.22 (package)".
func (v Version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Micro)
	if v.Package != "" {
		s += " (" + v.Package + ")"
	}
	return s
}

// CommandError is QEMU's refusal of a command.
type CommandError struct {
	Command string
	// Class is "GenericError", "CommandNotFound", "DeviceNotFound", …
	Class string
	Desc  string
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("qmp %s: %s (%s)", e.Command, e.Desc, e.Class)
}

// message is any of the four things QEMU sends: exactly one of greeting,
// event, result and failure is set.
type message struct {
	greeting *Version
	event    *Event
	// id is that of the command answered; hasID is false where QEMU could not
	// even parse what it was sent.
	id      uint64
	hasID   bool
	result  json.RawMessage
	failure *CommandError
}

type wireVersion struct {
	QEMU struct {
		Major int `json:"major"`
		Minor int `json:"minor"`
		Micro int `json:"micro"`
	} `json:"qemu"`
	Package string `json:"package"`
}

type wireMessage struct {
	QMP *struct {
		Version wireVersion `json:"version"`
	} `json:"QMP"`
	ID     *uint64         `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event     string          `json:"event"`
	Data      json.RawMessage `json:"data"`
	Timestamp struct {
		Seconds      int64 `json:"seconds"`
		Microseconds int64 `json:"microseconds"`
	} `json:"timestamp"`
}

// decodeMessage reads one line of QEMU's (qmp-spec, "Protocol Specification").
func decodeMessage(line []byte) (message, error) {
	var w wireMessage
	if err := json.Unmarshal(line, &w); err != nil {
		return message{}, fmt.Errorf("%w: %w: %s", errMalformed, err, excerpt(line))
	}
	var m message
	kinds := 0
	if w.ID != nil {
		m.id, m.hasID = *w.ID, true
	}
	if w.QMP != nil {
		kinds++
		v := w.QMP.Version
		m.greeting = &Version{Major: v.QEMU.Major, Minor: v.QEMU.Minor, Micro: v.QEMU.Micro, Package: v.Package}
	}
	if w.Event != "" {
		kinds++
		m.event = &Event{
			Name: w.Event,
			Data: w.Data,
			Time: time.Unix(w.Timestamp.Seconds, w.Timestamp.Microseconds*1000),
		}
	}
	if w.Error != nil {
		kinds++
		m.failure = &CommandError{Class: w.Error.Class, Desc: w.Error.Desc}
	}
	if w.Return != nil {
		kinds++
		m.result = w.Return
		if !m.hasID {
			return message{}, fmt.Errorf("%w: an answer without id: %s", errMalformed, excerpt(line))
		}
	}
	if kinds != 1 {
		return message{}, fmt.Errorf("%w: neither greeting, answer, error nor event alone: %s", errMalformed, excerpt(line))
	}
	return m, nil
}

// readMessage reads the next message. Blank lines are skipped, as QEMU may send
// them after it has lost synchronisation.
func readMessage(r *bufio.Reader) (message, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxMessage {
			return message{}, fmt.Errorf("%w: longer than %d bytes", errMalformed, maxMessage)
		}
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(bytes.TrimSpace(line)) > 0:
			return message{}, fmt.Errorf("%w: cut off: %s", errMalformed, excerpt(line))
		case err != nil:
			return message{}, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return decodeMessage(line)
		}
		line = line[:0]
	}
}

// excerpt is enough of a line to recognise it in an error.
func excerpt(line []byte) string {
	const most = 160
	if len(line) > most {
		return fmt.Sprintf("%q…", line[:most])
	}
	return fmt.Sprintf("%q", line)
}
