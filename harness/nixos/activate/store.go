package activate

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
)

const storeDir = "/nix/store"

// nixHash is 32 characters of the alphabet of store paths over text.
func nixHash(text []byte) string {
	const alphabet = "0123456789abcdfghijklmnpqrsvwxyz"
	sum := sha256.Sum256(text)
	out := make([]byte, 32)
	for i := range out {
		out[i] = alphabet[sum[i]&31]
	}
	return string(out)
}

// realise makes every store path the configuration speaks of, registers them in
// Nix's database with their references, and returns the path of the system, which
// refers to all of them: a closure like any other.
func (s *state) realise(ctx context.Context) (string, error) {
	text, err := json.Marshal(s.new)
	if err != nil {
		return "", err
	}
	byPath := map[string][]string{} // store path -> its texts and links, in full
	for _, file := range slices.Sorted(maps.Keys(s.new.StoreFiles)) {
		p := nixos.StorePath(file)
		byPath[p] = append(byPath[p], file)
	}
	for _, link := range slices.Sorted(maps.Keys(s.new.StoreLinks)) {
		p := nixos.StorePath(link)
		byPath[p] = append(byPath[p], link)
	}
	r := &realiser{state: s, files: byPath, refs: map[string][]string{}}
	hostName := s.new.HostName
	if hostName == "" {
		hostName = "unnamed"
	}
	top := fmt.Sprintf("%s/%s-nixos-system-%s", storeDir, nixHash(text), hostName)
	if err := r.protect(top); err != nil {
		return "", err
	}
	// Packages first mention nothing; the rest is reached from what the host uses.
	mentions := map[string]bool{}
	for _, m := range s.mentioned() {
		mentions[m] = true
	}
	if err := r.realiseAll(slices.Sorted(maps.Keys(mentions))); err != nil {
		return "", err
	}
	sw, err := r.systemPath()
	if err != nil {
		return "", err
	}
	if err := r.toplevel(top, sw, text); err != nil {
		return "", err
	}
	return top, r.register(ctx)
}

// mentioned are the store paths that the host's own files, units, users and
// snippets name: where realisation starts.
func (s *state) mentioned() []string {
	c := *s.new
	c.StoreFiles, c.StoreLinks, c.Packages = nil, nil, nil
	text, _ := json.Marshal(&c)
	found := nixos.StorePaths(string(text))
	return append(found, c.SystemPath...)
}

type realiser struct {
	*state
	files map[string][]string
	refs  map[string][]string // every path of this configuration -> its references
	ours  []string            // those that a switch makes
	fresh []string            // of those, which were not there
	// cut is set where an earlier switch was cut off: it may have made paths, and not
	// registered them.
	cut bool
}

// switchRoot keeps the collector from what a switch makes until the system profile
// holds it. One that is left says that a switch was cut off.
const switchRoot = "/nix/var/nix/gcroots/offload-e2e-switch"

func (r *realiser) protect(top string) error {
	_, err := os.Lstat(r.path(switchRoot))
	r.cut = err == nil
	return r.link(top, switchRoot)
}

func (s *Switcher) unprotect() error {
	if err := os.Remove(s.path(switchRoot)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (r *realiser) realiseAll(paths []string) error {
	for _, p := range paths {
		if !r.exists(p) {
			// The end of a sentence that ends with a path.
			p = strings.TrimRight(p, ".?")
		}
		if _, done := r.refs[p]; done {
			continue
		}
		r.refs[p] = nil
		var refs []string
		var err error
		if pkg, ok := r.new.Packages[p]; ok {
			err = r.pkg(p, pkg)
		} else if files := r.files[p]; files != nil {
			refs, err = r.object(p, files)
		} else if !r.exists(p) {
			err = fmt.Errorf("store path %s is named by the configuration, and neither the guest nor the evaluation has it", p)
		}
		if err != nil {
			return err
		}
		r.refs[p] = refs
		if err := r.realiseAll(refs); err != nil {
			return err
		}
	}
	return nil
}

// exists reports whether a path can be had.
func (r *realiser) exists(p string) bool {
	if _, ok := r.new.Packages[p]; ok || r.files[p] != nil {
		return true
	}
	_, err := os.Lstat(r.path(p))
	return err == nil
}

// add makes p by calling fill on a folder or file beside it, then renaming, unless
// it is there.
func (r *realiser) add(p string, fill func(tmp string) error) error {
	r.ours = append(r.ours, p)
	if _, err := os.Lstat(r.path(p)); err == nil {
		return nil
	}
	tmp := r.path(p) + ".tmp-switch"
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(r.path(storeDir), 0o755), fill(tmp)); err != nil {
		return errors.Join(fmt.Errorf("make %s: %w", p, err), os.RemoveAll(tmp))
	}
	r.fresh = append(r.fresh, p)
	r.changed("store", filepath.Base(p), "written")
	return os.Rename(tmp, r.path(p))
}

// pkg makes a package: a folder with links to just its programs.
func (r *realiser) pkg(p string, pkg nixos.Package) error {
	links := map[string]string{}
	want := maps.Clone(pkg.Files)
	if want == nil {
		want = map[string]string{}
	}
	for name, target := range pkg.Programs {
		want["bin/"+name] = target
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if _, err := r.resolve(want[name]); err != nil {
			r.result.Missing = append(r.result.Missing, filepath.Base(name)+" of "+pkg.Pname)
			continue
		}
		links[name] = want[name]
	}
	return r.add(p, func(tmp string) error {
		for _, name := range slices.Sorted(maps.Keys(links)) {
			full := filepath.Join(tmp, name)
			if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
				return err
			}
			if err := os.Symlink(links[name], full); err != nil {
				return err
			}
		}
		return os.MkdirAll(tmp, 0o755)
	})
}

// object makes a path of texts and links that the evaluation wrote.
func (r *realiser) object(p string, files []string) (refs []string, err error) {
	for _, f := range files {
		for _, ref := range nixos.StorePaths(string(r.new.StoreFiles[f].Content()) + " " + r.new.StoreLinks[f]) {
			if !r.exists(ref) {
				ref = strings.TrimRight(ref, ".?")
			}
			if ref != p && !slices.Contains(refs, ref) {
				refs = append(refs, ref)
			}
		}
	}
	return refs, r.add(p, func(tmp string) error {
		for _, f := range files {
			full := tmp + strings.TrimPrefix(f, p)
			if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
				return err
			}
			if target, isLink := r.new.StoreLinks[f]; isLink {
				if err := os.Symlink(target, full); err != nil {
					return err
				}
				continue
			}
			mode := fs.FileMode(0o444)
			if r.new.StoreFiles[f].Executable {
				mode = 0o555
			}
			if err := os.WriteFile(full, r.new.StoreFiles[f].Content(), mode); err != nil {
				return err
			}
		}
		return nil
	})
}

// systemPath makes what /run/current-system/sw is: the programs of all system
// packages in one folder, the first of a name winning.
func (r *realiser) systemPath() (string, error) {
	p := fmt.Sprintf("%s/%s-system-path", storeDir, nixHash([]byte(strings.Join(r.new.SystemPath, "\n"))))
	r.refs[p] = r.new.SystemPath
	return p, r.add(p, func(tmp string) error {
		if err := os.MkdirAll(filepath.Join(tmp, "bin"), 0o755); err != nil {
			return err
		}
		for _, pkg := range r.new.SystemPath {
			entries, err := os.ReadDir(r.path(filepath.Join(pkg, "bin")))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			for _, e := range entries {
				err := os.Symlink(filepath.Join(pkg, "bin", e.Name()), filepath.Join(tmp, "bin", e.Name()))
				if err != nil && !errors.Is(err, fs.ErrExist) {
					return err
				}
			}
		}
		return nil
	})
}

// toplevel makes the system's own path, with /etc in it.
func (r *realiser) toplevel(top, sw string, text []byte) error {
	all := slices.Sorted(maps.Keys(r.refs))
	r.refs[top] = all
	return r.add(top, func(tmp string) error {
		if err := os.MkdirAll(filepath.Join(tmp, "systemd"), 0o755); err != nil {
			return err
		}
		if err := errors.Join(os.Symlink(sw, filepath.Join(tmp, "sw")),
			os.Symlink("/usr/bin", filepath.Join(tmp, "systemd/bin")),
			os.WriteFile(filepath.Join(tmp, configurationName), text, 0o444)); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(r.new.Etc)) {
			e := r.new.Etc[name]
			full := filepath.Join(tmp, "etc", name)
			if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
				return err
			}
			var err error
			switch {
			case e.Text != nil:
				err = os.WriteFile(full, []byte(*e.Text+guestAddition(name)), 0o444)
			case e.Source != nil:
				err = os.Symlink(*e.Source, full)
			}
			if err != nil {
				return err
			}
		}
		for name, u := range r.new.UnitFiles {
			full := filepath.Join(tmp, "etc/systemd/system", unitFile(name, u))
			if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(u.Text), 0o444)); err != nil {
				return err
			}
		}
		return nil
	})
}

// guestAddition is what the guest needs at the end of a file of the
// configuration's, beyond what NixOS writes: its Nix has no sandbox shell built in.
func guestAddition(name string) string {
	if name == "nix/nix.conf" {
		return "\n!include /etc/offload-e2e/nix.conf\n"
	}
	return ""
}

// register tells Nix's database of the paths: path, deriver, number of references,
// references (nix-store --register-validity, which passes over those it knows).
func (r *realiser) register(ctx context.Context) error {
	paths := r.fresh
	if r.cut {
		paths = r.ours
	}
	if len(paths) == 0 {
		return nil
	}
	var in strings.Builder
	for _, p := range paths {
		refs := r.refs[p]
		fmt.Fprintf(&in, "%s\n\n%d\n", p, len(refs))
		for _, ref := range refs {
			in.WriteString(ref + "\n")
		}
	}
	const list = "/run/offload-e2e-register"
	if err := r.write(list, []byte(in.String()), 0o600, 0, 0); err != nil {
		return err
	}
	defer os.Remove(r.path(list))
	if _, err := r.run(ctx, "sh", "-c", `exec nix-store --register-validity <"$1"`, "sh", r.path(list)); err != nil {
		return fmt.Errorf("register store paths: %w", err)
	}
	return nil
}
