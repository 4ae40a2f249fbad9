package nixguest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeNix is a stand-in named nix on PATH, which writes down how it is called. What
// it answers is a shell script that has the verb in $verb ("eval", "flake", …).
type fakeNix struct {
	t   *testing.T
	bin string
	log string
}

func newFakeNix(t *testing.T) *fakeNix {
	t.Helper()
	dir := t.TempDir()
	f := &fakeNix{t: t, bin: filepath.Join(dir, "bin"), log: filepath.Join(dir, "log")}
	must(t, os.Mkdir(f.bin, 0o755))
	t.Setenv("PATH", f.bin+":/usr/bin:/bin")
	t.Setenv("FAKE_LOG", f.log)
	return f
}

// answers writes the stand-in. Each call is one record: its arguments, one a line,
// with line breaks in them as \n, and an empty line.
func (f *fakeNix) answers(script string) {
	f.t.Helper()
	text := `#!/bin/bash
for a in "$@"; do printf '%s\n' "${a//$'\n'/\\n}"; done >>"$FAKE_LOG"
echo >>"$FAKE_LOG"
verb=
skip=0
for a in "$@"; do
  if [ $skip -gt 0 ]; then skip=$((skip - 1)); continue; fi
  case $a in
  --extra-experimental-features) skip=1 ;;
  --option) skip=2 ;;
  *) verb=$a; break ;;
  esac
done
` + script + "\n"
	must(f.t, os.WriteFile(filepath.Join(f.bin, "nix"), []byte(text), 0o755))
}

// calls are the arguments of each call, without those that every call has.
func (f *fakeNix) calls() [][]string {
	f.t.Helper()
	text, err := os.ReadFile(f.log)
	must(f.t, err)
	var all [][]string
	common := []string{"--extra-experimental-features", "nix-command flakes", "--option", "connect-timeout", "15"}
	for record := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n\n"), "\n\n") {
		args := strings.Split(record, "\n")
		if len(args) <= len(common) || strings.Join(args[:len(common)], " ") != strings.Join(common, " ") {
			f.t.Fatalf("nix was called with %q", args)
		}
		all = append(all, args[len(common):])
	}
	return all
}

// said collects what is shown.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *said) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// locked is what nix flake metadata says of the flake's input.
const locked = `{"lastModified":1,"narHash":"sha256-x","owner":"NixOS","repo":"nixpkgs","rev":"0123456789abcdef","type":"github"}`

const metadata = `{"locks":{"root":"root","version":7,"nodes":{"root":{"inputs":{"nixpkgs":"nixpkgs_2"}},"nixpkgs_2":{"locked":` + locked + `}}}}`

// works is a nix that has flakes and a nixpkgs.
const works = `case $verb in
--version) echo "nix (Nix) 2.31.2" ;;
flake) cat <<'E'
` + metadata + `
E
;;
`

func found(t *testing.T, f *fakeNix, script string) *Nix {
	t.Helper()
	f.answers(works + script + "\nesac")
	n, err := Find(deadline(t), Options{Flake: "/clone/vmconfigs", StateDir: filepath.Join(t.TempDir(), "nixos")})
	must(t, err)
	must(t, os.Remove(f.log))
	return n
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
