package network

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// afterTimeout bounds how long a fault of another kind may take to apply.
const afterTimeout = time.Minute

// After applies another fault once more than so many bytes of payload have
// passed within a match; the frame that goes beyond is the first the fault
// concerns. "After 1 MB of what the cache answers" is
//
//	lan.After(network.Match{To: "desktop", Proto: network.TCP, Port: 5000, Way: network.Back}, 1e6, fault)
//
// Its undo disarms it, and undoes the fault if it was applied. A fault of
// another kind than this LAN's, as [Func], is applied in the background, and
// its error is undo's.
func (l *LAN) After(m Match, bytes uint64, then Fault) Fault {
	f := l.ruled(fmt.Sprintf("after %d bytes of", bytes), m, "", nil)
	f.text += ": " + then.String()
	own, ok := then.(*fault)
	if !ok || own.lan != l {
		own = nil
	} else if f.err == nil {
		f.err = own.err
	}
	compiled, _ := l.compile(m) // its error is in f.err
	f.arm = func() func(context.Context) error {
		c := &consequence{then: then, own: own}
		r := &trigger{scope: scope{matcher: compiled, text: f.text, hits: &f.hits}, after: bytes, fire: c.come}
		l.fabric.add(r)
		return func(ctx context.Context) error {
			l.fabric.remove(r)
			return c.undo(ctx)
		}
	}
	return f
}

// consequence is a fault that comes later, or never.
type consequence struct {
	then Fault
	own  *fault

	mu   sync.Mutex
	over bool
	back func(context.Context) error
}

// come applies the fault, and reports whether it is in force already.
func (c *consequence) come() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	if c.own != nil {
		c.back = c.own.force()
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), afterTimeout)
	type outcome struct {
		undo func(context.Context) error
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		undo, err := c.then.Apply(ctx)
		done <- outcome{undo, err}
	}()
	c.back = func(undoing context.Context) error {
		defer cancel()
		select {
		case o := <-done:
			if o.err != nil {
				return o.err
			}
			return o.undo(undoing)
		case <-undoing.Done():
			return errors.Join(fmt.Errorf("fault %s: it is still being applied", c.then), context.Cause(undoing))
		}
	}
	return false
}

func (c *consequence) undo(ctx context.Context) error {
	c.mu.Lock()
	c.over = true
	back := c.back
	c.mu.Unlock()
	if back == nil {
		return nil
	}
	return back(ctx)
}

// Func is a function as a fault, with nothing to undo: what [LAN.After] shall
// call, or tell.
type Func struct {
	Name string
	Do   func(ctx context.Context) error
}

func (f Func) String() string { return f.Name }

// Apply calls the function.
func (f Func) Apply(ctx context.Context) (func(context.Context) error, error) {
	if err := f.Do(ctx); err != nil {
		return nil, fmt.Errorf("fault %s: %w", f.Name, err)
	}
	return func(context.Context) error { return nil }, nil
}
