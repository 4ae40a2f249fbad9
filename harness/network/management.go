package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
)

// managementMAC is the harness's end of every management cable: a locally
// administered address in QEMU's range.
var managementMAC = hardwareAddr{0x52, 0x54, 0x00, 0x0e, 0x00, 0x01}

// ManagementPrefix is the network of each management cable, from a block that
// is reserved for documentation (RFC 5737) and so never a user's. The harness
// is its first address; the machine is its second, set by its own hand: there
// is no DHCP.
func ManagementPrefix() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, 0}), 24)
}

// ManagementAddr is the machine's address on its management cable.
func ManagementAddr() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, 2}) }

// Management is the cable mgmt0 of one machine. It joins that machine and the
// harness and nothing else, knows no faults, and only the harness dials.
type Management struct {
	machine string
	net     *netstack
	cable   *cable
}

// NewManagement makes the management cable of a machine. Log may be nil.
func NewManagement(machine string, log *slog.Logger) (*Management, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m := &Management{machine: machine}
	m.cable = newCable("management of "+machine, log, m.receive)
	prefix := ManagementPrefix()
	n, err := newNetstack(managementMAC, netip.PrefixFrom(prefix.Addr().Next(), prefix.Bits()), func(frame []byte) { m.cable.send(frame) })
	if err != nil {
		return nil, fmt.Errorf("%s: management cable: %w", machine, err)
	}
	m.net = n
	return m, nil
}

func (m *Management) receive(frame []byte) {
	var h packetHeader
	if h.parse(frame) && serves(h.etherType) && (h.dst == managementMAC || h.dst == broadcast) {
		m.net.deliver(frame, h.etherType)
	}
}

// Listen waits, in the background, for the machine's QEMU to connect to a unix
// socket at path, and again each time it is powered on.
func (m *Management) Listen(path string) error { return m.cable.listen(path) }

// Attached reports whether the machine is on the cable now.
func (m *Management) Attached() bool { return m.cable.attached() }

// WaitAttached waits until the machine is on the cable.
func (m *Management) WaitAttached(ctx context.Context) error { return m.cable.waitAttached(ctx) }

// DialContext opens a TCP connection to a port of the machine. Without a
// deadline in ctx it gives up after 30 seconds. A machine without power is an
// error at once.
func (m *Management) DialContext(ctx context.Context, port uint16) (net.Conn, error) {
	if !m.cable.attached() {
		return nil, fmt.Errorf("%s: dial port %d on its management cable: %w", m.machine, port, ErrDetached)
	}
	conn, err := m.net.dial(ctx, netip.AddrPortFrom(ManagementAddr(), port))
	if err != nil {
		return nil, fmt.Errorf("%s: dial port %d on its management cable: %w", m.machine, port, err)
	}
	return conn, nil
}

// ErrDetached means that no machine is on a cable: it has no power, or its
// QEMU was started without that cable.
var ErrDetached = errors.New("no machine is connected; is it powered on?")

// Reset ends all connections, as after the machine was restored to an earlier
// state, which knows nothing of them.
func (m *Management) Reset() {
	m.net.reset()
	m.cable.flush()
}

// Close ends the cable and all connections. It is idempotent.
func (m *Management) Close() error {
	err := m.cable.close()
	m.net.close()
	return err
}
