package network

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containers/gvisor-tap-vsock/pkg/tap"
	"github.com/containers/gvisor-tap-vsock/pkg/types"
	"github.com/sirupsen/logrus"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

func attach(t testing.TB, l *LAN, dir string, m Machine) *wire {
	t.Helper()
	w := plugIn(t, filepath.Join(dir, m.Name))
	if err := l.WaitAttached(deadline(t), m.Name); err != nil {
		t.Fatal(err)
	}
	return w
}

func ofPort(port uint16) func(*packetHeader, []byte) bool {
	return func(h *packetHeader, _ []byte) bool { return h.proto == UDP && h.dstPort == port }
}

func TestAPausedMachineStopsNobodyElse(t *testing.T) {
	extra := Machine{Name: "tablet", Addr: laptop.Addr.Next(), MAC: "52:54:00:0f:00:10"}
	l, dir := newLAN(t, func(c *Config) { c.Machines = append(c.Machines, extra) })
	attach(t, l, dir, extra) // reads nothing, ever
	d, lt := attach(t, l, dir, desktop), attach(t, l, dir, laptop)
	flood := udpFrame(t, laptop, extra, 1, 9, make([]byte, 1400))
	for sent := 0; sent < 2*queueBytes+1<<20; sent += len(flood) {
		lt.send(flood)
	}
	lt.send(udpFrame(t, laptop, desktop, 1, 10, nil))
	d.until(t, "a frame past a flood nobody reads", ofPort(10))
	if l.Lost("tablet") == 0 {
		t.Error("the queue of a machine that does not read has no bound")
	}
	if l.Lost("desktop") != 0 {
		t.Errorf("%d frames to the desktop were lost", l.Lost("desktop"))
	}
}

func TestAMachineComesBack(t *testing.T) {
	l, dir := newLAN(t, nil)
	d, old := attach(t, l, dir, desktop), attach(t, l, dir, laptop)
	if err := old.conn.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the laptop to be gone", func() bool { return !l.Attached("laptop") })
	d.send(udpFrame(t, desktop, laptop, 1, 9, nil)) // to nobody
	back := attach(t, l, dir, laptop)
	back.send(udpFrame(t, laptop, desktop, 1, 10, nil))
	d.until(t, "a frame from the machine that is back", ofPort(10))
	d.send(udpFrame(t, desktop, laptop, 1, 11, nil))
	back.until(t, "a frame to the machine that is back", ofPort(11))
	// A machine whose old process hangs is replaced by its new one.
	newest := plugIn(t, filepath.Join(dir, "laptop"))
	if err := back.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := back.receive(); err == nil {
		t.Error("the replaced connection is still served")
	}
	d.send(udpFrame(t, desktop, laptop, 1, 12, nil))
	newest.until(t, "a frame to the newest", ofPort(12))
}

func TestAStreamOutOfStepIsEnded(t *testing.T) {
	l, dir := newLAN(t, nil)
	w := attach(t, l, dir, laptop)
	if _, err := w.conn.Write(binary.BigEndian.AppendUint32(nil, maxFrame+1)); err != nil {
		t.Fatal(err)
	}
	if err := w.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.receive(); err == nil || os.IsTimeout(err) {
		t.Errorf("reading from a cable out of step: %v, want its end", err)
	}
	// The cable itself goes on.
	d, again := attach(t, l, dir, desktop), plugIn(t, filepath.Join(dir, "laptop"))
	again.send([]byte{}) // an empty frame, and a runt, are no frames
	again.send([]byte{1, 2, 3})
	again.send(udpFrame(t, laptop, desktop, 1, 9, nil))
	d.until(t, "a frame", ofPort(9))
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	l, dir := newLAN(t, nil)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ machine, path, says string }{
		{"toaster", file, `no machine "toaster"`},
		{"laptop", "/tmp/" + strings.Repeat("long/", 30), "shorter path"},
		{"laptop", file, "no socket"},
		{"laptop", filepath.Join(dir, "other"), "already ends at"},
	} {
		if err := l.Listen(c.machine, c.path); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("listen for %s on %s: %v, want %q", c.machine, c.path, err, c.says)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "laptop"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v; others on this host must not join the LAN", info.Mode(), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := l.WaitAttached(ctx, "laptop"); err == nil || !strings.Contains(err.Error(), "laptop") {
		t.Errorf("waiting for a machine that does not come: %v", err)
	}
}

func TestASocketLeftBehindIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lan0")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	m, err := NewManagement("laptop", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Listen(path); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := m.Listen(path); err == nil {
		t.Error("a closed cable listens")
	}
}

// TestFramingOfAnotherImplementation joins a machine whose cable is
// gvisor-tap-vsock's implementation of QEMU's framing, not ours.
func TestFramingOfAnotherImplementation(t *testing.T) {
	logrus.SetOutput(io.Discard) // it says at the end that its cable was pulled
	defer logrus.SetOutput(os.Stderr)
	l, dir := newLAN(t, nil)
	conn, err := net.Dial("unix", filepath.Join(dir, "laptop"))
	if err != nil {
		t.Fatal(err)
	}
	link, err := tap.NewLinkEndpoint(false, mtu, laptop.MAC, laptop.Addr.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	other := tap.NewSwitch(false)
	link.Connect(other)
	other.Connect(link)
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	if err := s.CreateNIC(nicID, link); err != nil {
		t.Fatal(err)
	}
	n := &netstack{stack: s, link: link, addr: laptop.Addr}
	if err := n.addAddress(netip.PrefixFrom(laptop.Addr, 24)); err != nil {
		t.Fatal(err)
	}
	subnet, err := tcpip.NewSubnet(tcpip.AddrFrom4(l.config.Subnet.Addr().As4()), tcpip.MaskFromBytes(net.CIDRMask(24, 32)))
	if err != nil {
		t.Fatal(err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: subnet, NIC: nicID}})
	ended := make(chan error, 1)
	go func() { ended <- other.Accept(context.Background(), conn, types.QemuProtocol) }()
	defer func() { _ = conn.Close(); <-ended }()
	(&guest{netstack: n}).serveEcho(t, 22)
	if err := l.WaitAttached(deadline(t), "laptop"); err != nil {
		t.Fatal(err)
	}
	c, err := l.DialContext(deadline(t), "tcp", "kernelcore:22")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := exchange(c, bytes.Repeat([]byte("frames "), 50_000), patience); err != nil {
		t.Error(err)
	}
	if _, err := io.WriteString(c, "end"); err != nil {
		t.Error(err)
	}
}
