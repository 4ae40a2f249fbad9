package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/provider/qemu"
)

// healthy is a machine with all that a run needs, and an image.
func healthy(t *testing.T) (*examination, *fakePath) {
	t.Helper()
	path := newFakePath(t)
	path.program("qemu-system-x86_64", `case "$*" in
*netdev*) echo "Available netdev backend types:"; echo stream ;;
*) echo "QEMU emulator version 8.2.1 (Fake 8.2)" ;;
esac`)
	path.program("qemu-img", "echo qemu-img version 8.2.1")
	path.program("go", "echo go version go1.26.3 linux/amd64")
	for _, name := range []string{"mmdebstrap", "mount", "mke2fs", "gpg", "unshare", "ssh-keygen", "tshark", "shellcheck"} {
		path.program(name, "")
	}
	root := t.TempDir()
	write(t, root+debianKeys, "")
	write(t, root+authorities, "")
	p := &paths{Root: root, Cache: filepath.Join(root, "cache"), State: filepath.Join(root, "state")}
	e := &examination{
		system: system{os: "linux", arch: "amd64", root: root, user: "somebody", distribution: debian},
		paths:  p,
		// One machine of a MiB: that of the machine under test may be small.
		machine: qemu.Preflight{Machines: 1, MemoryMiB: 1, StateDir: p.State, DiskMiB: 1},
		suite:   "trixie", client: http.DefaultClient,
		image: &guest.Image{Dir: root, Manifest: guest.Manifest{Kind: "embedded", ID: "0123456789abcdef",
			Versions: map[string]string{"nix": "2.26.3", "linux": "6.12", "systemd": "257"}, Built: time.Now()}},
	}
	return e, path
}

func TestDoctor(t *testing.T) {
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/debian/dists/trixie/InRelease" {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(mirror.Close)
	noImage := func(e *examination) { e.image, e.imageErr, e.mirror = nil, fs.ErrNotExist, mirror.URL+"/debian" }
	lacks := func(t *testing.T, path *fakePath, name string) { must(t, os.Remove(filepath.Join(path.bin, name))) }
	for _, test := range []struct {
		name     string
		change   func(t *testing.T, e *examination, path *fakePath)
		possible bool
		about    string // the condition to look at
		state    string
		says     []string
	}{
		{"all is well", func(*testing.T, *examination, *fakePath) {}, true, "guest image", stateOK, []string{"Nix 2.26.3"}},
		{"no KVM", func(*testing.T, *examination, *fakePath) {}, true, "KVM", stateWarn, []string{"no /dev/kvm"}},
		{"no QEMU", func(t *testing.T, _ *examination, p *fakePath) { lacks(t, p, "qemu-system-x86_64") }, false, "QEMU", stateMissing,
			[]string{"qemu-system-x86_64", "make setup"}},
		{"QEMU is old", func(_ *testing.T, _ *examination, p *fakePath) {
			p.program("qemu-system-x86_64", `echo "QEMU emulator version 6.2.0"`)
		}, false, "QEMU", stateMissing, []string{"6.2.0", "7.2"}},
		{"another processor", func(_ *testing.T, e *examination, _ *fakePath) { e.arch = "arm64" }, false, "system", stateMissing, []string{"linux/arm64", "x86_64"}},
		{"little memory", func(_ *testing.T, e *examination, _ *fakePath) { e.machine.MemoryMiB = 1 << 40 }, false, "memory", stateMissing, []string{"MiB"}},
		{"little disk", func(_ *testing.T, e *examination, _ *fakePath) { e.machine.DiskMiB = 1 << 40 }, false, "disk space", stateMissing, []string{stateVariable}},
		{"no image", func(_ *testing.T, e *examination, _ *fakePath) { noImage(e) }, true, "guest image", stateWarn, []string{"not built yet", "make setup"}},
		{"a damaged image", func(_ *testing.T, e *examination, _ *fakePath) {
			noImage(e)
			e.imageErr = errors.New("disk.qcow2 is damaged")
		}, true, "guest image", stateWarn, []string{"disk.qcow2 is damaged", "builds it again"}},
		{"an incomplete clone", func(_ *testing.T, e *examination, _ *fakePath) {
			e.image, e.imageErr, e.suite = nil, errors.New("read recipe: no such file"), ""
		}, false, "guest image", stateMissing, []string{"read recipe", "git status"}},
		{"no image, and nothing to build it", func(t *testing.T, e *examination, p *fakePath) {
			noImage(e)
			lacks(t, p, "mmdebstrap")
		}, false, "image tools", stateMissing, []string{"mmdebstrap", "make setup"}},
		{"an image, and nothing to build one", func(t *testing.T, _ *examination, p *fakePath) { lacks(t, p, "mmdebstrap") }, true, "image tools", stateWarn, []string{"mmdebstrap"}},
		{"a container that lets nobody mount", func(_ *testing.T, e *examination, p *fakePath) {
			noImage(e)
			p.program("unshare", "echo unshare failed: Operation not permitted; exit 1")
		}, false, "image tools", stateMissing, []string{"not permitted", "--privileged"}},
		{"a user without subordinate ids", func(_ *testing.T, e *examination, p *fakePath) {
			noImage(e)
			e.uid = 1000
			p.program("newuidmap", "")
		}, false, "image tools", stateMissing, []string{"/etc/subuid", "usermod --add-subuids"}},
		{"the mirror answers", func(_ *testing.T, e *examination, _ *fakePath) { noImage(e) }, true, "Debian mirror", stateOK, []string{"/debian"}},
		{"the mirror has no such release", func(_ *testing.T, e *examination, _ *fakePath) {
			noImage(e)
			e.mirror = mirror.URL + "/other"
		}, true, "Debian mirror", stateWarn, []string{"404", mirrorVariable}},
		{"nobody may install", func(_ *testing.T, e *examination, _ *fakePath) { e.uid = 1000 }, true, "packages", stateWarn, []string{"no sudo"}},
		{"sudo with a password", func(_ *testing.T, e *examination, p *fakePath) {
			e.uid = 1000
			p.program("sudo", "exit 1")
		}, true, "packages", stateOK, []string{"after a password"}},
		{"Nix is installed", func(_ *testing.T, _ *examination, p *fakePath) {
			p.program("nix-instantiate", `echo "nix-instantiate (Nix) 2.28.1"`)
		}, true, "Nix", stateOK, []string{"2.28.1 is installed;"}},
		{"an old Nix is installed", func(_ *testing.T, _ *examination, p *fakePath) {
			p.program("nix-instantiate", `echo "nix-instantiate (Nix) 2.8.1"`)
		}, true, "Nix", stateOK, []string{"too old"}},
		{"no NixOS guests", func(*testing.T, *examination, *fakePath) {}, true, "guests", stateOK, []string{"embedded: nix is not on PATH", "https://nixos.org/download"}},
		{"NixOS guests", func(_ *testing.T, _ *examination, p *fakePath) {
			p.program("nix", `case "$*" in *--version*) echo "nix (Nix) 2.31.2" ;; *)
echo '{"locks":{"root":"root","nodes":{"root":{"inputs":{"nixpkgs":"n"}},"n":{"locked":{"type":"path","path":"/srv/nixpkgs"}}}}}' ;; esac`)
		}, true, "guests", stateOK, []string{"nixos: nix 2.31.2 is here, with /srv/nixpkgs", "GUEST=embedded"}},
		{"no Go", func(t *testing.T, _ *examination, p *fakePath) { lacks(t, p, "go") }, true, "Go", stateWarn, []string{"make setup"}},
		{"no test tools", func(t *testing.T, _ *examination, p *fakePath) { lacks(t, p, "tshark") }, true, "test tools", stateWarn, []string{"tshark"}},
		{"a lab that is gone", func(t *testing.T, e *examination, _ *fakePath) {
			write(t, filepath.Join(e.paths.State, "lab/machines/laptop/qemu.pid"), `{"pid": `+strconv.Itoa(os.Getpid())+`, "machine": "laptop"}`)
		}, true, "running lab", stateOK, []string{"none"}}, // the number is another program's
	} {
		t.Run(test.name, func(t *testing.T) {
			e, path := healthy(t)
			test.change(t, e, path)
			h := examine(t.Context(), e)
			if h.Possible != test.possible {
				t.Errorf("possible: %v, want %v: %+v", h.Possible, test.possible, h.Conditions)
			}
			i := slices.IndexFunc(h.Conditions, func(c condition) bool { return c.Name == test.about })
			if i < 0 {
				t.Fatalf("nothing is said about %s: %+v", test.about, h.Conditions)
			}
			c := h.Conditions[i]
			if c.State != test.state {
				t.Errorf("%s is %s, want %s", test.about, c.State, test.state)
			}
			contains(t, c.Found+"\n"+c.WayOut, test.says...)
			if c.State != stateOK && c.WayOut == "" {
				t.Errorf("%s has no way out", c.Name)
			}
		})
	}
}

func TestHealthIsPrinted(t *testing.T) {
	h := health{Conditions: []condition{
		{"QEMU", stateOK, "8.2", ""},
		{"guest image", stateMissing, "one\ntwo", "do this\nor that"},
	}}
	var out bytes.Buffer
	h.print(&out)
	want := `ok       QEMU         8.2
MISSING  guest image  one
                      two
                      → do this
                        or that

No run is possible yet: mend what is MISSING, most often with make setup
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
	h.Possible = true
	out.Reset()
	h.print(&out)
	if !strings.HasSuffix(out.String(), "\nA run is possible: make e2e\n") {
		t.Errorf("got\n%s", out.String())
	}
}

func TestHealthAsJSON(t *testing.T) {
	e, _ := healthy(t)
	var out bytes.Buffer
	must(t, writeJSON(&out, examine(t.Context(), e)))
	var read struct {
		Possible   bool
		Conditions []struct{ Name, State, Found string }
	}
	must(t, json.Unmarshal(out.Bytes(), &read))
	if !read.Possible || len(read.Conditions) < 10 || read.Conditions[0].Name != "system" {
		t.Errorf("got %s", out.String())
	}
}

func TestDistribution(t *testing.T) {
	file := filepath.Join(t.TempDir(), "os-release")
	write(t, file, "PRETTY_NAME=\"Linux Mint 22\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_CODENAME=wilma\n")
	d := readDistribution(file)
	if d.Name != "Linux Mint 22" || d.ID != "linuxmint" || d.Codename != "wilma" || !d.isDebian() || d.isNixOS() {
		t.Errorf("got %+v", d)
	}
	if d := readDistribution("/nowhere"); d.isDebian() {
		t.Errorf("got %+v", d)
	}
}
