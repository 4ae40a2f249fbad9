package network

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// port is a socket of the switch: one machine's, or the gateway's.
type port struct {
	name string
	id   int
	mac  hardwareAddr
	// send passes a frame on; it never blocks, and reports false when the
	// frame was lost.
	send func(frame []byte) bool
	// cut counts the faults that hold the link down.
	cut atomic.Int32
}

// fabric is the switch: it knows from its configuration who is where, judges
// each frame by the rules in force, and passes it on. No lock of its own is
// held while a frame is delivered, as the gateway's stack may answer within.
type fabric struct {
	ports   []*port
	byMAC   map[hardwareAddr]*port
	gateway *port

	capture *Capture
	flows   *flows
	line    *line

	held  atomic.Bool
	mu    sync.Mutex
	rules atomic.Pointer[[]rule]

	transits sync.Pool
}

func newFabric(capture *Capture) *fabric {
	f := &fabric{byMAC: make(map[hardwareAddr]*port), capture: capture, flows: newFlows()}
	f.rules.Store(&[]rule{})
	f.transits.New = func() any { return new(transit) }
	f.line = newLine(f.arrive)
	return f
}

func (f *fabric) connect(p *port) {
	p.id = len(f.ports)
	f.ports = append(f.ports, p)
	f.byMAC[p.mac] = p
}

// transit is one frame on its way from one port to another.
type transit struct {
	packetHeader
	verdict
	frame   []byte
	now     time.Time
	in, out *port
	crafted []byte
}

// verdict is what the rules in force make of a frame. The strongest wins:
// drop, hold, answer; delay and copies concern frames that pass.
type verdict struct {
	// by names the fault that stops the frame, for the capture; "" lets it pass.
	by     string
	drop   bool
	hold   *freeze
	answer answer
	delay  time.Duration
	copies int
}

// answer is what a frame that is turned away is answered with.
type answer uint8

const (
	noAnswer answer = iota
	answerRefuse
	answerReject
)

// receive takes a frame that came in at a port. The frame is the caller's
// again when it returns.
func (f *fabric) receive(in *port, frame []byte) {
	if f.held.Load() || in.cut.Load() > 0 {
		return
	}
	t := f.transits.Get().(*transit)
	defer f.release(t)
	if !t.parse(frame) {
		return
	}
	t.frame, t.in, t.now = frame, in, time.Now()
	out, known := f.byMAC[t.dst]
	if known && out != in {
		t.out = out
		f.judge(t)
		f.flows.count(t)
		f.capture.write(in.id, t.now, frame, t.by)
		f.act(t)
		return
	}
	// For all, or for someone unknown: a switch floods.
	f.flows.count(t)
	f.capture.write(in.id, t.now, frame, "")
	if known {
		return // to itself
	}
	for _, out := range f.ports {
		if out != in {
			t.out = out
			f.judge(t)
			f.act(t)
		}
	}
}

func (f *fabric) release(t *transit) {
	t.frame, t.in, t.out, t.verdict = nil, nil, nil, verdict{}
	f.transits.Put(t)
}

// judge asks all rules; those that count what passes are asked last. Where one
// of those sets off another fault, the frame is judged again.
func (f *fabric) judge(t *transit) {
	rules := f.decide(t)
	if t.by != "" {
		return
	}
	fired := false
	for _, r := range rules {
		if w, ok := r.(watcher); ok && w.passed(t) {
			fired = true
		}
	}
	if fired {
		f.decide(t)
	}
}

func (f *fabric) decide(t *transit) []rule {
	t.verdict = verdict{}
	rules := *f.rules.Load()
	for _, r := range rules {
		r.judge(t)
	}
	return rules
}

// act does with a frame what was decided.
func (f *fabric) act(t *transit) {
	switch {
	case t.drop, t.out.cut.Load() > 0, t.in.cut.Load() > 0:
	case t.hold != nil:
		if !t.hold.keep(t) {
			t.out.send(t.frame)
		}
	case t.answer == answerRefuse:
		f.refuse(t)
	case t.answer == answerReject:
		t.crafted = craftUnreachable(t.crafted, &t.packetHeader, t.frame, t.dstAddr, codeProhibited)
		f.reply(t.in, t.crafted)
	default:
		for range 1 + t.copies {
			if t.delay > 0 {
				f.line.push(t.now.Add(t.delay), t.out, t.frame)
			} else {
				t.out.send(t.frame)
			}
		}
	}
}

// refuse answers a frame as a machine with nothing behind the port would.
func (f *fabric) refuse(t *transit) {
	switch {
	case t.proto != TCP:
		t.crafted = craftUnreachable(t.crafted, &t.packetHeader, t.frame, t.dstAddr, codePortUnreachable)
		f.reply(t.in, t.crafted)
	case t.flags&flagRST != 0:
		t.out.send(t.frame) // one side says itself that it is over
	default:
		t.crafted = craftAbort(t.crafted, &t.packetHeader)
		f.reply(t.out, t.crafted)
		t.crafted = craftReset(t.crafted, &t.packetHeader)
		f.reply(t.in, t.crafted)
	}
}

// reply sends a frame that the switch itself made. To the gateway it goes by
// way of the line: the gateway's stack may be inside the very call that sent
// what is answered, and holds its locks.
func (f *fabric) reply(out *port, frame []byte) {
	if len(frame) == 0 || out.cut.Load() > 0 {
		return
	}
	now := time.Now()
	f.capture.write(len(f.ports), now, frame, "")
	if out == f.gateway {
		f.line.push(now, out, frame)
		return
	}
	out.send(frame)
}

// resume passes on a frame that was held back, by the rules in force now.
func (f *fabric) resume(in, out *port, frame []byte) {
	t := f.transits.Get().(*transit)
	defer f.release(t)
	if f.held.Load() || in.cut.Load() > 0 || !t.parse(frame) {
		return
	}
	t.frame, t.in, t.out, t.now = frame, in, out, time.Now()
	f.judge(t)
	f.act(t)
}

// arrive ends the way of a frame that was delayed.
func (f *fabric) arrive(out *port, frame []byte) {
	if !f.held.Load() && out.cut.Load() == 0 {
		out.send(frame)
	}
}

// add puts a rule in force.
func (f *fabric) add(r rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := *f.rules.Load()
	rules := append(old[:len(old):len(old)], r)
	f.rules.Store(&rules)
}

// remove takes a rule out of force.
func (f *fabric) remove(r rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rules := make([]rule, 0, len(*f.rules.Load()))
	for _, other := range *f.rules.Load() {
		if other != r {
			rules = append(rules, other)
		}
	}
	f.rules.Store(&rules)
}

// unreachable answers a packet to an address nobody has, in the gateway's name.
func (f *fabric) unreachable(frame []byte, gateway netip.Addr) {
	var h packetHeader
	if !h.parse(frame) {
		return
	}
	if out, ok := f.byMAC[h.src]; ok {
		f.reply(out, craftUnreachable(nil, &h, frame, gateway, codeNetUnreachable))
	}
}
