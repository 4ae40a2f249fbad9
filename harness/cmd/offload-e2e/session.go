package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
)

// session is one command on a machine, with our input and output.
type session struct {
	machine string
	dial    dialer
	signer  ssh.Signer
	hostKey ssh.PublicKey
	line    string
	// terminal is put into raw mode, and the command gets one of kind term; nil
	// gives it none.
	terminal       *os.File
	term           string
	stdin          io.Reader
	stdout, stderr io.Writer
	// alive is how often the machine is asked whether it is there, and half of how
	// long it may be silent; 0 is 15 seconds.
	alive time.Duration
}

// goneError tells of a machine that cannot be reached, or no longer.
type goneError struct{ err error }

func (e *goneError) Error() string { return e.err.Error() }
func (e *goneError) Unwrap() error { return e.err }

// loginTimeout bounds the handshake, which takes a second or two under emulation.
const loginTimeout = 40 * time.Second

// interrupted is the exit status of a command that we left, as a shell has it.
const interrupted = 130

// run returns the command's exit status; 128 and its number for a signal.
func (s session) run(ctx context.Context) (int, error) {
	status, err := s.converse(ctx)
	if err != nil && ctx.Err() != nil {
		return interrupted, nil //nolint:nilerr // its end was asked for
	}
	return status, err
}

func (s session) converse(ctx context.Context) (int, error) {
	client, err := s.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	ended := make(chan struct{})
	defer close(ended)
	go s.watch(client, ended)

	remote, err := client.NewSession()
	if err != nil {
		return 0, &goneError{fmt.Errorf("open a session: %w", err)}
	}
	defer remote.Close()
	remote.Stdin, remote.Stdout, remote.Stderr = s.stdin, s.stdout, s.stderr
	if s.terminal != nil {
		restore, err := s.attachTerminal(remote, ended)
		if err != nil {
			return 0, err
		}
		defer restore()
	}
	if err := remote.Start(s.line); err != nil {
		return 0, &goneError{fmt.Errorf("start a shell: %w", err)}
	}
	err = remote.Wait()
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exit.ExitStatus(), nil
	}
	return 0, &goneError{fmt.Errorf("the connection was lost: %w", err)}
}

// connect makes the connection. The end of ctx or the time closes it, which is
// what bounds each read and write of the handshake.
func (s session) connect(ctx context.Context) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	raw, err := s.dial(ctx)
	if err != nil {
		return nil, &goneError{err}
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	conn := &greeted{Conn: raw, in: bufio.NewReader(raw)}
	if err := conn.greet(); err != nil {
		raw.Close()
		return nil, &goneError{err}
	}
	c, channels, requests, err := ssh.NewClientConn(conn, s.machine, &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(s.signer)},
		HostKeyCallback: ssh.FixedHostKey(s.hostKey), HostKeyAlgorithms: []string{s.hostKey.Type()},
	})
	if err == nil && !stop() {
		c.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, &goneError{fmt.Errorf("log in: %w", err)}
	}
	return ssh.NewClient(c, channels, requests), nil
}

// greeted is a connection whose first words were looked at.
type greeted struct {
	net.Conn
	in *bufio.Reader
}

func (g *greeted) Read(p []byte) (int, error) { return g.in.Read(p) }

// greet is an error where the control says why there is no machine to talk to.
func (g *greeted) greet() error {
	head, err := g.in.Peek(len("SSH-"))
	if err != nil {
		return fmt.Errorf("it does not answer: %w", err)
	}
	if string(head) == "SSH-" {
		return nil
	}
	line, err := g.in.ReadString('\n')
	if why, ok := strings.CutPrefix(strings.TrimSpace(line), refusal); ok {
		return errors.New(why)
	}
	return errors.Join(fmt.Errorf("it answers %q, and is no sshd", line), err)
}

// watch closes the connection when the machine no longer answers.
func (s session) watch(client *ssh.Client, ended <-chan struct{}) {
	every := s.alive
	if every == 0 {
		every = 15 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		silent := time.AfterFunc(2*every, func() { client.Close() })
		_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
		silent.Stop()
		if err != nil {
			return
		}
	}
}

// attachTerminal gives the remote command a terminal like ours, and makes ours pass
// on every key.
func (s session) attachTerminal(remote *ssh.Session, ended <-chan struct{}) (restore func(), err error) {
	fd := int(s.terminal.Fd())
	width, height, err := term.GetSize(fd)
	if err != nil {
		width, height = 80, 24
	}
	if err := remote.RequestPty(s.term, height, width, ssh.TerminalModes{}); err != nil {
		return nil, &goneError{fmt.Errorf("get a terminal: %w", err)}
	}
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("prepare the terminal: %w", err)
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	go func() {
		for {
			select {
			case <-ended:
				return
			case <-resized:
			}
			if width, height, err := term.GetSize(fd); err == nil {
				_ = remote.WindowChange(height, width)
			}
		}
	}()
	return func() {
		signal.Stop(resized)
		_ = term.Restore(fd, before)
	}, nil
}
