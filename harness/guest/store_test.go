package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func store(t *testing.T) (*Store, *heard) {
	t.Helper()
	h := &heard{}
	return &Store{Dir: filepath.Join(t.TempDir(), "images"), Say: func(format string, args ...any) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.lines = append(h.lines, fmt.Sprintf(format, args...))
	}}, h
}

func TestGetBuilds(t *testing.T) {
	bin := fakes(t, "")
	s, said := store(t)
	s.Mirror = "http://mirror.example/debian"
	r := recipe(t)
	if _, err := s.Find(r); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the build: error %v", err)
	}
	img, err := s.Get(deadline(t), r)
	if err != nil {
		t.Fatal(err)
	}
	id, err := r.Hash()
	if err != nil {
		t.Fatal(err)
	}
	if img.Dir != filepath.Join(s.Dir, id) || img.ID != id || img.Kind != "embedded" || img.Append != "root=/dev/vda rw" || img.Built.IsZero() {
		t.Errorf("the image is %+v", img)
	}
	if img.Versions["nix"] != "2.26.3" || img.Versions["linux"] != "6.12" || len(img.Versions) != 2 {
		t.Errorf("versions %v", img.Versions)
	}
	for _, name := range []string{DiskName, RootfsName, KernelName, InitrdName, KeyName, HostKeyName, "nix/bin/nix-instantiate"} {
		if img.Files[name] == "" || !exists(img.Path(name)) {
			t.Errorf("it has no %s", name)
		}
	}
	if exists(img.Path("disk.img")) || exists(img.Path(rootfsTar)) {
		t.Error("the raw disk, or the raw archive, is left")
	}
	if got := entries(t, s.Dir); !slices.Equal(got, []string{id}) {
		t.Errorf("the store holds %v", got)
	}
	if got := said.text(); !strings.Contains(got, "not built yet") || !strings.Contains(got, "automatically chosen mode: fake") || strings.Contains(got, "noise") {
		t.Errorf("it said\n%s", got)
	}
	args := strings.Split(strings.TrimSpace(read(t, filepath.Join(bin, "arguments"))), "\n")
	for _, want := range []string{"--include=nix-bin,openssh-server", "trixie", "-", "http://mirror.example/debian",
		"--customize-hook=sync-in '" + filepath.Join(r.dir, "rootfs") + "' '/'", "--customize-hook=copy-in '" + filepath.Join(r.dir, "customize.sh") + "' '/'"} {
		if !slices.Contains(args, want) {
			t.Errorf("mmdebstrap was not told %q", want)
		}
	}
	// Again: the same image, nothing built.
	again, err := s.Get(deadline(t), r)
	if err != nil || again.Built != img.Built {
		t.Errorf("again: %+v, %v", again, err)
	}
	if found, err := s.Find(r); err != nil || found.Dir != img.Dir {
		t.Errorf("found %+v, %v", found, err)
	}
	if runs := read(t, filepath.Join(bin, "runs")); runs != "run\n" {
		t.Errorf("it was built %q", runs)
	}
}

func TestKeys(t *testing.T) {
	fakes(t, "cp -r \"$seed\" \"$here/seed\"")
	s, _ := store(t)
	img, err := s.Get(deadline(t), recipe(t))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(img.Path(KeyName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is %v (%v)", info.Mode(), err)
	}
	key, err := ssh.ParsePrivateKey([]byte(read(t, img.Path(KeyName))))
	if err != nil {
		t.Fatal(err)
	}
	seed := filepath.Join(filepath.SplitList(os.Getenv("PATH"))[0], "seed")
	let, _, _, _, err := ssh.ParseAuthorizedKey([]byte(read(t, filepath.Join(seed, "authorized_keys"))))
	if err != nil || !bytes.Equal(let.Marshal(), key.PublicKey().Marshal()) {
		t.Errorf("the guest lets another key in (%v)", err)
	}
	host, err := ssh.ParsePrivateKey([]byte(read(t, filepath.Join(seed, "ssh_host_ed25519_key"))))
	if err != nil {
		t.Fatal(err)
	}
	known, _, _, _, err := ssh.ParseAuthorizedKey([]byte(read(t, img.Path(HostKeyName))))
	if err != nil || !bytes.Equal(known.Marshal(), host.PublicKey().Marshal()) {
		t.Errorf("the guest's host key is not the one that is known (%v)", err)
	}
	if bytes.Equal(known.Marshal(), let.Marshal()) {
		t.Error("one key is both")
	}
}

// The programs run Nix by the bundle's own loader, wherever the bundle is.
func TestNixWrappers(t *testing.T) {
	fakes(t, "")
	s, _ := store(t)
	s.Dir = filepath.Join(t.TempDir(), "it's a folder")
	img, err := s.Get(deadline(t), recipe(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nix", "nix-instantiate", "nix-store", "nix-daemon"} {
		out, err := exec.CommandContext(deadline(t), filepath.Join(img.NixBin(), name), "--eval", "-E", "1 + 1").Output()
		lib := img.Path("nix/lib")
		want := strings.Join([]string{"--argv0", name, "--library-path", lib, img.Path("nix/libexec/nix"), "--eval", "-E", "1 + 1"}, "\n") + "\n"
		if err != nil || string(out) != want {
			t.Errorf("%s ran with\n%s(%v), want\n%s", name, out, err, want)
		}
	}
}

// A relative folder is one of the caller's, not of the programs that are run.
func TestRelativeFolder(t *testing.T) {
	fakes(t, "cd /")
	t.Chdir(t.TempDir())
	s := &Store{Dir: "images"}
	img, err := s.Get(deadline(t), recipe(t))
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(img.Dir) || !exists(filepath.Join("images", img.ID, manifestName)) {
		t.Errorf("the image is in %s", img.Dir)
	}
}

// What is wrong with an image is said in a few words, by Find and by the Get that
// builds it again.
func TestDamagedImages(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(img *Image) error
		want   string
	}{
		"half built":      {func(img *Image) error { return os.Remove(img.Path(manifestName)) }, "its build did not end"},
		"empty manifest":  {func(img *Image) error { return os.WriteFile(img.Path(manifestName), []byte("{}"), 0o644) }, "its build did not end"},
		"cut manifest":    {func(img *Image) error { return os.Truncate(img.Path(manifestName), 20) }, "its manifest does not parse"},
		"a byte":          {func(img *Image) error { return os.WriteFile(img.Path(DiskName), []byte("dusk\n"), 0o644) }, DiskName + " is damaged: its SHA-256 is "},
		"a cut disk":      {func(img *Image) error { return os.Truncate(img.Path(DiskName), 2) }, DiskName + " is damaged"},
		"a missing file":  {func(img *Image) error { return os.Remove(img.Path(KernelName)) }, KernelName + " is missing"},
		"a folder gone":   {func(img *Image) error { return os.RemoveAll(img.Path("nix")) }, "nix/bin/nix is missing"},
		"another's":       {func(img *Image) error { return rename(img, "0123456789abcdef") }, "its manifest says 0123456789abcdef"},
		"a file in place": {func(img *Image) error { return errors.Join(os.RemoveAll(img.Dir), os.WriteFile(img.Dir, nil, 0o644)) }, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			bin := fakes(t, "")
			s, said := store(t)
			r := recipe(t)
			img, err := s.Get(deadline(t), r)
			if err != nil {
				t.Fatal(err)
			}
			if err := tc.damage(img); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Find(r); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("found with error %v, want one with %q", err, tc.want)
			}
			again, err := s.Get(deadline(t), r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Find(r); err != nil || again.Dir != img.Dir {
				t.Errorf("built again it is not sound: %v", err)
			}
			if runs := read(t, filepath.Join(bin, "runs")); runs != "run\nrun\n" {
				t.Errorf("it was built %q", runs)
			}
			if got := said.text(); !strings.Contains(got, "is built again: ") || !strings.Contains(got, tc.want) {
				t.Errorf("it said\n%s", got)
			}
		})
	}
}

func rename(img *Image, id string) error {
	m := img.Manifest
	m.ID = id
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return os.WriteFile(img.Path(manifestName), text, 0o644)
}

func TestFailingBuildLeavesNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		behaviour string
		edit      func(t *testing.T, bin string)
		want      string
	}{
		"mmdebstrap fails": {"echo half >\"$out/vmlinuz\"\necho 'E: no such package'\nexit 25", nil, "mmdebstrap: exit status 25; its last lines:"},
		"it says why":      {"echo 'E: no such package'\nexit 1", nil, "E: no such package"},
		"only its end":     {"seq 1000\necho 'E: the end'\nexit 1", nil, "its last lines:\n987\n988"},
		"a line too long":  {"head -c 3000000 /dev/zero | tr '\\0' x\necho\nexit 1", nil, "mmdebstrap: exit status 1"},
		"nothing came out": {"exit 0", nil, "qemu-img: exit status"},
		"no versions":      {"trap 'rm -f \"$out/versions\"' EXIT", nil, "read what was installed: "},
		"qemu-img fails": {"", func(t *testing.T, bin string) {
			write(t, filepath.Join(bin, "qemu-img"), "#!/bin/sh\necho no space >&2\nexit 1\n", 0o755)
		}, "qemu-img: exit status 1: no space"},
		"no mmdebstrap": {"", func(t *testing.T, bin string) { t.Setenv("PATH", t.TempDir()) }, "mmdebstrap is not installed: run `make setup`"},
	} {
		t.Run(name, func(t *testing.T) {
			bin := fakes(t, tc.behaviour)
			if tc.edit != nil {
				tc.edit(t, bin)
			}
			s, _ := store(t)
			_, err := s.Get(deadline(t), recipe(t))
			if err == nil || !strings.HasPrefix(err.Error(), "build guest image: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
			if name == "no mmdebstrap" && !errors.Is(err, exec.ErrNotFound) {
				t.Errorf("error %v does not wrap exec.ErrNotFound", err)
			}
			if got := entries(t, s.Dir); len(got) != 0 {
				t.Errorf("it left %v", got)
			}
		})
	}
}

// A build that is cancelled ends with all its children, says the cause, and leaves
// nothing.
func TestCancelledBuildLeavesNothing(t *testing.T) {
	bin := fakes(t, "trap 'echo unmounted >\"$here/unmounted\"; exit 1' TERM\nsleep 1000 &\necho $! >\"$here/child\"\nwait")
	s, _ := store(t)
	ctx, cancel := context.WithCancelCause(deadline(t))
	enough := errors.New("enough")
	done := make(chan error, 1)
	go func() {
		_, err := s.Get(ctx, recipe(t))
		done <- err
	}()
	until(t, ctx, "child", func() bool {
		text, _ := os.ReadFile(filepath.Join(bin, "child"))
		return bytes.HasSuffix(text, []byte("\n"))
	})
	cancel(enough)
	if err := <-done; !errors.Is(err, enough) {
		t.Errorf("error %v, want the cause", err)
	}
	if got := entries(t, s.Dir); len(got) != 0 {
		t.Errorf("it left %v", got)
	}
	if !exists(filepath.Join(bin, "unmounted")) {
		t.Error("mmdebstrap had no chance to unmount")
	}
	child := strings.TrimSpace(read(t, filepath.Join(bin, "child")))
	until(t, deadline(t), "end of the child", func() bool {
		stat, err := os.ReadFile("/proc/" + child + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

// What a build left that was killed goes with the next one; those of other images
// stay: they may be at work.
func TestLeftovers(t *testing.T) {
	fakes(t, "")
	s, said := store(t)
	r := recipe(t)
	id, err := r.Hash()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.Dir, id+".building-123", "out", "disk.img"), "half", 0o644)
	write(t, filepath.Join(s.Dir, "0123456789abcdef.building-1", "x"), "", 0o644)
	if _, err := s.Get(deadline(t), r); err != nil {
		t.Fatal(err)
	}
	if got, want := entries(t, s.Dir), []string{"0123456789abcdef.building-1", id}; !slices.Equal(got, want) {
		t.Errorf("the store holds %v, want %v", got, want)
	}
	if got := said.text(); !strings.Contains(got, "removing what a build that was cut off left: "+id+".building-123") {
		t.Errorf("it said\n%s", got)
	}
}

// A folder that cannot be made is said with its name.
func TestNoFolder(t *testing.T) {
	fakes(t, "")
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "", 0o644)
	s := &Store{Dir: filepath.Join(file, "images")}
	if _, err := s.Get(deadline(t), recipe(t)); err == nil || !strings.HasPrefix(err.Error(), "keep guest images: ") || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v", err)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"kind":"embedded","id":"image","files":{"a":"b","../x":""}}`))
	f.Add([]byte(`{"files":{"":"","/etc":"x"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := filepath.Join(t.TempDir(), "image")
		if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, manifestName), text, 0o644)); err != nil {
			t.Fatal(err)
		}
		// There is no file whose digest is in it.
		if img, err := open(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("took %+v (%v)", img, err)
		}
	})
}
