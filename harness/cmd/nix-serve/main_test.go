package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"offload-e2e/harness/internal/nixtest"
)

// nobody is a user that no Nix trusts.
const nobody = 65534

// program builds nix-serve as the guest gets it: static.
func program(t *testing.T, dir string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	out := filepath.Join(dir, "nix-serve")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, msg)
	}
	return out
}

// process is a running nix-serve.
type process struct {
	*exec.Cmd
	url   string
	lines chan string // of its stderr, closed at its end
	log   *strings.Builder
}

// start runs the program, as an unprivileged user where the test may choose.
func start(t *testing.T, path string, env []string, args ...string) *process {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(path, args...), lines: make(chan string, 1000), log: &strings.Builder{}}
	p.Env, p.Stderr = env, w
	if os.Getuid() == 0 {
		p.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	err = p.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		defer r.Close()
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill() // where the test did not end it
		_ = p.Wait()
		if t.Failed() {
			t.Logf("nix-serve's log:\n%s", p.log)
		}
	})
	p.url = "http://" + strings.TrimPrefix(p.line(t, "listening on "), "listening on ")
	return p
}

// line waits for a line with a word in it.
func (p *process) line(t *testing.T, word string) string {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-p.lines:
			fmt.Fprintln(p.log, line)
			if !ok {
				t.Fatalf("nix-serve ended without saying %q:\n%s", word, p.log)
			}
			if strings.Contains(line, word) {
				return line
			}
		case <-deadline:
			t.Fatalf("nix-serve does not say %q after 30 s:\n%s", word, p.log)
		}
	}
}

func status(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: 30 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// serverEnv is the environment a unit gives it, and where the test's store is.
func serverEnv(s *nixtest.Store, keyFile string) []string {
	return []string{"NIX_REMOTE=daemon", "NIX_STORE_DIR=" + s.StoreDir, "NIX_LOG_DIR=" + s.Root + "/log",
		"NIX_DAEMON_SOCKET_PATH=" + s.Socket, "NIX_SECRET_KEY_FILE=" + keyFile}
}

func prepare(t *testing.T) (s *nixtest.Store, bin, keyFile, public, path string) {
	s = nixtest.New(t)
	bin = program(t, s.Root)
	keyFile = s.Root + "/secret"
	s.Run(t, "nix-store", "--generate-binary-cache-key", "cache.local", keyFile, s.Root+"/public")
	key, err := os.ReadFile(s.Root + "/public")
	if err != nil {
		t.Fatal(err)
	}
	// A credential of a unit belongs to the unit's user.
	if os.Getuid() == 0 {
		if err := os.Chown(keyFile, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	file := s.Root + "/hello"
	if err := os.WriteFile(file, []byte("hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// Text that refers to nothing is content-addressed, and needs no signature:
	// a derivation's output needs one.
	path = s.Run(t, "nix-build", "--no-out-link", "-E",
		`derivation { name = "hello"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo hello > $out" ]; }`)
	return s, bin, keyFile, string(key), path
}

func TestServesAsUnprivilegedUser(t *testing.T) {
	s, bin, keyFile, public, path := prepare(t)
	s.StartDaemon(t)
	p := start(t, bin, serverEnv(s, keyFile), "--listen", "127.0.0.1:0", "--workers", "3", "--preload-app", "--strange", "option")
	if !strings.Contains(p.log.String(), "ignored arguments: --preload-app --strange option") {
		t.Errorf("log does not name the ignored arguments:\n%s", p.log)
	}
	_, stderr, err := s.Try(t, "nix", "copy", "--from", p.url, "--to", "local?root="+s.Dir(t),
		"--option", "trusted-public-keys", public, path)
	if err != nil {
		t.Fatalf("nix copy: %v\n%s", err, stderr)
	}
	p.line(t, "path=/nar/")
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.line(t, "stopped")
	if err := p.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// The daemon refuses the server's user, as a forced allowed-users makes it do.
func TestDaemonRefusesTheUser(t *testing.T) {
	s, bin, keyFile, _, path := prepare(t)
	s.StartDaemon(t, "allowed-users = root")
	if os.Getuid() != 0 {
		t.Skip("needs root: the daemon always allows the users it trusts, and a daemon without root runs as ours")
	}
	p := start(t, bin, serverEnv(s, keyFile), "-l", "127.0.0.1:0")
	if code, _ := status(t, p.url+"/nix-cache-info"); code != 200 {
		t.Errorf("nix-cache-info: status %d", code)
	}
	if code, body := status(t, p.url+"/"+filepath.Base(path)[:32]+".narinfo"); code != 500 || body != "Internal Server Error" {
		t.Errorf("narinfo: status %d, %q", code, body)
	}
	if line := p.line(t, "error "); !strings.Contains(line, "allowed-users") || !strings.Contains(line, "status=500") {
		t.Errorf("the log does not say why: %s", line)
	}
}

func TestSocketThatMayNotBeOpened(t *testing.T) {
	s, bin, keyFile, _, path := prepare(t)
	env := append(serverEnv(s, keyFile), "NIX_REMOTE=unix://"+s.Root+"/no-socket")
	p := start(t, bin, env, "-l", "127.0.0.1:0")
	if code, _ := status(t, p.url+"/nix-cache-info"); code != 200 {
		t.Errorf("nix-cache-info: status %d", code)
	}
	if code, _ := status(t, p.url+"/"+filepath.Base(path)[:32]+".narinfo"); code != 500 {
		t.Errorf("narinfo: status %d", code)
	}
	if line := p.line(t, "error "); !strings.Contains(line, "there is no socket") {
		t.Errorf("the log does not say why: %s", line)
	}
}

func TestRunRefuses(t *testing.T) {
	none := func(string) string { return "" }
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := map[string]struct {
		args []string
		env  func(string) string
		code int
		says string
	}{
		"value missing":  {[]string{"--listen"}, none, 2, "needs a value"},
		"bad port":       {[]string{"--listen", "0.0.0.0:http"}, none, 2, "not a number"},
		"bad workers":    {[]string{"--workers", "0"}, none, 2, "above 0"},
		"address in use": {[]string{"--listen", "127.0.0.1:0", "--listen", taken.Addr().String()}, none, 1, "address already in use"},
		"no daemon remote": {nil, func(name string) string {
			return map[string]string{"NIX_REMOTE": "local"}[name]
		}, 2, "NIX_REMOTE=local"},
		"no key file": {nil, func(name string) string {
			return map[string]string{"NIX_SECRET_KEY_FILE": "/nonexistent/key"}[name]
		}, 1, "NIX_SECRET_KEY_FILE"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			if code := run(context.Background(), tt.args, tt.env, &stderr); code != tt.code || !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("exit %d, want %d; %q, want %q", code, tt.code, stderr.String(), tt.says)
			}
		})
	}
}
