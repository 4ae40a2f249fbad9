package network

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

func serialize(t testing.TB, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b.Bytes())
}

func ethernetOf(t testing.TB, from, to string, kind layers.EthernetType) *layers.Ethernet {
	t.Helper()
	src, err := net.ParseMAC(from)
	if err != nil {
		t.Fatal(err)
	}
	dst, err := net.ParseMAC(to)
	if err != nil {
		t.Fatal(err)
	}
	return &layers.Ethernet{SrcMAC: src, DstMAC: dst, EthernetType: kind}
}

func ipOf(src, dst netip.Addr, proto layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
}

func udpFrame(t testing.TB, from, to Machine, src, dst uint16, payload []byte) []byte {
	t.Helper()
	ip := ipOf(from.Addr, to.Addr, layers.IPProtocolUDP)
	udp := &layers.UDP{SrcPort: layers.UDPPort(src), DstPort: layers.UDPPort(dst)}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialize(t, ethernetOf(t, from.MAC, to.MAC, layers.EthernetTypeIPv4), ip, udp, gopacket.Payload(payload))
}

func tcpFrame(t testing.TB, from, to Machine, tcp layers.TCP, payload []byte) []byte {
	t.Helper()
	ip := ipOf(from.Addr, to.Addr, layers.IPProtocolTCP)
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialize(t, ethernetOf(t, from.MAC, to.MAC, layers.EthernetTypeIPv4), ip, &tcp, gopacket.Payload(payload))
}

func TestParse(t *testing.T) {
	eth6 := ethernetOf(t, laptop.MAC, desktop.MAC, layers.EthernetTypeIPv6)
	ip6 := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: net.ParseIP("fe80::9"), DstIP: net.ParseIP("fe80::7")}
	udp6 := &layers.UDP{SrcPort: 3, DstPort: 5353}
	if err := udp6.SetNetworkLayerForChecksum(ip6); err != nil {
		t.Fatal(err)
	}
	fragment := udpFrame(t, laptop, desktop, 1, 2, []byte("second part of a datagram"))
	fragment[ethernetHeader+7] = 5 // its offset
	arp := serialize(t, ethernetOf(t, laptop.MAC, "ff:ff:ff:ff:ff:ff", layers.EthernetTypeARP), &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: 1,
		SourceHwAddress: make([]byte, 6), SourceProtAddress: laptop.Addr.AsSlice(), DstHwAddress: make([]byte, 6), DstProtAddress: desktop.Addr.AsSlice(),
	})
	for _, c := range []struct {
		name             string
		frame            []byte
		proto            Proto
		src, dst         string
		srcPort, dstPort uint16
		payload          int
	}{
		{"tcp", tcpFrame(t, laptop, desktop, layers.TCP{SrcPort: 40000, DstPort: 5000, ACK: true, Options: []layers.TCPOption{{OptionType: 1}}}, []byte("GET")), TCP, "192.168.15.9", "192.168.15.7", 40000, 5000, 3},
		{"udp with padding", append(udpFrame(t, laptop, desktop, 1, 53, []byte("q")), make([]byte, 30)...), UDP, "192.168.15.9", "192.168.15.7", 1, 53, 1},
		{"udp over ipv6", serialize(t, eth6, ip6, udp6, gopacket.Payload("hi")), UDP, "fe80::9", "fe80::7", 3, 5353, 2},
		{"fragment", fragment, UDP, "192.168.15.9", "192.168.15.7", 0, 0, 0},
		{"arp", arp, ARP, "192.168.15.9", "192.168.15.7", 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h packetHeader
			if !h.parse(c.frame) {
				t.Fatal("not parsed")
			}
			if h.proto != c.proto || h.srcAddr != netip.MustParseAddr(c.src) || h.dstAddr != netip.MustParseAddr(c.dst) ||
				h.srcPort != c.srcPort || h.dstPort != c.dstPort || h.payload != c.payload {
				t.Errorf("parsed %+v", h)
			}
		})
	}
}

// TestCraftedResets checks the arithmetic of RFC 9293 section 3.10.7.1, and
// the checksums by an implementation that is not ours.
func TestCraftedResets(t *testing.T) {
	syn := layers.TCP{SrcPort: 40000, DstPort: 5000, Seq: 1000, SYN: true}
	data := layers.TCP{SrcPort: 40000, DstPort: 5000, Seq: 2000, Ack: 7000, ACK: true, PSH: true}
	fin := layers.TCP{SrcPort: 40000, DstPort: 5000, Seq: 4294967295, FIN: true}
	for _, c := range []struct {
		name       string
		tcp        layers.TCP
		payload    string
		reset      func([]byte, *packetHeader) []byte
		fromServer bool
		seq, ack   uint32
		hasACK     bool
	}{
		{"syn", syn, "", craftReset, true, 0, 1001, true},
		{"data", data, "hello", craftReset, true, 7000, 0, false},
		{"fin without ack, and the sequence number wraps", fin, "ab", craftReset, true, 0, 2, true},
		{"data, to the receiver", data, "hello", craftAbort, false, 2000, 7000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h packetHeader
			if !h.parse(tcpFrame(t, laptop, desktop, c.tcp, []byte(c.payload))) {
				t.Fatal("not parsed")
			}
			frame := c.reset(nil, &h)
			p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
			tcp, ok := p.TransportLayer().(*layers.TCP)
			if !ok {
				t.Fatalf("no TCP in %v", p)
			}
			from, to := laptop, desktop
			if c.fromServer {
				from, to = desktop, laptop
			}
			want := layers.TCP{SrcPort: tcp.SrcPort, DstPort: tcp.DstPort, Seq: c.seq, Ack: c.ack, RST: true, ACK: c.hasACK}
			rebuilt := tcpFrame(t, from, to, want, nil)
			// What the other implementation would have sent, with its checksums;
			// but for its padding, and our IP header's don't-fragment bit.
			if !bytes.Equal(frame[34:], rebuilt[34:len(frame)]) || !bytes.Equal(frame[:14], rebuilt[:14]) {
				t.Errorf("crafted\n%x\nwant\n%x", frame, rebuilt)
			}
			if fold(checksum(0, frame[14:34])) != 0 {
				t.Errorf("the IP checksum of %x is wrong", frame[14:34])
			}
			if (tcp.SrcPort == 5000) != c.fromServer {
				t.Errorf("from port %d", tcp.SrcPort)
			}
		})
	}
	var h packetHeader
	h.parse(tcpFrame(t, laptop, desktop, layers.TCP{RST: true}, nil))
	if craftReset(nil, &h) != nil || craftAbort(nil, &h) != nil {
		t.Error("a reset was answered with a reset")
	}
	h.parse(tcpFrame(t, laptop, desktop, syn, nil))
	if craftAbort(nil, &h) != nil {
		t.Error("a connection that never was is aborted")
	}
}

func TestUnreachableIsNotSentAboutErrors(t *testing.T) {
	ping := func(kind uint8) []byte {
		return serialize(t, ethernetOf(t, laptop.MAC, desktop.MAC, layers.EthernetTypeIPv4), ipOf(laptop.Addr, desktop.Addr, layers.IPProtocolICMPv4),
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(kind, 0)}, gopacket.Payload("payload!"))
	}
	toAll := udpFrame(t, laptop, Machine{Addr: limitedBroadcast, MAC: "ff:ff:ff:ff:ff:ff"}, 1, 2, nil)
	for _, c := range []struct {
		name  string
		frame []byte
		sent  bool
	}{
		{"datagram", udpFrame(t, laptop, desktop, 1, 2, []byte("x")), true},
		{"echo request", ping(8), true},
		{"time exceeded", ping(11), false},
		{"unreachable", ping(3), false},
		{"broadcast", toAll, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h packetHeader
			h.parse(c.frame)
			frame := craftUnreachable(nil, &h, c.frame, desktop.Addr, codePortUnreachable)
			if (frame != nil) != c.sent {
				t.Fatalf("sent %x, want sent: %v", frame, c.sent)
			}
			if frame == nil {
				return
			}
			p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
			icmp, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
			if !ok || icmp.TypeCode != layers.CreateICMPv4TypeCode(3, codePortUnreachable) {
				t.Fatalf("sent %v", p)
			}
			if fold(checksum(0, frame[34:])) != 0 || fold(checksum(0, frame[14:34])) != 0 {
				t.Error("a checksum is wrong")
			}
			if !bytes.HasPrefix(icmp.Payload, c.frame[14:42]) {
				t.Error("the packet it is about is not quoted")
			}
		})
	}
}

// FuzzFrame eats what a guest may send: nothing may panic, nor may what is
// read of it reach beyond the frame.
func FuzzFrame(f *testing.F) {
	f.Add(udpFrame(f, laptop, desktop, 1, 2, []byte("x")))
	f.Add(tcpFrame(f, laptop, desktop, layers.TCP{SYN: true}, nil))
	f.Add(serialize(f, ethernetOf(f, laptop.MAC, desktop.MAC, layers.EthernetTypeIPv6),
		&layers.IPv6{Version: 6, NextHeader: layers.IPProtocolIPv6HopByHop, SrcIP: net.ParseIP("fe80::9"), DstIP: net.ParseIP("fe80::7")},
		gopacket.Payload([]byte{17, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 8, 0, 0})))
	f.Add(make([]byte, 60))
	f.Fuzz(func(t *testing.T, frame []byte) {
		var h packetHeader
		if !h.parse(frame) {
			if len(frame) >= ethernetHeader {
				t.Error("a frame with addresses was not parsed")
			}
			return
		}
		if h.end > len(frame) || h.transport > h.end || h.payload < 0 || h.payload > len(frame) {
			t.Errorf("parsed beyond the frame of %d bytes: %+v", len(frame), h)
		}
		craftReset(nil, &h)
		craftAbort(nil, &h)
		craftUnreachable(nil, &h, frame, desktop.Addr, codePortUnreachable)
	})
}

// FuzzStream eats a cable's byte stream, in pieces of any size.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'a', 0, 0, 0, 0, 0, 0, 0, 2, 'b'}, 3)
	f.Add([]byte{255, 255, 255, 255}, 1)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		var whole, pieces [][]byte
		collect := func(to *[][]byte) func([]byte) {
			return func(frame []byte) { *to = append(*to, bytes.Clone(frame)) }
		}
		rest, err := split(stream, collect(&whole))
		if err == nil && len(rest) >= 4+maxFrame {
			t.Errorf("%d bytes are left over", len(rest))
		}
		piece = max(1, piece%64)
		var have []byte
		var pieceErr error
		for len(stream) > 0 && pieceErr == nil {
			n := min(piece, len(stream))
			have = append(have, stream[:n]...)
			stream = stream[n:]
			have, pieceErr = split(have, collect(&pieces))
		}
		if (err == nil) != (pieceErr == nil) || len(whole) != len(pieces) {
			t.Errorf("%d frames (%v) at once, %d (%v) in pieces", len(whole), err, len(pieces), pieceErr)
		}
	})
}
