package activate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"offload-e2e/harness/nixos"
)

const (
	wrapperDir = "/run/wrappers/bin"
	// Programs that need rights Debian does not give them are copied here: /run is
	// mounted nosuid.
	privilegedDir = "/var/lib/offload-e2e/wrappers"
)

// wrappers makes the programs of security.wrappers: a link where Debian's own
// program has the rights that are asked for, a copy with those rights where it has
// not. One whose program the guest lacks is left out, and is among the Missing.
func (s *state) wrappers(ctx context.Context) error {
	var errs []error
	want := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(s.new.Wrappers)) {
		w := s.new.Wrappers[key]
		name := wrapperName(key, w)
		target, err := s.resolve(w.Source)
		if err != nil {
			if nixos.StorePath(w.Source) == "" {
				s.result.Missing = append(s.result.Missing, name+" of security.wrappers")
			}
			continue
		}
		if target, err = s.privileged(ctx, name, target, w); err != nil {
			errs = append(errs, fmt.Errorf("wrapper %s: %w", name, err))
			continue
		}
		want[name] = true
		if old, had := s.old.Wrappers[key]; !had || !sameWrapper(old, w) {
			s.changed("wrapper", name, "written")
		}
		errs = append(errs, s.link(target, filepath.Join(wrapperDir, name)))
	}
	for _, dir := range []string{wrapperDir, privilegedDir} {
		entries, err := os.ReadDir(s.path(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range entries {
			if want[e.Name()] {
				continue
			}
			if dir == wrapperDir {
				s.changed("wrapper", e.Name(), "removed")
			}
			errs = append(errs, os.Remove(s.path(filepath.Join(dir, e.Name()))))
		}
	}
	return errors.Join(errs...)
}

func wrapperName(key string, w nixos.Wrapper) string {
	if w.Program != nil && *w.Program != "" {
		return *w.Program
	}
	return key
}

func sameWrapper(a, b nixos.Wrapper) bool {
	name := func(w nixos.Wrapper) string { return wrapperName("", w) }
	an, bn := name(a), name(b)
	a.Program, b.Program = nil, nil
	return an == bn && a == b
}

// privileged is a program with the rights of a wrapper: target itself, or a copy.
func (s *state) privileged(ctx context.Context, name, target string, w nixos.Wrapper) (string, error) {
	info, err := os.Stat(s.path(target))
	if err != nil {
		return "", err
	}
	var has nixos.Wrapper
	has.Setuid, has.Setgid = info.Mode()&fs.ModeSetuid != 0, info.Mode()&fs.ModeSetgid != 0
	if w.Capabilities != "" {
		// File capabilities do as well as a setuid root program of Debian's.
		if out, err := s.run(ctx, "getcap", s.path(target)); has.Setuid || (err == nil && out != "") {
			return target, nil
		}
	} else if (has.Setuid || !w.Setuid) && (has.Setgid || !w.Setgid) {
		return target, nil
	}
	path := filepath.Join(privilegedDir, name)
	text, err := os.ReadFile(s.path(target))
	if err != nil {
		return "", err
	}
	// Closed until it has its owner, as NixOS does it.
	if err := s.write(path, text, 0, 0, 0); err != nil {
		return "", err
	}
	bits := func(letter string, on bool) string {
		if on {
			return letter + "+s,"
		}
		return letter + "-s,"
	}
	commands := [][]string{
		{"chown", w.Owner + ":" + w.Group, s.path(path)},
		{"chmod", bits("u", w.Setuid) + bits("g", w.Setgid) + w.Permissions, s.path(path)},
	}
	if w.Capabilities != "" {
		commands = append(commands, []string{"setcap", w.Capabilities, s.path(path)})
	}
	for _, argv := range commands {
		if _, err := s.run(ctx, argv...); err != nil {
			return "", errors.Join(err, os.Remove(s.path(path)))
		}
	}
	return path, nil
}
