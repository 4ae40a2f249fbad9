// Package sshd is the SSH server of an emulated guest's management cable: it runs root's
// commands for whoever has the harness's key, and nothing else of SSH.
//
// OpenSSH does all that, and is what a guest boots with. It forks for each command, which
// then begins with root's login shell, and has two processes more for each login: under
// emulation 50 ms and a second, of which little is left here, where commands are most of
// what a run does.
package sshd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

// loginGrace is how long a login may take (LoginGraceTime, sshd_config(5)).
const loginGrace = time.Minute

// Server serves connections.
type Server struct {
	// HostKey is what the server shows.
	HostKey ssh.Signer
	// Authorized are the keys that may log in; it is asked at each login.
	Authorized func() ([]ssh.PublicKey, error)
	// Environment is what commands get, "NAME=value" each.
	Environment []string
	// Dir is where commands start.
	Dir string
	// Say is told of logins that fail; nil is not told.
	Say func(format string, args ...any)
}

// Serve accepts connections until the listener is closed or ctx ends, whose cause it
// returns then. Connections that there are go on.
func (s *Server) Serve(ctx context.Context, at net.Listener) error {
	stop := context.AfterFunc(ctx, func() { at.Close() })
	defer stop()
	for {
		conn, err := at.Accept()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("accept a connection: %w", err)
		}
		go s.Handle(conn)
	}
}

// Handle serves one connection to its end.
func (s *Server) Handle(raw net.Conn) {
	defer raw.Close()
	grace := time.AfterFunc(loginGrace, func() { raw.Close() })
	conn, channels, requests, err := ssh.NewServerConn(raw, s.config())
	if !grace.Stop() || err != nil {
		s.say("%s: no login: %v", raw.RemoteAddr(), err)
		return
	}
	defer conn.Close()
	// Keepalives are answered by a refusal, as by OpenSSH.
	go ssh.DiscardRequests(requests)
	for asked := range channels {
		if kind := asked.ChannelType(); kind != "session" {
			_ = asked.Reject(ssh.UnknownChannelType, "no channels of kind "+kind+" here")
			continue
		}
		channel, requests, err := asked.Accept()
		if err != nil {
			return
		}
		go (&session{Channel: channel, server: s}).serve(requests)
	}
}

func (s *Server) say(format string, args ...any) {
	if s.Say != nil {
		s.Say(format, args...)
	}
}

func (s *Server) config() *ssh.ServerConfig {
	c := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		keys, err := s.Authorized()
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if bytes.Equal(k.Marshal(), key.Marshal()) {
				return nil, nil
			}
		}
		return nil, errors.New("the key is not authorized")
	}}
	// What a processor without its special instructions computes fastest.
	c.KeyExchanges = []string{ssh.KeyExchangeCurve25519}
	c.Ciphers = []string{ssh.CipherAES128GCM, ssh.CipherChaCha20Poly1305}
	c.AddHostKey(s.HostKey)
	return c
}
