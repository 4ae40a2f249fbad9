package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/scenario"
)

// against is the gate for a change: what it does to the machines' configurations is
// shown first, in seconds and with no machine; then the four phases are run, and of
// the rest what the change can affect.
func (p *paths) against(ctx context.Context, o gateOptions, base string, scenarios []*scenario.Scenario, out io.Writer) error {
	tmp, err := os.MkdirTemp("", "offload-e2e-base-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	config := abs(mustWorkingDir(), o.config)
	if err := checkoutBase(ctx, config, base, tmp); err != nil {
		return err
	}
	changed, err := p.configurationDiff(ctx, base, tmp, config, out)
	if err != nil {
		return err
	}
	part := affected(changed)
	fmt.Fprintf(out, "\nTo be run: the four phases%s\n", part.words())
	run := o.runOptions
	run.labels = part.labels()
	runErr := p.run(ctx, run, nil, out)
	var status exitStatus
	if len(scenarios) == 0 || runErr != nil && !errors.As(runErr, &status) {
		return runErr
	}
	var mine []*scenario.Scenario
	for _, s := range scenarios {
		if part.layers[s.Layer] {
			mine = append(mine, s)
		}
	}
	if len(mine) == 0 {
		return runErr
	}
	gateErr := p.gate(ctx, o, mine, nil, out)
	if runErr != nil {
		return runErr // the verdict; the scenarios' is in their report
	}
	return gateErr
}

// checkoutBase writes a configuration as it is in another revision into an empty
// folder. The user's own tree, index and branches are left alone.
func checkoutBase(ctx context.Context, config, base, dir string) error {
	refuse := func(err error) error {
		return &userError{Heading: "The base revision cannot be had", Sentence: err.Error(), Exit: exitUsage, Cause: err,
			WayOut: "--base is a commit, tag or branch that git has here, e.g. origin/main: git fetch it first, with its history (actions/checkout: fetch-depth: 0)."}
	}
	git := func(dir string, args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		text, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
		}
		return text, nil
	}
	prefix, err := git(config, "rev-parse", "--show-prefix")
	if err != nil {
		return refuse(err)
	}
	commit, err := git(config, "rev-parse", "--verify", "--quiet", "--end-of-options", base+"^{commit}")
	if err != nil {
		return refuse(fmt.Errorf("there is no revision %q in the repository of %s", base, config))
	}
	tree := strings.TrimSpace(string(commit)) + ":" + strings.TrimSuffix(strings.TrimSpace(string(prefix)), "/")
	// From the top: in a folder, archive looks for the tree's path below it.
	top, err := git(config, "rev-parse", "--show-toplevel")
	if err != nil {
		return refuse(err)
	}
	archive, err := git(strings.TrimSuffix(string(top), "\n"), "archive", "--format=tar", tree)
	if err != nil {
		return refuse(err)
	}
	return untar(archive, dir)
}

// untar unpacks an archive of git's; what would leave the folder is refused.
func untar(archive []byte, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("unpack the base revision: %w", err)
		}
		name := filepath.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			err = root.Symlink(h.Linkname, name)
		case tar.TypeReg:
			err = writeIn(root, name, r, h.FileInfo().Mode().Perm())
		}
		if err != nil {
			return fmt.Errorf("unpack the base revision: %w", err)
		}
	}
}

func writeIn(root *os.Root, name string, r io.Reader, mode fs.FileMode) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// change is a thing of a configuration that differs, with its section's title.
type change struct{ section, key string }

// configurationDiff shows how a change differs from its base on both machines, as
// eval --diff does, and gives what differs.
func (p *paths) configurationDiff(ctx context.Context, base, dir, config string, out io.Writer) ([]change, error) {
	roles := []nixos.Role{nixos.Desktop, nixos.Laptop}
	var hosts [2][2]nixos.Host
	for i, where := range []string{dir, config} {
		for j, role := range roles {
			host, err := openHost(where, role)
			if err != nil && i == 0 {
				return nil, fmt.Errorf("at %s: %w", base, err)
			} else if err != nil {
				return nil, err
			}
			hosts[i][j] = host
		}
	}
	bin, err := p.nixBin(ctx, sayTo(out))
	if err != nil {
		return nil, err
	}
	e := p.evaluator(bin)
	var evaluated [2][2][]section
	g, evaluating := errgroup.WithContext(ctx)
	for i := range hosts {
		for j, host := range hosts[i] {
			g.Go(func() error {
				c, err := e.Evaluate(evaluating, host)
				if err != nil && i == 0 {
					return fmt.Errorf("at %s: %w", base, err)
				} else if err != nil {
					return err
				}
				evaluated[i][j] = sectionsOf(c)
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var changed []change
	for j, role := range roles {
		var text strings.Builder
		diffSections(&text, evaluated[0][j], evaluated[1][j])
		if text.Len() == 0 {
			fmt.Fprintf(out, "%s: it comes to the same as at %s\n", role, base)
			continue
		}
		fmt.Fprintf(out, "--- %s at %s\n+++ %s now\n%s\n", role, base, role, text.String())
		changed = append(changed, changes(evaluated[0][j], evaluated[1][j])...)
	}
	return changed, nil
}

// changes are the items that are not the same in both.
func changes(a, b []section) []change {
	var out []change
	for i := range a {
		before, after := map[item]bool{}, map[item]bool{}
		for _, it := range a[i].items {
			before[it] = true
		}
		for _, it := range b[i].items {
			after[it] = true
		}
		for _, list := range []struct {
			items []item
			other map[item]bool
		}{{a[i].items, after}, {b[i].items, before}} {
			for _, it := range list.items {
				if c := (change{a[i].title, it.key}); !list.other[it] {
					out = append(out, c)
				}
			}
		}
	}
	return out
}
