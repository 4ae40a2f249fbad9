// Package nixtest gives tests a real Nix with a private store and daemon.
//
// The programs come from the directory that NIX_BIN names, or from PATH; a
// test that needs them fails without, it does not skip.
package nixtest

import (
	"bytes"
	"context"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// commandTime bounds every command a test runs.
const commandTime = 3 * time.Minute

// Store is a Nix installation of its own: store, database, caches, settings,
// and the socket of its daemon, all below one temporary directory.
type Store struct {
	Root     string // mode 0755: other users may pass
	StoreDir string
	Socket   string
	bin      string
	env      []string
}

// New makes an empty store, which the end of the test removes. settings are
// lines of nix.conf, added to those that let Nix build without a sandbox, a
// build user or a network.
func New(t testing.TB, settings ...string) *Store {
	t.Helper()
	bin := find(t)
	// Short: a socket's path has at most 107 bytes.
	root, err := os.MkdirTemp("", "nix")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, root) })
	// Symlinks in the way of a store are refused by Nix.
	if root, err = filepath.EvalSymlinks(root); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &Store{Root: root, StoreDir: root + "/store", Socket: root + "/socket", bin: bin}
	conf := append([]string{
		"experimental-features = nix-command flakes ca-derivations",
		"sandbox = false", "build-users-group =", "substituters =", "builders =", "build-hook =",
		"auto-optimise-store = false", "connect-timeout = 5", "download-attempts = 1",
	}, settings...)
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "NIX_") {
			s.env = append(s.env, entry)
		}
	}
	s.env = append(s.env,
		"HOME="+root+"/home", "XDG_CACHE_HOME="+root+"/cache", "XDG_CONFIG_HOME="+root+"/config",
		"NIX_STORE_DIR="+s.StoreDir, "NIX_STATE_DIR="+root+"/var", "NIX_LOCALSTATE_DIR="+root,
		"NIX_LOG_DIR="+root+"/log", "NIX_CONF_DIR="+root+"/etc",
		"NIX_DAEMON_SOCKET_PATH="+s.Socket, "NIX_CONFIG="+strings.Join(conf, "\n"))
	return s
}

func find(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("NIX_BIN"); dir != "" {
		for _, program := range []string{"nix", "nix-store", "nix-daemon"} {
			if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
				t.Fatalf("NIX_BIN=%s: %v: it must be the directory that has nix, nix-store and nix-daemon", dir, err)
			}
		}
		return dir
	}
	program, err := exec.LookPath("nix-daemon")
	if err != nil {
		t.Fatalf("this test compares with a real Nix and finds none (%v): set NIX_BIN to the directory that has nix, nix-store and nix-daemon, or run it by \"make test\"", err)
	}
	return filepath.Dir(program)
}

// Env is the environment of the store's commands, with more added.
func (s *Store) Env(more ...string) []string {
	return append(append([]string{}, s.env...), more...)
}

// Dir makes a new directory that goes with the store. A store may be made in
// it, whose read-only directories a test's own TempDir could not remove.
func (s *Store) Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(s.Root, "dir")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Try runs one of Nix's programs and returns its output and error texts.
func (s *Store) Try(t testing.TB, program string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = s.env, &out, &errs, s.Root
	err = cmd.Run()
	return strings.TrimSpace(out.String()), errs.String(), err
}

// Run runs one of Nix's programs, which must succeed, and returns its output.
func (s *Store) Run(t testing.TB, program string, args ...string) string {
	t.Helper()
	out, errs, err := s.Try(t, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, errs)
	}
	return out
}

// StartDaemon runs a nix-daemon on the store until the test ends. settings are
// lines of nix.conf for it alone.
func (s *Store) StartDaemon(t testing.TB, settings ...string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(s.bin, "nix-daemon"))
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = s.Env(), &log, &log, s.Root
	last := len(cmd.Env) - 1 // NIX_CONFIG
	cmd.Env[last] += "\n" + strings.Join(settings, "\n")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Logf("nix-daemon:\n%s", log.String())
		}
	})
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("unix", s.Socket); err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("nix-daemon ended before it listened on %s: %v\n%s", s.Socket, err, log.String())
		case <-deadline:
			t.Fatalf("nix-daemon does not listen on %s after 30 s", s.Socket)
		case <-tick.C:
		}
	}
}

// remove removes a store: its directories are read-only.
func remove(t testing.TB, root string) {
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			_ = os.Chmod(path, 0o755)
		}
		return nil
	})
	if err := os.RemoveAll(root); err != nil {
		t.Errorf("remove the test's store: %v", err)
	}
}
