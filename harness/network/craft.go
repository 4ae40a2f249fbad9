package network

import (
	"encoding/binary"
	"net/netip"
)

// ICMP codes of "destination unreachable" (RFC 792, RFC 1812 section 5.2.7.1).
const (
	codeNetUnreachable  = 0
	codePortUnreachable = 3
	codeProhibited      = 13
)

// craftReset writes into b the RST that the receiver of a TCP segment would
// answer with (RFC 9293, section 3.10.7.1), and returns the frame. It answers
// neither a reset nor what is not TCP over IPv4: nil.
func craftReset(b []byte, h *packetHeader) []byte {
	if !resettable(h) {
		return nil
	}
	seq, ack, flags := h.ack, uint32(0), uint8(flagRST)
	if h.flags&flagACK == 0 {
		seq, ack, flags = 0, h.seq+segmentLength(h), flagRST|flagACK
	}
	return craftTCP(b, endpointsOf(h).turned(), seq, ack, flags)
}

// craftAbort writes into b the RST that the sender of a segment of an
// established connection would send in its place, so that the receiver drops
// its half too. A first SYN opened nothing, so nothing is aborted: nil.
func craftAbort(b []byte, h *packetHeader) []byte {
	if !resettable(h) || h.flags&flagACK == 0 {
		return nil
	}
	return craftTCP(b, endpointsOf(h), h.seq, h.ack, flagRST|flagACK)
}

func resettable(h *packetHeader) bool {
	return h.etherType == etherTypeIPv4 && h.proto == TCP && h.transport != 0 && h.flags&flagRST == 0
}

// segmentLength is SEG.LEN of RFC 9293: the payload, and one each for SYN and FIN.
func segmentLength(h *packetHeader) uint32 {
	n := uint32(h.payload)
	if h.flags&flagSYN != 0 {
		n++
	}
	if h.flags&flagFIN != 0 {
		n++
	}
	return n
}

// endpoints is who a crafted frame is from and for.
type endpoints struct {
	srcMAC, dstMAC   hardwareAddr
	src, dst         netip.Addr
	srcPort, dstPort uint16
}

func endpointsOf(h *packetHeader) endpoints {
	return endpoints{h.src, h.dst, h.srcAddr, h.dstAddr, h.srcPort, h.dstPort}
}

func (e endpoints) turned() endpoints {
	return endpoints{e.dstMAC, e.srcMAC, e.dst, e.src, e.dstPort, e.srcPort}
}

func craftTCP(b []byte, e endpoints, seq, ack uint32, flags uint8) []byte {
	b = craftIPv4(b, e, TCP, 20)
	t := b[ethernetHeader+20:]
	clear(t)
	binary.BigEndian.PutUint16(t, e.srcPort)
	binary.BigEndian.PutUint16(t[2:], e.dstPort)
	binary.BigEndian.PutUint32(t[4:], seq)
	binary.BigEndian.PutUint32(t[8:], ack)
	t[12], t[13] = 5<<4, flags
	src, dst := e.src.As4(), e.dst.As4()
	sum := checksum(checksum(0, src[:]), dst[:]) + uint32(TCP) + 20
	binary.BigEndian.PutUint16(t[16:], fold(checksum(sum, t)))
	return b
}

// craftUnreachable writes into b the ICMP "destination unreachable" that from
// sends about a packet. RFC 1122 section 3.2.2 forbids it about ICMP errors,
// fragments but the first, and what was sent to or from many: nil.
func craftUnreachable(b []byte, h *packetHeader, frame []byte, from netip.Addr, code uint8) []byte {
	switch {
	case h.etherType != etherTypeIPv4, !h.srcAddr.IsValid(), !from.Is4(), h.transport == 0,
		h.dst.group(), h.src.group(), h.dstAddr.IsMulticast(), h.srcAddr.IsMulticast(), h.srcAddr.IsUnspecified():
		return nil
	case h.proto == ICMP && frame[h.transport] != 8:
		return nil
	}
	quote := frame[h.network:min(h.end, h.transport+8)]
	e := endpoints{srcMAC: h.dst, dstMAC: h.src, src: from, dst: h.srcAddr}
	b = craftIPv4(b, e, ICMP, 8+len(quote))
	m := b[ethernetHeader+20:]
	clear(m[:8])
	m[0], m[1] = 3, code
	copy(m[8:], quote)
	binary.BigEndian.PutUint16(m[2:], fold(checksum(0, m)))
	return b
}

// craftIPv4 writes Ethernet and IPv4 headers for a payload of a length, and
// returns the frame with room for it.
func craftIPv4(b []byte, e endpoints, proto Proto, payload int) []byte {
	b = append(b[:0], make([]byte, ethernetHeader+20+payload)...)
	copy(b, e.dstMAC[:])
	copy(b[6:], e.srcMAC[:])
	binary.BigEndian.PutUint16(b[12:], etherTypeIPv4)
	ip := b[ethernetHeader : ethernetHeader+20]
	ip[0], ip[8], ip[9] = 0x45, 64, byte(proto)
	binary.BigEndian.PutUint16(ip[2:], uint16(20+payload))
	binary.BigEndian.PutUint16(ip[6:], 0x4000) // don't fragment
	src, dst := e.src.As4(), e.dst.As4()
	copy(ip[12:], src[:])
	copy(ip[16:], dst[:])
	binary.BigEndian.PutUint16(ip[10:], fold(checksum(0, ip)))
	return b
}

// checksum adds b to a running Internet checksum (RFC 1071).
func checksum(sum uint32, b []byte) uint32 {
	for len(b) >= 2 {
		sum += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
