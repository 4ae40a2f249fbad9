package network

import (
	"encoding/binary"
	"net/netip"
)

const (
	// ethernetHeader is destination, source and type (IEEE 802.3).
	ethernetHeader = 14
	// maxFrame bounds what a cable may send: the largest IP packet, with an
	// Ethernet header and a VLAN tag. Frames of a LAN with MTU 1500 are far below.
	maxFrame = 65535 + ethernetHeader + 4

	etherTypeIPv4 = 0x0800
	etherTypeARP  = 0x0806
	etherTypeIPv6 = 0x86dd
)

// hardwareAddr is an Ethernet address as a map key.
type hardwareAddr [6]byte

var broadcast = hardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// group reports whether the address is a multicast or the broadcast address.
func (a hardwareAddr) group() bool { return a[0]&1 == 1 }

// TCP flags (RFC 9293, section 3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

// header is what is read of a frame. Fields that the frame does not have are
// zero: a frame of an unknown type is still carried, it only matches nothing.
type packetHeader struct {
	dst, src  hardwareAddr
	etherType uint16
	// network and transport are offsets in the frame; transport is 0 where
	// there is none, as in all but the first fragment.
	network, transport int
	// end is where the IP packet ends; after it a frame may be padded.
	end int
	// srcAddr and dstAddr are of IP, or ARP's sender and target.
	srcAddr, dstAddr netip.Addr
	proto            Proto
	srcPort, dstPort uint16
	// payload is the length in bytes of what TCP or UDP carries.
	payload  int
	seq, ack uint32
	flags    uint8
}

// parse reads a frame without allocating. It reports false when the frame is
// too short to have an address; all other damage leaves fields empty.
func (h *packetHeader) parse(frame []byte) bool {
	*h = packetHeader{}
	if len(frame) < ethernetHeader {
		return false
	}
	copy(h.dst[:], frame)
	copy(h.src[:], frame[6:])
	h.etherType = binary.BigEndian.Uint16(frame[12:])
	h.network = ethernetHeader
	switch h.etherType {
	case etherTypeIPv4:
		h.parseIPv4(frame)
	case etherTypeIPv6:
		h.parseIPv6(frame)
	case etherTypeARP:
		h.parseARP(frame)
	}
	return true
}

// parseARP reads an ARP packet for IPv4 over Ethernet (RFC 826).
func (h *packetHeader) parseARP(frame []byte) {
	b := frame[h.network:]
	if len(b) < 28 || b[4] != 6 || b[5] != 4 {
		return
	}
	h.proto = ARP
	h.srcAddr = netip.AddrFrom4([4]byte(b[14:18]))
	h.dstAddr = netip.AddrFrom4([4]byte(b[24:28]))
	h.end = h.network + 28
}

// parseIPv4 reads an IPv4 header (RFC 791).
func (h *packetHeader) parseIPv4(frame []byte) {
	b := frame[h.network:]
	if len(b) < 20 || b[0]>>4 != 4 {
		return
	}
	size, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if size < 20 || total < size || total > len(b) {
		return
	}
	h.end = h.network + total
	h.srcAddr = netip.AddrFrom4([4]byte(b[12:16]))
	h.dstAddr = netip.AddrFrom4([4]byte(b[16:20]))
	h.proto = Proto(b[9])
	if binary.BigEndian.Uint16(b[6:])&0x1fff == 0 {
		h.parseTransport(frame, h.network+size)
	}
}

// parseIPv6 reads an IPv6 header and the extension headers before the
// transport (RFC 8200).
func (h *packetHeader) parseIPv6(frame []byte) {
	b := frame[h.network:]
	if len(b) < 40 || b[0]>>4 != 6 {
		return
	}
	end := h.network + 40 + int(binary.BigEndian.Uint16(b[4:]))
	if end > len(frame) {
		return
	}
	h.end = end
	h.srcAddr = netip.AddrFrom16([16]byte(b[8:24]))
	h.dstAddr = netip.AddrFrom16([16]byte(b[24:40]))
	next, at := b[6], h.network+40
	// No honest packet has more than a handful of extension headers.
	for range 8 {
		switch next {
		case 0, 43, 60: // hop-by-hop, routing, destination options
			if at+8 > h.end {
				return
			}
			next, at = frame[at], at+8+int(frame[at+1])*8
			if at > h.end {
				return
			}
			continue
		case 44: // fragment
			if at+8 > h.end {
				return
			}
			first := binary.BigEndian.Uint16(frame[at+2:])&0xfff8 == 0
			next, at = frame[at], at+8
			if !first {
				h.proto = Proto(next)
				return
			}
			continue
		}
		break
	}
	h.proto = Proto(next)
	h.parseTransport(frame, at)
}

// parseTransport reads the header of TCP (RFC 9293) or UDP (RFC 768) at an offset.
func (h *packetHeader) parseTransport(frame []byte, at int) {
	b := frame[at:h.end]
	switch h.proto {
	case TCP:
		if len(b) < 20 {
			return
		}
		size := int(b[12]>>4) * 4
		if size < 20 || size > len(b) {
			return
		}
		h.seq, h.ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
		h.flags = b[13]
		h.payload = len(b) - size
	case UDP:
		if len(b) < 8 {
			return
		}
		h.payload = len(b) - 8
	case ICMP, ICMPv6:
		if len(b) >= 4 {
			h.transport = at
		}
		return
	default:
		return
	}
	h.transport = at
	h.srcPort, h.dstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
}
