// Package nixguest makes NixOS guests with the nix of this machine: it finds out
// whether that can be done, evaluates and builds what vmconfigs/guests describes,
// and switches running guests to what was built.
//
// Everything is asked of the program nix(1), the one on PATH or that of a folder.
package nixguest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The oldest Nix that has all that is used: builtins.flakeRefToString, and store
// derivations as installables (drv^out).
const oldestMajor, oldestMinor = 2, 20

// NixpkgsVariable names another nixpkgs than vmconfigs/flake.nix does: a folder or
// a flake reference.
const NixpkgsVariable = "OFFLOAD_E2E_NIXPKGS"

// probeTimeout bounds the questions to nix, the first of which may download a
// nixpkgs (40 MB).
const probeTimeout = 5 * time.Minute

// Options are where to look.
type Options struct {
	// Flake is the folder of vmconfigs/flake.nix.
	Flake string
	// Nixpkgs is a folder or flake reference to take instead of the flake's own input.
	Nixpkgs string
	// StateDir keeps what was built from being collected, and the keys of guests.
	StateDir string
}

// Nix is a nix that works, with a nixpkgs.
type Nix struct {
	Options
	// Program is the path of nix(1), Version what it says of itself.
	Program, Version string
	// Nixpkgs is the locked flake reference of the nixpkgs in use, as JSON attributes.
	Locked json.RawMessage
	// Source names the nixpkgs for a person.
	Source string
}

// UnavailableError says why there are no NixOS guests here, and what to do.
type UnavailableError struct {
	Reason, WayOut string
}

func (e *UnavailableError) Error() string { return e.Reason }

var versionRE = regexp.MustCompile(`(\d+)\.(\d+)(\.\d+)?\S*`)

// Find looks for a nix that works and a nixpkgs. The error is an
// *UnavailableError, but where ctx ended.
func Find(ctx context.Context, o Options) (*Nix, error) {
	n := &Nix{Options: o}
	var err error
	if n.Program, err = exec.LookPath("nix"); err != nil {
		return nil, &UnavailableError{"nix is not on PATH", "Install Nix, https://nixos.org/download; the embedded guest needs none."}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, probeTimeout, fmt.Errorf("nix did not answer in %s", probeTimeout))
	defer cancel()
	if err := n.probe(ctx); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *Nix) probe(ctx context.Context) error {
	if err := n.findVersion(ctx); err != nil {
		return err
	}
	return n.findNixpkgs(ctx)
}

func (n *Nix) findVersion(ctx context.Context) error {
	out, err := n.run(ctx, nil, "--version")
	if err != nil {
		return n.unavailable(ctx, err, "nix does not work", "Mend the installation of Nix, or take the embedded guest.")
	}
	m := versionRE.FindStringSubmatch(out)
	if m == nil {
		return &UnavailableError{fmt.Sprintf("nix --version says %q, which names no version", firstLine(out)),
			"See what the program nix on PATH is: " + n.Program}
	}
	n.Version = m[0]
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		return &UnavailableError{fmt.Sprintf("nix is %s, too old: it takes %d.%d or later", n.Version, oldestMajor, oldestMinor),
			"Update it (nix upgrade-nix), or take the embedded guest."}
	}
	return nil
}

// findNixpkgs asks which nixpkgs the flake takes, which gets it where it is not there.
func (n *Nix) findNixpkgs(ctx context.Context) error {
	// Where there is no network this is asked for each run: it must not take long.
	args := []string{"flake", "metadata", "--json", "--no-write-lock-file", "--option", "download-attempts", "2"}
	if n.Nixpkgs != "" {
		args = append(args, "--override-input", "nixpkgs", n.reference())
	}
	// Only the folder: what is in the clone beside it does not matter here.
	out, err := n.run(ctx, nil, append(args, "path:"+n.Flake)...)
	if err != nil {
		return n.unavailable(ctx, err, "no nixpkgs can be had", "Connect to the internet once, or name a nixpkgs that is here: "+NixpkgsVariable+"=<folder or flake reference>.")
	}
	var metadata struct {
		Locks struct {
			Root  string `json:"root"`
			Nodes map[string]struct {
				Inputs map[string]json.RawMessage `json:"inputs"`
				Locked json.RawMessage            `json:"locked"`
			} `json:"nodes"`
		} `json:"locks"`
	}
	if err := json.Unmarshal([]byte(out), &metadata); err != nil {
		return &UnavailableError{"nix flake metadata answers with something else than JSON: " + firstLine(out), "See what the program nix on PATH is: " + n.Program}
	}
	var name string
	_ = json.Unmarshal(metadata.Locks.Nodes[metadata.Locks.Root].Inputs["nixpkgs"], &name)
	if n.Locked = metadata.Locks.Nodes[name].Locked; n.Locked == nil {
		return &UnavailableError{n.Flake + "/flake.nix has no input nixpkgs", "The clone is incomplete: git status says what is missing."}
	}
	n.Source = describe(n.Locked)
	return nil
}

// reference is the nixpkgs that was named, as a flake reference.
func (n *Nix) reference() string {
	if filepath.IsAbs(n.Nixpkgs) {
		return "path:" + n.Nixpkgs
	}
	return n.Nixpkgs
}

// describe names a locked flake reference as people do.
func describe(locked json.RawMessage) string {
	var l struct{ Type, Owner, Repo, Rev, Path, URL string }
	_ = json.Unmarshal(locked, &l)
	name := cmp.Or(l.Path, l.URL)
	if l.Owner != "" {
		name = l.Type + ":" + l.Owner + "/" + l.Repo
	}
	if l.Rev != "" {
		name += fmt.Sprintf(" at %.7s", l.Rev)
	}
	return name
}

// unavailable says why nix did not do what it was asked.
func (n *Nix) unavailable(ctx context.Context, err error, reason, wayOut string) error {
	var failed *runError
	switch {
	case !errors.As(err, &failed):
		return err
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled):
		return context.Cause(ctx)
	case failed.says("experimental", "is not a recognised command", "unrecognised flag"):
		return &UnavailableError{fmt.Sprintf("nix %s has no flakes: %s", n.Version, failed.last()), "Update Nix (nix upgrade-nix), or take the embedded guest."}
	case failed.says("cannot connect to socket", "Permission denied", "cannot open connection to remote store", "read-only file system"):
		return &UnavailableError{"the store of nix cannot be used: " + failed.last(), "See that nix-daemon runs, and that you may talk to it: nix store info"}
	}
	return &UnavailableError{reason + ": " + failed.last(), wayOut}
}

// runError is a nix that failed.
type runError struct {
	args   []string
	err    error
	stderr string
}

func (e *runError) Error() string {
	return fmt.Sprintf("nix %s: %v: %s", e.args[0], e.err, e.last())
}

func (e *runError) Unwrap() error { return e.err }

func (e *runError) says(any ...string) bool {
	for _, text := range any {
		if strings.Contains(e.stderr, text) {
			return true
		}
	}
	return false
}

// last is the message itself, which Nix prints last, in one line.
func (e *runError) last() string {
	text := strings.TrimSpace(e.stderr)
	if i := strings.LastIndex("\n"+text, "\nerror:"); i >= 0 {
		text = strings.TrimPrefix(text[i:], "error:")
	}
	return cmp.Or(strings.Join(strings.Fields(text), " "), e.err.Error())
}

// run runs nix to its end and returns what it prints. Its messages go to watch as
// they come, where that is set. An error is a *runError, or the end of ctx.
func (n *Nix) run(ctx context.Context, watch *watcher, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, n.Program, append([]string{
		"--extra-experimental-features", "nix-command flakes", "--option", "connect-timeout", "15"}, args...)...)
	// What is asked for is in the arguments; nothing else is to take part.
	cmd.Env = append(os.Environ(), "NIX_PATH=")
	// Asked to end, it ends its builds; a terminal's Ctrl-C comes by ctx alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if watch != nil {
		cmd.Stderr = watch
	}
	err := cmd.Run()
	if watch != nil {
		stderr.WriteString(watch.end())
	}
	switch {
	case err == nil:
		return stdout.String(), nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("nix %s: %w", args[0], context.Cause(ctx))
	}
	return "", &runError{args, err, stderr.String()}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
