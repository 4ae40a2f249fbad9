package network

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Fault is something to go wrong on purpose. Apply puts it in force and returns
// what takes it back; undo is idempotent, and needs no live context of Apply.
// A fault can be applied again after it was undone.
type Fault interface {
	Apply(ctx context.Context) (undo func(context.Context) error, err error)
	String() string
}

// Counted is a fault that knows how many frames it has touched. A fault in
// force that touched none has proved nothing.
type Counted interface{ Hits() uint64 }

// fault is a fault of a LAN.
type fault struct {
	lan  *LAN
	text string
	hits atomic.Uint64
	// err is why the fault cannot be applied.
	err error
	// arm puts it in force, without waiting, and returns how to take it back.
	arm func() (disarm func(context.Context) error)
}

type faultInForce struct {
	text  string
	since time.Time
}

func (f *fault) String() string { return f.text }

func (f *fault) Hits() uint64 { return f.hits.Load() }

func (f *fault) Apply(ctx context.Context) (func(context.Context) error, error) {
	if f.err != nil {
		return nil, fmt.Errorf("fault %s: %w", f.text, f.err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("fault %s: %w", f.text, err)
	}
	return f.force(), nil
}

// force arms the fault and keeps the book of those in force.
func (f *fault) force() (disarm func(context.Context) error) {
	l, entry := f.lan, &faultInForce{text: f.text, since: time.Now()}
	l.mu.Lock()
	l.faults[entry] = struct{}{}
	l.mu.Unlock()
	l.log.Info("fault applied", "fault", f.text)
	back := f.arm()
	var once sync.Once
	var err error
	return func(ctx context.Context) error {
		once.Do(func() {
			err = back(ctx)
			l.mu.Lock()
			delete(l.faults, entry)
			l.mu.Unlock()
			l.log.Info("fault undone", "fault", f.text, "frames", f.Hits(), "error", err)
		})
		return err
	}
}

// sure is the way back of a fault whose end cannot fail.
func sure(end func()) func(context.Context) error {
	return func(context.Context) error { end(); return nil }
}

// Faults says which faults are in force, oldest first.
func (l *LAN) Faults() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := make([]*faultInForce, 0, len(l.faults))
	for e := range l.faults {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *faultInForce) int { return a.since.Compare(b.since) })
	texts := make([]string, len(entries))
	for i, e := range entries {
		texts[i] = e.text
	}
	return texts
}

// ruled is a fault that is a rule of the switch. check says what is wrong with
// its figures, or nothing.
func (l *LAN) ruled(what string, m Match, check string, make func(scope) rule) *fault {
	f := &fault{lan: l, text: what + " " + m.String()}
	compiled, err := l.compile(m)
	if err == nil && check != "" {
		err = fmt.Errorf("%s", check)
	}
	f.err = err
	f.arm = func() func(context.Context) error {
		r := make(scope{matcher: compiled, text: f.text, hits: &f.hits})
		l.fabric.add(r)
		return sure(func() {
			l.fabric.remove(r)
			if e, ok := r.(ender); ok {
				e.end()
			}
		})
	}
	return f
}

// LinkDown pulls a machine's cable: no frame either way, ARP included. Its
// peers hear "no route to host" after a few seconds; the machine itself does
// not see that the carrier is gone: that is QEMU's set_link.
func (l *LAN) LinkDown(machine string) Fault {
	f := &fault{lan: l, text: "link down of " + machine}
	p, ok := l.ports[machine]
	if machine == Gateway {
		p, ok = l.fabric.gateway, true
	}
	if !ok {
		_, f.err = l.cable(machine)
	}
	f.arm = func() func(context.Context) error {
		p.cut.Add(1)
		return sure(func() { p.cut.Add(-1) })
	}
	return f
}

// Drop loses frames without a word: connections are neither made nor refused.
func (l *LAN) Drop(m Match) Fault {
	return l.ruled("drop", m, "", func(s scope) rule { return &drop{s} })
}

// Refuse answers as a machine with nothing behind the port: TCP is reset, to
// both sides where a connection was open and as soon as one of them sends; UDP
// gets ICMP port unreachable. Other protocols, as ping, pass. Over IPv6 the
// frames are dropped.
func (l *LAN) Refuse(m Match) Fault {
	check := ""
	if m.Proto != AnyProto && !m.Proto.hasPorts() {
		check = m.Proto.String() + " cannot be refused: say tcp, udp or neither"
	}
	return l.ruled("refuse", m, check, func(s scope) rule { return &turn{s, answerRefuse} })
}

// Reject answers as a firewall that forbids: ICMP "administratively
// prohibited", which dials report as "no route to host".
func (l *LAN) Reject(m Match) Fault {
	return l.ruled("reject", m, "", func(s scope) rule { return &turn{s, answerReject} })
}

// Delay makes frames late, each way by a time and a seeded random part of
// jitter; frames of one way stay in order. A round trip takes twice as long.
func (l *LAN) Delay(m Match, by, jitter time.Duration, seed uint64) Fault {
	check := ""
	if by < 0 || jitter < 0 {
		check = "a delay cannot be negative"
	}
	what := fmt.Sprintf("delay by %s", by)
	if jitter > 0 {
		what += fmt.Sprintf(" to %s", by+jitter)
	}
	return l.ruled(what, m, check, func(s scope) rule {
		return &delay{scope: s, by: by, jitter: jitter, random: newRandom(seed)}
	})
}

// ratePatience is how long a frame waits for a slow line: about what a home
// router buffers.
const ratePatience = 500 * time.Millisecond

// Rate bounds each way to so many bytes a second. A frame that would have to
// wait more than half a second is lost.
func (l *LAN) Rate(m Match, bytesPerSecond int) Fault {
	check := ""
	if bytesPerSecond <= 0 {
		check = "a rate must be positive; to stop all frames, drop them"
	}
	return l.ruled(fmt.Sprintf("rate of %d bytes/s", bytesPerSecond), m, check, func(s scope) rule {
		return &rate{scope: s, bytesPerSecond: float64(bytesPerSecond), patience: ratePatience}
	})
}

// Loss loses frames with a probability from 0 to 1, by a seeded source of chance.
func (l *LAN) Loss(m Match, probability float64, seed uint64) Fault {
	return l.ruled(fmt.Sprintf("loss of %g %%", probability*100), m, checkProbability(probability), func(s scope) rule {
		return &chance{scope: s, probability: probability, random: newRandom(seed)}
	})
}

// Duplicate delivers frames twice with a probability from 0 to 1.
func (l *LAN) Duplicate(m Match, probability float64, seed uint64) Fault {
	return l.ruled(fmt.Sprintf("duplication of %g %%", probability*100), m, checkProbability(probability), func(s scope) rule {
		return &chance{scope: s, probability: probability, duplicate: true, random: newRandom(seed)}
	})
}

func checkProbability(p float64) string {
	if !(p >= 0 && p <= 1) {
		return "a probability is between 0 and 1"
	}
	return ""
}

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x6c616e)) }

// Blackhole is a path with a smaller MTU that nobody tells about: IP packets
// larger than so many bytes vanish, without ICMP "fragmentation needed".
func (l *LAN) Blackhole(m Match, mtu int) Fault {
	check := ""
	if mtu < 68 {
		check = "no path has an MTU below 68 bytes (RFC 791)"
	}
	return l.ruled(fmt.Sprintf("blackhole above MTU %d", mtu), m, check, func(s scope) rule { return &blackhole{s, mtu} })
}

// Freeze holds frames back; undo lets them go on, in order. At most 16 MiB are
// held, what comes then is lost.
func (l *LAN) Freeze(m Match) Fault {
	return l.ruled("freeze", m, "", func(s scope) rule { return &freeze{scope: s, fabric: l.fabric} })
}

// DNSDown makes the gateway's DNS silent or failing. Of several in force, the
// latest decides, until it is undone.
func (l *LAN) DNSDown(mode DNSMode) Fault {
	f := &fault{lan: l, text: "dns " + mode.String()}
	f.arm = func() func(context.Context) error {
		return sure(l.dns.push(mode))
	}
	return f
}
