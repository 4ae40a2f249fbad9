package report

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// Look is how text for a terminal looks. The zero value is for files and pipes:
// plain lines, no colour.
type Look struct {
	// Live is whether a line can be drawn over, as on a terminal.
	Live bool
	// Color is whether escape sequences for colours are understood.
	Color bool
	// Width is in columns; 0 does not cut lines.
	Width int
}

// LookOf is the look that suits a writer: live and in colour on a terminal,
// but for TERM=dumb and NO_COLOR (no-color.org).
func LookOf(w io.Writer, getenv func(string) string) Look {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || getenv("TERM") == "dumb" {
		return Look{}
	}
	look := Look{Live: true, Color: getenv("NO_COLOR") == "", Width: 80}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		look.Width = width
	}
	return look
}

// heartbeat is how often plain output says what takes so long.
const heartbeat = 30 * time.Second

// Progress shows a run while it works: a line for each step that has ended and,
// on a terminal, one that moves for what is under way. It is safe for
// concurrent use. Its writer's errors are passed over: a run does not end
// because nobody watches.
type Progress struct {
	w    io.Writer
	look Look
	now  func() time.Time

	mu      sync.Mutex
	running []*Step
	drawn   bool // the moving line is on the screen
	frame   int
	lastOut time.Time
	closed  bool
	stop    chan struct{}
	stopped chan struct{}
}

// Step is one thing under way.
type Step struct {
	p     *Progress
	name  string
	began time.Time
}

// NewProgress shows progress on w until Close.
func NewProgress(w io.Writer, look Look) *Progress {
	p := newProgress(w, look, time.Now)
	go p.animate()
	return p
}

func newProgress(w io.Writer, look Look, now func() time.Time) *Progress {
	return &Progress{w: w, look: look, now: now, lastOut: now(), stop: make(chan struct{}), stopped: make(chan struct{})}
}

func (p *Progress) animate() {
	defer close(p.stopped)
	every := time.Second
	if p.look.Live {
		every = 100 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
			p.tick()
		}
	}
}

// tick draws the moving line again or, on plain output, says what takes long.
func (p *Progress) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.look.Live:
		p.frame++
		p.draw()
	case len(p.running) > 0 && p.now().Sub(p.lastOut) >= heartbeat:
		s := p.running[len(p.running)-1]
		p.line("  …       " + s.name + ", " + seconds(p.now().Sub(s.began).Seconds()) + " so far")
	}
}

// Heading begins a part of the run, as a phase.
func (p *Progress) Heading(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(p.look.paint(bold, oneLine(text)))
}

// Note says something that is no step.
func (p *Progress) Note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line("  " + oneLine(text))
}

// Start begins a step; what it shows is its end.
func (p *Progress) Start(name string) *Step {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &Step{p: p, name: oneLine(name), began: p.now()}
	p.running = append(p.running, s)
	p.draw()
	return s
}

// End ends a step with a state and, where there is more to say, one line. Only
// the first End counts.
func (s *Step) End(state State, words string) {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range p.running {
		if r != s {
			continue
		}
		p.running = append(p.running[:i:i], p.running[i+1:]...)
		text := "  " + p.look.mark(state) + " " + s.name
		if words = oneLine(words); words != "" {
			text += ": " + words
		}
		p.line(text + p.look.paint(dim, "  "+seconds(p.now().Sub(s.began).Seconds())))
		return
	}
}

// Finding shows a check that has ended.
func (p *Progress) Finding(f Finding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := "  " + p.look.mark(f.State) + " " + oneLine(f.Check+" "+f.Machine) + ": "
	if f.State != Holds && f.Diagnosis != nil {
		text += f.Diagnosis.Code + ": "
	}
	p.line(text + f.words() + p.look.paint(dim, "  "+seconds(f.Seconds)))
}

// Close ends the moving line. It is idempotent.
func (p *Progress) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	p.erase()
	p.mu.Unlock()
	close(p.stop)
	<-p.stopped
}

// line writes a line above the moving one; p.mu is held.
func (p *Progress) line(text string) {
	p.erase()
	_, _ = io.WriteString(p.w, text+"\n")
	p.lastOut = p.now()
	p.draw()
}

func (p *Progress) erase() {
	if p.drawn {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

func (p *Progress) draw() {
	if !p.look.Live || p.closed {
		return
	}
	p.erase()
	if len(p.running) == 0 {
		return
	}
	s := p.running[len(p.running)-1]
	spinner := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	text := fmt.Sprintf("  %c       %s, %s", spinner[p.frame%len(spinner)], s.name, seconds(p.now().Sub(s.began).Seconds()))
	if n := len(p.running) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	_, _ = io.WriteString(p.w, cut(text, p.look.Width-1))
	p.drawn = true
}

// Escape sequences (ECMA-48, SGR).
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (l Look) paint(sgr, text string) string {
	if !l.Color || text == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// mark is a state as a word of one width.
func (l Look) mark(s State) string {
	word, sgr := string(s), green
	switch s {
	case Broken, Errored:
		sgr = red
	case Warns:
		sgr = yellow
	case Skipped:
		sgr = dim
	}
	return l.paint(sgr, word) + strings.Repeat(" ", max(0, len(Skipped)-len(word)))
}
