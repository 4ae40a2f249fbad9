package machine

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// server is an sshd within the test: it runs commands as OpenSSH does, by the
// shell and in a process group of their own, and can stall or lie on demand.
type server struct {
	t       *testing.T
	hostKey ssh.Signer
	userKey ssh.Signer
	ln      net.Listener

	// What goes wrong, one at a time.
	stall       string // accept, banner, kex, auth, channel, exec, output, status
	refuse      int32  // session channels to refuse
	maxSessions int32  // as sshd's MaxSessions; 0: no limit

	dials, open, peak atomic.Int32
	sessions          atomic.Int32
	release           chan struct{} // closed at the end of the test: stalls end

	mu    sync.Mutex
	conns []net.Conn
}

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func startServer(t *testing.T, set func(*server)) *server {
	t.Helper()
	s := &server{t: t, hostKey: newKey(t), userKey: newKey(t), release: make(chan struct{})}
	if set != nil {
		set(s)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.ln = ln
	go s.accept()
	t.Cleanup(func() {
		close(s.release)
		ln.Close()
		s.cut()
	})
	return s
}

// cut drops every connection, as pulling a plug that answers RST.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *server) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.dials.Add(1)
		s.mu.Lock()
		s.conns = append(s.conns, c)
		s.mu.Unlock()
		go s.serve(c)
	}
}

// stallConn lets so many writes through and then none.
type stallConn struct {
	net.Conn
	writes  atomic.Int32
	release chan struct{}
}

func (c *stallConn) Write(p []byte) (int, error) {
	if c.writes.Add(-1) < 0 {
		<-c.release
		return 0, errors.New("stalled")
	}
	return c.Conn.Write(p)
}

func (s *server) serve(raw net.Conn) {
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if s.stall == "auth" {
			<-s.release
		}
		if string(key.Marshal()) != string(s.userKey.PublicKey().Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	cfg.AddHostKey(s.hostKey)
	var c net.Conn = raw
	switch s.stall {
	case "banner":
		<-s.release
		return
	case "kex":
		stalled := &stallConn{Conn: raw, release: s.release}
		stalled.writes.Store(1) // the banner
		c = stalled
	}
	conn, chans, reqs, err := ssh.NewServerConn(c, cfg)
	if err != nil {
		raw.Close()
		return
	}
	defer conn.Close()
	go func() {
		for req := range reqs {
			if s.stall == "keepalive" {
				continue
			}
			if req.WantReply {
				_ = req.Reply(false, nil)
			}
		}
	}()
	var held atomic.Int32
	for nc := range chans {
		if s.stall == "channel" {
			continue
		}
		if atomic.AddInt32(&s.refuse, -1) >= 0 || s.maxSessions > 0 && held.Load() >= s.maxSessions {
			_ = nc.Reject(ssh.ConnectionFailed, "open failed")
			continue
		}
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		held.Add(1)
		s.sessions.Add(1)
		s.peak.Store(max(s.peak.Load(), s.open.Add(1)))
		go func() {
			s.session(conn, ch, reqs)
			s.open.Add(-1) // before the client can know
			held.Add(-1)
			ch.Close()
		}()
	}
}

func (s *server) session(conn ssh.Conn, ch ssh.Channel, reqs <-chan *ssh.Request) {
	for req := range reqs {
		if req.Type != "exec" {
			_ = req.Reply(false, nil)
			continue
		}
		var m struct{ Line string }
		_ = ssh.Unmarshal(req.Payload, &m)
		if s.stall == "exec" {
			<-s.release
			return
		}
		_ = req.Reply(true, nil)
		s.run(conn, ch, reqs, m.Line)
		return
	}
}

func (s *server) run(conn ssh.Conn, ch ssh.Channel, reqs <-chan *ssh.Request, line string) {
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		s.t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		s.t.Error(err)
		return
	}
	go func() {
		buf := make([]byte, 32<<10)
		for {
			n, err := ch.Read(buf)
			if _, werr := stdin.Write(buf[:n]); err != nil || werr != nil {
				stdin.Close()
				return
			}
		}
	}()
	go func() {
		for req := range reqs {
			// As OpenSSH for root: no signals.
			_ = req.Reply(false, nil)
		}
	}()
	state, err := cmd.Process.Wait()
	if err != nil {
		s.t.Error(err)
		return
	}
	status := state.Sys().(syscall.WaitStatus)
	sendStatus := func() {
		if status.Signaled() {
			name := map[syscall.Signal]string{syscall.SIGKILL: "KILL", syscall.SIGTERM: "TERM", syscall.SIGABRT: "ABRT"}[status.Signal()]
			_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal string
				Core   bool
				E, L   string
			}{name, false, "", ""}))
			return
		}
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ S uint32 }{uint32(status.ExitStatus())}))
	}
	switch s.stall {
	case "status": // the session ends, and nobody says how
		_ = cmd.Wait()
		return
	case "early status": // as OpenSSH may: before the last of the output
		sendStatus()
		_ = cmd.Wait()
		_ = conn.Close()
		return
	}
	if strings.Contains(line, "LEAVES_OUTPUT_OPEN") {
		sendStatus()
		<-s.release
		return
	}
	_ = cmd.Wait() // an error for the second wait; what counts is that output is through
	sendStatus()
}

// config is one that reaches the server, quick to find faults.
func (s *server) config() Config {
	return Config{
		Name:             "desktop",
		Dial:             (&dialer{s.ln.Addr().String()}).dial,
		Signers:          []ssh.Signer{s.userKey},
		HostKey:          s.hostKey.PublicKey(),
		HandshakeTimeout: 5 * time.Second,
		KillTimeout:      15 * time.Second,
		OutputDelay:      300 * time.Millisecond,
	}
}

type dialer struct{ addr string }

func (d *dialer) dial(ctx context.Context) (net.Conn, error) {
	var nd net.Dialer
	return nd.DialContext(ctx, "tcp", d.addr)
}

func dialServer(t *testing.T, s *server, set func(*Config)) *SSH {
	t.Helper()
	cfg := s.config()
	if set != nil {
		set(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// soon is a context for a test that has to end soon.
func soon(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually asks until it is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(5 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline:
			t.Fatalf("%s: not so after 5 s", what)
		case <-tick.C:
		}
	}
}
