package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakePath is a PATH of stand-ins and nothing else.
type fakePath struct {
	t        *testing.T
	bin, log string
}

func newFakePath(t *testing.T) *fakePath {
	t.Helper()
	dir := t.TempDir()
	f := &fakePath{t: t, bin: filepath.Join(dir, "bin"), log: filepath.Join(dir, "log")}
	must(t, os.Mkdir(f.bin, 0o755))
	t.Setenv("PATH", f.bin)
	t.Setenv("FAKE_BIN", f.bin)
	t.Setenv("FAKE_LOG", f.log)
	return f
}

// program adds a stand-in, a shell script; "" does nothing and succeeds.
func (f *fakePath) program(name, script string) {
	f.t.Helper()
	must(f.t, os.WriteFile(filepath.Join(f.bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

// real puts a program of this machine on the PATH.
func (f *fakePath) real(names ...string) {
	f.t.Helper()
	for _, name := range names {
		for _, dir := range []string{"/usr/bin", "/bin", "/run/current-system/sw/bin"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				must(f.t, os.Symlink(filepath.Join(dir, name), filepath.Join(f.bin, name)))
				break
			}
		}
	}
}

// calls are the lines that stand-ins wrote to $FAKE_LOG.
func (f *fakePath) calls() []string {
	f.t.Helper()
	text, err := os.ReadFile(f.log)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	must(f.t, err)
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a file with the folders above it.
func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("lacks %q:\n%s", w, text)
		}
	}
}

func chmod(t *testing.T, path string) {
	t.Helper()
	must(t, os.Chmod(path, 0o755))
}

// waitFor waits until something holds, at most ten seconds.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatal("it did not come to be within ten seconds")
		case <-tick.C:
		}
	}
}
