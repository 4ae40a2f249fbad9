package network

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// patience is the deadline of whatever must happen; shortTime is how long a
// probe waits before it calls a port filtered.
const (
	patience  = 10 * time.Second
	shortTime = 400 * time.Millisecond
)

var (
	desktop = Machine{Name: "desktop", Addr: netip.MustParseAddr("192.168.15.7"), MAC: "52:54:00:0f:00:07"}
	laptop  = Machine{Name: "laptop", Hostnames: []string{"kernelcore"}, Addr: netip.MustParseAddr("192.168.15.9"), MAC: "52:54:00:0f:00:09"}
)

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// newLAN is a LAN of desktop and laptop whose cables end in the returned folder.
func newLAN(t testing.TB, change func(*Config)) (*LAN, string) {
	t.Helper()
	config := Config{Machines: []Machine{desktop, laptop}}
	if change != nil {
		change(&config)
	}
	l, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	for _, m := range config.Machines {
		if err := l.Listen(m.Name, filepath.Join(dir, m.Name)); err != nil {
			t.Fatal(err)
		}
	}
	return l, dir
}

// wire is QEMU's end of a cable: frames behind their length.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	mu   sync.Mutex
}

func plugIn(t testing.TB, path string) *wire {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &wire{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
}

func (w *wire) send(frame []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(frame)), uint32(len(frame)))
	_, _ = w.conn.Write(append(b, frame...)) // a cable that was pulled loses frames
}

func (w *wire) receive() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(w.in, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(w.in, frame)
	return frame, err
}

// until receives until a frame is what is wanted.
func (w *wire) until(t testing.TB, what string, wanted func(h *packetHeader, frame []byte) bool) []byte {
	t.Helper()
	if err := w.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := w.receive()
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		var h packetHeader
		if h.parse(frame) && wanted(&h, frame) {
			return frame
		}
	}
}

// silent proves that nothing wanted is received for a short time.
func (w *wire) silent(t testing.TB, what string, unwanted func(h *packetHeader) bool) {
	t.Helper()
	if err := w.conn.SetReadDeadline(time.Now().Add(shortTime)); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := w.receive()
		if err != nil {
			if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
				t.Fatal(err)
			}
			return
		}
		var h packetHeader
		if h.parse(frame) && unwanted(&h) {
			t.Fatalf("received %s: %+v", what, h)
		}
	}
}

// guest is a machine with a TCP/IP stack at the other end of a cable.
type guest struct {
	*netstack
	wire *wire
}

func newGuest(t testing.TB, l *LAN, dir string, m Machine) *guest {
	t.Helper()
	g := attachGuest(t, filepath.Join(dir, m.Name), m.MAC, netip.PrefixFrom(m.Addr, 24), l.GatewayAddr())
	if err := l.WaitAttached(deadline(t), m.Name); err != nil {
		t.Fatal(err)
	}
	return g
}

func attachGuest(t testing.TB, path, mac string, addr netip.Prefix, gateway netip.Addr) *guest {
	t.Helper()
	hw, err := parseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{wire: plugIn(t, path)}
	if g.netstack, err = newNetstack(hw, addr, g.wire.send); err != nil {
		t.Fatal(err)
	}
	if gateway.IsValid() {
		g.stack.AddRoute(tcpip.Route{Destination: header.IPv4EmptySubnet, Gateway: tcpip.AddrFrom4(gateway.As4()), NIC: nicID})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			frame, err := g.wire.receive()
			if err != nil {
				return
			}
			var h packetHeader
			if h.parse(frame) && serves(h.etherType) && (h.dst == hw || h.dst.group()) {
				g.deliver(frame, h.etherType)
			}
		}
	}()
	t.Cleanup(func() { _ = g.wire.conn.Close(); <-done; g.close() })
	return g
}

// serveEcho answers each connection to a port with what it sends.
func (g *guest) serveEcho(t testing.TB, ports ...uint16) {
	t.Helper()
	for _, port := range ports {
		l, err := g.listen(netip.AddrPortFrom(g.addr, port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
			}
		}()
	}
}

// state is what a probe of a port finds.
type state string

const (
	open        state = "open"
	refused     state = "refused"
	filtered    state = "filtered"
	unreachable state = "unreachable"
)

// probe dials a TCP port and sends a word over the connection.
func (g *guest) probe(t testing.TB, addr netip.Addr, port uint16) state {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), shortTime)
	defer cancel()
	conn, err := g.dial(ctx, netip.AddrPortFrom(addr, port))
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, context.DeadlineExceeded):
		return filtered
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return unreachable
	case err != nil:
		return state(err.Error())
	}
	defer conn.Close()
	if err := exchange(conn, []byte("hello"), shortTime); err != nil {
		return state(err.Error())
	}
	return open
}

// want probes until the state is the wanted one, as an undone fault may leave
// a retransmission behind.
func (g *guest) want(t testing.TB, m Machine, port uint16, wanted state) {
	t.Helper()
	g.wantAddr(t, m.Addr, port, wanted)
}

func (g *guest) wantAddr(t testing.TB, addr netip.Addr, port uint16, wanted state) {
	t.Helper()
	var got state
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if got = g.probe(t, addr, port); got == wanted {
			return
		}
	}
	t.Errorf("%s:%d as seen from %s is %s, want %s", addr, port, g.addr, got, wanted)
}

// exchange sends bytes and expects them back.
func exchange(conn net.Conn, b []byte, within time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() { _, err := conn.Write(b); sent <- err }()
	back := make([]byte, len(b))
	if _, err := io.ReadFull(conn, back); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if err := <-sent; err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if string(back) != string(b) {
		return errors.New("what came back is not what was sent")
	}
	return nil
}

func apply(t testing.TB, f Fault) (undo func()) {
	t.Helper()
	back, err := f.Apply(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := back(deadline(t)); err != nil {
			t.Error(err)
		}
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ctx := deadline(t)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, ctx.Err())
		}
	}
}

func hits(f Fault) uint64 { return f.(Counted).Hits() }
