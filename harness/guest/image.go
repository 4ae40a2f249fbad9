package guest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Image is a built guest image, checked and ready to boot.
type Image struct {
	// Dir is the bundle's folder; nothing in it changes after the build.
	Dir string
	// Keys is the folder of the keys of the harness's way in: Dir, but for a bundle
	// that gets them with each boot.
	Keys string
	Manifest
}

// Kinds of guests.
const (
	Embedded = "embedded" // a Debian, which vmconfigs/embedded evaluates for
	NixOS    = "nixos"    // the real thing, built by nix
)

// Manifest describes a bundle; it is the file manifest.json in it.
type Manifest struct {
	Kind string `json:"kind"` // Embedded or NixOS
	ID   string `json:"id"`   // the name of the folder it is kept in
	// Append is the kernel's command line (kernel-command-line(7)).
	Append string `json:"append"`
	// Toplevel is the store path of the system that boots, on NixOS guests.
	Toplevel string            `json:"toplevel,omitempty"`
	Versions map[string]string `json:"versions"` // nix, systemd, linux, openssh, nfs-utils
	Built    time.Time         `json:"built"`
	// Files are the bundle's files with their SHA-256 in hexadecimal.
	Files map[string]string `json:"files"`
}

const manifestName = "manifest.json"

// Names of the files of a bundle.
const (
	DiskName    = "disk.qcow2"
	KernelName  = "vmlinuz"
	InitrdName  = "initrd.img"
	KeyName     = "ssh_key"      // private key of the harness, OpenSSH format
	HostKeyName = "host_key.pub" // public host key of the management sshd
	// RootfsName is the root file system once more, for containers: tar(1), zstd(1).
	RootfsName = "rootfs.tar.zst"
)

// Path is the path of a file of the bundle.
func (i *Image) Path(name string) string { return filepath.Join(i.Dir, name) }

// NixBin is a folder with Nix's programs (nix, nix-build, nix-store, …), which run
// on the host through the bundle's own loader and libraries.
func (i *Image) NixBin() string { return i.Path("nix/bin") }

// Key is the harness's private key, HostKey the public one of the management sshd.
func (i *Image) Key() string     { return filepath.Join(i.Keys, KeyName) }
func (i *Image) HostKey() string { return filepath.Join(i.Keys, HostKeyName) }

// Open reads and checks a bundle that was made elsewhere, as by nix. Where it
// brings no keys, those in the folder keys are used, made now if there are none.
func Open(dir, keys string) (*Image, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("open guest image: %w", err)
	}
	img, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("guest image %s: %w", dir, err)
	}
	if img.Files[RootfsName] == "" {
		for _, name := range []string{DiskName, KernelName, InitrdName} {
			if img.Files[name] == "" {
				return nil, fmt.Errorf("guest image %s: its manifest has neither %s nor %s", dir, name, RootfsName)
			}
		}
	}
	if img.Kind != Embedded && img.Kind != NixOS {
		return nil, fmt.Errorf("guest image %s: it is of kind %q, which is neither %q nor %q", dir, img.Kind, Embedded, NixOS)
	}
	if img.Files[KeyName] == "" {
		img.Keys = keys
		if err := makeKeys(keys); err != nil {
			return nil, fmt.Errorf("make the keys of guest image %s: %w", dir, err)
		}
	}
	return img, nil
}

// open reads and checks the bundle in dir. The error says in a few words what is
// wrong with it; fs.ErrNotExist means that there is none.
func open(dir string) (*Image, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoManifest
	} else if err != nil {
		return nil, err
	}
	img := &Image{Dir: dir, Keys: dir}
	if err := json.Unmarshal(text, &img.Manifest); err != nil {
		return nil, fmt.Errorf("its manifest does not parse: %w", err)
	}
	if id := filepath.Base(dir); img.ID != id && len(img.Files) > 0 {
		return nil, fmt.Errorf("it is another image: its manifest says %s", img.ID)
	}
	if err := checkFiles(dir, img.Files); err != nil {
		return nil, err
	}
	return img, nil
}

func checkFiles(dir string, files map[string]string) error {
	if len(files) == 0 {
		return errNoManifest
	}
	var wg sync.WaitGroup
	errs := make(chan error, len(files))
	for name, want := range files {
		wg.Go(func() {
			got, err := digest(filepath.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) {
				// Not wrapped: the image itself is there.
				errs <- fmt.Errorf("%s is missing", name)
			} else if err != nil {
				errs <- fmt.Errorf("%s: %w", name, err)
			} else if got != want {
				errs <- fmt.Errorf("%s is damaged: its SHA-256 is %.12s…, the manifest says %.12s…", name, got, want)
			}
		})
	}
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	slices.SortFunc(all, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(all...)
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, f, make([]byte, 1<<20)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// writeManifest digests every regular file below dir and writes the manifest,
// last of all and atomically.
func writeManifest(dir string, m Manifest) error {
	m.Files = map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		m.Files[rel], err = digest(path)
		return err
	})
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, manifestName+".tmp")
	if err := os.WriteFile(tmp, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, manifestName))
}
