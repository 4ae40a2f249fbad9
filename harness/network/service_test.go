package network

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/miekg/dns"
)

func discover(t *testing.T, mac string, modifiers ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	hw, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	m, err := dhcpv4.NewDiscovery(hw, modifiers...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDHCPAnswers(t *testing.T) {
	l, _ := newLAN(t, nil)
	kind := dhcpv4.WithMessageType
	wants := func(ip string) dhcpv4.Modifier {
		return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.ParseIP(ip)))
	}
	for _, c := range []struct {
		name    string
		message *dhcpv4.DHCPv4
		answer  dhcpv4.MessageType
		address string
	}{
		{"discover", discover(t, laptop.MAC), dhcpv4.MessageTypeOffer, "192.168.15.9"},
		{"request", discover(t, desktop.MAC, kind(dhcpv4.MessageTypeRequest), wants("192.168.15.7")), dhcpv4.MessageTypeAck, "192.168.15.7"},
		{"renewal", discover(t, desktop.MAC, kind(dhcpv4.MessageTypeRequest), dhcpv4.WithClientIP(net.ParseIP("192.168.15.7"))), dhcpv4.MessageTypeAck, "192.168.15.7"},
		{"request of another's address", discover(t, laptop.MAC, kind(dhcpv4.MessageTypeRequest), wants("192.168.15.7")), dhcpv4.MessageTypeNak, "0.0.0.0"},
		{"request to another server", discover(t, laptop.MAC, kind(dhcpv4.MessageTypeRequest), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP("192.168.15.2")))), dhcpv4.MessageTypeNone, ""},
		{"inform", discover(t, laptop.MAC, kind(dhcpv4.MessageTypeInform)), dhcpv4.MessageTypeAck, "0.0.0.0"},
		{"release", discover(t, laptop.MAC, kind(dhcpv4.MessageTypeRelease)), dhcpv4.MessageTypeNone, ""},
		{"unknown machine", discover(t, "52:54:00:00:00:99"), dhcpv4.MessageTypeNone, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply := l.dhcp.answer(c.message)
			if reply == nil {
				if c.answer != dhcpv4.MessageTypeNone {
					t.Fatalf("no answer, want %s", c.answer)
				}
				return
			}
			if reply.MessageType() != c.answer || reply.YourIPAddr.String() != c.address {
				t.Errorf("%s of %s, want %s of %s", reply.MessageType(), reply.YourIPAddr, c.answer, c.address)
			}
		})
	}
}

// TestDHCPOnTheWire is a machine without address that asks by broadcast.
func TestDHCPOnTheWire(t *testing.T) {
	l, dir := newLAN(t, nil)
	lt := attach(t, l, dir, laptop)
	nobody := Machine{Addr: netip.IPv4Unspecified(), MAC: laptop.MAC}
	all := Machine{Addr: limitedBroadcast, MAC: "ff:ff:ff:ff:ff:ff"}
	lt.send(udpFrame(t, nobody, all, 68, 67, discover(t, laptop.MAC).ToBytes()))
	frame := lt.until(t, "an offer", ofPort(68))
	var h packetHeader
	h.parse(frame)
	offer, err := dhcpv4.FromBytes(frame[h.transport+8 : h.end])
	if err != nil {
		t.Fatal(err)
	}
	gateway := []net.IP{l.GatewayAddr().AsSlice()}
	equal := func(a, b net.IP) bool { return a.Equal(b) }
	if !slices.EqualFunc(offer.Router(), gateway, equal) || !slices.EqualFunc(offer.DNS(), gateway, equal) ||
		offer.YourIPAddr.String() != "192.168.15.9" || net.IP(offer.SubnetMask()).String() != "255.255.255.0" ||
		offer.IPAddressLeaseTime(0) != leaseTime || offer.BroadcastAddress().String() != "192.168.15.255" {
		t.Errorf("offered %s", offer.Summary())
	}
}

func TestDNS(t *testing.T) {
	l, dir := newLAN(t, func(c *Config) {
		c.Records = map[string][]netip.Addr{"mirror.example": {netip.MustParseAddr("203.0.113.20"), netip.MustParseAddr("2001:db8::20")}}
	})
	lt := newGuest(t, l, dir, laptop)
	ask := func(t *testing.T, network, name string, kind uint16) (*dns.Msg, error) {
		t.Helper()
		q := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
		c := &dns.Client{Net: network, Timeout: patience}
		if network == "tcp" {
			conn, err := lt.dial(deadline(t), netip.AddrPortFrom(l.GatewayAddr(), dnsPort))
			if err != nil {
				return nil, err
			}
			defer conn.Close()
			reply, _, err := c.ExchangeWithConn(q, &dns.Conn{Conn: conn})
			return reply, err
		}
		packets, err := lt.packets(laptop.Addr, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer packets.Close()
		b, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := packets.WriteTo(b, &net.UDPAddr{IP: l.GatewayAddr().AsSlice(), Port: dnsPort}); err != nil {
			t.Fatal(err)
		}
		if err := packets.SetReadDeadline(time.Now().Add(shortTime)); err != nil {
			t.Fatal(err)
		}
		b = make([]byte, 1500)
		n, _, err := packets.ReadFrom(b)
		if err != nil {
			return nil, err
		}
		reply := new(dns.Msg)
		return reply, reply.Unpack(b[:n])
	}
	for _, c := range []struct {
		network, name string
		kind          uint16
		rcode         int
		answer        string
	}{
		{"udp", "cache.nixos.org", dns.TypeA, dns.RcodeSuccess, "203.0.113.10"},
		{"udp", "CACHE.nixos.ORG", dns.TypeA, dns.RcodeSuccess, "203.0.113.10"},
		{"tcp", "cache.nixos.org", dns.TypeA, dns.RcodeSuccess, "203.0.113.10"},
		{"udp", "cache.nixos.org", dns.TypeAAAA, dns.RcodeSuccess, ""},
		{"udp", "desktop", dns.TypeA, dns.RcodeSuccess, "192.168.15.7"},
		{"udp", "kernelcore", dns.TypeA, dns.RcodeSuccess, "192.168.15.9"},
		{"udp", "laptop", dns.TypeA, dns.RcodeSuccess, "192.168.15.9"},
		{"udp", "mirror.example", dns.TypeAAAA, dns.RcodeSuccess, "2001:db8::20"},
		{"udp", "7.15.168.192.in-addr.arpa", dns.TypePTR, dns.RcodeSuccess, "desktop."},
		{"udp", "example.org", dns.TypeA, dns.RcodeNameError, ""},
		{"tcp", "nixos.org", dns.TypeA, dns.RcodeNameError, ""},
	} {
		t.Run(c.network+" "+c.name+" "+dns.TypeToString[c.kind], func(t *testing.T) {
			reply, err := ask(t, c.network, c.name, c.kind)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, rr := range reply.Answer {
				got += dns.Field(rr, 1)
			}
			if reply.Rcode != c.rcode || got != c.answer {
				t.Errorf("%s %q, want %s %q", dns.RcodeToString[reply.Rcode], got, dns.RcodeToString[c.rcode], c.answer)
			}
		})
	}
	silent, failing := apply(t, l.DNSDown(DNSSilent)), apply(t, l.DNSDown(DNSFails))
	if reply, err := ask(t, "udp", "desktop", dns.TypeA); err != nil || reply.Rcode != dns.RcodeServerFailure {
		t.Errorf("failing: %v, %v", reply, err)
	}
	failing()
	if reply, err := ask(t, "udp", "desktop", dns.TypeA); err == nil {
		t.Errorf("silent: %v", reply)
	} else if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
		t.Errorf("silent: %v", err)
	}
	silent()
	if reply, err := ask(t, "udp", "desktop", dns.TypeA); err != nil || len(reply.Answer) != 1 {
		t.Errorf("undone: %v, %v", reply, err)
	}
	dead := apply(t, l.Drop(Match{To: Gateway, Proto: UDP, Port: 53}))
	if reply, err := ask(t, "udp", "desktop", dns.TypeA); err == nil {
		t.Errorf("dropped: %v", reply)
	}
	dead()
}
