package guest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestLoadRecipe(t *testing.T) {
	r := recipe(t)
	if r.Suite != "trixie" || r.DiskMiB != 100 || r.Append != "root=/dev/vda rw" || !slices.Equal(r.Packages, []string{"nix-bin", "openssh-server"}) {
		t.Errorf("read %+v", r)
	}
}

// The recipe of the product is one.
func TestEmbeddedRecipe(t *testing.T) {
	r, err := LoadRecipe(filepath.Join("..", "..", "fixtures", "guests", "embedded"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Hash(); err != nil {
		t.Error(err)
	}
	if !slices.Contains(r.Packages, "nix-bin") || !filepath.IsAbs(r.dir) {
		t.Errorf("read %+v", r)
	}
}

func TestRecipeErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(dir string) error
		want string
	}{
		"no folder":    {os.RemoveAll, "recipe.yaml: no such file or directory"},
		"no recipe":    {func(dir string) error { return os.Remove(dir + "/recipe.yaml") }, "recipe.yaml: no such file or directory"},
		"no rootfs":    {func(dir string) error { return os.RemoveAll(dir + "/rootfs") }, "rootfs: no such file or directory"},
		"no customize": {func(dir string) error { return os.Remove(dir + "/customize.sh") }, "customize.sh: no such file or directory"},
		"empty":        {text(""), "suite, diskMiB and packages must be set"},
		"no suite":     {edit("suite: trixie\n", ""), "suite, diskMiB and packages must be set"},
		"no size":      {edit("100", "0"), "suite, diskMiB and packages must be set"},
		"size as text": {edit("100", "big"), "line 2: cannot unmarshal"},
		"unknown key":  {edit("diskMiB", "diskMb"), "line 2: field diskMb not found"},
		"no YAML":      {text("suite: [\n"), "did not find expected node content"},
		"an option":    {edit("nix-bin", "--mode=root"), `"--mode=root" is no name of a Debian package`},
		"two in one":   {edit("nix-bin", "nix-bin,sudo"), `"nix-bin,sudo" is no name of a Debian package`},
		"odd suite":    {edit("trixie", "/tmp/x"), `suite "/tmp/x" is no name of a Debian release`},
		"two lines":    {edit(">-\n", "|\n"), "append must be one line"},
		"file as rootfs": {func(dir string) error {
			return errors.Join(os.RemoveAll(dir+"/rootfs"), os.WriteFile(dir+"/rootfs", nil, 0o644))
		}, "rootfs must be a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := recipeDir(t)
			if err := tc.edit(dir); err != nil {
				t.Fatal(err)
			}
			_, err := LoadRecipe(dir)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), dir) || !strings.HasPrefix(err.Error(), "read recipe") {
				t.Errorf("error %v, want one with %q and the folder", err, tc.want)
			}
		})
	}
}

func text(s string) func(dir string) error {
	return func(dir string) error { return os.WriteFile(dir+"/recipe.yaml", []byte(s), 0o644) }
}

func edit(old, new string) func(dir string) error {
	return text(strings.Replace(recipeText, old, new, 1))
}

func TestHash(t *testing.T) {
	hash := func(dir string) string {
		t.Helper()
		r, err := LoadRecipe(dir)
		if err != nil {
			t.Fatal(err)
		}
		id, err := r.Hash()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := hash(recipeDir(t))
	if !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(first) {
		t.Errorf("the hash is %q", first)
	}
	if again := hash(recipeDir(t)); again != first {
		t.Errorf("the same recipe elsewhere is %s, not %s", again, first)
	}
	seen := map[string]string{first: "the recipe"}
	for name, change := range map[string]func(dir string) error{
		"a package":      edit("openssh-server", "openssh-client"),
		"a comment":      edit("a comment", "another"),
		"a text":         func(dir string) error { return os.WriteFile(dir+"/rootfs/etc/motd", []byte("hello\n"), 0o644) },
		"a name":         func(dir string) error { return os.Rename(dir+"/rootfs/etc/motd", dir+"/rootfs/etc/issue") },
		"a program":      func(dir string) error { return os.Chmod(dir+"/rootfs/etc/motd", 0o755) },
		"one more":       func(dir string) error { return os.WriteFile(dir+"/rootfs/new", nil, 0o644) },
		"of customizing": func(dir string) error { return os.WriteFile(dir+"/customize.sh", []byte("#!/bin/sh\n:\n"), 0o755) },
	} {
		dir := recipeDir(t)
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		id := hash(dir)
		if other, same := seen[id]; same {
			t.Errorf("with %s changed it is %s still", name, other)
		}
		seen[id] = name
	}
	// Who may read a file is the umask's business.
	dir := recipeDir(t)
	if err := os.Chmod(dir+"/rootfs/etc/motd", 0o600); err != nil {
		t.Fatal(err)
	}
	if hash(dir) != first {
		t.Error("a umask makes another image")
	}
}

func TestHashOfLinks(t *testing.T) {
	r := recipe(t)
	if err := os.Symlink("motd", filepath.Join(r.dir, "rootfs", "etc", "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Hash(); err == nil || !strings.Contains(err.Error(), "a recipe holds plain files only") {
		t.Errorf("error %v", err)
	}
	if err := os.RemoveAll(r.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Hash(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// Whatever stands in a recipe.yaml, it is refused or safe to hand to mmdebstrap.
func FuzzLoadRecipe(f *testing.F) {
	f.Add(recipeText)
	f.Add("suite: a\ndiskMiB: 1\npackages: [-x, \"a b\"]\nappend: \"a\\nb\"\n")
	f.Add("&a [*a]")
	f.Fuzz(func(t *testing.T, body string) {
		dir := recipeDir(t)
		if err := text(body)(dir); err != nil {
			t.Fatal(err)
		}
		r, err := LoadRecipe(dir)
		if err != nil {
			return
		}
		if r.DiskMiB <= 0 || strings.ContainsAny(r.Suite, " /\n") || strings.HasPrefix(r.Suite, "-") {
			t.Errorf("took %+v", r)
		}
		for _, p := range r.Packages {
			if strings.ContainsAny(p, ", \n'/=") || strings.HasPrefix(p, "-") {
				t.Errorf("took the package %q", p)
			}
		}
	})
}
