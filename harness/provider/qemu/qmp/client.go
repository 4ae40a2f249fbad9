// Package qmp is a client of the QEMU Machine Protocol: JSON objects, one a
// line, over a unix socket (QEMU's docs/interop/qmp-spec).
package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// DefaultTimeout bounds a command whose context has no deadline. QEMU answers
// in milliseconds; a host with far too few processors may take seconds.
const DefaultTimeout = 30 * time.Second

// ErrClosed is the end of a client by Close, or of QEMU by itself.
var ErrClosed = errors.New("qmp connection closed")

// Client is one connection to one QEMU. It may be used concurrently.
type Client struct {
	conn    *net.UnixConn
	version Version
	onEvent func(Event)

	write sync.Mutex // one command on the wire at a time

	mu      sync.Mutex
	nextID  uint64
	pending map[uint64]chan message
	err     error // why the connection ended

	done chan struct{}
}

// New greets QEMU on conn and negotiates capabilities. onEvent, where not nil,
// is called for every event, in order, from the goroutine that reads answers:
// it must neither block nor execute commands. New owns conn, also on error.
func New(ctx context.Context, conn *net.UnixConn, onEvent func(Event)) (*Client, error) {
	ctx, cancel := withDefaultTimeout(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	r := bufio.NewReaderSize(conn, 64<<10)
	hello, err := readMessage(r)
	interrupted := !stop()
	if interrupted && ctx.Err() != nil {
		err = fmt.Errorf("no greeting: %w", context.Cause(ctx))
	} else if err == nil && hello.greeting == nil {
		err = fmt.Errorf("%w: no greeting came first", errMalformed)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("qmp: %w", err), conn.Close())
	}
	if onEvent == nil {
		onEvent = func(Event) {}
	}
	c := &Client{
		conn:    conn,
		version: *hello.greeting,
		onEvent: onEvent,
		pending: map[uint64]chan message{},
		done:    make(chan struct{}),
	}
	go c.read(r)
	if err := c.Execute(ctx, "qmp_capabilities", nil, nil); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Version is what QEMU's greeting said.
func (c *Client) Version() Version { return c.version }

// Done is closed when the connection has ended; Err says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is nil while the connection lives.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection; commands under way fail with ErrClosed.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.done
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Execute runs a command and waits for its answer, by the context's deadline or
// within DefaultTimeout. args is encoded as the command's arguments, nil for
// none; the answer is decoded into result, nil to ignore it. A refusal is a
// *CommandError.
func (c *Client) Execute(ctx context.Context, command string, args, result any) error {
	return c.execute(ctx, command, args, result, nil)
}

// PassFile gives QEMU a duplicate of file under a name, for a later command's
// "fd:name" (QEMU's getfd). The caller still owns file.
func (c *Client) PassFile(ctx context.Context, name string, file *os.File) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return fmt.Errorf("qmp getfd: %w", err)
	}
	var sendErr error
	err = raw.Control(func(fd uintptr) {
		sendErr = c.execute(ctx, "getfd", map[string]string{"fdname": name}, nil, syscall.UnixRights(int(fd)))
	})
	return errors.Join(err, sendErr)
}

func (c *Client) execute(ctx context.Context, command string, args, result any, oob []byte) error {
	ctx, cancel := withDefaultTimeout(ctx)
	defer cancel()
	id, answer, err := c.register()
	if err != nil {
		return fmt.Errorf("qmp %s: %w", command, err)
	}
	defer c.forget(id)
	request := map[string]any{"execute": command, "id": id}
	if args != nil {
		request["arguments"] = args
	}
	line, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("qmp %s: %w", command, err)
	}
	if err := c.send(ctx, append(line, '\n'), oob); err != nil {
		if errors.Is(err, net.ErrClosed) {
			<-c.done // whoever closed it knows why
			err = c.Err()
		}
		return fmt.Errorf("qmp %s: %w", command, err)
	}
	select {
	case m := <-answer:
		return m.into(command, result)
	case <-c.done:
		// The answer may have been the last thing before the end, as for "quit".
		select {
		case m := <-answer:
			return m.into(command, result)
		default:
			return fmt.Errorf("qmp %s: %w", command, c.Err())
		}
	case <-ctx.Done():
		return fmt.Errorf("qmp %s: no answer: %w", command, context.Cause(ctx))
	}
}

func (m message) into(command string, result any) error {
	if m.failure != nil {
		e := *m.failure
		e.Command = command
		return &e
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(m.result, result); err != nil {
		return fmt.Errorf("qmp %s: %w: %w", command, errMalformed, err)
	}
	return nil
}

func (c *Client) register() (uint64, <-chan message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, nil, c.err
	}
	c.nextID++
	ch := make(chan message, 1)
	c.pending[c.nextID] = ch
	return c.nextID, ch, nil
}

func (c *Client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, id)
}

func (c *Client) send(ctx context.Context, line, oob []byte) error {
	c.write.Lock()
	defer c.write.Unlock()
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	deadline, _ := ctx.Deadline()
	if err := c.conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	for len(line) > 0 {
		n, _, err := c.conn.WriteMsgUnix(line, oob, nil)
		if err != nil {
			return err
		}
		line, oob = line[n:], nil
	}
	return nil
}

// read takes answers and events until the connection ends.
func (c *Client) read(r *bufio.Reader) {
	_ = c.conn.SetReadDeadline(time.Time{})
	err := c.dispatch(r)
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
		err = ErrClosed
	}
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	_ = c.conn.Close()
	close(c.done)
}

func (c *Client) dispatch(r *bufio.Reader) error {
	for {
		m, err := readMessage(r)
		switch {
		case err != nil:
			return err
		case m.event != nil:
			c.onEvent(*m.event)
		case m.greeting != nil:
			return fmt.Errorf("%w: a second greeting", errMalformed)
		case !m.hasID:
			return fmt.Errorf("%w: QEMU could not read a command: %s", errMalformed, m.failure.Desc)
		default:
			// An id nobody waits for is a late answer to a command given up.
			c.mu.Lock()
			if ch := c.pending[m.id]; ch != nil {
				ch <- m
				delete(c.pending, m.id)
			}
			c.mu.Unlock()
		}
	}
}

func withDefaultTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, DefaultTimeout)
}
