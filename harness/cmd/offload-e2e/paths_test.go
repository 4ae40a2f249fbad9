package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// clone makes what a clone is known by.
func clone(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	write(t, filepath.Join(dir, "go.mod"), "module offload-e2e\n\ngo 1.26.3\n")
	must(t, os.MkdirAll(filepath.Join(dir, "vmconfigs", "embedded"), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "harness", "cmd"), 0o755))
	return dir
}

func TestPaths(t *testing.T) {
	here, other := clone(t), clone(t)
	for _, test := range []struct {
		name               string
		env                map[string]string
		executable, dir    string
		root, cache, state string
	}{
		{name: "the program is in the clone", executable: here + "/.bin/offload-e2e", dir: "/",
			root: here, cache: "/home/u/.cache/offload-e2e", state: "/var/tmp/offload-e2e-1000"},
		{name: "below the working directory's clone", executable: "/usr/bin/offload-e2e", dir: here + "/harness/cmd", root: here},
		{name: "the program's clone before the working directory's", executable: here + "/.bin/offload-e2e", dir: other, root: here},
		{name: "the variable before all", env: map[string]string{rootVariable: other}, executable: here + "/.bin/x", dir: here, root: other},
		{name: "a relative variable", env: map[string]string{rootVariable: "..", cacheVariable: "c", stateVariable: "/s/../t/"}, dir: here + "/harness",
			root: here, cache: here + "/harness/c", state: "/t"},
		{name: "the XDG cache", env: map[string]string{"XDG_CACHE_HOME": "/x"}, dir: here, root: here, cache: "/x/offload-e2e"},
		{name: "a relative XDG cache is none", env: map[string]string{"XDG_CACHE_HOME": "x"}, dir: here, root: here, cache: "/home/u/.cache/offload-e2e"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := environment{getenv: func(name string) string { return test.env[name] }, executable: test.executable, workingDir: test.dir, home: "/home/u", uid: 1000}
			p, err := e.paths()
			must(t, err)
			for _, c := range []struct{ what, got, want string }{{"root", p.Root, test.root}, {"cache", p.Cache, test.cache}, {"state", p.State, test.state}} {
				if c.want != "" && c.got != c.want {
					t.Errorf("%s is %s, want %s", c.what, c.got, c.want)
				}
			}
		})
	}
}

func TestPathsThatCannotBe(t *testing.T) {
	here := clone(t)
	for _, test := range []struct {
		name    string
		env     map[string]string
		dir     string
		home    string
		heading string
		exit    int
	}{
		{"no clone anywhere", nil, "/", "/home/u", "The repository is not found", exitUsage},
		{"a variable that names none", map[string]string{rootVariable: "/"}, here, "/home/u", "The repository is not found", exitUsage},
		{"no home", nil, here, "", "There is no place for guest images", exitInfra},
		{"a state folder too long for sockets", map[string]string{stateVariable: "/" + strings.Repeat("x", 60)}, here, "/home/u",
			"The state folder's name is too long", exitUsage},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := environment{getenv: func(name string) string { return test.env[name] }, workingDir: test.dir, home: test.home}.paths()
			if err == nil {
				t.Fatal("no error")
			}
			e := explain(err)
			if e.Heading != test.heading || e.Exit != test.exit || e.WayOut == "" {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestIsRootWantsThisModule(t *testing.T) {
	dir := clone(t)
	write(t, filepath.Join(dir, "go.mod"), "module offload-e2e-other\n")
	if isRoot(dir) {
		t.Error("another module is taken for the repository")
	}
}

func TestMakeState(t *testing.T) {
	base := t.TempDir()
	t.Run("made for its owner alone, twice", func(t *testing.T) {
		p := &paths{State: filepath.Join(base, "deep", "state")}
		for range 2 {
			must(t, p.makeState())
			info, err := os.Stat(p.State)
			must(t, err)
			if info.Mode().Perm() != 0o700 {
				t.Errorf("its mode is %v", info.Mode())
			}
			must(t, os.Chmod(p.State, 0o755)) // as an older one may be
		}
	})
	t.Run("a link to somewhere else is refused", func(t *testing.T) {
		p := &paths{State: filepath.Join(base, "link")}
		must(t, os.Symlink(base, p.State))
		var refused *userError
		if err := p.makeState(); !errors.As(err, &refused) {
			t.Fatalf("got %v", err)
		}
		contains(t, refused.Text(), "is no folder", stateVariable)
	})
	t.Run("another user's is refused", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("only root can give a folder away")
		}
		p := &paths{State: filepath.Join(base, "theirs")}
		must(t, os.Mkdir(p.State, 0o777))
		must(t, os.Chown(p.State, 65534, 65534))
		err := p.makeState()
		if err == nil {
			t.Fatal("no error")
		}
		contains(t, explain(err).Text(), "belongs to another user (uid 65534)")
	})
}
