package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// unreachablePerSecond bounds the ICMP errors the gateway sends (RFC 1812,
	// section 4.3.2.8).
	unreachablePerSecond = 200
)

// gateway is the LAN's router, whose uplink is this process and nothing else.
type gateway struct {
	net    *netstack
	fabric *fabric
	subnet netip.Prefix

	second atomic.Int64 // of the clock, for which sent counts
	sent   atomic.Int64

	mu        sync.Mutex
	listeners map[*listener]struct{}
}

func newGateway(l *LAN) (*gateway, error) {
	g := &gateway{fabric: l.fabric, subnet: l.config.Subnet, listeners: make(map[*listener]struct{})}
	p := &port{name: Gateway, mac: gatewayMAC, send: g.receive}
	l.fabric.connect(p)
	l.fabric.gateway = p
	n, err := newNetstack(gatewayMAC, netip.PrefixFrom(l.config.Gateway, l.config.Subnet.Bits()), func(frame []byte) {
		l.fabric.receive(p, frame)
	})
	g.net = n
	return g, err
}

// receive takes a frame from the switch: for the gateway, or for an address
// that nobody has.
func (g *gateway) receive(frame []byte) bool {
	var h packetHeader
	if !h.parse(frame) || !serves(h.etherType) {
		return false
	}
	if h.etherType == etherTypeIPv4 && h.dst == gatewayMAC && !g.net.has(h.dstAddr) && !g.toAll(h.dstAddr) {
		if g.mayComplain() {
			g.fabric.unreachable(frame, g.net.addr)
		}
		return false
	}
	g.net.deliver(frame, h.etherType)
	return true
}

// toAll reports whether an address is the broadcast address of the LAN or of all.
func (g *gateway) toAll(addr netip.Addr) bool {
	if !addr.Is4() || addr == limitedBroadcast {
		return true
	}
	ip, mask := addr.As4(), net.CIDRMask(g.subnet.Bits(), 32)
	for i := range ip {
		if ip[i]|mask[i] != 0xff {
			return false
		}
	}
	return g.subnet.Contains(addr)
}

func (g *gateway) mayComplain() bool {
	now := time.Now().Unix()
	if g.second.Swap(now) != now {
		g.sent.Store(0)
	}
	return g.sent.Add(1) <= unreachablePerSecond
}

// listener is one that Close of the LAN closes too.
type listener struct {
	net.Listener
	gateway *gateway
	closed  atomic.Bool
}

// Accept says net.ErrClosed after Close, as the standard library's do.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil && l.closed.Load() {
		return nil, net.ErrClosed
	}
	return conn, err
}

// Close ends the listener; connections it has accepted go on.
func (l *listener) Close() error {
	if l.closed.Swap(true) {
		return net.ErrClosed
	}
	l.gateway.mu.Lock()
	delete(l.gateway.listeners, l)
	l.gateway.mu.Unlock()
	return l.Listener.Close()
}

// ListenTCP serves an address of the gateway or of the internet. An address
// outside the LAN exists, for the machines, from the first listener on it. The
// listener never is one of the host's.
func (l *LAN) ListenTCP(address netip.AddrPort) (net.Listener, error) {
	g := l.gateway
	addr := address.Addr()
	if !addr.Is4() || addr.IsUnspecified() || addr.IsMulticast() {
		return nil, fmt.Errorf("listen on %s: use an IPv4 address of the internet, or the gateway's %s", address, l.config.Gateway)
	}
	if l.config.Subnet.Contains(addr) && addr != l.config.Gateway {
		return nil, fmt.Errorf("listen on %s: the address is on the LAN and not the gateway's; use %s, or an address of the internet", address, l.config.Gateway)
	}
	if g.net.closed.Load() {
		return nil, fmt.Errorf("listen on %s: %w", address, net.ErrClosed)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.net.has(addr) {
		if err := g.net.addAddress(netip.PrefixFrom(addr, 32)); err != nil {
			return nil, err
		}
	}
	inner, err := g.net.listen(address)
	if err != nil {
		return nil, err
	}
	out := &listener{Listener: inner, gateway: g}
	g.listeners[out] = struct{}{}
	return out, nil
}

// DialContext opens a connection from the gateway to a machine: network is
// "tcp", address a machine's name or address on the LAN, and a port. It never
// uses the host's network nor its resolver. Without a deadline in ctx it gives
// up after 30 seconds.
func (l *LAN) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, fmt.Errorf("dial %s %s from the gateway: %w", network, address, err)
	}
	if network != "tcp" && network != "tcp4" {
		return fail(net.UnknownNetworkError(network))
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return fail(err)
	}
	number, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return fail(fmt.Errorf("port %q is not a number", service))
	}
	addr, ok := l.addrOf(host)
	if !ok {
		return fail(fmt.Errorf("%q is neither a machine nor an address on %s", host, l.config.Subnet))
	}
	conn, err := l.gateway.net.dial(ctx, netip.AddrPortFrom(addr, uint16(number)))
	if err != nil {
		return fail(err)
	}
	return conn, nil
}

func (g *gateway) close(log *slog.Logger) {
	g.mu.Lock()
	open := slices.Collect(maps.Keys(g.listeners))
	g.mu.Unlock()
	for _, l := range open {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			log.Debug("close a listener", "error", err)
		}
	}
	if g.net != nil {
		g.net.close()
	}
}
