package guest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// Recipe is what an image is made of: the file recipe.yaml of a folder, with
// rootfs/ (copied into the image) and customize.sh (run in it, as root) beside.
type Recipe struct {
	// Suite is the Debian release, e.g. "trixie".
	Suite string `yaml:"suite"`
	// DiskMiB is the size of the root file system in MiB; the file is sparse.
	DiskMiB int `yaml:"diskMiB"`
	// Append is the kernel's command line (kernel-command-line(7)).
	Append string `yaml:"append"`
	// Packages are Debian packages, with their dependencies, without recommendations.
	Packages []string `yaml:"packages"`

	dir string
}

// LoadRecipe reads the recipe in dir. Unknown keys are errors with their line.
func LoadRecipe(dir string) (*Recipe, error) {
	// mmdebstrap's hooks run in a folder of their own.
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("read recipe: %w", err)
	}
	path := filepath.Join(dir, "recipe.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read recipe: %w", err)
	}
	r := &Recipe{dir: dir}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(r); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read recipe %s: %w", path, err)
	}
	if r.Suite == "" || r.DiskMiB <= 0 || len(r.Packages) == 0 {
		return nil, fmt.Errorf("read recipe %s: suite, diskMiB and packages must be set", path)
	}
	if !suiteRE.MatchString(r.Suite) {
		return nil, fmt.Errorf("read recipe %s: suite %q is no name of a Debian release", path, r.Suite)
	}
	for _, p := range r.Packages {
		if !packageRE.MatchString(p) {
			return nil, fmt.Errorf("read recipe %s: %q is no name of a Debian package", path, p)
		}
	}
	if strings.ContainsAny(strings.TrimSpace(r.Append), "\n\x00") {
		return nil, fmt.Errorf("read recipe %s: append must be one line", path)
	}
	for name, folder := range map[string]bool{"rootfs": true, "customize.sh": false} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("read recipe: %w", err)
		}
		if info.IsDir() != folder {
			return nil, fmt.Errorf("read recipe %s: rootfs must be a folder beside it, customize.sh a file", path)
		}
	}
	return r, nil
}

// Names as Debian's policy has them (section 5.6.7), so that none is read as
// something else by mmdebstrap.
var (
	packageRE = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	suiteRE   = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
)

// formatVersion changes when Build makes something else of the same recipe.
const formatVersion = "3"

// Hash names the image: 16 hexadecimal digits over every file of the recipe.
func (r *Recipe) Hash() (string, error) {
	h := sha256.New()
	io.WriteString(h, formatVersion)
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s: a recipe holds plain files only", path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(r.dir, path)
		fmt.Fprintf(h, "%s\x00%o\x00%d\x00", rel, info.Mode().Perm()&0o111, len(text))
		h.Write(text)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("hash recipe: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// errNoManifest is the state of an image whose build did not end.
var errNoManifest = errors.New("its build did not end")
