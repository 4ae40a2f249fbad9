package activate

import (
	"os"
	"strings"
	"testing"

	"offload-e2e/harness/nixos"
)

func TestStoreObjects(t *testing.T) {
	m := newMachine(t)
	const dir = "/nix/store/00000000000000000000000000000006-dir"
	c := host()
	c.StoreFiles[dir+"/share/picture"] = nixos.Text{Binary: []byte{0xff, 0xfe, 0}}
	c.StoreFiles[dir+"/share/"+"note"] = nixos.Text{Text: "see " + motdPath + ".\n"}
	c.StoreLinks = map[string]string{dir + "/bin/hello": helloPath + "/bin/hello"}
	c.Etc["dir"] = nixos.Etc{Source: ptr(dir)}
	c.Packages[helloPath] = nixos.Package{Pname: "hello", Programs: map[string]string{"hello": "/usr/bin/hello"}, Files: map[string]string{"share/doc/hello": "/usr/bin/bash"}}
	result := m.must(c)
	for path, want := range map[string]string{
		"/etc/dir/share/picture":       "\xff\xfe\x00",
		"/etc/dir/bin/hello":           "program hello",
		helloPath + "/share/doc/hello": "program bash",
	} {
		if got := m.read(path); got != want {
			t.Errorf("%s holds %q", path, got)
		}
	}
	if mode := m.mode(startPath + "/bin/greet-start"); mode.Perm()&0o111 == 0 {
		t.Errorf("the script is %v", mode)
	}
	if mode := m.mode(motdPath); mode.Perm()&0o111 != 0 {
		t.Errorf("the text is %v", mode)
	}
	if !m.valid[dir] || !m.valid[result.Toplevel] {
		t.Error("not all is in Nix's database")
	}
	entries, err := os.ReadDir(m.root + storeDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".tmp-switch") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// A registration that failed is made up for: the paths are there already then.
func TestRegistrationFails(t *testing.T) {
	m := newMachine(t)
	m.fails["sh -c"] = "database is locked"
	_, err := m.switchTo(host())
	if err == nil || !strings.Contains(err.Error(), "register store paths: ") || !strings.Contains(err.Error(), "database is locked") {
		t.Errorf("error %v", err)
	}
	if m.exists("/run/current-system") || m.units["greet.service"] != "" {
		t.Error("the machine was switched to what its Nix does not know")
	}
	clear(m.fails)
	result := m.must(host())
	for _, p := range []string{bashPath, motdPath, result.Toplevel} {
		if !m.valid[p] {
			t.Errorf("%s is not in Nix's database", p)
		}
	}
	if m.exists("/run/offload-e2e-register") {
		t.Error("the list of paths is left")
	}
}

// Two entries that cannot both be are refused as a build would be: nothing changed.
func TestConflictingEtc(t *testing.T) {
	m := newMachine(t)
	c := host()
	c.Etc["a"], c.Etc["a/b"] = nixos.Etc{Text: ptr("")}, nixos.Etc{Text: ptr("")}
	if _, err := m.switchTo(c); err == nil || !strings.Contains(err.Error(), "make /nix/store/") {
		t.Errorf("error %v", err)
	}
	if m.exists("/run/current-system") || m.exists("/etc/a") || m.exists("/etc/exports") {
		t.Error("the machine was changed all the same")
	}
}

func TestResolve(t *testing.T) {
	m := newMachine(t)
	m.write("/a/file", "x", 0o644)
	s := m.switcher()
	for path, target := range map[string]string{"/abs": "/a", "/rel": "a/file", "/a/up": "../a/file", "/loop": "/loop", "/gone": "/none"} {
		if err := s.link(target, path); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{"/": "/", "/a/file": "/a/file", "/abs/file": "/a/file", "/rel": "/a/file", "/a/up": "/a/file", "/abs/up": "/a/file"} {
		if got, err := s.resolve(path); err != nil || got != want {
			t.Errorf("%s leads to %s (%v), want %s", path, got, err, want)
		}
	}
	for _, path := range []string{"/loop", "/gone", "/none/x"} {
		if got, err := s.resolve(path); err == nil {
			t.Errorf("%s leads to %s", path, got)
		}
	}
}
