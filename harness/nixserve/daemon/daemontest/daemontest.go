// Package daemontest is a Nix daemon for tests: it answers the questions the
// daemon package asks, and fails at any stage in any way.
package daemontest

import (
	"context"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/nix-community/go-nix/pkg/wire"

	"offload-e2e/harness/nixserve/daemon"
)

// Stage is a moment of a conversation, before the daemon sends what it names.
type Stage string

const (
	Greeting Stage = "greeting"   // its magic number and version
	Version  Stage = "version"    // of its Nix, and whether it trusts us
	Ready    Stage = "ready"      // end of the handshake
	HashPart Stage = "hash part"  // answer to QueryPathFromHashPart
	Info     Stage = "path info"  // answer to QueryPathInfo
	MidInfo  Stage = "mid-answer" // after the first field of a path's info
)

// Daemon is what the fake knows and how it behaves.
type Daemon struct {
	Minor uint64 // of its protocol; 0 is 38, Nix 2.26's
	Paths []daemon.PathInfo
	// At is called at every stage. What it returns is sent in place of what the
	// daemon would say; it may close the connection, or block. Nil goes on.
	At func(stage Stage, conn net.Conn) []byte
	// Chatter sends log messages of every kind before each answer.
	Chatter bool
}

// Client starts the daemon and makes a client for it; the end of the test
// ends both.
func (d *Daemon) Client(t testing.TB) *daemon.Client {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(func() {
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return &daemon.Client{Socket: "a fake", Dial: func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		mu.Lock()
		conns = append(conns, ours, theirs)
		mu.Unlock()
		wg.Go(func() {
			defer theirs.Close()
			// Every error ends the conversation; the client's side tells of it.
			_ = d.talk(theirs)
		})
		return ours, nil
	}}
}

// Fail is an error as the daemon sends it, where an answer is expected.
func Fail(message string) []byte {
	var b strings.Builder
	numbers(&b, 0x63787470)
	texts(&b, "Error")
	numbers(&b, 0)
	texts(&b, "Error", message)
	numbers(&b, 0, 1, 0)
	texts(&b, "a trace")
	return []byte(b.String())
}

// Numbers is how the protocol writes numbers.
func Numbers(n ...uint64) []byte {
	var b strings.Builder
	numbers(&b, n...)
	return []byte(b.String())
}

func numbers(w *strings.Builder, list ...uint64) {
	for _, n := range list {
		_ = wire.WriteUint64(w, n) // a builder takes everything
	}
}

func texts(w *strings.Builder, list ...string) {
	for _, s := range list {
		_ = wire.WriteString(w, s)
	}
}

func (d *Daemon) say(stage Stage, conn net.Conn, text string) error {
	if d.At != nil {
		if instead := d.At(stage, conn); instead != nil {
			text = string(instead)
		}
	}
	_, err := io.WriteString(conn, text)
	return err
}

func (d *Daemon) talk(conn net.Conn) error {
	if _, err := wire.ReadUint64(conn); err != nil {
		return err
	}
	minor := d.Minor
	if minor == 0 {
		minor = 38
	}
	if err := d.say(Greeting, conn, string(Numbers(0x6478696f, 1<<8|minor))); err != nil {
		return err
	}
	var client uint64
	for i := range 3 { // version, affinity, reserved space
		n, err := wire.ReadUint64(conn)
		if err != nil {
			return err
		}
		if i == 0 {
			client = n & 0xff
		}
	}
	spoken := min(minor, client)
	var version strings.Builder
	if spoken >= 33 {
		texts(&version, "2.26.3")
	}
	if spoken >= 35 {
		numbers(&version, 2)
	}
	if err := d.say(Version, conn, version.String()); err != nil {
		return err
	}
	if err := d.say(Ready, conn, d.chatter()+string(Numbers(0x616c7473))); err != nil {
		return err
	}
	for {
		if err := d.answer(conn); err != nil {
			return err
		}
	}
}

func (d *Daemon) answer(conn net.Conn) error {
	op, err := wire.ReadUint64(conn)
	if err != nil {
		return err
	}
	argument, err := wire.ReadString(conn, 1<<20)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(d.chatter())
	numbers(&b, 0x616c7473)
	if op == 29 {
		found := ""
		for _, p := range d.Paths {
			if strings.Contains(p.Path, "/"+argument+"-") {
				found = p.Path
			}
		}
		texts(&b, found)
		return d.say(HashPart, conn, b.String())
	}
	for _, p := range d.Paths {
		if p.Path != argument {
			continue
		}
		numbers(&b, 1)
		texts(&b, p.Deriver)
		if err := d.say(Info, conn, b.String()); err != nil {
			return err
		}
		b.Reset()
		texts(&b, hex.EncodeToString(p.NarHash))
		numbers(&b, uint64(len(p.References)))
		texts(&b, p.References...)
		numbers(&b, uint64(p.Registered.Unix()), p.NarSize, 1, uint64(len(p.Signatures)))
		texts(&b, p.Signatures...)
		texts(&b, p.CA)
		return d.say(MidInfo, conn, b.String())
	}
	numbers(&b, 0)
	return d.say(Info, conn, b.String())
}

// chatter is one log message of each kind.
func (d *Daemon) chatter() string {
	if !d.Chatter {
		return ""
	}
	var b strings.Builder
	numbers(&b, 0x6f6c6d67)
	texts(&b, "a line")
	numbers(&b, 0x53545254, 7, 3, 100)
	texts(&b, "an activity")
	numbers(&b, 2, 0, 5, 1)
	texts(&b, "a field")
	numbers(&b, 0)
	numbers(&b, 0x52534c54, 7, 101, 1, 1)
	texts(&b, "a result")
	numbers(&b, 0x53544f50, 7)
	return b.String()
}
