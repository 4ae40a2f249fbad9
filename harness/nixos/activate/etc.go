package activate

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"offload-e2e/harness/nixos"
)

const etcStatic = "/etc/static"

// etc makes /etc what the configuration says: links to /etc/static, and copies
// where a mode is asked for. What an earlier generation put there goes.
func (s *state) etc(top string) error {
	if err := s.link(top+"/etc", etcStatic); err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.old.Etc)) {
		if _, kept := s.new.Etc[name]; !kept {
			s.changed("etc", name, "removed")
			if err := os.Remove(s.path("/etc/" + name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.new.Etc)) {
		if err := s.etcFile(name, s.new.Etc[name]); err != nil {
			errs = append(errs, fmt.Errorf("/etc/%s: %w", name, err))
		}
	}
	return errors.Join(append(errs, s.resolvConf(), s.networkFiles())...)
}

func (s *state) etcFile(name string, e nixos.Etc) error {
	path := "/etc/" + name
	// What the configuration owns replaces what the distribution put there.
	if info, err := os.Lstat(s.path(path)); err == nil && info.IsDir() {
		if err := os.RemoveAll(s.path(path)); err != nil {
			return err
		}
	}
	static := filepath.Join(etcStatic, name)
	old, had := s.old.Etc[name]
	if !had || !sameEtc(old, e) {
		s.changed("etc", name, "written")
	}
	switch e.Mode {
	case "", "symlink":
		return s.link(static, path)
	case "direct-symlink":
		target, err := os.Readlink(s.path(static))
		if err != nil {
			target = static
		}
		return s.link(target, path)
	}
	mode, err := strconv.ParseUint(e.Mode, 8, 12)
	if err != nil {
		return fmt.Errorf("mode %q: %w", e.Mode, err)
	}
	text, err := os.ReadFile(s.path(static))
	if err != nil {
		return err
	}
	uid, err1 := id(e.User, lookupUser)
	gid, err2 := id(e.Group, lookupGroup)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	return s.write(path, text, fs.FileMode(mode), uid, gid)
}

func sameEtc(a, b nixos.Etc) bool {
	same := func(x, y *string) bool { return (x == nil) == (y == nil) && (x == nil || *x == *y) }
	return same(a.Text, b.Text) && same(a.Source, b.Source) && a.Mode == b.Mode && a.User == b.User && a.Group == b.Group
}

// id reads a name, or a number as NixOS writes it ("+0").
func id(name string, lookup func(string) (string, error)) (int, error) {
	if name == "" {
		return 0, nil
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(name, "+")); err == nil {
		return n, nil
	}
	text, err := lookup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

func lookupUser(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func lookupGroup(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}

// write replaces a file atomically.
func (s *Switcher) write(path string, text []byte, mode fs.FileMode, uid, gid int) error {
	full := s.path(path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	tmp := full + ".tmp-switch"
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return err
	}
	if s.Root == "" {
		if err := os.Chown(tmp, uid, gid); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, mode); err != nil {
		return err
	}
	return os.Rename(tmp, full)
}

// resolvConf writes networking.nameservers; without any, the guest's own stays.
func (s *state) resolvConf() error {
	if len(s.new.Network.Nameservers) == 0 || slices.Equal(s.new.Network.Nameservers, s.old.Network.Nameservers) {
		return nil
	}
	var text strings.Builder
	for _, ns := range s.new.Network.Nameservers {
		fmt.Fprintf(&text, "nameserver %s\n", ns)
	}
	s.changed("etc", "resolv.conf", "written")
	return s.write("/etc/resolv.conf", []byte(text.String()), 0o644, 0, 0)
}

// networkFiles gives interfaces with networking.interfaces.<name>.ipv4.addresses
// those addresses instead of a lease.
func (s *state) networkFiles() error {
	var errs []error
	name := func(ifname string) string { return "/etc/systemd/network/40-nixos-" + ifname + ".network" }
	for ifname := range s.old.Network.Interfaces {
		if len(s.new.Network.Interfaces[ifname].IPv4) == 0 {
			if err := os.Remove(s.path(name(ifname))); err == nil {
				s.changed("etc", strings.TrimPrefix(name(ifname), "/etc/"), "removed")
			}
		}
	}
	for ifname, i := range s.new.Network.Interfaces {
		if len(i.IPv4) == 0 {
			continue
		}
		var text strings.Builder
		fmt.Fprintf(&text, "[Match]\nName=%s\n\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n", ifname)
		for _, a := range i.IPv4 {
			fmt.Fprintf(&text, "Address=%s/%d\n", a.Address, a.PrefixLength)
		}
		if now, err := os.ReadFile(s.path(name(ifname))); err == nil && string(now) == text.String() {
			continue
		}
		s.changed("etc", strings.TrimPrefix(name(ifname), "/etc/"), "written")
		errs = append(errs, s.write(name(ifname), []byte(text.String()), 0o644, 0, 0))
	}
	return errors.Join(errs...)
}
