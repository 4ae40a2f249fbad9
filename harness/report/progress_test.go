package report

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func play(p *Progress, c *clock) {
	p.Heading("phase 1: desktop")
	s := p.Start("switch desktop")
	c.add(12 * time.Second)
	p.tick()
	other := p.Start("read journals")
	p.tick()
	c.add(31 * time.Second)
	p.tick()
	s.End(Holds, "")
	s.End(Broken, "only the first counts")
	other.End(Skipped, "no journal\nhere \x1b[2J")
	p.Finding(failed().Findings[0])
	p.Finding(failed().Findings[1])
	p.Note("the lab stays up: offload-e2e ssh laptop")
	close(p.stopped)
	p.Close()
	p.Close()
}

func TestProgress(t *testing.T) {
	for name, look := range map[string]Look{"plain": {}, "live": {Live: true, Color: true, Width: 40}, "no-color": {Live: true, Width: 80}} {
		t.Run(name, func(t *testing.T) {
			c := &clock{t: start}
			var b bytes.Buffer
			play(newProgress(&b, look, c.now), c)
			golden(t, "progress."+name+".txt", b.Bytes())
		})
	}
}

func TestProgressMovesByItself(t *testing.T) {
	r, w := io.Pipe()
	p := NewProgress(w, Look{Live: true, Width: 80})
	go p.Start("boot")
	buf := make([]byte, 4096)
	var seen string
	for strings.Count(seen, "boot") < 3 {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		seen += string(buf[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	p.Close()
}

func TestLookOfNoTerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, w := range []io.Writer{&bytes.Buffer{}, f} {
		if got := LookOf(w, func(string) string { return "" }); got != (Look{}) {
			t.Errorf("got %+v", got)
		}
	}
}
