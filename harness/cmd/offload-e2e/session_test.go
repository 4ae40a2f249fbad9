package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
)

func TestSession(t *testing.T) {
	server := newSSHServer(t, func(line string, ch ssh.Channel) (uint32, string) {
		switch line {
		case "copy":
			text, _ := io.ReadAll(ch)
			_, _ = ch.Write(text)
			fmt.Fprintf(ch.Stderr(), "%d bytes", len(text))
			return 0, ""
		case "die":
			return 0, "TERM"
		}
		return 7, ""
	})
	text := strings.Repeat("0123456789abcdef", 1<<14)
	for _, test := range []struct {
		line, stdin, stdout, stderr string
		status                      int
	}{
		{"copy", text, text, "262144 bytes", 0},
		{"copy", "", "", "0 bytes", 0},
		{"fail", "", "", "", 7},
		{"die", "", "", "", 128 + int(syscall.SIGTERM)},
	} {
		var stdout, stderr bytes.Buffer
		s := server.session()
		s.line, s.stdin, s.stdout, s.stderr = test.line, strings.NewReader(test.stdin), &stdout, &stderr
		status, err := s.run(t.Context())
		if err != nil || status != test.status || stdout.String() != test.stdout || stderr.String() != test.stderr {
			t.Errorf("%s: status %d, %v; %d bytes of output, error output %q", test.line, status, err, stdout.Len(), stderr.String())
		}
	}
}

func TestSessionThatCannotBe(t *testing.T) {
	server := newSSHServer(t, func(string, ssh.Channel) (uint32, string) { return 0, "" })
	for name, test := range map[string]struct {
		set  func(*session)
		says string
	}{
		"another host key": {func(s *session) { s.hostKey = newSigner(t).PublicKey() }, "host key"},
		"another key":      {func(s *session) { s.signer = newSigner(t) }, "unable to authenticate"},
		"no lab": {func(s *session) {
			s.dial = func(context.Context) (net.Conn, error) { return nil, errors.New("no way") }
		}, "no way"},
		"a machine that is off": {func(s *session) { s.dial = answers("offload-e2e: laptop: it is powered off\r\n") },
			"laptop: it is powered off"},
		"no sshd":  {func(s *session) { s.dial = answers("HTTP/1.1 400 Bad Request\r\n") }, "no sshd"},
		"an end":   {func(s *session) { s.dial = answers("") }, "does not answer"},
		"half end": {func(s *session) { s.dial = answers("SSH-2.0-x\r\n") }, "log in"},
	} {
		s := server.session()
		test.set(&s)
		_, err := s.run(t.Context())
		var gone *goneError
		if !errors.As(err, &gone) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// answers connects to one that says something and ends.
func answers(text string) dialer {
	return func(context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			_, _ = io.WriteString(there, text)
			there.Close()
		}()
		return here, nil
	}
}

func TestSessionThatEndsEarly(t *testing.T) {
	for name, test := range map[string]struct {
		end    func(cancel func(), s *sshServer)
		silent bool
		status int
		gone   bool
	}{
		"interrupted":        {end: func(cancel func(), _ *sshServer) { cancel() }, status: interrupted},
		"the lab ends":       {end: func(_ func(), s *sshServer) { s.cut() }, gone: true},
		"the machine is off": {end: func(func(), *sshServer) {}, silent: true, gone: true},
	} {
		t.Run(name, func(t *testing.T) {
			running, release := make(chan struct{}), make(chan struct{})
			defer close(release)
			server := newSSHServer(t, func(string, ssh.Channel) (uint32, string) {
				close(running)
				<-release
				return 0, ""
			})
			server.silent = test.silent
			s := server.session()
			// What is typed never ends.
			typed, typing := io.Pipe()
			defer typing.Close()
			s.stdin, s.alive = typed, 50*time.Millisecond
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			go func() { <-running; test.end(cancel, server) }()
			status, err := s.run(ctx)
			var gone *goneError
			if status != test.status || errors.As(err, &gone) != test.gone || !test.gone && err != nil {
				t.Errorf("status %d, %v", status, err)
			}
		})
	}
}

// openTerminal is a terminal and the end that has its keys and screen, pts(4).
func openTerminal(t *testing.T) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	var number, unlock int32
	ioctl(t, screen, syscall.TIOCGPTN, unsafe.Pointer(&number))
	ioctl(t, screen, syscall.TIOCSPTLCK, unsafe.Pointer(&unlock))
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { terminal.Close() })
	return screen, terminal
}

func receive[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing comes")
	}
	return v
}

func ioctl(t *testing.T, f *os.File, request uintptr, argument unsafe.Pointer) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(argument)); errno != 0 {
		t.Fatal(errno)
	}
}

func setSize(t *testing.T, f *os.File, columns, rows uint16) {
	t.Helper()
	ioctl(t, f, syscall.TIOCSWINSZ, unsafe.Pointer(&[4]uint16{rows, columns}))
}

func TestSessionOnATerminal(t *testing.T) {
	screen, terminal := openTerminal(t)
	setSize(t, terminal, 100, 30)
	before, err := term.GetState(int(terminal.Fd()))
	must(t, err)
	begun, end := make(chan struct{}), make(chan struct{})
	server := newSSHServer(t, func(_ string, ch ssh.Channel) (uint32, string) {
		close(begun)
		key := make([]byte, 1)
		_, _ = io.ReadFull(ch, key)
		<-end
		return uint32(key[0]), ""
	})
	s := server.session()
	s.terminal, s.term, s.stdin, s.stdout = terminal, "xterm", terminal, terminal
	type result struct {
		status int
		err    error
	}
	ended := make(chan result, 1)
	go func() {
		status, err := s.run(t.Context())
		ended <- result{status, err}
	}()
	if p := receive(t, server.pty); p.Term != "xterm" || p.Columns != 100 || p.Rows != 30 {
		t.Errorf("the machine's terminal is %+v", p)
	}
	receive(t, begun)
	// Ctrl-C is a key of the machine's: it ends nothing here.
	_, err = screen.Write([]byte{3})
	must(t, err)
	setSize(t, terminal, 132, 40)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for resized := false; !resized; {
		select {
		case w := <-server.window:
			if w.Columns != 132 || w.Rows != 40 {
				t.Fatalf("the machine's window is %+v", w)
			}
			resized = true
		case <-tick.C:
			// The kernel tells the terminal's own session; this is another.
			must(t, syscall.Kill(os.Getpid(), syscall.SIGWINCH))
		case <-deadline:
			t.Fatal("the machine never hears of the new size")
		}
	}
	close(end)
	if r := receive(t, ended); r.err != nil || r.status != 3 {
		t.Errorf("status %d, %v", r.status, r.err)
	}
	after, err := term.GetState(int(terminal.Fd()))
	must(t, err)
	if !reflect.DeepEqual(before, after) {
		t.Error("the terminal is left in another mode")
	}
}

// What sshd's shell makes of the line is the command as a person wrote it.
func TestLoginLine(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		command []string
		term    string
		want    string
	}{
		{nil, "xterm", "xterm|-l"},
		{[]string{"echo", "a b", "| wc"}, "", "|-l|-c|echo a b | wc"},
		{[]string{`it's "$HOME"`}, "", `|-l|-c|it's "$HOME"`},
	} {
		shell := filepath.Join(dir, "bash")
		must(t, os.WriteFile(shell, []byte("#!/bin/sh\nprintf %s \"$TERM\"; for a; do printf '|%s' \"$a\"; done\n"), 0o755))
		line := strings.ReplaceAll(strings.Replace(loginLine(test.command, test.term), "cd /root", "cd /", 1), " "+loginShell, " "+shell)
		out, err := exec.Command("/bin/sh", "-c", line).CombinedOutput()
		if err != nil || string(out) != test.want {
			t.Errorf("%q: %q, %v", test.command, out, err)
		}
	}
}

func TestEnter(t *testing.T) {
	s := newStage(t)
	enter := func(out io.Writer) error {
		return s.enter(t.Context(), "laptop", []string{"hostname"}, false, out, io.Discard)
	}
	contains(t, explain(enter(io.Discard)).Text(), "No lab is up", "offload-e2e up", "KEEP=failure")
	held, err := s.hold("up")
	must(t, err)
	defer held.release()
	contains(t, explain(enter(io.Discard)).Text(), "cannot be entered yet", "(offload-e2e up)")

	server := newSSHServer(t, func(line string, ch ssh.Channel) (uint32, string) {
		fmt.Fprintln(ch, line)
		return 5, ""
	})
	dir := t.TempDir()
	l := labFile{PID: os.Getpid(), Verb: "up", Report: "/logs", Key: filepath.Join(dir, "key"), HostKey: filepath.Join(dir, "host.pub")}
	must(t, l.write(held.dir))
	if err := enter(io.Discard); err == nil || !strings.Contains(err.Error(), "guest image's key") {
		t.Errorf("without a key: %v", err)
	}
	private, signer := newKeyFile(t)
	server.user = signer
	must(t, os.WriteFile(l.Key, private, 0o600))
	must(t, os.WriteFile(l.HostKey, ssh.MarshalAuthorizedKey(server.hostKey.PublicKey()), 0o600))
	contains(t, explain(enter(io.Discard)).Text(), "The laptop cannot be reached", "/logs", "down")

	c, err := openControl(held.dir, map[string]dialer{"laptop": server.session().dial})
	must(t, err)
	defer c.Close()
	var out bytes.Buffer
	if err := enter(&out); err != exitStatus(5) { //nolint:errorlint // it is not wrapped
		t.Errorf("it ends with %v", err)
	}
	contains(t, out.String(), loginShell+" -l -c hostname")
}

func newKeyFile(t *testing.T) ([]byte, ssh.Signer) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	must(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	must(t, err)
	return pem.EncodeToMemory(block), signer
}

func TestSSHUsage(t *testing.T) {
	p := &paths{Root: clone(t), Cache: t.TempDir(), State: filepath.Join(t.TempDir(), "state")}
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"ssh"}, "desktop or laptop"},
		{[]string{"ssh", "router"}, "router"},
		{[]string{"ssh", "--x", "laptop"}, "--x"},
		// The command's own flags are not ours.
		{[]string{"ssh", "laptop", "ls", "--x"}, "No lab is up"},
		{[]string{"ssh", "-t", "laptop", "--", "ls", "-l"}, "No lab is up"},
	} {
		root := newRoot(p)
		root.SetArgs(test.args)
		root.SetOut(io.Discard)
		err := root.ExecuteContext(t.Context())
		if err == nil {
			t.Fatalf("%q is no error", test.args)
		}
		contains(t, explain(err).Text(), test.says)
	}
}
