package activate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"offload-e2e/harness/nixos"
)

// setPassword writes a user's line of shadow(5) by NixOS's rules: an account gets
// the configuration's password when it is made, and keeps what it has from then on,
// unless users.mutableUsers is off; then it always has the configuration's, or none.
func (s *state) setPassword(ctx context.Context, shadow *table, name string, u nixos.User, created bool) (changed bool, err error) {
	row := shadow.row(name)
	mutable := s.new.MutableUsers == nil || *s.new.MutableUsers
	if row != nil && mutable {
		return false, nil
	}
	now := ""
	if row != nil {
		now = row[1]
	}
	hash, err := s.passwordHash(ctx, u, created, now)
	if hash == "" || err != nil {
		hash = "!"
	}
	if name == "root" && strings.HasPrefix(hash, "!") {
		// A locked root could not be reached by the harness's key either, as its sshd
		// goes without PAM; "*" matches no password and locks nothing.
		hash = "*"
	}
	switch {
	case row == nil:
		shadow.remove(name)
		shadow.rows = append(shadow.rows, []string{name, hash, "1", "", "", "", "", "", ""})
	case row[1] == hash || err != nil:
		return false, err
	default:
		row[1] = hash
	}
	return true, err
}

// passwordHash is the configuration's for a user, "" where it has none. now is
// the hash there is; a plain password it fits keeps its salt.
func (s *state) passwordHash(ctx context.Context, u nixos.User, created bool, now string) (string, error) {
	if u.HashedPasswordFile != nil {
		text, err := os.ReadFile(s.path(*u.HashedPasswordFile))
		if err == nil {
			hash := strings.TrimRight(string(text), "\n")
			if strings.ContainsAny(hash, ":\n") {
				return "", fmt.Errorf("password file %s holds no hash", *u.HashedPasswordFile)
			}
			return hash, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		s.warn("password file %s does not exist", *u.HashedPasswordFile)
	} else if u.Password != nil {
		return s.hash(ctx, *u.Password, now)
	}
	switch {
	case u.HashedPassword != nil:
		return *u.HashedPassword, nil
	case u.InitialPassword != nil && created:
		return s.hash(ctx, *u.InitialPassword, "")
	case u.InitialHashedPassword != nil && created:
		return *u.InitialHashedPassword, nil
	}
	return "", nil
}

// hash is crypt(3)'s SHA-512 of a password, with the salt of now where it has one.
func (s *state) hash(ctx context.Context, plain, now string) (string, error) {
	argv := []string{"openssl", "passwd", "-6"}
	if f := strings.Split(now, "$"); len(f) == 4 && f[1] == "6" {
		argv = append(argv, "-salt", f[2])
	}
	out, err := s.run(ctx, append(argv, "--", plain)...)
	if err != nil {
		// The whole error holds the command, which holds the password.
		why := "it failed"
		if errors.Is(err, exec.ErrNotFound) {
			why = "it is not installed"
		}
		return "", fmt.Errorf("hash the configuration's password with openssl passwd: %s", why)
	}
	return strings.TrimSpace(out), nil
}
