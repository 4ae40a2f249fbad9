package activate

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
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
			errs = append(errs, s.removeEtc(name, s.old.Etc[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.new.Etc)) {
		if err := s.etcFile(top, name, s.new.Etc[name]); err != nil {
			errs = append(errs, fmt.Errorf("/etc/%s: %w", name, err))
		}
	}
	return errors.Join(append(errs, s.resolvConf(), s.networkFiles())...)
}

// removeEtc removes what an earlier generation put there; where somebody has put
// a file of their own in place of the link, that stays.
func (s *state) removeEtc(name string, old nixos.Etc) error {
	full := s.path("/etc/" + name)
	info, err := os.Lstat(full)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.IsDir(), isLink(old) && info.Mode()&fs.ModeSymlink == 0:
		return nil
	}
	s.changed("etc", name, "removed")
	if err := os.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func isLink(e nixos.Etc) bool {
	return e.Mode == "" || e.Mode == "symlink" || e.Mode == "direct-symlink"
}

// sweep removes links to files of generations that are no more, as NixOS's
// setup-etc does: a switch that was cut off leaves some.
func (s *state) sweep(top string) error {
	return filepath.WalkDir(s.path("/etc"), func(full string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		target, err := os.Readlink(full)
		if err != nil {
			return err
		}
		below, static := strings.CutPrefix(target, etcStatic+"/")
		if !static {
			return nil
		}
		if _, err := os.Lstat(s.path(filepath.Join(top, "etc", below))); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.changed("etc", strings.TrimPrefix(full, s.path("/etc/")), "removed")
		return os.Remove(full)
	})
}

func (s *state) etcFile(top, name string, e nixos.Etc) error {
	path := "/etc/" + name
	// What the configuration owns replaces what the distribution put there.
	if info, err := os.Lstat(s.path(path)); err == nil && info.IsDir() {
		if err := os.RemoveAll(s.path(path)); err != nil {
			return err
		}
	}
	old, had := s.old.Etc[name]
	if !had || !sameEtc(old, e) {
		s.changed("etc", name, "written")
	}
	switch e.Mode {
	case "", "symlink":
		return s.link(filepath.Join(etcStatic, name), path)
	case "direct-symlink":
		if e.Source != nil {
			return s.link(*e.Source, path)
		}
		return s.link(filepath.Join(top, "etc", name), path)
	}
	mode, err := fileMode(e.Mode)
	if err != nil {
		return err
	}
	from, err := s.resolve(filepath.Join(top, "etc", name))
	if err != nil {
		return err
	}
	text, err := os.ReadFile(s.path(from))
	if err != nil {
		return err
	}
	uid, err1 := s.id(e.User, "/etc/passwd")
	gid, err2 := s.id(e.Group, "/etc/group")
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	return s.write(path, text, mode, uid, gid)
}

// fileMode reads an octal mode; Go keeps setuid, setgid and sticky elsewhere.
func fileMode(octal string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(octal, 8, 12)
	if err != nil {
		return 0, fmt.Errorf("mode %q: %w", octal, err)
	}
	mode := fs.FileMode(n & 0o777)
	for bit, m := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n&bit != 0 {
			mode |= m
		}
	}
	return mode, nil
}

func sameEtc(a, b nixos.Etc) bool {
	same := func(x, y *string) bool { return (x == nil) == (y == nil) && (x == nil || *x == *y) }
	return same(a.Text, b.Text) && same(a.Source, b.Source) && a.Mode == b.Mode && a.User == b.User && a.Group == b.Group
}

// id reads a name of the table at path, or a number as NixOS writes it ("+0").
func (s *Switcher) id(name, path string) (int, error) {
	if name == "" {
		return 0, nil
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(name, "+")); err == nil {
		return n, nil
	}
	t, err := s.readTable(path, 0)
	if err != nil {
		return 0, err
	}
	row := t.row(name)
	if row == nil {
		return 0, fmt.Errorf("%s has no %q", path, name)
	}
	return strconv.Atoi(row[2])
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

// guestResolvConf keeps the guest's own resolv.conf(5) while networking.nameservers
// replaces it.
const guestResolvConf = "/var/lib/offload-e2e/resolv.conf"

// resolvConf writes networking.nameservers; without any, the guest's own is there.
func (s *state) resolvConf() error {
	const path = "/etc/resolv.conf"
	if _, own := s.new.Etc["resolv.conf"]; own {
		return nil
	}
	text, err := os.ReadFile(s.path(guestResolvConf))
	kept := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	now, err := os.ReadFile(s.path(path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(s.new.Network.Nameservers) == 0 {
		if !kept {
			return nil
		}
		s.changed("etc", "resolv.conf", "written")
		return errors.Join(s.write(path, text, 0o644, 0, 0), os.Remove(s.path(guestResolvConf)))
	}
	if !kept && err == nil {
		if err := s.write(guestResolvConf, now, 0o644, 0, 0); err != nil {
			return err
		}
	}
	var want strings.Builder
	for _, ns := range s.new.Network.Nameservers {
		fmt.Fprintf(&want, "nameserver %s\n", ns)
	}
	if err == nil && string(now) == want.String() {
		return nil
	}
	s.changed("etc", "resolv.conf", "written")
	return s.write(path, []byte(want.String()), 0o644, 0, 0)
}

// networkFiles gives interfaces with networking.interfaces.<name>.ipv4.addresses
// those addresses instead of a lease.
func (s *state) networkFiles() error {
	var errs []error
	name := func(ifname string) string { return "systemd/network/40-nixos-" + ifname + ".network" }
	for _, ifname := range slices.Sorted(maps.Keys(s.old.Network.Interfaces)) {
		if len(s.new.Network.Interfaces[ifname].IPv4) == 0 {
			if err := os.Remove(s.path("/etc/" + name(ifname))); err == nil {
				s.changed("etc", name(ifname), "removed")
			}
		}
	}
	for _, ifname := range slices.Sorted(maps.Keys(s.new.Network.Interfaces)) {
		i := s.new.Network.Interfaces[ifname]
		if len(i.IPv4) == 0 {
			continue
		}
		var text strings.Builder
		fmt.Fprintf(&text, "[Match]\nName=%s\n\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n", ifname)
		for _, a := range i.IPv4 {
			fmt.Fprintf(&text, "Address=%s/%d\n", a.Address, a.PrefixLength)
		}
		path := "/etc/" + name(ifname)
		if now, err := os.ReadFile(s.path(path)); err == nil && string(now) == text.String() {
			continue
		}
		s.changed("etc", name(ifname), "written")
		errs = append(errs, s.write(path, []byte(text.String()), 0o644, 0, 0))
	}
	return errors.Join(errs...)
}
