package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// stream is a program that runs in a container, as a connection: what is written is
// its standard input, what is read its standard output.
type stream struct {
	net.Conn // to the engine
	out      *io.PipeReader
}

// open starts a program in the container.
func (m *Machine) open(ctx context.Context, argv ...string) (*stream, error) {
	made, err := m.lab.engine.api.ExecCreate(ctx, m.container(), client.ExecCreateOptions{
		Cmd: argv, AttachStdin: true, AttachStdout: true, AttachStderr: true, User: "0:0"})
	if err != nil {
		return nil, fmt.Errorf("start %s in the container: %w", argv[0], err)
	}
	reply, err := m.lab.engine.api.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		return nil, fmt.Errorf("start %s in the container: %w", argv[0], err)
	}
	out, in := io.Pipe()
	go func() {
		var words tail
		_, err := stdcopy.StdCopy(in, &words, reply.Reader)
		if err == nil {
			err = io.EOF
		}
		if said := words.String(); said != "" {
			err = fmt.Errorf("%s said %q: %w", argv[0], said, err)
		}
		in.CloseWithError(err)
	}()
	return &stream{Conn: reply.Conn, out: out}, nil
}

func (s *stream) Read(p []byte) (int, error) { return s.out.Read(p) }

// Close ends the connection; the program notices by the end of its input.
func (s *stream) Close() error { return errors.Join(s.Conn.Close(), s.out.Close()) }

// tail keeps the first bytes a program says on its standard error.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := 500 - len(t.text); room > 0 {
		t.text = append(t.text, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}

// sshd is a way in that needs no network: an sshd for one connection, Debian's or the
// one that NixOS guests say.
const sshd = `sshd=/etc/offload-e2e/sshd; [ -x $sshd ] || sshd=/usr/sbin/sshd
mkdir -p /run/sshd && exec $sshd -i -f /etc/offload-e2e/sshd_config`

func (m *Machine) dial(ctx context.Context) (net.Conn, error) {
	return m.open(ctx, "/bin/sh", "-c", sshd)
}

// cablePath is where lan-cable is in a container.
const cablePath = "/usr/lib/offload-e2e/bin/lan-cable"

// plugIn connects the machine's lan0 to the LAN, until unplug or its end.
func (m *Machine) plugIn(ctx context.Context) error {
	wire, err := (&net.Dialer{}).DialContext(ctx, "unix", m.lab.options.Cable(m.name))
	if err != nil {
		return fmt.Errorf("plug into the LAN: %w", err)
	}
	card, err := m.open(ctx, cablePath, "lan0", m.mac)
	if err != nil {
		return errors.Join(fmt.Errorf("plug into the LAN: %w", err), wire.Close())
	}
	pull := sync.OnceFunc(func() { _, _ = wire.Close(), card.Close() })
	m.mu.Lock()
	m.cableErr = nil
	m.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { defer pull(); _, _ = io.Copy(card, wire) })
	both.Go(func() {
		defer pull()
		_, err := io.Copy(wire, card)
		if err == nil {
			err = errors.New("its program ended")
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.cableErr = fmt.Errorf("lan0 is not plugged into the LAN: %w", err)
	})
	m.mu.Lock()
	m.pull = func() { pull(); both.Wait() }
	m.mu.Unlock()
	return nil
}

// plugged is nil where the machine is on the LAN, else why it is not.
func (m *Machine) plugged() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cableErr
}

func (m *Machine) unplug() {
	m.mu.Lock()
	pull := m.pull
	m.pull = nil
	m.mu.Unlock()
	if pull != nil {
		pull()
	}
}
