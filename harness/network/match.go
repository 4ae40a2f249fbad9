package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Names of parties that are not machines.
const (
	// Gateway is the gateway's own address: DNS, DHCP, and where the harness
	// dials from.
	Gateway = "gateway"
	// Internet is every address beyond the gateway.
	Internet = "internet"
)

// Way is the direction of frames in a conversation.
type Way uint8

const (
	// BothWays is requests and answers.
	BothWays Way = iota
	// There is from the client to the service: From to To:Port.
	There
	// Back is from the service to the client: To:Port to From.
	Back
)

// String is the direction in words.
func (w Way) String() string { return [...]string{"both ways", "there only", "back only"}[w%3] }

// Match is a conversation: a client, a service, and which of their frames.
// The zero Match is everything that is IP, both ways.
type Match struct {
	// From is the client and To the server: the name of a machine, "gateway",
	// "internet", an address, a prefix like "192.168.15.0/24", or "" for
	// anyone. A machine's name means its cable, whatever address it takes.
	From, To string
	// Proto is the protocol; the zero value is all IP, without ARP.
	Proto Proto
	// Port is the server's port, 0 for all. It needs TCP or UDP, and with
	// AnyProto means both.
	Port uint16
	// Way narrows the conversation to one direction.
	Way Way
}

// String says the match in words: "tcp port 5000 from laptop to desktop".
func (m Match) String() string {
	s := m.Proto.String()
	if m.Port != 0 {
		s += fmt.Sprintf(" port %d", m.Port)
	}
	if m.From != "" {
		s += " from " + m.From
	}
	if m.To != "" {
		s += " to " + m.To
	}
	if m.Way != BothWays {
		s += ", " + m.Way.String()
	}
	return s
}

// party is one side of a compiled match.
type party struct {
	any    bool
	port   *port
	prefix netip.Prefix
	// beyond is the LAN's prefix when the party is the internet.
	beyond netip.Prefix
}

func (p party) is(at *port, addr netip.Addr) bool {
	switch {
	case p.any:
		return true
	case p.port != nil:
		return p.port == at
	case p.beyond.IsValid():
		return addr.Is4() && !p.beyond.Contains(addr) && !addr.IsMulticast() && !addr.IsUnspecified() && addr != limitedBroadcast
	default:
		return p.prefix.Contains(addr)
	}
}

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// matcher is a match whose names are resolved.
type matcher struct {
	Match
	from, to party
}

// compile resolves a match's names. Its error names what is unknown, and what is known.
func (l *LAN) compile(m Match) (matcher, error) {
	c := matcher{Match: m}
	if m.Port != 0 && m.Proto != AnyProto && !m.Proto.hasPorts() {
		return c, fmt.Errorf("%s: %s has no ports: leave the port out, or say tcp or udp", m, m.Proto)
	}
	if m.Way > Back {
		return c, fmt.Errorf("%s: unknown direction %d", m, m.Way)
	}
	var err error
	if c.from, err = l.party(m.From); err == nil {
		c.to, err = l.party(m.To)
	}
	if err != nil {
		return c, fmt.Errorf("%s: %w", m, err)
	}
	return c, nil
}

func (l *LAN) party(name string) (party, error) {
	switch name {
	case "":
		return party{any: true}, nil
	case Gateway:
		return party{prefix: netip.PrefixFrom(l.config.Gateway, 32)}, nil
	case Internet:
		return party{beyond: l.config.Subnet}, nil
	}
	if p, ok := l.ports[name]; ok {
		return party{port: p}, nil
	}
	if prefix, err := netip.ParsePrefix(name); err == nil {
		return party{prefix: prefix.Masked()}, nil
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return party{prefix: netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	return party{}, fmt.Errorf("no party %q on the LAN: use one of %s, an address or a prefix", name, strings.Join(l.parties(), ", "))
}

func (l *LAN) parties() []string {
	names := []string{Gateway, Internet}
	for name := range l.ports {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// way reports whether a frame belongs to the conversation, and which way it goes.
func (m *matcher) way(h *packetHeader, in, out *port) (Way, bool) {
	switch m.Proto {
	case AnyProto:
		if h.etherType != etherTypeIPv4 && h.etherType != etherTypeIPv6 {
			return 0, false
		}
	case h.proto:
	default:
		return 0, false
	}
	if m.Port != 0 && (!h.proto.hasPorts() || h.transport == 0) {
		return 0, false
	}
	if m.Way != Back && (m.Port == 0 || m.Port == h.dstPort) && m.from.is(in, h.srcAddr) && m.to.is(out, h.dstAddr) {
		return There, true
	}
	if m.Way != There && (m.Port == 0 || m.Port == h.srcPort) && m.to.is(in, h.srcAddr) && m.from.is(out, h.dstAddr) {
		return Back, true
	}
	return 0, false
}
