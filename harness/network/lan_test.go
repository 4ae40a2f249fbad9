package network

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestConfigThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		says   string
	}{
		{func(c *Config) { c.Subnet = netip.MustParsePrefix("fd00::/64") }, "IPv4"},
		{func(c *Config) { c.Subnet = netip.MustParsePrefix("192.168.15.0/31") }, "30 bits"},
		{func(c *Config) { c.Gateway = netip.MustParseAddr("10.0.0.1") }, "gateway 10.0.0.1 is not on"},
		{func(c *Config) { c.Machines[0].Name = "" }, "no name"},
		{func(c *Config) { c.Machines[0].Name = "laptop" }, "machine laptop: the name is taken"},
		{func(c *Config) { c.Machines[0].Name = Internet }, "the name is taken"},
		{func(c *Config) { c.Machines[0].MAC = "52:54" }, "use the form"},
		{func(c *Config) { c.Machines[0].MAC = "53:54:00:0f:00:07" }, "multicast"},
		{func(c *Config) { c.Machines[0].MAC = laptop.MAC }, "is that of"},
		{func(c *Config) { c.Machines[0].Addr = laptop.Addr }, "is that of"},
		{func(c *Config) { c.Machines[0].Addr = netip.MustParseAddr("192.168.15.1") }, "is that of gateway"},
		{func(c *Config) { c.Machines[0].Addr = netip.MustParseAddr("192.168.16.7") }, "is not on"},
		{func(c *Config) { c.Records = map[string][]netip.Addr{"a..b": nil} }, "no domain name"},
		{func(c *Config) { c.Capture = "/nonexistent/run.pcapng" }, "no such file"},
	} {
		config := Config{Machines: []Machine{desktop, laptop}}
		c.change(&config)
		l, err := New(config)
		if err == nil {
			_ = l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want %q", err, c.says)
		}
	}
}

func TestHostDialsMachines(t *testing.T) {
	l, dir := newLAN(t, nil)
	d := newGuest(t, l, dir, desktop)
	d.serveEcho(t, 22)
	for _, address := range []string{"desktop:22", "192.168.15.7:22"} {
		conn, err := l.DialContext(deadline(t), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := exchange(conn, []byte("hello"), patience); err != nil {
			t.Error(err)
		}
		if from := conn.LocalAddr().String(); !strings.HasPrefix(from, "192.168.15.1:") {
			t.Errorf("dialled from %s", from)
		}
		_ = conn.Close()
	}
	undo := apply(t, l.Refuse(Match{From: Gateway, To: "desktop"}))
	if _, err := l.DialContext(deadline(t), "tcp", "desktop:22"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a refused port says %v", err)
	}
	undo()
	if _, err := l.DialContext(deadline(t), "tcp", "desktop:23"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a closed port says %v", err)
	}
	for _, address := range []string{"example.org:80", "127.0.0.1:22", "192.168.15.1:53", "192.168.16.7:22", "203.0.113.10:443", "desktop", "desktop:ssh"} {
		if conn, err := l.DialContext(deadline(t), "tcp", address); err == nil {
			t.Errorf("dialled %s", address)
			_ = conn.Close()
		}
	}
	if _, err := l.DialContext(deadline(t), "udp", "desktop:53"); err == nil {
		t.Error("dialled udp")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.DialContext(ctx, "tcp", "laptop:22"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a machine that is not there says %v", err)
	}
}

func TestInternet(t *testing.T) {
	l, dir := newLAN(t, nil)
	lt := newGuest(t, l, dir, laptop)
	stand := netip.AddrPortFrom(CacheAddr(), 443)
	if got := lt.probe(t, stand.Addr(), 443); got == open || got == refused {
		t.Errorf("an internet that nobody serves is %s", got)
	}
	ln, err := l.ListenTCP(stand)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
	lt.wantAddr(t, stand.Addr(), 443, open)
	lt.wantAddr(t, stand.Addr(), 80, refused)
	for _, fault := range []Fault{
		l.Drop(Match{To: Internet}), l.Drop(Match{From: "laptop", To: Internet, Port: 443}), l.Drop(Match{To: "203.0.113.10"}),
	} {
		undo := apply(t, fault)
		lt.wantAddr(t, stand.Addr(), 443, filtered)
		if conn, err := lt.dial(deadline(t), netip.AddrPortFrom(l.GatewayAddr(), dnsPort)); err != nil {
			t.Errorf("%s: the gateway's DNS is gone too: %v", fault, err)
		} else {
			_ = conn.Close()
		}
		undo()
		lt.wantAddr(t, stand.Addr(), 443, open)
	}
	undo := apply(t, l.Refuse(Match{To: Internet, Proto: TCP, Port: 443}))
	lt.wantAddr(t, stand.Addr(), 443, refused)
	undo()
	// A reset of what the host's side holds: the listener stays, connections go.
	conn, err := lt.dial(deadline(t), stand)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := exchange(conn, []byte("before"), patience); err != nil {
		t.Fatal(err)
	}
	l.Reset()
	if err := exchange(conn, []byte("after"), patience); err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("after a reset: %v", err)
	}
	lt.wantAddr(t, stand.Addr(), 443, open)
	for _, wrong := range []string{"192.168.15.7:80", "0.0.0.0:80", "[::1]:80", "224.0.0.1:80", "203.0.113.10:443"} {
		if ln, err := l.ListenTCP(netip.MustParseAddrPort(wrong)); err == nil {
			_ = ln.Close()
			t.Errorf("listened on %s", wrong)
		}
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
}

func TestUnknownDestinationsAreUnreachable(t *testing.T) {
	l, dir := newLAN(t, nil)
	lt := attach(t, l, dir, laptop)
	gateway := Machine{Addr: netip.MustParseAddr("8.8.8.8"), MAC: "52:54:00:0f:00:01"}
	lt.send(udpFrame(t, laptop, gateway, 1, 53, []byte("query")))
	frame := lt.until(t, "an ICMP error", func(h *packetHeader, _ []byte) bool { return h.proto == ICMP })
	if frame[34] != 3 || frame[35] != codeNetUnreachable {
		t.Errorf("ICMP type %d code %d, want network unreachable", frame[34], frame[35])
	}
	for range 3 * unreachablePerSecond {
		lt.send(udpFrame(t, laptop, gateway, 1, 53, nil))
	}
	lt.silent(t, "", func(*packetHeader) bool { return false })
	sent, err := l.Traffic(Match{From: "laptop", To: "8.8.8.8", Way: There})
	if err != nil || sent.Frames != 3*unreachablePerSecond+1 {
		t.Errorf("counted %+v, %v", sent, err)
	}
}

func TestUDPIsRefusedByICMP(t *testing.T) {
	l, dir := newLAN(t, nil)
	d, lt := attach(t, l, dir, desktop), attach(t, l, dir, laptop)
	defer apply(t, l.Refuse(Match{To: "desktop", Proto: UDP, Port: 2049}))()
	lt.send(udpFrame(t, laptop, desktop, 800, 2049, []byte("rpc")))
	frame := lt.until(t, "an ICMP error", func(h *packetHeader, _ []byte) bool { return h.proto == ICMP })
	var h packetHeader
	h.parse(frame)
	if frame[34] != 3 || frame[35] != codePortUnreachable || h.srcAddr != desktop.Addr {
		t.Errorf("ICMP type %d code %d from %s, want port unreachable from the desktop", frame[34], frame[35], h.srcAddr)
	}
	d.silent(t, "a refused datagram", func(h *packetHeader) bool { return h.dstPort == 2049 })
}

func TestRejectIsToldByICMP(t *testing.T) {
	l, dir := newLAN(t, nil)
	lt := attach(t, l, dir, laptop)
	defer apply(t, l.Reject(Match{To: "desktop"}))()
	lt.send(udpFrame(t, laptop, desktop, 800, 2049, nil))
	frame := lt.until(t, "an ICMP error", func(h *packetHeader, _ []byte) bool { return h.proto == ICMP })
	if frame[34] != 3 || frame[35] != codeProhibited {
		t.Errorf("ICMP type %d code %d, want administratively prohibited", frame[34], frame[35])
	}
}

// TestNoFrameCrossesACut is about the segment from a discarded future.
func TestNoFrameCrossesACut(t *testing.T) {
	l, dir := newLAN(t, nil)
	d, lt := attach(t, l, dir, desktop), attach(t, l, dir, laptop)
	frozen := apply(t, l.Freeze(Match{To: "desktop", Proto: UDP, Port: 1}))
	late := apply(t, l.Delay(Match{To: "desktop", Proto: UDP, Port: 2}, shortTime, 0, 1))
	before := l.Flows()
	for port := uint16(1); port <= 3; port++ {
		lt.send(udpFrame(t, laptop, desktop, 9, port, nil))
	}
	eventually(t, "the frames to arrive at the switch", func() bool { return len(l.Flows()) == len(before)+3 })
	d.until(t, "the frame of nobody's fault", ofPort(3))
	wrong := errors.New("restore failed")
	err := l.Cut(deadline(t), func(context.Context) error {
		lt.send(udpFrame(t, laptop, desktop, 9, 4, nil)) // from the discarded future
		return wrong
	})
	if !errors.Is(err, wrong) {
		t.Errorf("the cut says %v", err)
	}
	frozen()
	late()
	lt.send(udpFrame(t, laptop, desktop, 9, 5, nil))
	d.until(t, "the first frame after the cut", func(h *packetHeader, _ []byte) bool {
		if h.dstPort < 5 {
			t.Errorf("a frame to port %d crossed the cut", h.dstPort)
		}
		return h.dstPort == 5
	})
	d.silent(t, "a frame that crossed the cut", func(h *packetHeader) bool { return h.proto == UDP })
}

func TestACutEndsInTimeWithAMachineThatDoesNotRead(t *testing.T) {
	l, dir := newLAN(t, nil)
	attach(t, l, dir, desktop) // reads nothing
	lt := attach(t, l, dir, laptop)
	for range 1000 {
		lt.send(udpFrame(t, laptop, desktop, 9, 1, make([]byte, 1400)))
	}
	start := time.Now()
	if err := l.Cut(deadline(t), func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 3*cutTimeout {
		t.Errorf("the cut took %s", took)
	}
}

func TestFlowsAreEvidence(t *testing.T) {
	l, dir := newLAN(t, nil)
	d, lt := newGuest(t, l, dir, desktop), newGuest(t, l, dir, laptop)
	d.serveEcho(t, 5000)
	cache := Match{From: "laptop", To: "desktop", Proto: TCP, Port: 5000}
	lt.want(t, desktop, 5000, open)
	before, err := l.Traffic(cache)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := lt.dial(deadline(t), netip.AddrPortFrom(desktop.Addr, 5000))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := exchange(conn, make([]byte, 100_000), patience); err != nil {
		t.Fatal(err)
	}
	after, err := l.Traffic(cache)
	if err != nil {
		t.Fatal(err)
	}
	got := after.Since(before)
	if got.Payload < 200_000 || got.Bytes <= got.Payload || got.Opened != 1 || got.Stopped != 0 || got.Last.Before(got.First) {
		t.Errorf("100 kB there and back are %+v", got)
	}
	answers := cache
	answers.Way = Back
	if back, err := l.Traffic(answers); err != nil || back.Payload < 100_000 || back.Payload > 150_000 {
		t.Errorf("answers are %+v, %v", back, err)
	}
	for _, nothing := range []Match{{To: "desktop", Proto: TCP, Port: 22}, {From: "desktop", To: "laptop", Proto: TCP, Port: 5000}, {To: Internet}} {
		if none, err := l.Traffic(nothing); err != nil || none.Frames != 0 {
			t.Errorf("%s: %+v, %v", nothing, none, err)
		}
	}
	if _, err := l.Traffic(Match{To: "toaster"}); err == nil {
		t.Error("traffic of a party that is not there")
	}
	busiest := l.Flows()[0]
	if busiest.Proto != TCP || busiest.SrcPort != 5000 && busiest.DstPort != 5000 {
		t.Errorf("the busiest flow is %+v", busiest)
	}
}

func TestFlowsAreBounded(t *testing.T) {
	f := newFlows()
	now := time.Now()
	for i := range maxFlows + 1000 {
		f.count(&transit{packetHeader: packetHeader{etherType: etherTypeIPv4, proto: TCP, srcAddr: laptop.Addr, dstAddr: desktop.Addr, srcPort: uint16(i), dstPort: uint16(i >> 16)}, now: now})
	}
	if len(f.table) > maxFlows+2 {
		t.Errorf("%d flows are kept", len(f.table))
	}
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		l, dir := newLAN(t, func(c *Config) { c.Capture = filepath.Join(t.TempDir(), "run.pcapng") })
		d, lt := newGuest(t, l, dir, desktop), newGuest(t, l, dir, laptop)
		d.serveEcho(t, 22)
		lt.want(t, desktop, 22, open)
		conn, err := l.DialContext(deadline(t), "tcp", "desktop:22")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		if err := exchange(conn, []byte("hello"), patience); err == nil {
			t.Error("a connection outlived the LAN")
		}
		if _, err := l.ListenTCP(netip.MustParseAddrPort("203.0.113.10:80")); err == nil {
			t.Error("a closed LAN listens")
		}
		if err := l.Listen("desktop", filepath.Join(dir, "again")); err == nil {
			t.Error("a closed cable listens")
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		for _, g := range []*guest{d, lt} {
			_ = g.wire.conn.Close()
			g.close()
		}
	}
	eventually(t, "all goroutines to end", func() bool { return runtime.NumGoroutine() <= before+1 })
}

// TestTheHostsNetworkIsNeverUsed reads our own source: the only call into the
// host's network is the unix socket a QEMU connects to.
func TestTheHostsNetworkIsNeverUsed(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := call.X.(*ast.Ident)
			if !ok || pkg.Name != "net" {
				return true
			}
			for _, prefix := range []string{"Dial", "Listen", "Lookup", "Resolve", "DefaultResolver", "File"} {
				if strings.HasPrefix(call.Sel.Name, prefix) && call.Sel.Name != "Listener" {
					calls++
					if name != "cable.go" || call.Sel.Name != "Listen" {
						t.Errorf("%s calls net.%s", name, call.Sel.Name)
					}
				}
			}
			return true
		})
	}
	if calls != 1 {
		t.Errorf("%d calls into the host's network, want the one for the unix socket", calls)
	}
}
