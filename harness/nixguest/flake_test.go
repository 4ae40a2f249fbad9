package nixguest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixserve/nar"
)

// repository is the root of the clone.
const repository = "../.."

// The flake's vendor-hash.nix is the hash of what `go mod vendor` writes:
// buildGoModule takes nothing else.
func TestVendorHash(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "vendor")
	cmd := exec.CommandContext(deadline(t), "go", "mod", "vendor", "-o", dir)
	cmd.Dir = repository
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go mod vendor: %v: %s", err, out)
	}
	hash := sha256.New()
	must(t, nar.DumpPath(deadline(t), hash, dir))
	want := "sha256-" + base64.StdEncoding.EncodeToString(hash.Sum(nil))
	got, err := os.ReadFile(filepath.Join(repository, "vmconfigs/guests/vendor-hash.nix"))
	must(t, err)
	if strings.TrimSpace(string(got)) != `"`+want+`"` {
		t.Errorf("vmconfigs/guests/vendor-hash.nix is %s, the modules of go.sum have %q", got, want)
	}
}

// evalStore is a store that all tests of this process share: a nixpkgs is copied
// into it, which takes most of the time. TestMain removes it.
var evalStore = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "nixguest-store")
	if err != nil {
		panic(err)
	}
	removeStore = func() {
		// What is in a store is read-only.
		_ = exec.Command("chmod", "-R", "u+w", dir).Run()
		os.RemoveAll(dir)
	}
	return dir
})

var removeStore = func() {}

// realNix puts a real nix on PATH, with a store of its own, and returns the
// nixpkgs that the variable names.
func realNix(t *testing.T) (nixpkgs string) {
	t.Helper()
	nixpkgs = os.Getenv(NixpkgsVariable)
	if nixpkgs == "" {
		t.Skipf("evaluates a NixOS: set %s to a nixpkgs", NixpkgsVariable)
	}
	if bin := os.Getenv("NIX_BIN"); bin != "" {
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	}
	store := evalStore()
	for name, value := range map[string]string{
		"NIX_REMOTE": store, "NIX_USER_CONF_FILES": "/dev/null", "NIX_CONF_DIR": store, "XDG_CACHE_HOME": filepath.Join(store, "cache"),
		// Nothing is built or fetched here, and nothing has to outlive a crash.
		"NIX_CONFIG": "fsync-metadata = false\nsubstituters =\nflake-registry =\nbuild-users-group =",
	} {
		t.Setenv(name, value)
	}
	return nixpkgs
}

func evaluating(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// What `nix flake check` would build evaluates, and so does every other output.
func TestFlakeEvaluates(t *testing.T) {
	nixpkgs := realNix(t)
	n := &Nix{Options: Options{Nixpkgs: nixpkgs}}
	flake, err := filepath.Abs(repository)
	must(t, err)
	cmd := exec.CommandContext(evaluating(t), "nix", "--extra-experimental-features", "nix-command flakes",
		"flake", "check", "--no-build", "--no-write-lock-file", "--override-input", "nixpkgs", n.reference(), "git+file://"+flake+"?dir=vmconfigs")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("nix flake check: %v\n%s", err, out)
	}
	for _, output := range []string{
		"nixosConfigurations.desktop", "nixosConfigurations.laptop",
		"packages.x86_64-linux.desktop", "packages.x86_64-linux.laptop",
		"packages.x86_64-linux.desktop-guest", "packages.x86_64-linux.laptop-guest",
		"packages.x86_64-linux.rootfs", "packages.x86_64-linux.offload-e2e",
		"checks.x86_64-linux.desktop", "checks.x86_64-linux.laptop", "checks.x86_64-linux.e2e",
		"devShells.x86_64-linux.default", "nixosModules.e2e-guest",
	} {
		// "checking derivation packages.….rootfs...", "checking NixOS module 'nixosModules.x'..."
		if !bytes.Contains(out, []byte(" "+output+"...")) && !bytes.Contains(out, []byte(" '"+output+"'...")) {
			t.Errorf("%s was not evaluated:\n%s", output, out)
		}
	}
}

// A configuration comes to the same by real NixOS and by the embedded evaluator, as
// far as checks look at it.
func TestConfigurationsAreAlike(t *testing.T) {
	nixpkgs := realNix(t)
	vmconfigs, err := filepath.Abs(filepath.Join(repository, "vmconfigs"))
	must(t, err)
	r, err := nixos.OpenRepository(vmconfigs, "192.168.15.7")
	must(t, err)
	n := &Nix{Options: Options{Flake: vmconfigs, Nixpkgs: nixpkgs, StateDir: t.TempDir()}}
	n.Program, err = exec.LookPath("nix")
	must(t, err)
	// The nixpkgs is copied first, which a slow disk takes longer for than Find waits.
	must(t, n.probe(evaluating(t)))
	theirs := &Guests{Nix: n}
	embedded := &nixos.Evaluator{NixBin: filepath.Dir(n.Program), Embedded: filepath.Join(vmconfigs, "embedded"),
		Base: []string{filepath.Join(vmconfigs, "modules/e2e-guest/base.nix")}, StateDir: t.TempDir()}
	for _, role := range []nixos.Role{nixos.Desktop, nixos.Laptop} {
		got, err := theirs.Evaluate(evaluating(t), r.Hosts[role])
		must(t, err)
		want, err := embedded.Evaluate(evaluating(t), r.Hosts[role])
		must(t, err)
		if !strings.HasSuffix(got.Derivation, ".drv") || got.Toplevel != "" {
			t.Errorf("%s: its derivation is %q", role, got.Derivation)
		}
		for _, field := range []struct {
			name      string
			got, want any
		}{
			{"host name", got.HostName, want.HostName},
			{"nix.conf", got.NixConf, want.NixConf},
			{"machines", got.Machines, want.Machines},
			{"exports", got.Exports, want.Exports},
			{"firewall", got.Firewall, want.Firewall},
			{"declared", keys(got.Declared), keys(want.Declared)},
			{"mounts", nfs(got.Fstab), nfs(want.Fstab)},
			{"builder", builder(got), builder(want)},
			{"warnings", got.Warnings, want.Warnings},
		} {
			if !reflect.DeepEqual(field.got, field.want) {
				t.Errorf("%s: %s is\n%+v\nby NixOS, and\n%+v\nby the embedded evaluator", role, field.name, field.got, field.want)
			}
		}
	}
}

func keys[V any](m map[string]V) map[string]bool {
	all := map[string]bool{}
	for k := range m {
		all[k] = true
	}
	return all
}

// builder is the builder's user; where a shell lies is each store's own.
func builder(c *nixos.Configuration) nixos.User {
	u := c.Users["nix-builder"]
	if u.Shell != nil {
		name := filepath.Base(*u.Shell)
		u.Shell = &name
	}
	return u
}

func nfs(fstab []nixos.FileSystem) []nixos.FileSystem {
	var all []nixos.FileSystem
	for _, f := range fstab {
		if strings.HasPrefix(f.FsType, "nfs") {
			all = append(all, f)
		}
	}
	return all
}
