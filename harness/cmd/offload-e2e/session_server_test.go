package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// sshServer is a machine's sshd within the test.
type sshServer struct {
	t             *testing.T
	hostKey, user ssh.Signer
	listener      net.Listener
	// body is what commands do; it gives an exit status, or a signal.
	body func(line string, ch ssh.Channel) (status uint32, signal string)
	// silent: it answers no question whether it is there.
	silent bool
	pty    chan ptyRequest
	window chan windowChange

	mu    sync.Mutex
	conns []net.Conn
}

// ptyRequest is RFC 4254 6.2; windowChange is 6.7.
type ptyRequest struct {
	Term                         string
	Columns, Rows, Width, Height uint32
	Modes                        string
}

type windowChange struct{ Columns, Rows, Width, Height uint32 }

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, signer := newKeyFile(t)
	return signer
}

func newSSHServer(t *testing.T, body func(string, ssh.Channel) (uint32, string)) *sshServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &sshServer{t: t, hostKey: newSigner(t), user: newSigner(t), listener: l, body: body,
		pty: make(chan ptyRequest, 1), window: make(chan windowChange, 8)}
	t.Cleanup(func() { l.Close(); s.cut() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			go s.serve(conn)
		}
	}()
	return s
}

// cut ends all connections, as the end of the lab does.
func (s *sshServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

// session is a session on the server, with no input.
func (s *sshServer) session() session {
	return session{machine: "laptop", signer: s.user, hostKey: s.hostKey.PublicKey(), stdout: io.Discard, stderr: io.Discard, line: "true",
		dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", s.listener.Addr().String())
		}}
}

func (s *sshServer) serve(raw net.Conn) {
	defer raw.Close()
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "root" || string(key.Marshal()) != string(s.user.PublicKey().Marshal()) {
			return nil, errors.New("a stranger")
		}
		return nil, nil
	}}
	config.AddHostKey(s.hostKey)
	conn, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	defer conn.Close()
	go func() {
		for r := range requests {
			if !s.silent && r.WantReply {
				_ = r.Reply(false, nil)
			}
		}
	}()
	for c := range channels {
		ch, requests, err := c.Accept()
		if err != nil {
			return
		}
		go s.serveSession(ch, requests)
	}
}

func (s *sshServer) serveSession(ch ssh.Channel, requests <-chan *ssh.Request) {
	for r := range requests {
		if r.WantReply {
			_ = r.Reply(true, nil)
		}
		switch r.Type {
		case "pty-req":
			var p ptyRequest
			must(s.t, ssh.Unmarshal(r.Payload, &p))
			s.pty <- p
		case "window-change":
			var w windowChange
			must(s.t, ssh.Unmarshal(r.Payload, &w))
			s.window <- w
		case "exec":
			var e struct{ Line string }
			must(s.t, ssh.Unmarshal(r.Payload, &e))
			go func() {
				defer ch.Close()
				status, signal := s.body(e.Line, ch)
				if signal != "" {
					_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
						Signal          string
						Core            bool
						Message, Locale string
					}{Signal: signal}))
					return
				}
				_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
			}()
		}
	}
}
