package network

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// maxFlows bounds how many flows are told apart. Beyond it, new flows of a
// service are counted together, without the client's port.
const maxFlows = 32768

// Flow is the frames of one direction of one conversation, as the switch took
// them from their sender.
type Flow struct {
	// Src and Dst are addresses; of ARP the sender's and the target's.
	Src, Dst netip.Addr
	Proto    Proto
	// SrcPort and DstPort are 0 where the protocol has none.
	SrcPort, DstPort uint16
	Traffic
}

// Traffic is an amount of frames.
type Traffic struct {
	// Frames and Bytes are whole frames, with their headers.
	Frames, Bytes uint64
	// Payload is what TCP and UDP carried, in bytes, retransmissions included.
	Payload uint64
	// Stopped is how many of the frames a fault kept from arriving.
	Stopped uint64
	// Opened is how many TCP connections were asked for: SYN without ACK,
	// retransmissions included.
	Opened uint64
	// First and Last are when frames were seen.
	First, Last time.Time
}

func (t *Traffic) add(other Traffic) {
	if other.Frames == 0 {
		return
	}
	t.Frames += other.Frames
	t.Bytes += other.Bytes
	t.Payload += other.Payload
	t.Stopped += other.Stopped
	t.Opened += other.Opened
	if t.First.IsZero() || other.First.Before(t.First) {
		t.First = other.First
	}
	if other.Last.After(t.Last) {
		t.Last = other.Last
	}
}

// flowKey is what flows are told apart by. Ports of the switch are part of it,
// so that a machine is known by its cable, whatever address it uses.
type flowKey struct {
	etherType        uint16
	src, dst         netip.Addr
	proto            Proto
	srcPort, dstPort uint16
	in, out          *port
}

type flows struct {
	mu    sync.Mutex
	table map[flowKey]*Traffic
}

func newFlows() *flows { return &flows{table: make(map[flowKey]*Traffic)} }

func (f *flows) count(t *transit) {
	key := flowKey{t.etherType, t.srcAddr, t.dstAddr, t.proto, t.srcPort, t.dstPort, t.in, t.out}
	f.mu.Lock()
	defer f.mu.Unlock()
	flow := f.table[key]
	if flow == nil {
		if len(f.table) >= maxFlows {
			key = folded(key)
			flow = f.table[key]
		}
		if flow == nil {
			if len(f.table) >= 2*maxFlows {
				return // a guest that invents addresses
			}
			flow = &Traffic{First: t.now}
			f.table[key] = flow
		}
	}
	flow.Frames++
	flow.Bytes += uint64(len(t.frame))
	flow.Payload += uint64(t.payload)
	if t.by != "" {
		flow.Stopped++
	}
	if t.proto == TCP && t.flags&(flagSYN|flagACK) == flagSYN {
		flow.Opened++
	}
	flow.Last = t.now
}

// folded forgets the client's port: the higher one, as services are below the
// ephemeral range.
func folded(k flowKey) flowKey {
	if k.srcPort > k.dstPort {
		k.srcPort = 0
	} else {
		k.dstPort = 0
	}
	return k
}

// Flows returns what has crossed the LAN so far, busiest first.
func (l *LAN) Flows() []Flow {
	f := l.fabric.flows
	f.mu.Lock()
	all := make([]Flow, 0, len(f.table))
	for k, t := range f.table {
		all = append(all, Flow{Src: k.src, Dst: k.dst, Proto: k.proto, SrcPort: k.srcPort, DstPort: k.dstPort, Traffic: *t})
	}
	f.mu.Unlock()
	slices.SortFunc(all, func(a, b Flow) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), a.First.Compare(b.First), a.Src.Compare(b.Src), cmp.Compare(a.SrcPort, b.SrcPort))
	})
	return all
}

// Traffic sums what has crossed the LAN so far within a match. As evidence,
// take it before and after; [Traffic.Since] is the difference.
func (l *LAN) Traffic(m Match) (Traffic, error) {
	c, err := l.compile(m)
	if err != nil {
		return Traffic{}, err
	}
	f := l.fabric.flows
	f.mu.Lock()
	defer f.mu.Unlock()
	var sum Traffic
	for k, t := range f.table {
		h := packetHeader{etherType: k.etherType, srcAddr: k.src, dstAddr: k.dst, proto: k.proto, srcPort: k.srcPort, dstPort: k.dstPort}
		if k.srcPort != 0 || k.dstPort != 0 {
			h.transport = 1 // it has ports
		}
		if _, ok := c.way(&h, k.in, k.out); ok {
			sum.add(*t)
		}
	}
	return sum, nil
}

// Since is the traffic between an earlier sum and this one. First is when the
// earlier sum ended.
func (t Traffic) Since(earlier Traffic) Traffic {
	t.Frames -= earlier.Frames
	t.Bytes -= earlier.Bytes
	t.Payload -= earlier.Payload
	t.Stopped -= earlier.Stopped
	t.Opened -= earlier.Opened
	if !earlier.Last.IsZero() {
		t.First = earlier.Last
	}
	return t
}
