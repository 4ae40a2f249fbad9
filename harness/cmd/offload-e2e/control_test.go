package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// echo answers each connection with what it was sent, at its end.
func echo(t *testing.T) dialer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				text, _ := io.ReadAll(conn)
				_, _ = conn.Write(text)
			}()
		}
	}()
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	}
}

func dialControl(t *testing.T, dir, machine string) *net.UnixConn {
	t.Helper()
	conn, err := net.Dial("unix", controlSocket(dir, machine))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	return conn.(*net.UnixConn)
}

func TestControl(t *testing.T) {
	dir := t.TempDir()
	c, err := openControl(dir, map[string]dialer{
		"laptop":  echo(t),
		"desktop": func(context.Context) (net.Conn, error) { return nil, errors.New("it is off:\nno power") },
	})
	must(t, err)
	defer c.Close()
	info, err := os.Stat(controlSocket(dir, "laptop"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v", info.Mode())
	}
	// More than any buffer; and the end of one way does not end the other.
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for range 3 {
		conn := dialControl(t, dir, "laptop")
		go func() { _, _ = conn.Write(text); _ = conn.CloseWrite() }()
		got, err := io.ReadAll(conn)
		if err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%d bytes come back of %d: %v", len(got), len(text), err)
		}
	}
	got, err := io.ReadAll(dialControl(t, dir, "desktop"))
	if want := "offload-e2e: it is off:; no power\r\n"; err != nil || string(got) != want {
		t.Errorf("a machine that is off answers %q, %v", got, err)
	}
}

func TestControlEndsConnections(t *testing.T) {
	dir := t.TempDir()
	stuck := func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	c, err := openControl(dir, map[string]dialer{"laptop": echo(t), "desktop": stuck})
	must(t, err)
	open, waiting := dialControl(t, dir, "laptop"), dialControl(t, dir, "desktop")
	_, err = open.Write([]byte("x"))
	must(t, err)
	for range 2 {
		c.Close()
	}
	for name, conn := range map[string]net.Conn{"open": open, "waiting": waiting} {
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection that was %s is open still", name)
		}
	}
	if exists(controlSocket(dir, "laptop")) {
		t.Error("the socket is left")
	}
	if _, err := openControl(strings.Repeat("x", 200), map[string]dialer{"laptop": stuck}); err == nil {
		t.Error("a socket that cannot be made is no error")
	}
}
