package network

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestFaultsAndTheirUndo proves each fault, what it leaves alone, and its undo,
// by connections from guest to guest.
func TestFaultsAndTheirUndo(t *testing.T) {
	l, dir := newLAN(t, nil)
	d, lt := newGuest(t, l, dir, desktop), newGuest(t, l, dir, laptop)
	d.serveEcho(t, 22, 5000)
	lt.serveEcho(t, 22)
	toDesktop := Match{From: "laptop", To: "desktop"}
	port := func(m Match, proto Proto, port uint16) Match { m.Proto, m.Port = proto, port; return m }
	for _, c := range []struct {
		fault Fault
		// at5000 and at22 are the desktop's ports seen from the laptop, back the
		// laptop's port 22 seen from the desktop.
		at5000, at22, back state
	}{
		{l.LinkDown("laptop"), filtered, filtered, filtered},
		{l.LinkDown("desktop"), filtered, filtered, filtered},
		{l.Drop(Match{}), filtered, filtered, filtered},
		{l.Drop(Match{To: "desktop"}), filtered, filtered, filtered},
		{l.Drop(toDesktop), filtered, filtered, filtered},
		{l.Drop(port(toDesktop, TCP, 5000)), filtered, open, open},
		{l.Drop(port(toDesktop, AnyProto, 5000)), filtered, open, open},
		{l.Drop(port(toDesktop, UDP, 5000)), open, open, open},
		{l.Drop(port(Match{To: "192.168.15.7"}, TCP, 22)), open, filtered, open},
		{l.Drop(port(Match{From: "192.168.15.8/29", To: "desktop"}, TCP, 22)), open, filtered, open},
		{l.Drop(Match{To: "desktop", Proto: TCP, Port: 5000, Way: There}), filtered, open, open},
		{l.Drop(Match{To: "desktop", Proto: TCP, Port: 5000, Way: Back}), filtered, open, open},
		{l.Drop(Match{From: "laptop", To: "desktop", Proto: TCP, Port: 22, Way: There}), open, filtered, open},
		{l.Drop(Match{To: Internet}), open, open, open},
		{l.Drop(Match{To: Gateway}), open, open, open},
		{l.Refuse(port(toDesktop, TCP, 5000)), refused, open, open},
		{l.Refuse(port(toDesktop, AnyProto, 5000)), refused, open, open},
		{l.Refuse(Match{To: "desktop", Way: There}), refused, refused, refused},
		{l.Refuse(toDesktop), refused, refused, refused},
		{l.Refuse(port(Match{To: "192.168.15.0/24"}, TCP, 22)), open, refused, refused},
		{l.Reject(port(toDesktop, TCP, 5000)), filtered, open, open},
		{l.Freeze(port(toDesktop, TCP, 22)), open, filtered, open},
		{l.Loss(port(toDesktop, TCP, 22), 1, 1), open, filtered, open},
		{l.Loss(port(toDesktop, TCP, 22), 0, 1), open, open, open},
		{l.Duplicate(toDesktop, 1, 1), open, open, open},
		{l.Delay(port(toDesktop, TCP, 22), 3*time.Second, 0, 1), open, filtered, open},
		{l.Delay(toDesktop, time.Millisecond, time.Millisecond, 1), open, open, open},
		{l.Rate(toDesktop, 100_000), open, open, open},
		{l.Blackhole(toDesktop, 576), open, open, open},
		{l.DNSDown(DNSSilent), open, open, open},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			undo := apply(t, c.fault)
			if got := l.Faults(); len(got) != 1 || got[0] != c.fault.String() {
				t.Errorf("faults in force are %q", got)
			}
			for _, probe := range []struct {
				from   *guest
				to     Machine
				port   uint16
				wanted state
			}{{lt, desktop, 5000, c.at5000}, {lt, desktop, 22, c.at22}, {d, laptop, 22, c.back}} {
				if probe.wanted == filtered { // at once: a wait would prove nothing
					if got := probe.from.probe(t, probe.to.Addr, probe.port); got != filtered && got != unreachable {
						t.Errorf("port %d of %s is %s, want %s", probe.port, probe.to.Name, got, probe.wanted)
					}
					continue
				}
				probe.from.want(t, probe.to, probe.port, probe.wanted)
			}
			undo()
			undo() // idempotent
			if got := l.Faults(); len(got) != 0 {
				t.Errorf("faults in force after undo: %q", got)
			}
			lt.want(t, desktop, 5000, open)
			lt.want(t, desktop, 22, open)
			d.want(t, laptop, 22, open)
		})
	}
}

func TestFaultsComposeAndAreUndoneInAnyOrder(t *testing.T) {
	l, dir := newLAN(t, nil)
	d, lt := newGuest(t, l, dir, desktop), newGuest(t, l, dir, laptop)
	d.serveEcho(t, 22, 5000)
	to := func(port uint16) Match { return Match{From: "laptop", To: "desktop", Proto: TCP, Port: port} }
	refuseAll := apply(t, l.Refuse(Match{To: "desktop"}))
	dropCache := apply(t, l.Drop(to(5000)))
	lt.want(t, desktop, 22, refused)
	if got := lt.probe(t, desktop.Addr, 5000); got != filtered {
		t.Errorf("dropped and refused is %s, want %s", got, filtered)
	}
	down, downAgain := apply(t, l.LinkDown("desktop")), apply(t, l.LinkDown("desktop"))
	if got := lt.probe(t, desktop.Addr, 22); got != filtered {
		t.Errorf("refused behind a cut link is %s, want %s", got, filtered)
	}
	refuseAll()
	down()
	if l.fabric.ports[1].cut.Load() != 1 {
		t.Error("the link is up although one of two faults still holds it down")
	}
	downAgain()
	lt.want(t, desktop, 22, open)
	if got := lt.probe(t, desktop.Addr, 5000); got != filtered {
		t.Errorf("still dropped is %s, want %s", got, filtered)
	}
	dropCache()
	lt.want(t, desktop, 5000, open)
}

func TestAFaultCanBeAppliedAgain(t *testing.T) {
	l, dir := newLAN(t, nil)
	d, lt := newGuest(t, l, dir, desktop), newGuest(t, l, dir, laptop)
	d.serveEcho(t, 22)
	f := l.Refuse(Match{To: "desktop", Proto: TCP, Port: 22})
	for range 2 {
		undo := apply(t, f)
		lt.want(t, desktop, 22, refused)
		undo()
		lt.want(t, desktop, 22, open)
	}
	if hits(f) < 2 {
		t.Errorf("the fault counted %d frames", hits(f))
	}
}

// connect opens a connection from one guest to another's server and returns
// both ends.
func connect(t *testing.T, from, to *guest, port uint16) (client, server net.Conn) {
	t.Helper()
	ln, err := to.listen(netip.AddrPortFrom(to.addr, port))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if conn, err := ln.Accept(); err == nil {
			accepted <- conn
		}
	}()
	if client, err = from.dial(deadline(t), netip.AddrPortFrom(to.addr, port)); err != nil {
		t.Fatal(err)
	}
	select {
	case server = <-accepted:
	case <-deadline(t).Done():
		t.Fatal("the connection was not accepted")
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

func TestRefuseResetsBothSidesOfAnOpenConnection(t *testing.T) {
	for _, who := range []string{"client", "server"} {
		t.Run(who+" sends", func(t *testing.T) {
			l, dir := newLAN(t, nil)
			d, lt := newGuest(t, l, dir, desktop), newGuest(t, l, dir, laptop)
			client, server := connect(t, lt, d, 2049)
			defer apply(t, l.Refuse(Match{To: "desktop", Proto: TCP, Port: 2049}))()
			sender := map[string]net.Conn{"client": client, "server": server}[who]
			if _, err := sender.Write([]byte("anyone there?")); err != nil {
				t.Fatal(err)
			}
			for name, conn := range map[string]net.Conn{"client": client, "server": server} {
				if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
				_, err := io.ReadAll(conn)
				if err == nil || !strings.Contains(err.Error(), "reset") {
					t.Errorf("%s reads %v, want a reset", name, err)
				}
			}
		})
	}
}

func TestFreezeDeliversWhatItHeld(t *testing.T) {
	l, dir := newLAN(t, nil)
	d, lt := newGuest(t, l, dir, desktop), newGuest(t, l, dir, laptop)
	client, server := connect(t, lt, d, 2049)
	f := l.Freeze(Match{To: "desktop"})
	undo := apply(t, f)
	if _, err := client.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	if err := server.SetDeadline(time.Now().Add(shortTime)); err != nil {
		t.Fatal(err)
	}
	word := make([]byte, 4)
	if _, err := io.ReadFull(server, word); err == nil {
		t.Fatal("a frozen connection delivered")
	}
	undo()
	if err := server.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, word); err != nil || string(word) != "held" {
		t.Fatalf("after the thaw: %q, %v", word, err)
	}
	if hits(f) == 0 {
		t.Error("the fault counted nothing")
	}
}

func TestBlackholeStallsOnlyLargePackets(t *testing.T) {
	l, dir := newLAN(t, nil)
	d, lt := newGuest(t, l, dir, desktop), newGuest(t, l, dir, laptop)
	d.serveEcho(t, 5000)
	conn, err := lt.dial(deadline(t), netip.AddrPortFrom(desktop.Addr, 5000))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	undo := apply(t, l.Blackhole(Match{To: "desktop"}, 1400))
	if err := exchange(conn, make([]byte, 900), patience); err != nil {
		t.Errorf("small packets: %v", err)
	}
	if err := exchange(conn, make([]byte, 4000), shortTime); err == nil {
		t.Error("large packets passed a small MTU")
	}
	undo()
}

func TestDelayAndRate(t *testing.T) {
	l, dir := newLAN(t, nil)
	d, lt := newGuest(t, l, dir, desktop), newGuest(t, l, dir, laptop)
	d.serveEcho(t, 5000)
	conn, err := lt.dial(deadline(t), netip.AddrPortFrom(desktop.Addr, 5000))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, c := range []struct {
		fault   Fault
		size    int
		atLeast time.Duration
	}{
		{l.Delay(Match{To: "desktop"}, 60*time.Millisecond, 0, 1), 10, 120 * time.Millisecond},
		{l.Delay(Match{To: "desktop", Way: Back}, 60*time.Millisecond, 0, 1), 10, 60 * time.Millisecond},
		{l.Rate(Match{To: "desktop"}, 1_000_000), 300_000, 250 * time.Millisecond},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			defer apply(t, c.fault)()
			start := time.Now()
			if err := exchange(conn, make([]byte, c.size), patience); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took < c.atLeast {
				t.Errorf("took %s, want at least %s", took, c.atLeast)
			}
		})
	}
}

func TestLossIsRepeatable(t *testing.T) {
	pattern := func(seed uint64) (s string) {
		l, dir := newLAN(t, nil)
		a, b := plugIn(t, dir+"/laptop"), plugIn(t, dir+"/desktop")
		for _, m := range []string{"laptop", "desktop"} {
			if err := l.WaitAttached(deadline(t), m); err != nil {
				t.Fatal(err)
			}
		}
		defer apply(t, l.Loss(Match{From: "laptop", To: "desktop", Proto: UDP, Port: 9}, 0.5, seed))()
		for i := range 40 {
			a.send(udpFrame(t, laptop, desktop, 1000, 9, []byte{byte(i)}))
		}
		a.send(udpFrame(t, laptop, desktop, 1000, 10, []byte{0}))
		b.until(t, "the last frame", func(h *packetHeader, frame []byte) bool {
			if h.dstPort == 9 {
				s += string(rune('A' + frame[h.end-1]))
			}
			return h.dstPort == 10
		})
		return s
	}
	first, again, other := pattern(7), pattern(7), pattern(8)
	if first != again || first == other || len(first) < 8 || len(first) > 32 {
		t.Errorf("what passed: %q, %q with the same seed, %q with another", first, again, other)
	}
}

func TestAfterBytes(t *testing.T) {
	answers := Match{From: "laptop", To: "desktop", Proto: TCP, Port: 5000, Way: Back}
	t.Run("a fault of the LAN comes with the very frame", func(t *testing.T) {
		l, dir := newLAN(t, nil)
		d, lt := newGuest(t, l, dir, desktop), newGuest(t, l, dir, laptop)
		client, server := connect(t, lt, d, 5000)
		undo := apply(t, l.After(answers, 100_000, l.Drop(Match{To: "desktop"})))
		go func() { _, _ = server.Write(make([]byte, 300_000)) }()
		eventually(t, "the fault", func() bool { return len(l.Faults()) == 2 })
		if err := client.SetDeadline(time.Now().Add(2 * shortTime)); err != nil {
			t.Fatal(err)
		}
		n, _ := io.Copy(io.Discard, client)
		if n < 95_000 || n > 100_000 {
			t.Errorf("%d bytes came through, want just under 100000", n)
		}
		undo()
		if err := client.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, make([]byte, 300_000-n)); err != nil {
			t.Errorf("after undo: %v", err)
		}
		if got := l.Faults(); len(got) != 0 {
			t.Errorf("faults in force after undo: %q", got)
		}
	})
	t.Run("a function is called once, and its error is undo's", func(t *testing.T) {
		l, dir := newLAN(t, nil)
		d, lt := newGuest(t, l, dir, desktop), newGuest(t, l, dir, laptop)
		client, server := connect(t, lt, d, 5000)
		called, broken := make(chan struct{}, 9), errors.New("the plug is stuck")
		f := l.After(answers, 10, Func{"pull the plug", func(context.Context) error { called <- struct{}{}; return broken }})
		undo, err := f.Apply(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := server.Write(make([]byte, 50)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(client, make([]byte, 50)); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-called:
		case <-deadline(t).Done():
			t.Fatal("not called")
		}
		if err := undo(deadline(t)); !errors.Is(err, broken) {
			t.Errorf("undo says %v, want %v", err, broken)
		}
		if len(called) != 0 {
			t.Error("called more than once")
		}
	})
}

func TestFaultsThatCannotBe(t *testing.T) {
	l, _ := newLAN(t, nil)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Drop(Match{}).Apply(canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("applied with a cancelled context: %v", err)
	}
	for _, c := range []struct {
		fault Fault
		says  string
	}{
		{l.LinkDown("toaster"), "desktop, laptop"},
		{l.Drop(Match{From: "toaster"}), `no party "toaster"`},
		{l.Drop(Match{To: "192.168.15.256"}), "no party"},
		{l.Drop(Match{Proto: ICMP, Port: 22}), "has no ports"},
		{l.Drop(Match{Way: 9}), "unknown direction"},
		{l.Refuse(Match{Proto: ICMP}), "cannot be refused"},
		{l.Loss(Match{}, 1.5, 1), "between 0 and 1"},
		{l.Duplicate(Match{}, -1, 1), "between 0 and 1"},
		{l.Delay(Match{}, -1, 0, 1), "negative"},
		{l.Rate(Match{}, 0), "positive"},
		{l.Blackhole(Match{}, 10), "68"},
		{l.After(Match{To: "toaster"}, 1, l.Drop(Match{})), "no party"},
		{l.After(Match{}, 1, l.Drop(Match{To: "toaster"})), "no party"},
	} {
		if _, err := c.fault.Apply(deadline(t)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.fault, err, c.says)
		}
	}
	if got := l.Faults(); len(got) != 0 {
		t.Errorf("faults in force: %q", got)
	}
}
