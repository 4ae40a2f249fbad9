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
	"strconv"
	"strings"

	"offload-e2e/harness/nixos"
)

// users makes passwd(5), group(5), shadow(5) and home directories what the
// configuration says, as NixOS's update-users-groups does: accounts it declares,
// those it declared before and no longer does go, others are left alone, because
// Debian's own daemons have them (also with users.mutableUsers off).
func (s *state) users(ctx context.Context) error {
	passwd, err1 := s.readTable("/etc/passwd", 0o644)
	group, err2 := s.readTable("/etc/group", 0o644)
	shadow, err3 := s.readTable("/etc/shadow", 0o640)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	want, had := byName(s.new.Users), byName(s.old.Users)
	passwd.reserved, group.reserved = map[int]bool{}, map[int]bool{}
	for _, u := range want {
		if u.UID != nil {
			passwd.reserved[*u.UID] = true
		}
	}
	for _, g := range s.new.Groups {
		if g.GID != nil {
			group.reserved[*g.GID] = true
		}
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(had)) {
		if _, kept := want[name]; !kept && name != "root" && passwd.row(name) != nil {
			passwd.remove(name)
			shadow.remove(name)
			s.changed("user", name, "removed")
			errs = append(errs, s.linger(name, false))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.old.Groups)) {
		// A group that only NixOS itself spoke of is Debian's as well.
		if _, kept := s.new.Groups[name]; !kept && !s.old.Groups[name].Implied && group.row(name) != nil {
			group.remove(name)
			s.changed("group", name, "removed")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.new.Groups)) {
		s.group(group, name, s.new.Groups[name])
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if err := s.user(ctx, passwd, group, shadow, name, want[name]); err != nil {
			errs = append(errs, fmt.Errorf("user %s: %w", name, err))
		}
	}
	s.members(group, passwd, want, had)
	errs = append(errs, s.save(passwd), s.save(group), s.save(shadow))
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if err := s.home(passwd, name, want[name]); err != nil {
			errs = append(errs, fmt.Errorf("user %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// byName are users by the name of the account, which need not be their key.
func byName(users map[string]nixos.User) map[string]nixos.User {
	out := map[string]nixos.User{}
	for key, u := range users {
		if u.Name != "" {
			key = u.Name
		}
		out[key] = u
	}
	return out
}

func (s *state) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.say("warning: %s", text)
	s.result.Warnings = append(s.result.Warnings, text)
}

func (s *state) group(t *table, name string, g nixos.Group) {
	if row := t.row(name); row != nil {
		old := s.old.Groups[name].GID
		if g.GID != nil && old != nil && *old != *g.GID && row[2] != strconv.Itoa(*g.GID) {
			s.warn("not applying GID change of group %s (%s -> %d)", name, row[2], *g.GID)
		}
		return
	}
	gid := 0
	if g.GID != nil && !t.taken(2, *g.GID) {
		gid = *g.GID
	} else {
		gid = t.free(2, true)
	}
	t.rows = append(t.rows, []string{name, "x", strconv.Itoa(gid), ""})
	s.changed("group", name, "created")
}

// members sets who is in each group the configuration speaks of: its members, and
// the users that name it among their extra groups. Only accounts that there are
// become members: Nix's daemon ends a build for which it picks a builder of nixbld
// without one, and Debian has fewer of them than NixOS.
func (s *state) members(t, passwd *table, users, had map[string]nixos.User) {
	want := map[string][]string{}
	for name, g := range s.new.Groups {
		want[name] = slices.Clone(g.Members)
	}
	for name, u := range users {
		for _, g := range u.ExtraGroups {
			want[g] = append(want[g], name)
		}
	}
	// Groups that nobody speaks of any more still lose those who were put there.
	for _, u := range had {
		for _, g := range u.ExtraGroups {
			if _, spoken := want[g]; !spoken {
				want[g] = nil
			}
		}
	}
	ours := func(group, member string) bool {
		_, now := users[member]
		_, before := had[member]
		return now || before || slices.Contains(s.old.Groups[group].Members, member)
	}
	for _, row := range t.rows {
		names, spoken := want[row[0]]
		if !spoken || len(row) < t.columns() {
			continue
		}
		// Members that the guest's distribution put there stay: nixbld's builders.
		for _, m := range strings.Split(row[3], ",") {
			if m != "" && !ours(row[0], m) {
				names = append(names, m)
			}
		}
		names = slices.DeleteFunc(names, func(m string) bool { return passwd.row(m) == nil })
		slices.Sort(names)
		if text := strings.Join(slices.Compact(names), ","); text != row[3] {
			row[3] = text
			s.changed("group", row[0], "written")
		}
	}
}

func (s *state) user(ctx context.Context, passwd, group, shadow *table, name string, u nixos.User) error {
	gid := "65534"
	if u.Group != "" {
		row := group.row(u.Group)
		if row == nil {
			return fmt.Errorf("group %q does not exist", u.Group)
		}
		gid = row[2]
	}
	row := passwd.row(name)
	shell := "/usr/sbin/nologin"
	if u.Shell != nil && *u.Shell != "" {
		shell = *u.Shell
	} else if row != nil {
		shell = row[6]
	}
	home := u.Home
	if home == "" {
		home = "/var/empty"
	}
	action := ""
	if row == nil {
		uid := 0
		if u.UID != nil && !passwd.taken(2, *u.UID) {
			uid = *u.UID
		} else {
			uid = passwd.free(2, !u.IsNormalUser)
			if u.UID != nil {
				s.warn("user %s has the UID %d, because %d is another user's", name, uid, *u.UID)
			}
		}
		passwd.rows = append(passwd.rows, []string{name, "x", strconv.Itoa(uid), gid, u.Description, home, shell})
		// What an account of that name left behind is nobody's password now.
		shadow.remove(name)
		action = "created"
	} else {
		if u.UID != nil && row[2] != strconv.Itoa(*u.UID) {
			s.warn("not applying UID change of user %s (%s -> %d)", name, row[2], *u.UID)
		}
		want := []string{name, row[1], row[2], gid, u.Description, home, shell}
		if !slices.Equal(row, want) {
			copy(row, want)
			action = "written"
		}
	}
	changed, err := s.setPassword(ctx, shadow, name, u, row == nil)
	if changed && action == "" {
		action = "written"
	}
	if action != "" {
		s.changed("user", name, action)
	}
	return err
}

// linger sets whether systemd keeps a user's manager without a session (loginctl(1)).
func (s *state) linger(name string, on bool) error {
	path := s.path("/var/lib/systemd/linger/" + name)
	if !on {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, nil, 0o644)
}

// home makes the home directory of a user that wants one, once; NixOS resets its
// mode and owner at each activation.
func (s *state) home(passwd *table, name string, u nixos.User) error {
	row := passwd.row(name)
	if row == nil {
		return nil
	}
	if u.Linger != nil {
		if err := s.linger(name, *u.Linger); err != nil {
			return err
		}
	}
	if !u.CreateHome || !strings.HasPrefix(u.Home, "/") || u.Home == "/var/empty" {
		return nil
	}
	mode := fs.FileMode(0o700)
	if u.HomeMode != "" {
		m, err := fileMode(u.HomeMode)
		if err != nil {
			return fmt.Errorf("home: %w", err)
		}
		mode = m
	}
	full := s.path(u.Home)
	if _, err := os.Stat(full); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.Mkdir(full, 0o700); err != nil {
			return err
		}
		s.changed("user", name, "home created")
	}
	uid, err1 := strconv.Atoi(row[2])
	gid, err2 := strconv.Atoi(row[3])
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if s.Root == "" {
		if err := os.Chown(full, uid, gid); err != nil {
			return err
		}
	}
	return os.Chmod(full, mode)
}
