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
// those it declared before and no longer does go, others are left alone.
func (s *state) users(ctx context.Context) error {
	passwd, err1 := s.readTable("/etc/passwd", 0o644)
	group, err2 := s.readTable("/etc/group", 0o644)
	shadow, err3 := s.readTable("/etc/shadow", 0o640)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	for name := range s.old.Users {
		if _, kept := s.new.Users[name]; !kept && name != "root" && passwd.row(name) != nil {
			passwd.remove(name)
			shadow.remove(name)
			s.changed("user", name, "removed")
		}
	}
	for name := range s.old.Groups {
		if _, kept := s.new.Groups[name]; !kept && group.row(name) != nil {
			group.remove(name)
			s.changed("group", name, "removed")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.new.Groups)) {
		s.group(group, name, s.new.Groups[name])
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.new.Users)) {
		if err := s.user(ctx, passwd, group, shadow, name, s.new.Users[name]); err != nil {
			errs = append(errs, fmt.Errorf("user %s: %w", name, err))
		}
	}
	s.members(group)
	errs = append(errs, s.save(passwd), s.save(group), s.save(shadow))
	for _, name := range slices.Sorted(maps.Keys(s.new.Users)) {
		if err := s.home(passwd, name, s.new.Users[name]); err != nil {
			errs = append(errs, fmt.Errorf("user %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (s *state) group(t *table, name string, g nixos.Group) {
	if t.row(name) != nil {
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
// the users that name it among their extra groups.
func (s *state) members(t *table) {
	want := map[string][]string{}
	for name, g := range s.new.Groups {
		want[name] = append([]string{}, g.Members...)
	}
	for name, u := range s.new.Users {
		for _, g := range u.ExtraGroups {
			want[g] = append(want[g], name)
		}
	}
	for _, row := range t.rows {
		names, ours := want[row[0]]
		if !ours || len(row) < 4 {
			continue
		}
		// Members that the guest's distribution put there stay: nixbld's builders.
		for _, m := range strings.Split(row[3], ",") {
			if _, declared := s.new.Users[m]; m != "" && !declared && !slices.Contains(s.old.Groups[row[0]].Members, m) {
				names = append(names, m)
			}
		}
		slices.Sort(names)
		if text := strings.Join(slices.Compact(names), ","); text != row[3] {
			row[3] = text
			s.changed("group", row[0], "written")
		}
	}
}

func (s *state) user(ctx context.Context, passwd, group, shadow *table, name string, u nixos.User) error {
	gid := "65534"
	if row := group.row(u.Group); row != nil {
		gid = row[2]
	} else if u.Group != "" {
		return fmt.Errorf("group %q does not exist", u.Group)
	}
	shell := "/usr/sbin/nologin"
	if u.Shell != nil && *u.Shell != "" {
		shell = *u.Shell
	}
	home := u.Home
	if home == "" {
		home = "/var/empty"
	}
	row := passwd.row(name)
	if row == nil {
		uid := 0
		if u.UID != nil && !passwd.taken(2, *u.UID) {
			uid = *u.UID
		} else {
			uid = passwd.free(2, !u.IsNormalUser)
		}
		row = []string{name, "x", strconv.Itoa(uid), gid, u.Description, home, shell}
		passwd.rows = append(passwd.rows, row)
		s.changed("user", name, "created")
		hash, err := s.password(ctx, true, u)
		if err != nil {
			return err
		}
		shadow.remove(name)
		shadow.rows = append(shadow.rows, []string{name, hash, "1", "", "", "", "", "", ""})
	} else {
		want := []string{name, row[1], row[2], gid, u.Description, home, shell}
		if !slices.Equal(row, want) {
			copy(row, want)
			s.changed("user", name, "written")
		}
		// Without a password of its own in the configuration, that of the machine stays.
		if hash, err := s.password(ctx, false, u); err != nil {
			return err
		} else if sh := shadow.row(name); sh != nil && hash != "" && sh[1] != hash {
			sh[1] = hash
			s.changed("user", name, "written")
		}
	}
	return nil
}

// password is the hash for shadow(5): "!" (no password) for a new user without
// any, "" where an existing user keeps what it has.
func (s *state) password(ctx context.Context, created bool, u nixos.User) (string, error) {
	hash := func(plain string) (string, error) {
		out, err := s.run(ctx, "openssl", "passwd", "-6", plain)
		return strings.TrimSpace(out), err
	}
	switch {
	case u.HashedPassword != nil:
		return *u.HashedPassword, nil
	case u.Password != nil && created:
		return hash(*u.Password)
	case u.InitialHashedPassword != nil && created:
		return *u.InitialHashedPassword, nil
	case u.InitialPassword != nil && created:
		return hash(*u.InitialPassword)
	case created:
		return "!", nil
	}
	return "", nil
}

// home makes the home directory of a user that wants one, once; NixOS resets its
// mode and owner at each activation.
func (s *state) home(passwd *table, name string, u nixos.User) error {
	row := passwd.row(name)
	if row == nil {
		return nil
	}
	if u.Linger != nil && *u.Linger {
		if err := os.MkdirAll(s.path("/var/lib/systemd/linger"), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(s.path("/var/lib/systemd/linger/"+name), nil, 0o644); err != nil {
			return err
		}
	}
	if !u.CreateHome || !strings.HasPrefix(u.Home, "/") || u.Home == "/var/empty" {
		return nil
	}
	mode := uint64(0o700)
	if u.HomeMode != "" {
		m, err := strconv.ParseUint(u.HomeMode, 8, 12)
		if err != nil {
			return fmt.Errorf("homeMode %q: %w", u.HomeMode, err)
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
	uid, _ := strconv.Atoi(row[2])
	gid, _ := strconv.Atoi(row[3])
	if s.Root == "" {
		if err := os.Chown(full, uid, gid); err != nil {
			return err
		}
	}
	return os.Chmod(full, fs.FileMode(mode))
}
