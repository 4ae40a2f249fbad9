package sshd_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/machine/sshd"
)

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// serve starts a server for a key, and logs in with another.
func serve(t *testing.T, authorized, login ssh.Signer) (*ssh.Client, error) {
	t.Helper()
	s := &sshd.Server{HostKey: newKey(t), Environment: []string{"PATH=" + os.Getenv("PATH"), "HOME=/"}, Dir: "/",
		Authorized: func() ([]ssh.PublicKey, error) { return []ssh.PublicKey{authorized.PublicKey()}, nil }}
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(context.Background(), at) }()
	t.Cleanup(func() { at.Close() })
	return ssh.Dial("tcp", at.Addr().String(), &ssh.ClientConfig{User: "root", Timeout: 10 * time.Second,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(login)}, HostKeyCallback: ssh.FixedHostKey(s.HostKey.PublicKey())})
}

func newSession(t *testing.T) *ssh.Session {
	t.Helper()
	key := newKey(t)
	client, err := serve(t, key, key)
	if err != nil {
		t.Fatal(err)
	}
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return session
}

func TestOtherKeysAreRefused(t *testing.T) {
	if client, err := serve(t, newKey(t), newKey(t)); err == nil {
		client.Close()
		t.Error("a key that is not authorized logged in")
	}
}

func TestEnvironment(t *testing.T) {
	s := newSession(t)
	if err := s.Setenv("NONCE", "a b"); err != nil {
		t.Fatal(err)
	}
	out, err := s.Output(`printf '%s|%s|%s|' "$NONCE" "$HOME" "$PWD"; env | wc -l`)
	// The shell's own PWD besides.
	if err != nil || strings.TrimSpace(string(out)) != "a b|/|/|4" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestTerminal(t *testing.T) {
	s := newSession(t)
	var out bytes.Buffer
	s.Stdout = &out
	stdin, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.RequestPty("vt100", 33, 77, ssh.TerminalModes{}), s.Start(`stty size; echo "$TERM"; read -r line; stty size; echo "$line"`),
		s.WindowChange(44, 88)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, "typed\n"); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"vt100\r\n", "44 88\r\n", "typed\r\n"} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("%q is not in %q", words, out.String())
		}
	}
}

func TestSignals(t *testing.T) {
	s := newSession(t)
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("echo ready; exec sleep 60"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.Signal() != "TERM" {
		t.Errorf("got %v", err)
	}
}

// Who hangs up leaves nothing that waits for its input, or writes.
func TestHangUp(t *testing.T) {
	s := newSession(t)
	gone := t.TempDir() + "/gone"
	if _, err := s.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start("cat; echo >" + gone); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(gone); err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal("it reads on after 10 s")
		case <-tick.C:
		}
	}
}

func TestRefusals(t *testing.T) {
	s := newSession(t)
	if err := s.Shell(); err == nil {
		t.Error("a shell was given")
	}
	if err := s.RequestSubsystem("sftp"); err == nil {
		t.Error("a subsystem was given")
	}
	key := newKey(t)
	client, err := serve(t, key, key)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if conn, err := client.Dial("tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "no channels of kind direct-tcpip") {
		t.Errorf("forwarded: %v, %v", conn, err)
	}
}
