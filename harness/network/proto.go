package network

import (
	"fmt"
	"strings"
)

// Proto is a protocol: a number of IANA's "Assigned Internet Protocol
// Numbers", or ARP.
type Proto uint8

// The protocols faults and flows are told apart by. AnyProto is everything
// that is IP: ARP is not, so that a dropped machine still has an address, and
// its peers wait rather than hear "no route to host".
const (
	AnyProto Proto = 0
	ICMP     Proto = 1
	TCP      Proto = 6
	UDP      Proto = 17
	ICMPv6   Proto = 58
	// ARP has no IP protocol number; 255 is reserved by IANA and never on a wire.
	ARP Proto = 255
)

// String is the protocol's name in lower case: "tcp".
func (p Proto) String() string {
	switch p {
	case AnyProto:
		return "ip"
	case ICMP:
		return "icmp"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case ICMPv6:
		return "icmpv6"
	case ARP:
		return "arp"
	}
	return fmt.Sprintf("ip-protocol-%d", uint8(p))
}

// MarshalText writes the protocol's name.
func (p Proto) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a protocol's name; the empty string and "ip" are AnyProto.
func (p *Proto) UnmarshalText(text []byte) error {
	name := strings.ToLower(strings.TrimSpace(string(text)))
	if name == "" {
		*p = AnyProto
		return nil
	}
	for _, known := range []Proto{AnyProto, ICMP, TCP, UDP, ICMPv6, ARP} {
		if known.String() == name {
			*p = known
			return nil
		}
	}
	return fmt.Errorf("unknown protocol %q: use tcp, udp, icmp, icmpv6, arp, or ip for all but arp", name)
}

// hasPorts reports whether segments of the protocol carry port numbers.
func (p Proto) hasPorts() bool { return p == TCP || p == UDP }
