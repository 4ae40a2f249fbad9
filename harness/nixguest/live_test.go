package nixguest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/nixguest"
	"offload-e2e/harness/nixos"
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

// handMade is a bundle as nix makes them, with the embedded guest's disk in it.
func handMade(t *testing.T, embedded, name, keys string, keyFiles ...string) *guest.Image {
	t.Helper()
	var m guest.Manifest
	text, err := os.ReadFile(filepath.Join(embedded, "manifest.json"))
	must(t, err)
	must(t, json.Unmarshal(text, &m))
	dir := filepath.Join(t.TempDir(), "0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-offload-e2e-"+name)
	must(t, os.Mkdir(dir, 0o755))
	files := map[string]string{}
	for _, file := range append([]string{guest.DiskName, guest.KernelName, guest.InitrdName}, keyFiles...) {
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

// Bundles of nix's format boot, each machine its own; a system is copied into one,
// and switched to.
func TestLiveBundles(t *testing.T) {
	embedded, bin := os.Getenv(bundleVariable), os.Getenv("NIX_BIN")
	if embedded == "" || bin == "" {
		t.Skipf("boots real guests: set %s to the folder of a guest image, NIX_BIN to that of its Nix", bundleVariable)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Minute)
	defer cancel()
	state, err := os.MkdirTemp("/var/tmp", "oe-nixguest-")
	must(t, err)
	t.Cleanup(func() {
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

	// Both disks have the embedded guest's keys. The desktop's bundle brings ours to
	// them; the laptop's would get its keys with the boot, which is proved by hand.
	desktop := handMade(t, embedded, "desktop", filepath.Join(state, "keys"), guest.KeyName, guest.HostKeyName)
	laptop := handMade(t, embedded, "kernelcore", filepath.Join(state, "keys"))
	parameters, err := laptop.Credentials()
	must(t, err)
	authorized, err := os.ReadFile(filepath.Join(laptop.Keys, "seed", "authorized_keys"))
	must(t, err)
	laptop = handMade(t, embedded, "kernelcore", filepath.Join(state, "keys"), guest.KeyName, guest.HostKeyName)
	laptop.Append += " " + parameters

	base := map[nixos.Role]*nixos.Configuration{nixos.Desktop: {Schema: 1, HostName: "desktop"}, nixos.Laptop: {Schema: 1, HostName: "kernelcore"}}
	l, err := lab.Up(ctx, lab.Options{
		Images:   map[nixos.Role]*guest.Image{nixos.Desktop: desktop, nixos.Laptop: laptop},
		Switcher: &nixguest.Switcher{Nix: n, Sockets: state}, Provider: lab.QEMU, Accelerator: qemu.TCG,
		StateDir: filepath.Join(state, "lab"), ArtifactsDir: filepath.Join(state, "artifacts"), CacheDir: filepath.Join(state, "cache"),
		Nixpkgs: "../../fixtures/derivations/nixpkgs", Base: base, Say: t.Logf,
	})
	must(t, err)
	t.Cleanup(func() {
		closing, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		must(t, l.Close(closing))
	})
	got, err := l.Laptop.Succeed(ctx, "cat", "/run/credentials/@system/offload-e2e.authorized_keys")
	must(t, err)
	if got != strings.TrimSpace(string(authorized)) {
		t.Errorf("the keys arrive as %q, want %q", got, authorized)
	}
	if _, err := l.Desktop.Fail(ctx, "test", "-e", "/run/credentials/@system/offload-e2e.authorized_keys"); err != nil {
		t.Errorf("the desktop booted the laptop's bundle: %v", err)
	}

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
	if left, err := filepath.Glob(filepath.Join(state, "copy-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
