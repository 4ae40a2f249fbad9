// Command management-sshd is the harness's way into an emulated guest: an SSH server
// bound to the management cable, for root and the harness's key.
//
//	management-sshd -listen 192.0.2.2:2222
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"offload-e2e/harness/machine/sshd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "management-sshd:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("management-sshd", flag.ContinueOnError)
	listen := flags.String("listen", "192.0.2.2:2222", "the address to listen at; the machine need not have it yet")
	hostKey := flags.String("host-key", "/etc/offload-e2e/ssh_host_ed25519_key", "the server's private key")
	authorized := flags.String("authorized-keys", "/etc/offload-e2e/authorized_keys", "the keys that may log in")
	if err := flags.Parse(args); err != nil {
		return err
	}
	text, err := os.ReadFile(*hostKey)
	if err != nil {
		return err
	}
	server := &sshd.Server{
		Authorized: func() ([]ssh.PublicKey, error) { return readKeys(*authorized) },
		// As OpenSSH gives it to root.
		Environment: []string{"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Dir:         "/root",
		Say:         func(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) },
	}
	if server.HostKey, err = ssh.ParsePrivateKey(text); err != nil {
		return fmt.Errorf("read %s: %w", *hostKey, err)
	}
	at, err := (&net.ListenConfig{Control: freely}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	if err := ready(ctx); err != nil {
		return err
	}
	return server.Serve(ctx, at)
}

// ready tells systemd, where it asked to be told, that connections are taken now
// (sd_notify(3)).
func ready(ctx context.Context) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unixgram", socket)
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte("READY=1"))
	return errors.Join(err, conn.Close())
}

// freely binds to an address that the machine may get a moment later (IP_FREEBIND, ip(7)).
func freely(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_FREEBIND, 1) })
	return errors.Join(err, set)
}

func readKeys(path string) (keys []ssh.PublicKey, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for len(text) > 0 {
		key, _, _, rest, err := ssh.ParseAuthorizedKey(text)
		if err != nil {
			// What is left are comments and empty lines.
			break
		}
		keys, text = append(keys, key), rest
	}
	return keys, nil
}
