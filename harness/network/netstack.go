package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containers/gvisor-tap-vsock/pkg/tap"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	// mtu is that of Ethernet, in bytes.
	mtu = 1500
	// dialTimeout bounds a dial whose context has no deadline.
	dialTimeout = 30 * time.Second
	nicID       = tcpip.NICID(1)
)

// netstack is a TCP/IP stack of our own on one card, that forwards nothing.
type netstack struct {
	stack *stack.Stack
	link  *tap.LinkEndpoint
	addr  netip.Addr
	mac   hardwareAddr

	transmit func(frame []byte)
	frames   sync.Pool

	mu     sync.RWMutex // guards the link against frames after close
	closed atomic.Bool
}

// newNetstack makes a stack with one address. Frames it sends go to transmit,
// whose they are during the call only.
func newNetstack(mac hardwareAddr, address netip.Prefix, transmit func([]byte)) (*netstack, error) {
	link, err := tap.NewLinkEndpoint(false, mtu, net.HardwareAddr(mac[:]).String(), address.Addr().String(), nil)
	if err != nil {
		return nil, fmt.Errorf("network stack: %w", err)
	}
	n := &netstack{
		stack: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
		}),
		link: link, addr: address.Addr(), mac: mac, transmit: transmit,
	}
	n.frames.New = func() any { b := make([]byte, 0, mtu+ethernetHeader); return &b }
	link.Connect(n)
	sack, cubic := tcpip.TCPSACKEnabled(true), tcpip.CongestionControlOption("cubic")
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: 1 << 20, Max: 4 << 20}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: 1 << 20, Max: 4 << 20}
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &cubic, &receive, &send} {
		if err := n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return nil, fmt.Errorf("network stack: set %T: %s", option, err)
		}
	}
	if err := n.stack.CreateNIC(nicID, link); err != nil {
		return nil, fmt.Errorf("network stack: create card: %s", err)
	}
	if err := n.addAddress(address); err != nil {
		return nil, err
	}
	subnet, err := tcpip.NewSubnet(tcpip.AddrFromSlice(address.Masked().Addr().AsSlice()), tcpip.MaskFromBytes(net.CIDRMask(address.Bits(), 32)))
	if err != nil {
		return nil, fmt.Errorf("network stack: %s: %w", address, err)
	}
	n.stack.SetRouteTable([]tcpip.Route{{Destination: subnet, NIC: nicID}})
	return n, nil
}

// addAddress gives the card one address more.
func (n *netstack) addAddress(address netip.Prefix) error {
	err := n.stack.AddProtocolAddress(nicID, tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4(address.Addr().As4()), PrefixLen: address.Bits()},
	}, stack.AddressProperties{})
	if err != nil {
		return fmt.Errorf("network stack: add address %s: %s", address, err)
	}
	return nil
}

// has reports whether the address is one of the stack's own.
func (n *netstack) has(addr netip.Addr) bool {
	// Of a given card gVisor says yes to any address; so any card is asked for.
	return addr.Is4() && n.stack.CheckLocalAddress(0, ipv4.ProtocolNumber, tcpip.AddrFrom4(addr.As4())) != 0
}

// neighbour makes a hardware address known, so that it need not be asked for.
func (n *netstack) neighbour(addr netip.Addr, mac hardwareAddr) error {
	if err := n.stack.AddStaticNeighbor(nicID, ipv4.ProtocolNumber, tcpip.AddrFrom4(addr.As4()), tcpip.LinkAddress(mac[:])); err != nil {
		return fmt.Errorf("network stack: neighbour %s: %s", addr, err)
	}
	return nil
}

// DeliverNetworkPacket takes a packet the stack sends; it is tap.NetworkSwitch.
func (n *netstack) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	b := n.frames.Get().(*[]byte)
	frame := (*b)[:0]
	views, offset := pkt.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		part := v.AsSlice()
		if offset >= len(part) {
			offset -= len(part)
			continue
		}
		frame = append(frame, part[offset:]...)
		offset = 0
	}
	n.transmit(frame)
	*b = frame
	n.frames.Put(b)
}

// deliver hands a frame to the stack.
func (n *netstack) deliver(frame []byte, etherType uint16) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.closed.Load() {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame[ethernetHeader:])})
	n.link.DeliverNetworkPacket(tcpip.NetworkProtocolNumber(etherType), pkt)
	pkt.DecRef()
}

// dial opens a TCP connection from the stack's own address. Its error is a
// syscall.Errno where there is one for it: ECONNREFUSED, EHOSTUNREACH.
func (n *netstack) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, dialTimeout)
		defer cancel()
	}
	target := &net.TCPAddr{IP: to.Addr().AsSlice(), Port: int(to.Port())}
	fail := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Addr: target, Err: err} }
	if n.closed.Load() {
		return nil, fail(net.ErrClosed)
	}
	var queue waiter.Queue
	ep, err := n.stack.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if err != nil {
		return nil, fail(errnoOf(err))
	}
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	if err := ep.Bind(tcpip.FullAddress{Addr: tcpip.AddrFrom4(n.addr.As4())}); err != nil {
		ep.Close()
		return nil, fail(errnoOf(err))
	}
	err = ep.Connect(tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFrom4(to.Addr().As4()), Port: to.Port()})
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ready:
			err = ep.LastError()
		case <-ctx.Done():
			ep.Abort()
			return nil, fail(context.Cause(ctx))
		}
	}
	if err != nil {
		ep.Close()
		return nil, fail(errnoOf(err))
	}
	return gonet.NewTCPConn(&queue, ep), nil
}

// errnoOf is the errno the kernel's stack would have returned.
func errnoOf(err tcpip.Error) error {
	switch err.(type) {
	case *tcpip.ErrConnectionRefused:
		return syscall.ECONNREFUSED
	case *tcpip.ErrConnectionReset, *tcpip.ErrConnectionAborted, *tcpip.ErrAborted:
		return syscall.ECONNRESET
	case *tcpip.ErrHostUnreachable:
		return syscall.EHOSTUNREACH
	case *tcpip.ErrNetworkUnreachable:
		return syscall.ENETUNREACH
	case *tcpip.ErrTimeout:
		return syscall.ETIMEDOUT
	}
	return errors.New(err.String())
}

// listen accepts TCP connections on one of the stack's addresses.
func (n *netstack) listen(on netip.AddrPort) (net.Listener, error) {
	l, err := gonet.ListenTCP(n.stack, tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFrom4(on.Addr().As4()), Port: on.Port()}, ipv4.ProtocolNumber)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", on, err)
	}
	return l, nil
}

// packets receives UDP on a port of an address, or of all where it is not valid.
func (n *netstack) packets(addr netip.Addr, port uint16) (net.PacketConn, error) {
	var queue waiter.Queue
	ep, err := n.stack.NewEndpoint(udp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if err != nil {
		return nil, fmt.Errorf("listen on udp port %d: %s", port, err)
	}
	ep.SocketOptions().SetBroadcast(true)
	local := tcpip.FullAddress{NIC: nicID, Port: port}
	if addr.IsValid() {
		local.Addr = tcpip.AddrFrom4(addr.As4())
	}
	if err := ep.Bind(local); err != nil {
		ep.Close()
		return nil, fmt.Errorf("listen on udp port %d: %s", port, err)
	}
	return gonet.NewUDPConn(&queue, ep), nil
}

// reset ends all TCP connections, with a reset to the other side, and keeps
// listeners.
func (n *netstack) reset() {
	for _, ep := range n.stack.RegisteredEndpoints() {
		if t, ok := ep.(*tcp.Endpoint); ok && t.EndpointState() != tcp.StateListen {
			t.Abort()
		}
	}
}

// close ends the stack and all its connections.
func (n *netstack) close() {
	if n.closed.Swap(true) {
		return
	}
	n.reset()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stack.Close()
	n.stack.Wait()
}

// serves reports whether the stack speaks the protocol.
func serves(etherType uint16) bool {
	return etherType == etherTypeIPv4 || etherType == etherTypeARP
}
