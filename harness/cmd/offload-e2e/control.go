package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// control lets other processes of the same user reach the machines of a lab: a unix
// socket for each, and what connects to it is connected to the machine's management
// sshd. A connection that cannot be made is answered with one line that says why,
// which is in the words of RFC 4253 4.2 a line before the version string.
type control struct {
	listeners []net.Listener
	ctx       context.Context //nolint:containedctx // of all connections; Close ends it
	cancel    context.CancelFunc
	wg        sync.WaitGroup
}

type dialer func(context.Context) (net.Conn, error)

// refusal begins the line that says why.
const refusal = "offload-e2e: "

// reachTimeout bounds a connection to a machine: its sshd is slow under emulation.
const reachTimeout = 20 * time.Second

// controlSocket is the socket of a machine in a lab's folder.
func controlSocket(dir, machine string) string { return filepath.Join(dir, machine+".ssh") }

// openControl opens the sockets, by machine, in a lab's folder.
func openControl(dir string, machines map[string]dialer) (*control, error) {
	c := &control{}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for name, dial := range machines {
		path := controlSocket(dir, name)
		l, err := (&net.ListenConfig{}).Listen(c.ctx, "unix", path)
		if err == nil {
			c.listeners = append(c.listeners, l)
			err = os.Chmod(path, 0o600)
		}
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("open the way into the %s: %w", name, err)
		}
		c.wg.Go(func() { c.accept(l, dial) })
	}
	return c, nil
}

func (c *control) accept(l net.Listener, dial dialer) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Too many open files, say: what is open has to end first.
			select {
			case <-c.ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
				continue
			}
		}
		c.wg.Go(func() { c.serve(conn, dial) })
	}
}

func (c *control) serve(conn net.Conn, dial dialer) {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(c.ctx, reachTimeout)
	defer cancel()
	machine, err := dial(ctx)
	if err != nil {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		fmt.Fprintf(conn, "%s%s\r\n", refusal, strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	defer machine.Close()
	// Closing both is what ends the copies.
	stop := context.AfterFunc(c.ctx, func() {
		conn.Close()
		machine.Close()
	})
	defer stop()
	var copies sync.WaitGroup
	copies.Go(func() { oneWay(machine, conn) })
	copies.Go(func() { oneWay(conn, machine) })
	copies.Wait()
}

// oneWay copies to the end of from and passes the end on: the other way may go on.
func oneWay(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite()
		return
	}
	to.Close()
	from.Close()
}

// Close ends all connections and removes the sockets. It is idempotent.
func (c *control) Close() {
	if c == nil {
		return
	}
	c.cancel()
	for _, l := range c.listeners {
		l.Close()
	}
	c.wg.Wait()
}
