package nixguest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/nixos"
)

// BuildError is a build that failed, with its last lines.
type BuildError struct {
	What string
	Log  string
}

func (e *BuildError) Error() string {
	return fmt.Sprintf("nix does not build %s; its last lines:\n%s", e.What, e.Log)
}

// build builds a derivation and returns its output's path, which is kept from
// garbage collection by the link of that name in the state folder.
func (n *Nix) build(ctx context.Context, what, derivation, link string, say func(format string, args ...any)) (string, error) {
	link = filepath.Join(n.StateDir, link)
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return "", fmt.Errorf("keep %s: %w", what, err)
	}
	out, err := n.run(ctx, newWatcher(say), "build", "--print-out-paths", "--print-build-logs", "--out-link", link, derivation+"^out")
	var failed *runError
	switch {
	case errors.As(err, &failed):
		return "", &BuildError{what, failed.stderr}
	case err != nil:
		return "", fmt.Errorf("build %s: %w", what, err)
	}
	made := strings.TrimSpace(out)
	if !strings.HasPrefix(made, "/") || strings.ContainsAny(made, "\n ") {
		return "", fmt.Errorf("build %s: nix build printed %.200q, not the one path it made", what, out)
	}
	return made, nil
}

// BuildSystem builds the system of a configuration; nothing is done where that was
// built before.
func (n *Nix) BuildSystem(ctx context.Context, c *nixos.Configuration, say func(format string, args ...any)) (string, error) {
	if c.Toplevel != "" {
		return c.Toplevel, nil
	}
	if c.Derivation == "" {
		return "", fmt.Errorf("the configuration of %s was not evaluated for a NixOS guest", c.HostName)
	}
	return n.build(ctx, "the system of "+c.HostName, c.Derivation, filepath.Join("systems", c.HostName), say)
}

// Base evaluates and builds what a machine is before the user's configuration, and
// what it boots.
func (g *Guests) Base(ctx context.Context, role nixos.Role, hostName string, say func(format string, args ...any)) (*nixos.Configuration, *guest.Image, error) {
	h := nixos.Host{Role: role, Settings: []string{fmt.Sprintf(`{ networking.hostName = %s; }`, nixos.Quote(hostName))}}
	kind := "bundle"
	if g.Containers {
		kind = "rootfs"
	}
	c, bundle, err := g.evaluate(ctx, h, kind)
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("evaluate the machine's own base (this is not your configuration's fault): %w", errors.New(err.Error()))
	}
	dir, err := g.build(ctx, "the "+string(role)+"'s guest image", bundle, filepath.Join("images", string(role)+"-"+kind), say)
	if err != nil {
		return nil, nil, err
	}
	img, err := guest.Open(dir, filepath.Join(g.StateDir, "keys"))
	if err != nil {
		return nil, nil, err
	}
	c.Toplevel = img.Toplevel
	return c, img, nil
}
