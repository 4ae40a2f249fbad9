package containers

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// Forward is a port of this host's loopback, whose connections are carried to what dial
// connects to.
type Forward struct {
	Addr *net.TCPAddr

	mu   sync.Mutex
	open int
}

// NewForward listens until the test ends.
func NewForward(t *testing.T, dial func(context.Context) (net.Conn, error)) *Forward {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	f := &Forward{Addr: listener.Addr().(*net.TCPAddr)}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			f.count(1)
			go func() {
				defer f.count(-1)
				defer near.Close()
				if far, err := dial(t.Context()); err == nil {
					defer far.Close()
					carry(near, far)
				}
			}()
		}
	}()
	return f
}

func (f *Forward) count(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open += n
}

// Left says how many connections are open, where any is.
func (f *Forward) Left() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d connections to %s", f.open, f.Addr)}
}

// carry carries bytes both ways, and the end of each way.
func carry(near, far net.Conn) {
	there := make(chan struct{})
	go func() {
		defer close(there)
		_, _ = io.Copy(far, near)
		end(far)
	}()
	_, _ = io.Copy(near, far)
	end(near)
	<-there
}

// end tells the other side that nothing more comes; of a connection that cannot say so,
// it is all that it has.
func end(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	_ = c.Close()
}
