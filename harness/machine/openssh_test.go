package machine

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/machine/sshd"
	"offload-e2e/harness/provider"
)

// startOpenSSH runs a real sshd in inetd mode, one process a connection: no
// port is needed, and none is taken.
func startOpenSSH(t *testing.T, lines ...string) Config {
	t.Helper()
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		if sshd = "/usr/sbin/sshd"; exec.Command("test", "-x", sshd).Run() != nil {
			t.Skip("no sshd here; the in-process server stands in")
		}
	}
	if os.Getuid() == 0 {
		if _, err := user.Lookup("sshd"); err != nil {
			t.Skip("sshd run by root needs a user sshd (privilege separation)")
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		t.Fatal(err)
	}
	hostPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	login := newKey(t)
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	conf := fmt.Sprintf("HostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\n%s\n",
		write("host", pem.EncodeToMemory(block)), write("keys", ssh.MarshalAuthorizedKey(login.PublicKey())), strings.Join(lines, "\n"))
	confFile := write("conf", []byte(conf))

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f, err := c.(*net.TCPConn).File()
			c.Close()
			if err != nil {
				return
			}
			cmd := exec.Command(sshd, "-i", "-e", "-f", confFile)
			cmd.Stdin, cmd.Stdout = f, f
			if err := cmd.Start(); err != nil {
				t.Error(err)
			}
			f.Close()
			go func() { _ = cmd.Wait() }()
		}
	}()
	t.Cleanup(func() { ln.Close() })
	return Config{Name: "desktop", User: me.Username, Signers: []ssh.Signer{login}, HostKey: hostPub,
		Dial: (&dialer{ln.Addr().String()}).dial, KillTimeout: 15 * time.Second}
}

func TestOpenSSH(t *testing.T) { runsCommands(t, startOpenSSH(t)) }

// The server of emulated guests does what OpenSSH does.
func TestGuestServer(t *testing.T) {
	login, hostKey := newKey(t), newKey(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	server := &sshd.Server{HostKey: hostKey, Environment: []string{"PATH=" + os.Getenv("PATH")}, Dir: t.TempDir(), Say: t.Logf,
		Authorized: func() ([]ssh.PublicKey, error) { return []ssh.PublicKey{login.PublicKey()}, nil }}
	go func() { served <- server.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; !errors.Is(err, context.Canceled) {
			t.Errorf("the server ended: %v", err)
		}
	})
	runsCommands(t, Config{Name: "desktop", Signers: []ssh.Signer{login}, HostKey: hostKey.PublicKey(),
		Dial: (&dialer{ln.Addr().String()}).dial, KillTimeout: 15 * time.Second})
}

// runsCommands proves that a server runs commands as this package needs it.
func runsCommands(t *testing.T, cfg Config) {
	t.Helper()
	client, err := Dial(soon(t, 10*time.Second), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	t.Run("arguments", func(t *testing.T) {
		res := mustExec(t, client, append([]string{"printf", `%s\0`}, nasty...)...)
		if string(res.Stdout) != strings.Join(nasty, "\x00")+"\x00" {
			t.Errorf("got %q", res.Stdout)
		}
	})
	t.Run("signal", func(t *testing.T) {
		if res := mustExec(t, client, "sh", "-c", "kill -KILL $$"); res.Signal != "KILL" || res.ExitStatus != -1 {
			t.Errorf("got %+v", res)
		}
	})
	t.Run("copy", func(t *testing.T) {
		content := make([]byte, 5<<20)
		_, _ = rand.Read(content)
		to := filepath.Join(t.TempDir(), "file")
		var back bytes.Buffer
		if err := errors.Join(client.CopyTo(soon(t, 20*time.Second), bytes.NewReader(content), to, 0o600),
			client.CopyFrom(soon(t, 20*time.Second), to, &back)); err != nil || !bytes.Equal(content, back.Bytes()) {
			t.Errorf("%d bytes back, %v", back.Len(), err)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		pids := filepath.Join(t.TempDir(), "pids")
		ready := newSignal("ready")
		ctx, cancel := context.WithCancel(soon(t, 20*time.Second))
		go func() {
			<-ready.seen
			cancel()
		}()
		_, err := client.Exec(ctx, provider.Command{Stdout: ready,
			Argv: []string{"sh", "-c", `trap "" TERM; sleep 60 & echo $$ $! >"$1"; echo ready; wait; sleep 60`, "sh", pids}})
		if failed := new(ExecError); !errors.As(err, &failed) || failed.MayRun {
			t.Errorf("got %v", err)
		}
		text, err := os.ReadFile(pids)
		if err != nil {
			t.Fatal(err)
		}
		for f := range strings.FieldsSeq(string(text)) {
			pid, _ := strconv.Atoi(f)
			eventually(t, "process "+f+" is gone", func() bool { return !alive(pid) })
		}
	})
	t.Run("background", func(t *testing.T) {
		began := time.Now()
		res := mustExec(t, client, "sh", "-c", "sleep 20 & echo started")
		if res.Text() != "started" || time.Since(began) > 8*time.Second {
			t.Errorf("got %+v", res)
		}
	})
}

func TestOpenSSHMaxSessions(t *testing.T) {
	cfg := startOpenSSH(t, "MaxSessions 2")
	cfg.MaxSessions = 6
	client, err := Dial(soon(t, 10*time.Second), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	done := make(chan error)
	for range 4 {
		go func() {
			_, err := client.Exec(soon(t, 20*time.Second), provider.Cmd("sleep", "0.5"))
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
