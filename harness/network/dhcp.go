package network

import (
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

const (
	dhcpServerPort = 67
	// leaseTime is long, so that no renewal falls into a run, nor expires in a
	// snapshot that is restored weeks later with its clock set forward.
	leaseTime = 365 * 24 * time.Hour
)

// dhcp answers by the configuration alone (RFC 2131): it has no state to lose.
// Hardware addresses it does not know get no answer.
type dhcp struct {
	conn   net.PacketConn
	server netip.Addr
	subnet netip.Prefix
	leases map[hardwareAddr]netip.Addr
	log    *slog.Logger
}

// serve answers until the connection is closed.
func (d *dhcp) serve() {
	buf := make([]byte, 4096)
	for {
		n, peer, err := d.conn.ReadFrom(buf)
		if err != nil {
			return // only Close makes it fail
		}
		request, err := dhcpv4.FromBytes(buf[:n])
		if err != nil {
			d.log.Debug("damaged DHCP message", "from", peer, "error", err)
			continue
		}
		reply := d.answer(request)
		if reply == nil {
			continue
		}
		to := &net.UDPAddr{IP: net.IPv4bcast.To4(), Port: 68}
		// A client that renews has an address, and is answered there.
		if ip := request.ClientIPAddr.To4(); ip != nil && !ip.IsUnspecified() && reply.MessageType() != dhcpv4.MessageTypeNak {
			to.IP = ip
		}
		if _, err := d.conn.WriteTo(reply.ToBytes(), to); err != nil {
			d.log.Warn("cannot answer DHCP", "mac", request.ClientHWAddr.String(), "error", err)
		}
	}
}

// answer is what the server says to a message, or nil for nothing.
func (d *dhcp) answer(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	if m.OpCode != dhcpv4.OpcodeBootRequest || len(m.ClientHWAddr) != 6 {
		return nil
	}
	addr, ok := d.leases[hardwareAddr(m.ClientHWAddr)]
	if !ok {
		d.log.Warn("DHCP from a machine that is not in the configuration", "mac", m.ClientHWAddr.String())
		return nil
	}
	var kind dhcpv4.MessageType
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		kind = dhcpv4.MessageTypeOffer
	case dhcpv4.MessageTypeRequest:
		if id := m.ServerIdentifier(); id != nil && !id.Equal(d.server.AsSlice()) {
			return nil // the client chose another server
		}
		kind = dhcpv4.MessageTypeAck
		wanted := m.RequestedIPAddress()
		if wanted == nil || wanted.IsUnspecified() {
			wanted = m.ClientIPAddr
		}
		if wanted != nil && !wanted.IsUnspecified() && !wanted.Equal(addr.AsSlice()) {
			kind = dhcpv4.MessageTypeNak
		}
	case dhcpv4.MessageTypeInform:
		kind = dhcpv4.MessageTypeAck
	default:
		return nil // release, decline: the address stays the machine's
	}
	modifiers := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(d.server.AsSlice())),
	}
	if kind != dhcpv4.MessageTypeNak {
		modifiers = append(modifiers,
			dhcpv4.WithServerIP(d.server.AsSlice()),
			dhcpv4.WithNetmask(net.CIDRMask(d.subnet.Bits(), 32)),
			dhcpv4.WithRouter(d.server.AsSlice()),
			dhcpv4.WithDNS(d.server.AsSlice()),
			dhcpv4.WithOption(dhcpv4.OptBroadcastAddress(lastOf(d.subnet))),
			dhcpv4.WithGeneric(dhcpv4.OptionInterfaceMTU, dhcpv4.Uint16(mtu).ToBytes()),
		)
		if m.MessageType() != dhcpv4.MessageTypeInform {
			modifiers = append(modifiers, dhcpv4.WithYourIP(addr.AsSlice()), dhcpv4.WithLeaseTime(uint32(leaseTime/time.Second)))
		}
	}
	reply, err := dhcpv4.NewReplyFromRequest(m, modifiers...)
	if err != nil {
		d.log.Debug("cannot answer DHCP", "mac", m.ClientHWAddr.String(), "error", err)
		return nil
	}
	if kind == dhcpv4.MessageTypeAck {
		d.log.Debug("address leased", "mac", m.ClientHWAddr.String(), "address", addr)
	}
	return reply
}

// lastOf is a prefix's broadcast address.
func lastOf(p netip.Prefix) net.IP {
	ip, mask := p.Masked().Addr().As4(), net.CIDRMask(p.Bits(), 32)
	for i := range ip {
		ip[i] |= ^mask[i]
	}
	return ip[:]
}
