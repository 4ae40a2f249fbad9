package network

import (
	"container/heap"
	"sync"
	"time"
)

// lineBytes bounds what may be on its way on a slow line.
const lineBytes = 32 << 20

// line delivers frames later, in the order of their times.
type line struct {
	deliver func(out *port, frame []byte)

	mu    sync.Mutex
	queue arrivals
	bytes int
	count uint64
	wake  chan struct{}
	done  chan struct{}
	once  sync.Once
	work  sync.WaitGroup
}

func newLine(deliver func(*port, []byte)) *line {
	l := &line{deliver: deliver, wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.work.Go(l.run)
	return l
}

// push takes a copy of a frame to be delivered at a time, and reports false
// when the line is full.
func (l *line) push(at time.Time, out *port, frame []byte) bool {
	l.mu.Lock()
	if l.bytes+len(frame) > lineBytes {
		l.mu.Unlock()
		return false
	}
	l.count++
	heap.Push(&l.queue, arrival{at: at, order: l.count, out: out, frame: append([]byte(nil), frame...)})
	l.bytes += len(frame)
	first := l.queue[0].order == l.count
	l.mu.Unlock()
	if first {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return true
}

func (l *line) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := time.Hour
		l.mu.Lock()
		for len(l.queue) > 0 {
			if wait = time.Until(l.queue[0].at); wait > 0 {
				break
			}
			a := heap.Pop(&l.queue).(arrival)
			l.bytes -= len(a.frame)
			l.mu.Unlock()
			l.deliver(a.out, a.frame)
			l.mu.Lock()
			wait = time.Hour
		}
		l.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-l.wake:
		case <-l.done:
			return
		}
	}
}

// flush forgets all frames on the line.
func (l *line) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue, l.bytes = nil, 0
}

func (l *line) close() {
	l.once.Do(func() { close(l.done) })
	l.work.Wait()
}

type arrival struct {
	at    time.Time
	order uint64
	out   *port
	frame []byte
}

// arrivals is a heap by time, then by order of sending.
type arrivals []arrival

func (a arrivals) Len() int { return len(a) }
func (a arrivals) Less(i, j int) bool {
	if a[i].at.Equal(a[j].at) {
		return a[i].order < a[j].order
	}
	return a[i].at.Before(a[j].at)
}
func (a arrivals) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)   { *a = append(*a, x.(arrival)) }
func (a *arrivals) Pop() any {
	old := *a
	last := old[len(old)-1]
	old[len(old)-1] = arrival{}
	*a = old[:len(old)-1]
	return last
}
