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
	"strings"

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
	Kind   string `json:"kind"` // store, etc, user, group, unit, activation, hostname, profile
	Name   string `json:"name"`
	Action string `json:"action"` // written, removed, created, stopped, restarted, reloaded, started, ran
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
}

func (s *state) changed(kind, name, action string) {
	s.result.Changes = append(s.result.Changes, Change{kind, name, action})
}

func (s *Switcher) path(p string) string { return s.Root + p }

func (s *Switcher) run(ctx context.Context, argv ...string) (string, error) {
	if s.Run != nil {
		return s.Run(ctx, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
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
	st.startUnits(ctx, plan)
	after, err := st.failing(ctx)
	st.fail(err)
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
	top, err := filepath.EvalSymlinks(s.path(profile))
	if err != nil {
		return fmt.Errorf("find the system profile: %w", err)
	}
	top = strings.TrimPrefix(top, s.Root)
	c, err := s.read(filepath.Join(top, configurationName))
	if err != nil {
		return err
	}
	st := &state{Switcher: s, new: c, old: c}
	st.activate(ctx, top)
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

// activate is NixOS's activation script: wrappers, users, /etc, the user's own
// snippets, in the order of the configuration.
func (s *state) activate(ctx context.Context, top string) {
	s.fail(s.wrappers())
	s.fail(s.link(top, currentSystem))
	if _, err := os.Lstat(s.path("/run/booted-system")); errors.Is(err, fs.ErrNotExist) {
		s.fail(s.link(top, "/run/booted-system"))
	}
	s.fail(s.users(ctx))
	s.fail(s.etc(top))
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
		fmt.Fprintf(&script, "#### Activation script snippet %s:\n_localstatus=0\n%s\nif (( _localstatus > 0 )); then\n  printf \"Activation script snippet '%%s' failed (%%s)\\n\" %q \"$_localstatus\" >&2\nfi\n", a.Name, *a.Text, a.Name)
	}
	if n == 0 {
		return nil
	}
	script.WriteString("exit $_status\n")
	s.say("running %d activation snippets", n)
	path := s.path("/run/offload-e2e-activate")
	if err := os.WriteFile(path, []byte(script.String()), 0o700); err != nil {
		return err
	}
	defer os.Remove(path)
	if _, err := s.run(ctx, "env", "-i", "HOME=/root", "PATH=/run/current-system/sw/bin:/usr/sbin:/usr/bin", "bash", path); err != nil {
		return fmt.Errorf("activation: %w", err)
	}
	return nil
}

// wrappers are the setuid programs of NixOS's default set.
func (s *state) wrappers() error {
	var errs []error
	for _, name := range []string{"sudo", "su", "mount", "umount", "passwd", "newgrp", "chsh"} {
		target := "/usr/bin/" + name
		if _, err := os.Stat(s.path(target)); err == nil {
			errs = append(errs, s.link(target, "/run/wrappers/bin/"+name))
		}
	}
	return errors.Join(errs...)
}

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

// setProfile makes top the newest generation of the system profile.
func (s *state) setProfile(top string) (int, error) {
	now, err := os.Readlink(s.path(profile))
	n := 0
	if err == nil {
		fmt.Sscanf(filepath.Base(now), "system-%d-link", &n)
		if target, err := os.Readlink(s.path(filepath.Join(filepath.Dir(profile), filepath.Base(now)))); err == nil && target == top {
			return n, nil
		}
	}
	n++
	name := fmt.Sprintf("system-%d-link", n)
	if err := s.link(top, filepath.Join(filepath.Dir(profile), name)); err != nil {
		return n, err
	}
	s.changed("profile", name, "written")
	return n, s.link(name, profile)
}
