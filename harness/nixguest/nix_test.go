package nixguest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFind(t *testing.T) {
	f := newFakeNix(t)
	f.answers(works + "esac")
	n, err := Find(deadline(t), Options{Flake: "/clone/vmconfigs"})
	must(t, err)
	if n.Program != filepath.Join(f.bin, "nix") || n.Version != "2.31.2" || string(n.Locked) != locked || n.Source != "github:NixOS/nixpkgs at 0123456" {
		t.Errorf("found %+v", n)
	}
	want := [][]string{{"--version"}, {"flake", "metadata", "--json", "--no-write-lock-file", "--option", "download-attempts", "2", "path:/clone/vmconfigs"}}
	if got := f.calls(); !reflect.DeepEqual(got, want) {
		t.Errorf("nix was called with %q, want %q", got, want)
	}
}

func TestFindTakesTheNixpkgsThatIsNamed(t *testing.T) {
	for named, reference := range map[string]string{"/srv/nixpkgs": "path:/srv/nixpkgs", "github:me/nixpkgs": "github:me/nixpkgs"} {
		t.Run(named, func(t *testing.T) {
			f := newFakeNix(t)
			f.answers(works + "esac")
			if _, err := Find(deadline(t), Options{Flake: "/clone/vmconfigs", Nixpkgs: named}); err != nil {
				t.Fatal(err)
			}
			want := []string{"flake", "metadata", "--json", "--no-write-lock-file", "--option", "download-attempts", "2", "--override-input", "nixpkgs", reference, "path:/clone/vmconfigs"}
			if got := f.calls()[1]; !reflect.DeepEqual(got, want) {
				t.Errorf("nix was called with %q, want %q", got, want)
			}
		})
	}
}

// Each way in which there are no NixOS guests is told, with a way out.
func TestFindSaysWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		script, reason, wayOut string
	}{
		"too old":        {`echo "nix (Nix) 2.11.1"`, "nix is 2.11.1, too old: it takes 2.20 or later", "nix upgrade-nix"},
		"no version":     {`echo "hello"`, `nix --version says "hello"`, "on PATH"},
		"does not start": {`echo "libfoo.so: cannot open shared object file" >&2; exit 127`, "nix does not work: libfoo.so", "Mend"},
		"no flakes": {`[ $verb = --version ] && echo "nix (Nix) 2.24.9" || { echo "error: experimental Nix feature 'flakes' is disabled" >&2; exit 1; }`,
			"nix 2.24.9 has no flakes: experimental Nix feature 'flakes' is disabled", "Update Nix"},
		"no nixpkgs": {`[ $verb = --version ] && echo "nix (Nix) 2.31.2" || { printf 'warning: x\nerror:\n       … while fetching the input\n\n       error: unable to download: Could not resolve host: api.github.com\n' >&2; exit 1; }`,
			"no nixpkgs can be had: … while fetching the input error: unable to download: Could not resolve host: api.github.com", NixpkgsVariable + "="},
		"no daemon": {`[ $verb = --version ] && echo "nix (Nix) 2.31.2" || { echo "error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': No such file" >&2; exit 1; }`,
			"the store of nix cannot be used: cannot connect to socket", "nix-daemon"},
		"no JSON":  {`[ $verb = --version ] && echo "nix (Nix) 2.31.2" || echo "Resolved URL: x"`, "something else than JSON: Resolved URL: x", "on PATH"},
		"no input": {`[ $verb = --version ] && echo "nix (Nix) 2.31.2" || echo '{"locks":{"root":"root","nodes":{"root":{}}}}'`, "/clone/vmconfigs/flake.nix has no input nixpkgs", "git status"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeNix(t)
			f.answers(c.script)
			_, err := Find(deadline(t), Options{Flake: "/clone/vmconfigs"})
			var u *UnavailableError
			if !errors.As(err, &u) || !strings.Contains(u.Reason, c.reason) || !strings.Contains(u.WayOut, c.wayOut) {
				t.Errorf("error %#v, want %q and %q", err, c.reason, c.wayOut)
			}
		})
	}
	t.Run("no nix", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := Find(deadline(t), Options{})
		var u *UnavailableError
		if !errors.As(err, &u) || u.Reason != "nix is not on PATH" || !strings.Contains(u.WayOut, "https://nixos.org/download") {
			t.Errorf("error %#v", err)
		}
	})
}

// Interrupted, nix is asked to end, and ends; the error is the interruption's, not
// a lack of nix.
func TestFindInterrupted(t *testing.T) {
	f := newFakeNix(t)
	asked := filepath.Join(t.TempDir(), "asked")
	t.Setenv("ASKED", asked)
	f.answers(`trap 'touch "$ASKED"; exit 1' INT
echo started >"$ASKED.started"
while :; do /bin/sleep 0.05; done`)
	ctx, cancel := context.WithCancel(deadline(t))
	// Each end of a named pipe waits for the other to be opened (fifo(7)).
	if err := syscall.Mkfifo(asked+".started", 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = os.ReadFile(asked + ".started")
		cancel()
	}()
	started := time.Now()
	_, err := Find(ctx, Options{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(asked); err != nil {
		t.Error("nix was not asked to end, but torn away")
	}
	if since := time.Since(started); since > 15*time.Second {
		t.Errorf("it took %s", since)
	}
}
