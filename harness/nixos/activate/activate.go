// Package activate makes the machine it runs on what a Configuration says, as
// NixOS's switch-to-configuration does: store paths, a generation of the system
// profile, users, /etc, activation snippets, units stopped, restarted and started.
//
// It runs inside an embedded guest, as root. NixOS guests have the real thing.
package activate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
)

// Switcher switches a machine.
type Switcher struct {
	// Root is put before every path; empty on a machine, a folder in tests.
	Root string
	// Run executes a program and returns its standard output. Nil is os/exec.
	Run func(ctx context.Context, argv ...string) (string, error)
	// Say receives progress, a line at a time.
	Say func(format string, args ...any)
	// Settle is how long services that do not say when they are ready are given, from
	// their start, to fail: systemd takes a simple one for active as soon as it is forked
	// (systemd.service(5), Type=). Zero does not wait.
	Settle time.Duration
}

// Result is what a switch did. A switch to what a machine already is changes
// nothing: Changes is then empty.
type Result struct {
	Toplevel   string   `json:"toplevel"`
	Generation int      `json:"generation"`
	Changes    []Change `json:"changes"`
	// Failed are units that are failed, or restart for ever, after the switch and
	// were not before.
	Failed   []FailedUnit `json:"failed"`
	Warnings []string     `json:"warnings"`
	// Missing are programs that packages of the configuration have on NixOS, and
	// this guest has not.
	Missing []string `json:"missing"`
}

// Change is one thing that the switch altered.
type Change struct {
	Kind   string `json:"kind"` // store, etc, user, group, unit, activation, hostname, profile, wrapper, certificates
	Name   string `json:"name"`
	Action string `json:"action"` // written, removed, created, home created, stopped, restarted, reloaded, started, ran
}

// FailedUnit is a unit that does not run, with its last words.
type FailedUnit struct {
	Unit    string `json:"unit"`
	State   string `json:"state"`
	Journal string `json:"journal"`
}

// state is one switch under way.
type state struct {
	*Switcher
	old, new *nixos.Configuration
	result   Result
	errs     []error
	units    int // links of units that were written or removed
}

func (s *state) changed(kind, name, action string) {
	s.result.Changes = append(s.result.Changes, Change{kind, name, action})
}

func (s *Switcher) path(p string) string { return s.Root + p }

// guestPath is where Debian keeps the programs that a switch runs. The PATH of who
// calls is no guide: that of a NixOS session has only what the configuration installs.
const guestPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (s *Switcher) run(ctx context.Context, argv ...string) (string, error) {
	if s.Run != nil {
		return s.Run(ctx, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	for _, dir := range filepath.SplitList(guestPath) {
		if path, err := exec.LookPath(filepath.Join(dir, argv[0])); err == nil && !strings.Contains(argv[0], "/") {
			cmd.Path, cmd.Err = path, nil
			break
		}
	}
	cmd.Env = append(os.Environ(), "PATH="+guestPath)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

func (s *Switcher) say(format string, args ...any) {
	if s.Say != nil {
		s.Say(format, args...)
	}
}

// Settling is what a switch says when all is done but to wait for services that may yet
// fail.
const Settling = "waiting for services that may yet fail"

// ErrAssertions is returned for a configuration with failed assertions; nothing
// was changed.
var ErrAssertions = errors.New("failed assertions")

// Switch makes the machine what c says, and activates it for the next boot too.
// An error means that a part could not be done; the rest was done all the same,
// as NixOS does, and the Result says what.
func (s *Switcher) Switch(ctx context.Context, c *nixos.Configuration) (Result, error) {
	if len(c.Assertions) > 0 {
		return Result{}, fmt.Errorf("%w:\n- %s", ErrAssertions, strings.Join(c.Assertions, "\n- "))
	}
	if err := check(c); err != nil {
		return Result{}, err
	}
	st := &state{Switcher: s, new: c, old: s.current()}
	before, err := st.failing(ctx)
	if err != nil {
		return st.result, err
	}
	top, err := st.realise(ctx)
	if err != nil {
		return st.result, err
	}
	st.result.Toplevel = top
	plan := st.planUnits(before)
	st.stop(ctx, plan)
	st.activate(ctx, top)
	// Before units start, as nixos-rebuild does: a boot from here on is of this
	// generation.
	st.result.Generation, err = st.setProfile(top)
	st.fail(err)
	if err == nil {
		// The profile holds it now.
		st.fail(st.unprotect())
	}
	st.startUnits(ctx, plan)
	settled := time.After(s.Settle)
	after, err := st.failing(ctx)
	if err == nil && s.Settle > 0 && st.unsettled(ctx, plan, before, after) {
		s.say(Settling)
		select {
		case <-ctx.Done():
		case <-settled:
		}
		after, err = st.failing(ctx)
	}
	st.fail(err)
	if err == nil {
		st.idle(after)
	}
	for _, unit := range slices.Sorted(maps.Keys(after.bad)) {
		if _, was := before.bad[unit]; was && !plan.touches(unit) {
			continue
		}
		journal, _ := st.run(ctx, "journalctl", "--no-pager", "--boot", "--lines=15", "--output=cat", "--unit="+unit)
		st.result.Failed = append(st.result.Failed, FailedUnit{unit, after.bad[unit], strings.TrimSpace(journal)})
	}
	return st.result, errors.Join(st.errs...)
}

// Boot activates the current generation of the system profile: what does not
// outlive a boot is made again and the activation snippets run, as NixOS's stage 2
// does.
func (s *Switcher) Boot(ctx context.Context) error {
	top, err := s.resolve(profile)
	if err != nil {
		return fmt.Errorf("find the system profile: %w", err)
	}
	c, err := s.read(filepath.Join(top, configurationName))
	if err != nil {
		return err
	}
	st := &state{Switcher: s, new: c, old: c}
	st.activate(ctx, top)
	// Only after a switch that was cut off: systemd has read the units by now.
	if st.units > 0 {
		_, err := st.run(ctx, "systemctl", "daemon-reload")
		st.fail(err)
	}
	return errors.Join(st.errs...)
}

func (s *state) fail(err error) {
	if err != nil {
		s.say("error: %v", err)
		s.errs = append(s.errs, err)
	}
}

const (
	profile           = "/nix/var/nix/profiles/system"
	currentSystem     = "/run/current-system"
	configurationName = "configuration.json"
)

// current is the configuration of the running generation; an empty one on a
// machine that was never switched.
func (s *Switcher) current() *nixos.Configuration {
	c, err := s.read(filepath.Join(currentSystem, configurationName))
	if err != nil {
		return &nixos.Configuration{}
	}
	return c
}

func (s *Switcher) read(path string) (*nixos.Configuration, error) {
	path, err := s.resolve(path)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(s.path(path))
	if err != nil {
		return nil, err
	}
	c := &nixos.Configuration{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

// activate is NixOS's activation script: wrappers, users, /etc, units, the user's
// own snippets, in the order of the configuration.
func (s *state) activate(ctx context.Context, top string) {
	s.fail(s.link(top, currentSystem))
	if _, err := os.Lstat(s.path("/run/booted-system")); errors.Is(err, fs.ErrNotExist) {
		s.fail(s.link(top, "/run/booted-system"))
	}
	s.fail(s.users(ctx))
	s.fail(s.wrappers(ctx))
	s.fail(s.etc(top))
	s.fail(s.certificates())
	s.fail(s.writeUnits())
	s.fail(s.sweep(top))
	s.fail(s.hostName(ctx))
	s.fail(s.snippets(ctx))
}

// snippets runs the activation scripts that modules define, in one shell, each
// failing for itself, as NixOS's own script does.
func (s *state) snippets(ctx context.Context) error {
	var script strings.Builder
	script.WriteString("systemConfig=" + currentSystem + "\n_status=0\ntrap \"_status=1 _localstatus=\\$?\" ERR\numask 0022\n")
	n := 0
	for _, a := range s.new.ActivationScripts {
		if a.Text == nil {
			continue
		}
		n++
		if !slices.ContainsFunc(s.old.ActivationScripts, func(o nixos.ActivationScript) bool {
			return o.Name == a.Name && o.Text != nil && *o.Text == *a.Text
		}) {
			s.changed("activation", a.Name, "ran")
		}
		fmt.Fprintf(&script, "#### Activation script snippet %s:\n_localstatus=0\n%s\nif (( _localstatus > 0 )); then\n  printf \"Activation script snippet '%%s' failed (%%s)\\n\" %s \"$_localstatus\" >&2\nfi\n", a.Name, *a.Text, shellQuote(a.Name))
	}
	if n == 0 {
		return nil
	}
	script.WriteString("exit $_status\n")
	s.say("running %d activation snippets", n)
	const path = "/run/offload-e2e-activate"
	if err := s.write(path, []byte(script.String()), 0o700, 0, 0); err != nil {
		return err
	}
	defer os.Remove(s.path(path))
	if _, err := s.run(ctx, "env", "-i", "HOME=/root", "PATH=/run/current-system/sw/bin:/usr/sbin:/usr/bin", "bash", s.path(path)); err != nil {
		return fmt.Errorf("activation: %w", err)
	}
	return nil
}

// shellQuote is text as one word of a shell's.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func (s *state) hostName(ctx context.Context) error {
	if s.new.HostName == "" {
		return nil
	}
	now, err := os.ReadFile(s.path("/proc/sys/kernel/hostname"))
	if err == nil && strings.TrimSpace(string(now)) == s.new.HostName {
		return nil
	}
	s.changed("hostname", s.new.HostName, "written")
	_, err = s.run(ctx, "hostname", s.new.HostName)
	return err
}

// link makes path a symbolic link to target, atomically, if it is not that already.
func (s *Switcher) link(target, path string) error {
	full := s.path(path)
	if now, err := os.Readlink(full); err == nil && now == target {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	tmp := full + ".tmp-switch"
	os.Remove(tmp)
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, full)
}

// resolve follows symbolic links as the machine itself does, whatever Root is. A
// path that leads to nothing is an error.
func (s *Switcher) resolve(path string) (string, error) {
	left := strings.Split(strings.Trim(filepath.Clean(path), "/"), "/")
	at := "/"
	for hops := 0; len(left) > 0; {
		next := filepath.Join(at, left[0])
		info, err := os.Lstat(s.path(next))
		if err != nil {
			return "", err
		}
		left = left[1:]
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		// As many as the kernel follows (path_resolution(7)).
		if hops++; hops > 40 {
			return "", fmt.Errorf("%s: too many levels of symbolic links", path)
		}
		target, err := os.Readlink(s.path(next))
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		if target = strings.Trim(filepath.Clean(target), "/"); target != "" {
			left = append(strings.Split(target, "/"), left...)
		}
	}
	return at, nil
}

// setProfile makes top the newest generation of the system profile. Generations
// are numbered as Nix does: after the highest there is, whichever is current.
func (s *state) setProfile(top string) (int, error) {
	dir := filepath.Dir(profile)
	now, err := os.Readlink(s.path(profile))
	if err == nil {
		if target, err := os.Readlink(s.path(filepath.Join(dir, filepath.Base(now)))); err == nil && target == top {
			return generation(now), nil
		}
	}
	entries, err := os.ReadDir(s.path(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	n := 0
	for _, e := range entries {
		n = max(n, generation(e.Name()))
	}
	n++
	name := fmt.Sprintf("system-%d-link", n)
	if err := s.link(top, filepath.Join(dir, name)); err != nil {
		return n, err
	}
	s.changed("profile", name, "written")
	return n, s.link(name, profile)
}

// generation is the number in the name of a generation's link, 0 where it is none.
func generation(link string) int {
	text, ok1 := strings.CutPrefix(filepath.Base(link), "system-")
	text, ok2 := strings.CutSuffix(text, "-link")
	n, err := strconv.Atoi(text)
	if !ok1 || !ok2 || err != nil {
		return 0
	}
	return n
}
