package guest

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// bundle makes a folder as the flake's bundle.nix does, and returns it with the
// link to it that nix makes.
func bundle(t *testing.T, edit func(*Manifest), files ...string) (dir, link string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-offload-e2e-desktop")
	must(t, os.Mkdir(dir, 0o755))
	for _, name := range files {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("content of "+name), 0o444))
	}
	m := Manifest{Kind: NixOS, ID: filepath.Base(dir), Append: "init=/nix/var/nix/profiles/system/init console=ttyS0",
		Toplevel: "/nix/store/0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-nixos-system-desktop"}
	edit(&m)
	must(t, writeManifest(dir, m))
	link = filepath.Join(t.TempDir(), "desktop")
	must(t, os.Symlink(dir, link))
	return dir, link
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A root file system is a bundle, too, for containers.
func TestOpenFindsARootFileSystem(t *testing.T) {
	t.Parallel()
	_, link := bundle(t, func(*Manifest) {}, RootfsName)
	img, err := Open(link, filepath.Join(t.TempDir(), "keys"))
	must(t, err)
	keys, err := img.Brought()
	must(t, err)
	if img.Files[RootfsName] == "" || len(keys["authorized_keys"]) == 0 || len(keys["host_key"]) == 0 || len(keys) != 2 {
		t.Errorf("the image is %+v, with the keys %q", img, keys)
	}
}

var bootFiles = []string{DiskName, KernelName, InitrdName}

func TestOpenFindsABundleOfNix(t *testing.T) {
	t.Parallel()
	dir, link := bundle(t, func(*Manifest) {}, bootFiles...)
	keys := filepath.Join(t.TempDir(), "nixos", "keys")
	img, err := Open(link, keys)
	must(t, err)
	if img.Dir != dir || img.Keys != keys || img.Kind != NixOS || img.Toplevel == "" {
		t.Errorf("the image is %+v", img)
	}
	again, err := Open(link, keys)
	must(t, err)
	first, err := img.Credentials()
	must(t, err)
	second, err := again.Credentials()
	must(t, err)
	if first != second {
		t.Error("the keys of a second boot are others: a restored machine would not be entered")
	}
	// The kernel takes 2048 bytes (COMMAND_LINE_SIZE), and others want some of them.
	if len(first) > 1200 {
		t.Errorf("the keys take %d bytes of the kernel's command line", len(first))
	}
	given := map[string]string{}
	for _, word := range strings.Fields(first) {
		name, value, ok := strings.Cut(strings.TrimPrefix(word, "systemd.set_credential_binary=offload-e2e."), ":")
		text, err := base64.StdEncoding.DecodeString(value)
		if !ok || err != nil {
			t.Fatalf("%q is no credential: %v", word, err)
		}
		given[name] = string(text)
	}
	key, err := os.ReadFile(img.Key())
	must(t, err)
	signer, err := ssh.ParsePrivateKey(key)
	must(t, err)
	if got := string(ssh.MarshalAuthorizedKey(signer.PublicKey())); got != given["authorized_keys"] {
		t.Errorf("the guest authorizes %q, our key is %q", given["authorized_keys"], got)
	}
	host, err := ssh.ParsePrivateKey([]byte(given["host_key"]))
	must(t, err)
	public, err := os.ReadFile(img.HostKey())
	must(t, err)
	if got := string(ssh.MarshalAuthorizedKey(host.PublicKey())); got != string(public) {
		t.Errorf("the guest shows %q, we expect %q", got, public)
	}
	if info, err := os.Stat(img.Key()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("our private key has mode %v (%v)", info.Mode(), err)
	}
}

// An image that brings its keys, as the embedded guest's, is entered with them.
func TestOpenLeavesKeysAlone(t *testing.T) {
	t.Parallel()
	dir, link := bundle(t, func(*Manifest) {}, append(bootFiles, KeyName, HostKeyName)...)
	keys := filepath.Join(t.TempDir(), "keys")
	img, err := Open(link, keys)
	must(t, err)
	given, err := img.Credentials()
	if img.Keys != dir || given != "" || err != nil || exists(keys) {
		t.Errorf("keys in %s, credentials %q, error %v", img.Keys, given, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files []string
		edit  func(*Manifest)
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"no disk":        {files: []string{KernelName, InitrdName}, want: "its manifest has neither disk.qcow2 nor rootfs.tar.zst"},
		"no initrd":      {files: []string{DiskName, KernelName}, want: "its manifest has neither initrd.img nor rootfs.tar.zst"},
		"another kind":   {files: bootFiles, edit: func(m *Manifest) { m.Kind = "windows" }, want: `of kind "windows"`},
		"another folder": {files: bootFiles, edit: func(m *Manifest) { m.ID = "x" }, want: "another image"},
		"damaged": {files: bootFiles, want: "disk.qcow2 is damaged", spoil: func(t *testing.T, dir string) {
			must(t, os.Chmod(filepath.Join(dir, DiskName), 0o644))
			must(t, os.WriteFile(filepath.Join(dir, DiskName), []byte("x"), 0o644))
		}},
		"no manifest": {files: bootFiles, want: "its build did not end", spoil: func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, manifestName))) }},
		"no folder":   {files: bootFiles, want: "no such file", spoil: func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }},
		"not JSON": {files: bootFiles, want: "its manifest does not parse", spoil: func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, manifestName), []byte("{"), 0o644))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.edit == nil {
				c.edit = func(*Manifest) {}
			}
			dir, link := bundle(t, c.edit, c.files...)
			if c.spoil != nil {
				c.spoil(t, dir)
			}
			keys := filepath.Join(t.TempDir(), "keys")
			if _, err := Open(link, keys); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if exists(keys) {
				t.Error("keys were made for an image that cannot be used")
			}
		})
	}
}

// The flake's bundle.nix writes the manifest with jq: its fields are these.
func TestManifestOfTheFlake(t *testing.T) {
	t.Parallel()
	const text = `{"append":"init=/nix/var/nix/profiles/system/init console=ttyS0","built":"1970-01-01T00:00:01Z","kind":"nixos",
		"toplevel":"/nix/store/x-nixos-system","versions":{"nix":"2.31.2"},"id":"y-offload-e2e-desktop","files":{"vmlinuz":"00"}}`
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	var m Manifest
	must(t, dec.Decode(&m))
	if m.Kind != NixOS || m.Toplevel == "" || m.Versions["nix"] == "" || m.ID == "" || m.Built.IsZero() || m.Files[KernelName] != "00" {
		t.Errorf("it is read as %+v", m)
	}
}
