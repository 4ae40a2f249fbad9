package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// paths are the folders the command works with, absolute.
type paths struct {
	// Root is the repository.
	Root string
	// Cache keeps what later runs use again: guest images, booted machines.
	Cache string
	// State holds what runs now: sockets, disks, pid files. makeState makes it.
	State string
}

// Variables that say where the folders are.
const (
	rootVariable   = "OFFLOAD_E2E_ROOT"
	cacheVariable  = "OFFLOAD_E2E_CACHE"
	stateVariable  = "OFFLOAD_E2E_STATE"
	mirrorVariable = "OFFLOAD_E2E_MIRROR"
	// preparedVariable names a file with NixOS guests that were built before.
	preparedVariable = "OFFLOAD_E2E_PREPARED"
)

// maxStateLength leaves room for the names of sockets below the state folder: a
// socket's path has at most 107 bytes, unix(7).
const maxStateLength = 60

func (p *paths) images() string   { return filepath.Join(p.Cache, "images") }
func (p *paths) booted() string   { return filepath.Join(p.Cache, "booted") }
func (p *paths) eval() string     { return filepath.Join(p.Cache, "eval") }
func (p *paths) reports() string  { return filepath.Join(p.Root, "reports") }
func (p *paths) programs() string { return filepath.Join(p.Root, ".bin", "guest") }
func (p *paths) nixpkgs() string  { return filepath.Join(p.Root, "fixtures", "derivations", "nixpkgs") }
func (p *paths) recipe() string   { return filepath.Join(p.Root, "fixtures", "guests", "embedded") }
func (p *paths) container() string {
	return filepath.Join(p.Root, "fixtures", "guests", "container")
}

func (p *paths) config() string { return filepath.Join(p.Root, "vmconfigs") }

func (p *paths) embedded() string { return filepath.Join(p.config(), "embedded") }

// base is the module every machine gets: what the harness needs of it.
func (p *paths) base() string { return filepath.Join(p.config(), "modules", "e2e-guest", "base.nix") }

// environment is what the folders are found by.
type environment struct {
	getenv     func(string) string
	executable string
	workingDir string
	home       string
	uid        int
}

func findPaths() (*paths, error) {
	env := environment{getenv: os.Getenv, uid: os.Getuid()}
	// What cannot be known is empty, and is not looked at.
	env.executable, _ = os.Executable()
	env.executable, _ = filepath.EvalSymlinks(env.executable)
	env.workingDir, _ = os.Getwd()
	env.home, _ = os.UserHomeDir()
	return env.paths()
}

func (e environment) paths() (*paths, error) {
	root, err := e.root()
	if err != nil {
		return nil, err
	}
	p := &paths{Root: root}
	if p.Cache = e.getenv(cacheVariable); p.Cache == "" {
		base := e.getenv("XDG_CACHE_HOME")
		if !filepath.IsAbs(base) { // as the XDG base directory specification says
			if e.home == "" {
				return nil, &userError{Heading: "There is no place for guest images", Sentence: "HOME is not set.",
					WayOut: "Set " + cacheVariable + " to a folder with 3 GB of room."}
			}
			base = filepath.Join(e.home, ".cache")
		}
		p.Cache = filepath.Join(base, "offload-e2e")
	}
	// Not $XDG_RUNTIME_DIR, nor /tmp: both are memory on many machines, and
	// running machines write gigabytes.
	p.State = cmp.Or(e.getenv(stateVariable), filepath.Join("/var/tmp", "offload-e2e-"+strconv.Itoa(e.uid)))
	for _, dir := range []*string{&p.Cache, &p.State} {
		if !filepath.IsAbs(*dir) {
			*dir = filepath.Join(e.workingDir, *dir)
		}
		*dir = filepath.Clean(*dir)
	}
	if len(p.State) > maxStateLength {
		return nil, &userError{Heading: "The state folder's name is too long",
			Sentence: fmt.Sprintf("%s has %d characters, at most %d leave room for the sockets in it.", p.State, len(p.State), maxStateLength),
			WayOut:   "Set " + stateVariable + " to a shorter path.", Exit: exitUsage}
	}
	return p, nil
}

// root finds the repository: where the variable says, else above the program,
// else above the working directory.
func (e environment) root() (string, error) {
	if dir := e.getenv(rootVariable); dir != "" {
		if dir = abs(e.workingDir, dir); !isRoot(dir) {
			return "", &userError{Heading: "The repository is not found",
				Sentence: fmt.Sprintf("%s=%s is no clone of offload-e2e.", rootVariable, dir),
				WayOut:   "Set it to the clone's folder, or unset it and start the program from the clone.", Exit: exitUsage}
		}
		return dir, nil
	}
	for _, start := range []string{filepath.Dir(e.executable), e.workingDir} {
		if !filepath.IsAbs(start) {
			continue
		}
		for dir := start; ; dir = filepath.Dir(dir) {
			if isRoot(dir) {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", &userError{Heading: "The repository is not found",
		Sentence: "Neither the program nor the working directory is in a clone of offload-e2e.",
		WayOut:   "Start it from the clone, or set " + rootVariable + " to the clone's folder.", Exit: exitUsage}
}

func isRoot(dir string) bool {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil || !bytes.HasPrefix(mod, []byte("module offload-e2e\n")) {
		return false
	}
	info, err := os.Stat(filepath.Join(dir, "vmconfigs", "embedded"))
	return err == nil && info.IsDir()
}

func abs(base, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(base, path)
}

// makeState makes the state folder, for its owner alone. The folder above it is
// everybody's: one that somebody else made is refused.
func (p *paths) makeState() error {
	refuse := func(why string) error {
		return &userError{Heading: "The state folder cannot be used", Sentence: p.State + " " + why + ".",
			WayOut: "Remove it, or set " + stateVariable + " to another folder."}
	}
	if err := os.MkdirAll(filepath.Dir(p.State), 0o755); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	if err := os.Mkdir(p.State, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the state folder: %w", err)
	}
	info, err := os.Lstat(p.State)
	if err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	if !info.IsDir() {
		return refuse("is no folder")
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Getuid() {
		return refuse(fmt.Sprintf("belongs to another user (uid %d)", stat.Uid))
	}
	if info.Mode().Perm() != 0o700 {
		if err := os.Chmod(p.State, 0o700); err != nil {
			return fmt.Errorf("make the state folder: %w", err)
		}
	}
	return nil
}
