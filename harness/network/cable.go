package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// queueBytes bounds what waits for a machine that does not read: more than
	// a TCP window, less than memory would notice.
	queueBytes = 4 << 20
	// readBytes is how much is read from a socket at once.
	readBytes = 256 << 10
	// maxSocketPath is sun_path of unix(7), with its final NUL.
	maxSocketPath = 107
)

// cable is a machine's wire: the unix socket its QEMU connects to. Sending
// never blocks, and everything received is handed to sink, one frame at a
// time, in order, valid during the call only.
type cable struct {
	name string
	sink func(frame []byte)
	log  *slog.Logger

	plug atomic.Pointer[plug]

	mu       sync.Mutex
	listener net.Listener
	changed  chan struct{} // closed and replaced when a plug goes in or out
	closed   bool
	work     sync.WaitGroup

	lost atomic.Uint64 // frames the queue had no room for, or nobody was there for
}

func newCable(name string, log *slog.Logger, sink func([]byte)) *cable {
	return &cable{name: name, sink: sink, log: log, changed: make(chan struct{})}
}

// listen accepts machines on a unix socket until close. A socket that a dead
// process left behind is replaced; any other file is an error.
func (c *cable) listen(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("%s: listen on %s: the path is longer than the %d bytes a unix socket may have; use a state directory with a shorter path", c.name, path, maxSocketPath)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&fs.ModeSocket == 0 {
			return fmt.Errorf("%s: listen on %s: the file exists and is no socket; remove it, or use another state directory", c.name, path)
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("%s: replace the socket of an earlier run: %w", c.name, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("%s: listen on %s: %w", c.name, path, net.ErrClosed)
	}
	if c.listener != nil {
		return fmt.Errorf("%s: listen on %s: the cable already ends at %s", c.name, path, c.listener.Addr())
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", c.name, err), l.Close())
	}
	c.listener = l
	c.work.Go(func() { c.accept(l) })
	return nil
}

// accept takes one machine after the other: the newest has the cable.
func (c *cable) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors, say. The next machine may have more luck, and
			// a retry must not burn the processor.
			c.log.Error("cannot accept a machine", "cable", c.name, "error", err)
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-c.ended():
				return
			}
		}
		c.attach(conn)
	}
}

// ended is closed when the cable is closed.
func (c *cable) ended() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		done := make(chan struct{})
		close(done)
		return done
	}
	return c.changed
}

// attach plugs a connection in, in place of the one there was.
func (c *cable) attach(conn net.Conn) {
	p := &plug{conn: conn, wake: make(chan struct{}, 1), done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		p.pull()
		return
	}
	if old := c.plug.Swap(p); old != nil {
		old.pull()
	}
	c.signal()
	c.log.Debug("machine attached", "cable", c.name)
	c.work.Go(p.write)
	c.work.Go(func() {
		err := p.read(c.sink)
		p.pull()
		if c.plug.CompareAndSwap(p, nil) {
			c.log.Debug("machine detached", "cable", c.name, "reason", err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.signal()
	})
}

// signal wakes who waits for a change. The lock is held.
func (c *cable) signal() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// attached reports whether a machine is on the cable.
func (c *cable) attached() bool { return c.plug.Load() != nil }

// waitAttached waits for a machine to be on the cable.
func (c *cable) waitAttached(ctx context.Context) error {
	for {
		c.mu.Lock()
		changed, closed := c.changed, c.closed
		c.mu.Unlock()
		if c.attached() {
			return nil
		}
		if closed {
			return fmt.Errorf("%s: wait for its cable: %w", c.name, net.ErrClosed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s: no machine connected to its cable: %w; look at the console of its QEMU", c.name, context.Cause(ctx))
		}
	}
}

// send queues a frame, and reports false when it was lost: nobody is there, or
// whoever is there does not read.
func (c *cable) send(frame []byte) bool {
	if p := c.plug.Load(); p != nil && p.push(frame) {
		return true
	}
	c.lost.Add(1)
	return false
}

// flush forgets what is queued.
func (c *cable) flush() {
	if p := c.plug.Load(); p != nil {
		p.mu.Lock()
		p.queue = p.queue[:0]
		p.mu.Unlock()
	}
}

// settle waits until the machine has read all that was sent to it, and all it
// sent was read. It reports false when that did not happen in time.
func (c *cable) settle(ctx context.Context) bool {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		p := c.plug.Load()
		if p == nil || p.idle() {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

func (c *cable) close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.signal()
	var err error
	if c.listener != nil {
		err = c.listener.Close()
	}
	if p := c.plug.Swap(nil); p != nil {
		p.pull()
	}
	c.mu.Unlock()
	c.work.Wait()
	if err != nil {
		return fmt.Errorf("%s: close its cable: %w", c.name, err)
	}
	return nil
}

// plug is one connection of a machine to its cable.
type plug struct {
	conn net.Conn
	wake chan struct{}
	done chan struct{}
	once sync.Once

	mu    sync.Mutex
	queue []byte // frames with their lengths, as they go over the socket
	busy  bool   // a write is under way
}

func (p *plug) pull() {
	p.once.Do(func() {
		close(p.done)
		_ = p.conn.Close() // nothing is lost that was not lost already
	})
}

func (p *plug) push(frame []byte) bool {
	p.mu.Lock()
	if len(p.queue)+4+len(frame) > queueBytes {
		p.mu.Unlock()
		return false
	}
	p.queue = binary.BigEndian.AppendUint32(p.queue, uint32(len(frame)))
	p.queue = append(p.queue, frame...)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return true
}

// write sends the queue, all that has come together in one system call.
func (p *plug) write() {
	var batch []byte
	for {
		select {
		case <-p.wake:
		case <-p.done:
			return
		}
		p.mu.Lock()
		batch, p.queue = p.queue, batch[:0]
		p.busy = true
		p.mu.Unlock()
		// No deadline: a machine may be paused for as long as it likes.
		_, err := p.conn.Write(batch)
		p.mu.Lock()
		p.busy = false
		p.mu.Unlock()
		if err != nil {
			p.pull()
			return
		}
	}
}

// read hands frames to sink until the connection ends. A length that no frame
// can have means that the stream is out of step, and ends it as well.
func (p *plug) read(sink func([]byte)) error {
	buf := make([]byte, readBytes)
	have := 0
	for {
		n, err := p.conn.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		rest, err := split(buf[:have], sink)
		if err != nil {
			return err
		}
		have = copy(buf, rest)
	}
}

// split hands all whole frames in b to sink and returns what is left of b.
func split(b []byte, sink func([]byte)) ([]byte, error) {
	for len(b) >= 4 {
		size := binary.BigEndian.Uint32(b)
		if size > maxFrame {
			return nil, fmt.Errorf("a frame of %d bytes cannot be: the stream is out of step", size)
		}
		if uint32(len(b)-4) < size {
			break
		}
		sink(b[4 : 4+size])
		b = b[4+size:]
	}
	return b, nil
}

// idle reports whether nothing is on its way in either direction.
func (p *plug) idle() bool {
	select {
	case <-p.done:
		return true
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) == 0 && !p.busy && p.unread() == 0
}

// unread is what the kernel holds for either side, in bytes; what cannot be
// asked counts as nothing.
func (p *plug) unread() int {
	conn, isUnix := p.conn.(*net.UnixConn)
	if !isUnix {
		return 0
	}
	control, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	total := 0
	_ = control.Control(func(fd uintptr) {
		for _, request := range []uint{unix.SIOCINQ, unix.SIOCOUTQ} {
			if n, err := unix.IoctlGetInt(int(fd), request); err == nil {
				total += n
			}
		}
	})
	return total
}
