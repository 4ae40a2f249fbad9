package nixguest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"offload-e2e/harness/provider"
)

// executor runs commands on a machine.
type executor interface {
	Name() string
	Exec(ctx context.Context, cmd provider.Command) (provider.Result, error)
}

// Copy copies the closure of a path into a guest: nix copies to a socket of ours,
// and each connection to it is a nix-daemon of the guest's, over the management
// cable. So only what is missing there is sent.
func (s *Switcher) Copy(ctx context.Context, m executor, path string, say func(format string, args ...any)) error {
	dir, err := os.MkdirTemp(s.Sockets, "copy-")
	if err != nil {
		return fmt.Errorf("make a socket to copy to: %w", err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "nix")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("make a socket to copy to: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	b := &bridge{machine: m}
	served := make(chan struct{})
	go func() {
		defer close(served)
		b.serve(ctx, listener)
	}()
	_, err = s.run(ctx, newWatcher(say), "copy", "--no-check-sigs", "--to", "unix://"+socket, path)
	cancel()
	closed := listener.Close()
	<-served
	var failed *runError
	if errors.As(err, &failed) {
		// A daemon that could not be started says more than the connection it closed.
		return errors.Join(&BuildError{"a copy of " + path + " on the " + m.Name(), failed.stderr}, b.failure())
	}
	return errors.Join(err, closed)
}

// bridge connects a socket with nix-daemons of a guest.
type bridge struct {
	machine executor
	mu      sync.Mutex
	failed  error
}

func (b *bridge) serve(ctx context.Context, listener net.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		wg.Go(func() { b.connect(ctx, conn) })
	}
}

func (b *bridge) connect(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	// The end of the copy ends a read of what does not come any more.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	res, err := b.machine.Exec(ctx, provider.Command{Argv: []string{"nix-daemon", "--stdio"}, Env: local, Stdin: conn, Stdout: halfClosed{conn}})
	if err == nil {
		err = res.Err()
	}
	if err != nil && ctx.Err() == nil {
		b.mu.Lock()
		b.failed = errors.Join(b.failed, err)
		b.mu.Unlock()
	}
}

func (b *bridge) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// halfClosed hides that a connection can be read and copied from in other ways.
type halfClosed struct{ io.Writer }
