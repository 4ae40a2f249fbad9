package nixguest_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/nixguest"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider/docker"
	"offload-e2e/harness/provider/qemu"
)

// bundleVariable names the folder of the embedded guest's image.
const bundleVariable = "OFFLOAD_E2E_BUNDLE"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Files of a bundle that QEMU boots, of one that containers are made of, and of keys
// where a bundle brings its own.
var (
	machineFiles   = []string{guest.DiskName, guest.KernelName, guest.InitrdName}
	containerFiles = []string{guest.RootfsName}
	keyFiles       = []string{guest.KeyName, guest.HostKeyName}
)

// handMade is a bundle as nix makes them, with the embedded guest's files in it.
func handMade(t *testing.T, embedded, name, keys string, contents ...string) *guest.Image {
	t.Helper()
	var m guest.Manifest
	text, err := os.ReadFile(filepath.Join(embedded, "manifest.json"))
	must(t, err)
	must(t, json.Unmarshal(text, &m))
	dir := filepath.Join(t.TempDir(), "0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-offload-e2e-"+name)
	must(t, os.Mkdir(dir, 0o755))
	files := map[string]string{}
	for _, file := range contents {
		files[file] = m.Files[file]
		must(t, os.Symlink(filepath.Join(embedded, file), filepath.Join(dir, file)))
	}
	m.Kind, m.ID, m.Files, m.Toplevel = guest.NixOS, filepath.Base(dir), files, "/nix/store/0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-nixos-system-"+name
	text, err = json.Marshal(m)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "manifest.json"), text, 0o644))
	img, err := guest.Open(dir, keys)
	must(t, err)
	return img
}

// system makes a store path in a store of this machine's, with the program that a
// NixOS is switched to by. It is as large as to be seen on its way.
func system(t *testing.T, n *nixguest.Nix) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "nixos-system-kernelcore")
	must(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "large"), bytes.Repeat([]byte("nixos\n"), 1<<20), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "bin/switch-to-configuration"), []byte(`#!/bin/sh
set -eu
echo "$1" >/run/switched
cat >/run/systemd/system/breaks.service <<E
[Service]
ExecStart=/bin/sh -c "echo it breaks; exit 1"
E
echo "starting the following units: breaks.service" >&2
systemctl daemon-reload
systemctl start --wait breaks.service || true
exit 4
`), 0o755))
	out, err := exec.CommandContext(t.Context(), n.Program, "--extra-experimental-features", "nix-command", "store", "add", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("nix store add: %v: %s", err, out)
	}
	lines := strings.Fields(string(out))
	return lines[len(lines)-1]
}

// up brings both machines up of bundles, with a nix of this machine's that has a
// store of its own, and returns the system that the laptop is to be switched to.
func up(t *testing.T, providerName string, bundles func(embedded, keys string) map[nixos.Role]*guest.Image) (context.Context, *lab.Lab, string) {
	t.Helper()
	embedded, bin := os.Getenv(bundleVariable), os.Getenv("NIX_BIN")
	if embedded == "" || bin == "" {
		t.Skipf("boots real guests: set %s to the folder of a guest image, NIX_BIN to that of its Nix", bundleVariable)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Minute)
	t.Cleanup(cancel)
	state, err := os.MkdirTemp("/var/tmp", "oe-nixguest-")
	must(t, err)
	t.Cleanup(func() {
		if left, err := filepath.Glob(filepath.Join(state, "copy-*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		_ = exec.Command("chmod", "-R", "u+w", state).Run()
		os.RemoveAll(state)
	})
	for _, dir := range []string{"lab", "artifacts"} {
		must(t, os.Mkdir(filepath.Join(state, dir), 0o700))
	}
	t.Setenv("NIX_REMOTE", filepath.Join(state, "store"))
	t.Setenv("NIX_CONF_DIR", state)
	t.Setenv("NIX_USER_CONF_FILES", "/dev/null")
	n := &nixguest.Nix{Program: filepath.Join(bin, "nix")}
	toplevel := system(t, n)
	programs, err := filepath.Abs("../../.bin/guest")
	must(t, err)
	l, err := lab.Up(ctx, lab.Options{
		Images:   bundles(embedded, filepath.Join(state, "keys")),
		Switcher: &nixguest.Switcher{Nix: n, Sockets: state}, Provider: providerName, Accelerator: qemu.TCG,
		StateDir: filepath.Join(state, "lab"), ArtifactsDir: filepath.Join(state, "artifacts"), CacheDir: filepath.Join(state, "cache"),
		Nixpkgs: "../../fixtures/derivations/nixpkgs", Programs: programs, Container: "../../fixtures/guests/container",
		Base: map[nixos.Role]*nixos.Configuration{nixos.Desktop: {Schema: 1, HostName: "desktop"}, nixos.Laptop: {Schema: 1, HostName: "kernelcore"}}, Say: t.Logf,
	})
	must(t, err)
	t.Cleanup(func() {
		closing, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		must(t, l.Close(closing))
	})
	return ctx, l, toplevel
}

// Bundles of nix's format boot, each machine its own; a system is copied into one,
// and switched to.
func TestLiveBundles(t *testing.T) {
	// Both disks have the embedded guest's keys. The desktop's bundle brings ours to
	// them; the laptop's would get its keys with the boot, which is proved by hand.
	var authorized []byte
	ctx, l, toplevel := up(t, lab.QEMU, func(embedded, keys string) map[nixos.Role]*guest.Image {
		whole := slices.Concat(machineFiles, keyFiles)
		desktop := handMade(t, embedded, "desktop", keys, whole...)
		laptop := handMade(t, embedded, "kernelcore", keys, machineFiles...)
		parameters, err := laptop.Credentials()
		must(t, err)
		authorized, err = os.ReadFile(filepath.Join(laptop.Keys, "seed", "authorized_keys"))
		must(t, err)
		laptop = handMade(t, embedded, "kernelcore", keys, whole...)
		laptop.Append += " " + parameters
		return map[nixos.Role]*guest.Image{nixos.Desktop: desktop, nixos.Laptop: laptop}
	})
	got, err := l.Laptop.Succeed(ctx, "cat", "/run/credentials/@system/offload-e2e.authorized_keys")
	must(t, err)
	if got != strings.TrimSpace(string(authorized)) {
		t.Errorf("the keys arrive as %q, want %q", got, authorized)
	}
	if _, err := l.Desktop.Fail(ctx, "test", "-e", "/run/credentials/@system/offload-e2e.authorized_keys"); err != nil {
		t.Errorf("the desktop booted the laptop's bundle: %v", err)
	}
	switches(ctx, t, l, toplevel)
}

// Containers are made of bundles of nix's format, each machine of its own, and entered
// by the keys that are brought to it, through the sshd that it says.
func TestLiveContainers(t *testing.T) {
	ctx, l, toplevel := up(t, lab.Docker, func(embedded, keys string) map[nixos.Role]*guest.Image {
		images := map[nixos.Role]*guest.Image{}
		for role, name := range map[nixos.Role]string{nixos.Desktop: "desktop", nixos.Laptop: "kernelcore"} {
			img := handMade(t, embedded, name, keys, containerFiles...)
			dressed(t, img, name)
			images[role] = img
		}
		return images
	})
	for _, m := range []*lab.Machine{l.Desktop, l.Laptop} {
		got, err := m.Succeed(ctx, "cat", "/etc/hostname-of-bundle")
		must(t, err)
		if want := map[nixos.Role]string{nixos.Desktop: "desktop", nixos.Laptop: "kernelcore"}[m.Role]; got != want {
			t.Errorf("the %s is made of the bundle of %q", m.Role, got)
		}
		// A NixOS does not look below /usr/lib for units.
		if l.NoKernelNFS != "" {
			_, err := m.Succeed(ctx, "test", "-e", "/etc/systemd/system.control/nfs-server.service.d/zz-container.conf")
			must(t, err)
		}
	}
	switches(ctx, t, l, toplevel)
}

// dressed makes of the embedded guest's root file system, in a bundle, one that is
// entered as vmconfigs/modules/e2e-guest has it.
func dressed(t *testing.T, img *guest.Image, name string) {
	t.Helper()
	archive := img.Path(guest.RootfsName)
	from, err := os.Open(archive)
	must(t, err)
	defer from.Close()
	unpacked, err := zstd.NewReader(from)
	must(t, err)
	defer unpacked.Close()
	must(t, os.Remove(archive))
	to, err := os.Create(archive)
	must(t, err)
	defer to.Close()
	packed, err := zstd.NewWriter(to, zstd.WithEncoderLevel(zstd.SpeedFastest))
	must(t, err)
	w := tar.NewWriter(packed)
	for r := tar.NewReader(unpacked); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if path.Clean("/"+h.Name) == "/etc/offload-e2e/sshd_config" {
			continue
		}
		must(t, w.WriteHeader(h))
		_, err = io.Copy(w, r)
		must(t, err)
	}
	for file, text := range map[string]string{
		"etc/hostname-of-bundle": name + "\n",
		"etc/offload-e2e/sshd_config": "HostKey /usr/lib/offload-e2e/host_key\nAuthorizedKeysFile /usr/lib/offload-e2e/authorized_keys\n" +
			"StrictModes no\nUsePAM no\nMaxSessions 64\nPidFile none\n",
	} {
		must(t, w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}))
		_, err := io.WriteString(w, text)
		must(t, err)
	}
	must(t, w.WriteHeader(&tar.Header{Name: "etc/offload-e2e/sshd", Linkname: "/usr/sbin/sshd", Typeflag: tar.TypeSymlink, Mode: 0o777}))
	must(t, errors.Join(w.Close(), packed.Close()))
	text, err := os.ReadFile(archive)
	must(t, err)
	// By this the engine knows its image.
	sum := sha256.Sum256(text)
	img.Files[guest.RootfsName] = hex.EncodeToString(sum[:])
	made, err := lab.ContainerImage(img)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		engine, err := docker.Connect(ctx)
		must(t, err)
		must(t, errors.Join(engine.Forget(ctx, made), engine.Close()))
	})
}

// switches proves that the laptop comes to a system that was made on this machine.
func switches(ctx context.Context, t *testing.T, l *lab.Lab, toplevel string) {
	t.Helper()
	var log strings.Builder
	result, err := l.Laptop.SwitchLogged(ctx, &nixos.Configuration{Schema: 1, HostName: "kernelcore", Toplevel: toplevel}, &log)
	must(t, err)
	if result.Toplevel != toplevel || result.Generation != 1 || len(result.Failed) != 1 || result.Failed[0].Unit != "breaks.service" ||
		!strings.Contains(result.Failed[0].Journal, "it breaks") || !strings.Contains(log.String(), "copied ") {
		t.Errorf("the result is %+v, the log:\n%s", result, log.String())
	}
	for path, want := range map[string]string{"/run/switched": "test", "/nix/var/nix/profiles/system/large": strings.Repeat("nixos\n", 3)} {
		if got, err := l.Laptop.Succeed(ctx, "head", "--lines=3", path); err != nil || got != strings.TrimSpace(want) {
			t.Errorf("%s holds %q (%v)", path, got, err)
		}
	}
	// What is there is not copied again.
	log.Reset()
	if _, err := l.Laptop.SwitchLogged(ctx, &nixos.Configuration{Schema: 1, Toplevel: toplevel}, &log); err != nil || strings.Contains(log.String(), "copied ") {
		t.Errorf("again: %v, the log:\n%s", err, log.String())
	}
}
