package machine

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// leftOut is in the line that stands for what a capture did not keep.
const leftOut = " bytes left out …"

// capture keeps the first and the last bytes of an output, up to a limit in
// all, and says what it left out between them: the end is what errors quote.
type capture struct {
	half    int
	head    []byte
	tail    []byte // a ring once full
	next    int
	dropped int64
}

func newCapture(limit int) *capture { return &capture{half: limit / 2} }

func (c *capture) Write(p []byte) (int, error) {
	n := len(p)
	if room := c.half - len(c.head); room > 0 {
		k := min(room, len(p))
		c.head = append(c.head, p[:k]...)
		p = p[k:]
	}
	if over := len(p) - c.half; over > 0 {
		c.dropped += int64(over)
		p = p[over:]
	}
	for len(p) > 0 {
		if len(c.tail) < c.half {
			k := min(c.half-len(c.tail), len(p))
			c.tail = append(c.tail, p[:k]...)
			p = p[k:]
			continue
		}
		k := copy(c.tail[c.next:], p)
		c.next = (c.next + k) % c.half
		c.dropped += int64(k)
		p = p[k:]
	}
	return n, nil
}

func (c *capture) Bytes() []byte {
	if c.dropped == 0 {
		return append(c.head, c.tail...)
	}
	var b bytes.Buffer
	b.Write(c.head)
	fmt.Fprintf(&b, "\n[… %d%s]\n", c.dropped, leftOut)
	b.Write(c.tail[c.next:])
	b.Write(c.tail[:c.next])
	return b.Bytes()
}

// sink passes output on to those who want it until it is shut, so that nobody
// is written to after Exec has returned. The first error of a writer is told
// to failed, and ends the command: a reader that has gone would block it.
type sink struct {
	mu     sync.Mutex
	to     []io.Writer
	shut   bool
	wrote  chan struct{} // has a token when something came since last looked
	failed func(error)
}

func newSink(failed func(error), to ...io.Writer) *sink {
	s := &sink{failed: failed, wrote: make(chan struct{}, 1)}
	for _, w := range to {
		if w != nil {
			s.to = append(s.to, w)
		}
	}
	return s
}

func (s *sink) Write(p []byte) (int, error) {
	select {
	case s.wrote <- struct{}{}:
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return len(p), nil
	}
	for _, w := range s.to {
		if n, err := w.Write(p); err != nil || n < len(p) {
			if err == nil {
				err = io.ErrShortWrite
			}
			s.shut = true
			s.failed(fmt.Errorf("pass on output: %w", err))
			break
		}
	}
	return len(p), nil
}

func (s *sink) close() {
	s.mu.Lock()
	s.shut = true
	s.mu.Unlock()
}

// pidFilter takes the framed process id off the front of an output.
type pidFilter struct {
	to    io.Writer
	found func(pid int)
	seen  int // marks seen
	pid   int
}

func (f *pidFilter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && f.seen < 2 {
		switch b := p[0]; {
		case b == pidMark:
			if f.seen++; f.seen == 2 {
				f.found(f.pid)
			}
		case f.seen == 1 && b >= '0' && b <= '9':
			f.pid = f.pid*10 + int(b-'0')
		}
		p = p[1:]
	}
	if len(p) > 0 {
		if _, err := f.to.Write(p); err != nil {
			return 0, err
		}
	}
	return n, nil
}
