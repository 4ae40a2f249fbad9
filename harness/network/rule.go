package network

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// rule is a fault in force. It is asked about each frame on its way to each
// port, from several goroutines, and adds to the frame's verdict.
type rule interface {
	judge(t *transit)
}

// watcher is a rule that also sees what has passed all rules. It reports true
// when it has just put other rules in force, which concern this frame already.
type watcher interface {
	passed(t *transit) bool
}

// ender is a rule with something to do after it is out of force.
type ender interface {
	end()
}

// scope is what every rule has: which frames, and how many it touched.
type scope struct {
	matcher
	text string
	hits *atomic.Uint64
}

// touch reports whether a frame is the rule's, and counts it.
func (s *scope) touch(t *transit) bool {
	_, ok := s.way(&t.packetHeader, t.in, t.out)
	if ok {
		s.hits.Add(1)
	}
	return ok
}

func (s *scope) stop(t *transit) {
	if t.by == "" {
		t.by = s.text
	}
}

// drop loses frames without a word.
type drop struct{ scope }

func (r *drop) judge(t *transit) {
	if r.touch(t) {
		t.drop = true
		r.stop(t)
	}
}

// turn turns frames away with an answer.
type turn struct {
	scope
	with answer
}

func (r *turn) judge(t *transit) {
	if r.with == answerRefuse && !t.proto.hasPorts() {
		return // a machine that refuses on all ports still answers ping
	}
	if r.touch(t) {
		t.answer = max(t.answer, r.with)
		r.stop(t)
	}
}

// delay makes frames late. Those of one way stay in order.
type delay struct {
	scope
	by, jitter time.Duration
	mu         sync.Mutex
	random     *rand.Rand
	last       [2]time.Time
}

func (r *delay) judge(t *transit) {
	way, ok := r.way(&t.packetHeader, t.in, t.out)
	if !ok {
		return
	}
	r.hits.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	at := t.now.Add(r.by)
	if r.jitter > 0 {
		at = at.Add(time.Duration(r.random.Int64N(int64(r.jitter))))
	}
	if last := &r.last[way-There]; at.Before(*last) {
		at = *last
	} else {
		*last = at
	}
	t.delay += at.Sub(t.now)
}

// rate is a slow line: each way carries so many bytes a second, and what would
// wait longer than patience for its turn is lost.
type rate struct {
	scope
	bytesPerSecond float64
	patience       time.Duration
	mu             sync.Mutex
	free           [2]time.Time
}

func (r *rate) judge(t *transit) {
	way, ok := r.way(&t.packetHeader, t.in, t.out)
	if !ok {
		return
	}
	r.hits.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	free := &r.free[way-There]
	if free.Before(t.now) {
		*free = t.now
	}
	if free.Sub(t.now) > r.patience {
		t.drop = true
		r.stop(t)
		return
	}
	*free = free.Add(time.Duration(float64(len(t.frame)) / r.bytesPerSecond * float64(time.Second)))
	t.delay += free.Sub(t.now)
}

// chance concerns some frames, by a seeded source of chance.
type chance struct {
	scope
	probability float64
	duplicate   bool
	mu          sync.Mutex
	random      *rand.Rand
}

func (r *chance) judge(t *transit) {
	if _, ok := r.way(&t.packetHeader, t.in, t.out); !ok {
		return
	}
	r.mu.Lock()
	hit := r.random.Float64() < r.probability
	r.mu.Unlock()
	if !hit {
		return
	}
	r.hits.Add(1)
	if r.duplicate {
		t.copies++
		return
	}
	t.drop = true
	r.stop(t)
}

// blackhole loses what is larger than a path's MTU.
type blackhole struct {
	scope
	mtu int
}

func (r *blackhole) judge(t *transit) {
	if t.end-t.network > r.mtu && r.touch(t) {
		t.drop = true
		r.stop(t)
	}
}

// freezeBytes bounds what is held back.
const freezeBytes = 16 << 20

// freeze holds frames back until it ends, then passes them on.
type freeze struct {
	scope
	fabric *fabric
	mu     sync.Mutex
	kept   []kept
	bytes  int
	ended  bool
}

type kept struct {
	in, out *port
	frame   []byte
}

func (r *freeze) judge(t *transit) {
	if r.touch(t) {
		t.hold = r
		r.stop(t)
	}
}

// keep holds a frame back. It reports false when the freeze has just ended, and
// the frame may go on.
func (r *freeze) keep(t *transit) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	if r.bytes+len(t.frame) > freezeBytes {
		return true // lost: no queue is endless
	}
	r.kept = append(r.kept, kept{t.in, t.out, append([]byte(nil), t.frame...)})
	r.bytes += len(t.frame)
	return true
}

func (r *freeze) end() {
	r.mu.Lock()
	frames := r.kept
	r.kept, r.bytes, r.ended = nil, 0, true
	r.mu.Unlock()
	for _, k := range frames {
		r.fabric.resume(k.in, k.out, k.frame)
	}
}

// forget drops what is held back.
func (r *freeze) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept, r.bytes = nil, 0
}

// trigger does something once so many bytes of payload have passed.
type trigger struct {
	scope
	after uint64
	mu    sync.Mutex
	seen  uint64
	fired bool
	// fire reports whether it put rules in force.
	fire func() bool
}

func (r *trigger) judge(*transit) {}

func (r *trigger) passed(t *transit) bool {
	if t.payload == 0 || !r.touch(t) {
		return false
	}
	r.mu.Lock()
	r.seen += uint64(t.payload)
	fire := !r.fired && r.seen > r.after
	r.fired = r.fired || fire
	r.mu.Unlock()
	return fire && r.fire()
}
