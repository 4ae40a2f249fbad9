package nixguest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/nixos"
)

const configuration = `{"schema":1,"hostName":"desktop","assertions":[],"warnings":["w"],"nixConf":{"max-jobs":"auto"}}`

// evalAnswer is what nix eval prints of vmconfigs/guests.
func evalAnswer(t *testing.T, configuration string, derivation *string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"configuration": configuration, "derivation": derivation})
	must(t, err)
	return "eval) cat <<'E'\n" + string(text) + "\nE\n;;"
}

var drv = "/nix/store/0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-nixos-system-desktop.drv"

func TestEvaluate(t *testing.T) {
	f := newFakeNix(t)
	g := &Guests{Nix: found(t, f, evalAnswer(t, configuration, &drv)), Authority: "/cache/nixos/authority.pem"}
	c, err := g.Evaluate(deadline(t), nixos.Host{Role: nixos.Desktop, Modules: []string{`/etc/my "nixos"/a.nix`}, Settings: []string{`{ x = 1; }`}})
	must(t, err)
	if c.HostName != "desktop" || c.Derivation != drv || c.NixConf["max-jobs"] != "auto" {
		t.Errorf("the configuration is %+v", c)
	}
	calls := f.calls()
	if len(calls) != 1 {
		t.Fatalf("nix was called %d times: %q", len(calls), calls)
	}
	args := calls[0]
	if want := []string{"eval", "--json", "--impure", "--show-trace", "--expr"}; !reflect.DeepEqual(args[:len(args)-1], want) {
		t.Errorf("nix was called with %q", args)
	}
	for _, want := range []string{
		`import (/. + "/clone/vmconfigs/guests")`, `builtins.fromJSON "{\"lastModified\":1,\"narHash\":\"sha256-x\"`,
		`(/. + "/etc/my \"nixos\"/a.nix")`, `config = { x = 1; };`, `certificateFiles = [ (/. + "/cache/nixos/authority.pem") ]`,
		`machine.config.system.build.toplevel.drvPath`,
	} {
		if !strings.Contains(args[len(args)-1], want) {
			t.Errorf("the expression lacks %s:\n%s", want, args[len(args)-1])
		}
	}
}

func TestEvaluateBlames(t *testing.T) {
	host := nixos.Host{Role: nixos.Laptop}
	t.Run("the configuration", func(t *testing.T) {
		f := newFakeNix(t)
		g := &Guests{Nix: found(t, f, `eval) printf 'error:\n       … while evaluating the attribute\n         at /etc/nixos/a.nix:3:5:\n\n       error: undefined variable '"'foo'"'\n       at /etc/nixos/a.nix:3:5:\n' >&2; exit 1 ;;`)}
		_, err := g.Evaluate(deadline(t), host)
		var e *nixos.EvaluationError
		if !errors.As(err, &e) || e.Role != nixos.Laptop || !strings.HasPrefix(e.Message, "error: undefined variable 'foo'") || !strings.Contains(e.Message, "/etc/nixos/a.nix:3:5") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("its assertions", func(t *testing.T) {
		f := newFakeNix(t)
		g := &Guests{Nix: found(t, f, evalAnswer(t, `{"schema":1,"assertions":["that must not be"]}`, nil))}
		_, err := g.Evaluate(deadline(t), host)
		var e *nixos.AssertionError
		if !errors.As(err, &e) || !reflect.DeepEqual(e.Messages, []string{"that must not be"}) {
			t.Errorf("error %v", err)
		}
	})
	for name, script := range map[string]string{
		"the network": `eval) echo "error: unable to download 'https://x': Could not resolve host" >&2; exit 1 ;;`,
		"the disk":    `eval) echo "error: writing to file: No space left on device" >&2; exit 1 ;;`,
		"nix":         `eval) echo "Segmentation fault" >&2; exit 139 ;;`,
		"its answer":  `eval) echo '{"configuration":"{}"}' ;;`,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeNix(t)
			g := &Guests{Nix: found(t, f, script)}
			_, err := g.Evaluate(deadline(t), host)
			var e *nixos.EvaluationError
			if err == nil || errors.As(err, &e) || !strings.Contains(err.Error(), "evaluate the laptop") {
				t.Errorf("error %v", err)
			}
		})
	}
}

const buildOutput = `these 12 derivations will be built:
  /nix/store/0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-a.drv
these 340 paths will be fetched (512.30 MiB download, 2048.00 MiB unpacked):
  /nix/store/0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-b
copying path '/nix/store/0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-glibc-2.40' from 'https://cache.nixos.org'...
building '/nix/store/0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-unit-nix-serve.service.drv'...`

func TestBuildSystem(t *testing.T) {
	f := newFakeNix(t)
	n := found(t, f, "build) cat >&2 <<'E'\n"+buildOutput+"\nE\necho /nix/store/0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-nixos-system-desktop ;;")
	var s said
	got, err := n.BuildSystem(deadline(t), &nixos.Configuration{HostName: "desktop", Derivation: drv}, s.say)
	must(t, err)
	if got != "/nix/store/0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-nixos-system-desktop" {
		t.Errorf("built %q", got)
	}
	want := [][]string{{"build", "--print-out-paths", "--print-build-logs", "--out-link", filepath.Join(n.StateDir, "systems/desktop"), drv + "^out"}}
	if calls := f.calls(); !reflect.DeepEqual(calls, want) {
		t.Errorf("nix was called with %q, want %q", calls, want)
	}
	for _, line := range []string{"these 12 derivations will be built", "these 340 paths will be fetched (512.30 MiB download, 2048.00 MiB unpacked)", "fetching glibc-2.40 (1 so far)"} {
		if !strings.Contains(s.text(), line) {
			t.Errorf("%q was not shown:\n%s", line, s.text())
		}
	}
	if strings.Contains(s.text(), "building unit-nix-serve") {
		t.Error("steps that follow one another at once are all shown")
	}
}

func TestBuildSystemThatIsBuilt(t *testing.T) {
	n := &Nix{Program: "/nonexistent"}
	if got, err := n.BuildSystem(deadline(t), &nixos.Configuration{Toplevel: "/nix/store/x"}, nil); got != "/nix/store/x" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := n.BuildSystem(deadline(t), &nixos.Configuration{HostName: "desktop"}, nil); err == nil || !strings.Contains(err.Error(), "not evaluated for a NixOS guest") {
		t.Errorf("a configuration of the embedded guest: error %v", err)
	}
}

func TestBuildFails(t *testing.T) {
	f := newFakeNix(t)
	n := found(t, f, `build) for i in $(seq 40); do echo "line $i" >&2; done; printf "error: builder for '/nix/store/x.drv' failed with exit code 2" >&2; exit 1 ;;`)
	_, err := n.BuildSystem(deadline(t), &nixos.Configuration{HostName: "desktop", Derivation: drv}, (&said{}).say)
	var e *BuildError
	if !errors.As(err, &e) || e.What != "the system of desktop" || !strings.HasSuffix(e.Log, "line 40\nerror: builder for '/nix/store/x.drv' failed with exit code 2") || strings.Contains(e.Log, "line 20\n") {
		t.Errorf("error %v", err)
	}
	n = found(t, f, `build) ;;`)
	if _, err := n.BuildSystem(deadline(t), &nixos.Configuration{Derivation: drv}, (&said{}).say); err == nil || !strings.Contains(err.Error(), "not the one path it made") {
		t.Errorf("no path: error %v", err)
	}
}

func TestBuildInterrupted(t *testing.T) {
	f := newFakeNix(t)
	n := found(t, f, `build) trap 'exit 1' INT; echo "building '/nix/store/0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-a.drv'..." >&2; while :; do /bin/sleep 0.05; done ;;`)
	ctx, cancel := context.WithCancel(deadline(t))
	// It is at work when it has said so.
	_, err := n.BuildSystem(ctx, &nixos.Configuration{Derivation: drv}, func(string, ...any) { cancel() })
	var e *BuildError
	if !errors.Is(err, context.Canceled) || errors.As(err, &e) {
		t.Errorf("error %v", err)
	}
}

func TestBase(t *testing.T) {
	f := newFakeNix(t)
	bundle := filepath.Join(t.TempDir(), "0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-offload-e2e-desktop")
	handMade(t, bundle)
	g := &Guests{Nix: found(t, f, evalAnswer(t, configuration, &drv)+"\nbuild) echo "+bundle+" ;;")}
	c, img, err := g.Base(deadline(t), nixos.Desktop, "desktop", (&said{}).say)
	must(t, err)
	if img.Kind != guest.NixOS || img.Dir != bundle || img.Keys != filepath.Join(g.StateDir, "keys") {
		t.Errorf("the image is %+v", img)
	}
	if c.Toplevel != img.Toplevel || c.Toplevel == "" || c.Derivation != "" {
		t.Errorf("the base is %q, built of %q", c.Toplevel, c.Derivation)
	}
	calls := f.calls()
	if expr := calls[0][len(calls[0])-1]; !strings.Contains(expr, "guests.bundle { inherit machine; }") || !strings.Contains(expr, `networking.hostName = "desktop"`) {
		t.Errorf("the expression is %s", expr)
	}
	if got := calls[1][len(calls[1])-2:]; !reflect.DeepEqual(got, []string{filepath.Join(g.StateDir, "images/desktop-bundle"), drv + "^out"}) {
		t.Errorf("built %q", got)
	}
	g.Containers = true
	_, _, err = g.Base(deadline(t), nixos.Desktop, "desktop", (&said{}).say)
	must(t, err)
	calls = f.calls()[2:]
	if expr := calls[0][len(calls[0])-1]; !strings.Contains(expr, "(guests.rootfs machine)") || !strings.Contains(expr, "isContainer = true;") {
		t.Errorf("of a container the expression is %s", expr)
	}
	if got := calls[1][len(calls[1])-2]; got != filepath.Join(g.StateDir, "images/desktop-rootfs") {
		t.Errorf("of a container %q is kept", got)
	}
	must(t, os.WriteFile(filepath.Join(bundle, guest.KernelName), []byte("x"), 0o644))
	if _, _, err := g.Base(deadline(t), nixos.Desktop, "desktop", (&said{}).say); err == nil || !strings.Contains(err.Error(), "vmlinuz is damaged") {
		t.Errorf("a damaged bundle: error %v", err)
	}
}
