package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// system is what doctor and setup look at of this machine.
type system struct {
	os, arch string // as Go names them
	uid      int
	user     string
	distribution
	// root is put before the paths of files that are looked for; "" is this machine.
	root string
}

// distribution is os-release(5).
type distribution struct {
	ID, Name, Codename string
	Like               []string
}

func thisSystem() system {
	s := system{os: runtime.GOOS, arch: runtime.GOARCH, uid: os.Getuid(), user: os.Getenv("USER")}
	s.distribution = readDistribution("/etc/os-release")
	return s
}

func readDistribution(path string) distribution {
	var d distribution
	f, err := os.Open(path)
	if err != nil {
		return d
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		value = strings.Trim(value, `"'`)
		switch name {
		case "ID":
			d.ID = value
		case "ID_LIKE":
			d.Like = strings.Fields(value)
		case "PRETTY_NAME":
			d.Name = value
		case "VERSION_CODENAME":
			d.Codename = value
		}
	}
	return d
}

// isDebian: packages come from apt-get, under Debian's names.
func (d distribution) isDebian() bool {
	return slices.ContainsFunc(append([]string{d.ID}, d.Like...), func(id string) bool { return id == "debian" || id == "ubuntu" })
}

func (d distribution) isNixOS() bool { return d.ID == "nixos" }

// program finds a program on PATH, or where Debian keeps those of administrators,
// which is not on every user's PATH. "" is none.
func (s system) program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		path := filepath.Join(s.root, dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

func (s system) hasFile(path string) bool {
	_, err := os.Stat(filepath.Join(s.root, path))
	return err == nil
}

// hasLineFor reports whether a file like subuid(5) has a line of the user.
func (s system) hasLineFor(path string) bool {
	text, err := os.ReadFile(filepath.Join(s.root, path))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(line, ":"); ok && name == s.user {
			return true
		}
	}
	return false
}

// errNoRoot: packages cannot be installed by this user.
var errNoRoot = errors.New("neither root nor sudo")

// asRoot is how a command is run as root: nothing where we are root, else sudo,
// which must not ask for a password where nobody could answer.
func (s system) asRoot(interactive bool) ([]string, error) {
	switch {
	case s.uid == 0:
		return nil, nil
	case s.program("sudo") == "":
		return nil, errNoRoot
	case interactive:
		return []string{"sudo"}, nil
	}
	return []string{"sudo", "-n"}, nil
}
