package parity

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixos/activate"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/provider/qemu"
)

// bundleVariable names the folder of a guest image, as `make test` sets it.
const bundleVariable = "OFFLOAD_E2E_BUNDLE"

// patience bounds all of the suite's machines: emulated ones on a busy host are slow.
const patience = 12 * time.Minute

// stage is a lab whose desktop is what the configuration says.
type stage struct {
	lab       *lab.Lab
	evaluator *nixos.Evaluator
	// base is what the desktop was before, switched what the switch did.
	base     *nixos.Configuration
	switched activate.Result
}

// root is the folder of this repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// newStage boots machines, or restores them, and switches the desktop.
func newStage(ctx context.Context, t *testing.T) *stage {
	t.Helper()
	bundle := os.Getenv(bundleVariable)
	if bundle == "" {
		t.Skipf("boots a real guest: set %s to the folder of a guest image, or run `make test`", bundleVariable)
	}
	top := root(t)
	image, err := guest.Open(bundle, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	accelerator, why, err := qemu.ProbeAccelerator(ctx, qemu.Bundle{Kernel: image.Path("vmlinuz"), Initrd: image.Path("initrd.img")})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %s", accelerator, why)
	vmconfigs := filepath.Join(top, "vmconfigs")
	s := &stage{evaluator: &nixos.Evaluator{
		NixBin: image.NixBin(), Embedded: filepath.Join(vmconfigs, "embedded"),
		Base: []string{filepath.Join(vmconfigs, "modules", "e2e-guest", "base.nix")}, StateDir: shortDir(t),
	}}
	base := map[nixos.Role]*nixos.Configuration{}
	for role, name := range map[nixos.Role]string{nixos.Desktop: "desktop", nixos.Laptop: "kernelcore"} {
		base[role] = s.evaluate(ctx, t, nixos.Host{Role: role,
			Settings: []string{fmt.Sprintf("{ networking.hostName = %s; }", nixos.Quote(name))}})
	}
	s.base = base[nixos.Desktop]
	// Kept machines of `make e2e` are these, where there are any.
	s.lab, err = lab.Up(ctx, lab.Options{
		Images: map[nixos.Role]*guest.Image{nixos.Desktop: image, nixos.Laptop: image}, Accelerator: accelerator, StateDir: shortDir(t), ArtifactsDir: t.TempDir(), CacheDir: filepath.Dir(filepath.Dir(bundle)),
		Programs: filepath.Join(top, ".bin", "guest"), Nixpkgs: filepath.Join(top, "fixtures", "derivations", "nixpkgs"),
		Base: base, Say: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closing, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.lab.Close(closing); err != nil {
			t.Errorf("take the machines down: %v", err)
		}
	})
	c := s.evaluate(ctx, t, nixos.Host{Role: nixos.Desktop,
		Modules: []string{filepath.Join(top, "fixtures", "configurations", "parity", "host.nix")}})
	if s.switched, err = s.lab.Desktop.Switch(ctx, c); err != nil {
		t.Fatal(err)
	}
	return s
}

// shortDir is a temporary folder whose sockets' paths are short enough (unix(7)).
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "parity-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(path, 0o755) // a Nix store is read-only
			}
			return nil
		})
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (s *stage) evaluate(ctx context.Context, t *testing.T, h nixos.Host) *nixos.Configuration {
	t.Helper()
	c, err := s.evaluator.Evaluate(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run is what a command prints on a machine, both streams, and its exit status.
func run(ctx context.Context, t *testing.T, m *lab.Machine, argv ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	res, err := m.Exec(ctx, provider.Command{Argv: argv})
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(argv, " "), err)
	}
	return strings.TrimSpace(string(res.Stdout) + string(res.Stderr)), res.ExitStatus
}
