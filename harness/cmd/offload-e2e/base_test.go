package main

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"offload-e2e/harness/scenario"
)

// repository is a git repository with a configuration in a folder of it, and a
// change that is not committed.
func repository(t *testing.T) (config string) {
	t.Helper()
	root := t.TempDir()
	config = filepath.Join(root, "hosts", "nixos")
	write(t, filepath.Join(config, "a.nix"), "before")
	write(t, filepath.Join(config, "modules", "b.nix"), "b")
	write(t, filepath.Join(root, "elsewhere"), "not of it")
	must(t, os.Symlink("a.nix", filepath.Join(config, "link.nix")))
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "."}, {"-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-q", "-m", "m"}} {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", root}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", args, err, out)
		}
	}
	write(t, filepath.Join(config, "a.nix"), "after")
	return config
}

func TestCheckoutBase(t *testing.T) {
	config, dir := repository(t), t.TempDir()
	must(t, checkoutBase(t.Context(), config, "main", dir))
	for file, want := range map[string]string{"a.nix": "before", "modules/b.nix": "b", "link.nix": "before"} {
		if text, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("there is %v, %v", entries, err)
	}
	if text, err := os.ReadFile(filepath.Join(config, "a.nix")); err != nil || string(text) != "after" {
		t.Errorf("the user's own file is %q, %v", text, err)
	}
	for base, where := range map[string]string{"no-such": config, "--help": config, "main": t.TempDir()} {
		err := checkoutBase(t.Context(), where, base, t.TempDir())
		if e := explain(err); e.Exit != exitUsage || e.Heading != "The base revision cannot be had" {
			t.Errorf("%s: got %+v", base, e)
		}
	}
}

func TestUntarStaysInItsFolder(t *testing.T) {
	for _, h := range []tar.Header{{Name: "../out", Typeflag: tar.TypeReg, Mode: 0o644}, {Name: "/etc/out", Typeflag: tar.TypeReg, Mode: 0o644}} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		must(t, w.WriteHeader(&h))
		must(t, w.Close())
		if err := untar(b.Bytes(), t.TempDir()); err == nil {
			t.Errorf("%s was unpacked", h.Name)
		}
	}
}

func TestAffected(t *testing.T) {
	for name, c := range map[string]struct {
		changed []change
		away    bool
		layers  []string
	}{
		"nothing":               {},
		"a command":             {changed: []change{{"commands", "offload-status"}}},
		"the cache's unit":      {changed: []change{{"units", "nix-serve.service"}}, layers: []string{"cache"}},
		"exports":               {changed: []change{{"NFS exports", "/nix/store"}}, layers: []string{"nfs"}},
		"two things":            {changed: []change{{"NFS exports", "/nix/store"}, {"users", "nix-builder"}}, layers: []string{"keys", "nfs", "ssh", "together"}},
		"a mount":               {changed: []change{{"file systems", "/nix/store-remote"}, {"files in /etc", "fstab"}}, away: true, layers: []string{"nfs", "power", "together"}},
		"a setting of any kind": {changed: []change{{"nix.conf", "connect-timeout 0"}}, away: true, layers: allLayers},
		"an option":             {changed: []change{{"options these modules declare", "services.offload-server.enable"}}, away: true, layers: allLayers},
	} {
		r := affected(c.changed)
		var layers []string
		for _, l := range allLayers {
			if r.layers[l] {
				layers = append(layers, l)
			}
		}
		if r.fallback != c.away || !slices.Equal(layers, c.layers) {
			t.Errorf("%s: got %v %v", name, r.fallback, layers)
		}
		if strings.Contains(r.labels(), "refusing") != c.away || !strings.HasPrefix(r.labels(), "phase1 ") {
			t.Errorf("%s: runs %s", name, r.labels())
		}
	}
}

// TestLayersAreThoseOfTheScenarios: a layer that nobody knows would never be tried.
func TestLayersAreThoseOfTheScenarios(t *testing.T) {
	all, err := scenario.Find("../../../fixtures/scenarios")
	must(t, err)
	found := map[string]bool{}
	for _, s := range all {
		found[s.Layer] = true
	}
	for layer := range found {
		if !slices.Contains(allLayers, layer) {
			t.Errorf("layer %s is not in allLayers", layer)
		}
	}
}

func TestChanges(t *testing.T) {
	a := []section{{title: "units", items: []item{{"a", "a", "text"}, {"b", "b", ""}}}, {title: "users", items: []item{{"u", "u", ""}}}}
	b := []section{{title: "units", items: []item{{"a", "a", "other text"}, {"c", "c", ""}}}, {title: "users", items: []item{{"u", "u", ""}}}}
	got := changes(a, b)
	want := []change{{"units", "a"}, {"units", "b"}, {"units", "a"}, {"units", "c"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
