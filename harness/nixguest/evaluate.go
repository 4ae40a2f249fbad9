package nixguest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"offload-e2e/harness/nixos"
)

// Guests are NixOS guests as this repository makes them.
type Guests struct {
	*Nix
	// Authority is the file, PEM, of the authority that guests trust besides the
	// public ones; "" is none.
	Authority string
	// Containers says that guests are containers, which have neither kernel nor disk.
	Containers bool
}

// Evaluate evaluates a host's modules by NixOS's own. The configuration names the
// derivation of the system. Errors are *nixos.EvaluationError and
// *nixos.AssertionError where the configuration is to blame.
func (g *Guests) Evaluate(ctx context.Context, h nixos.Host) (*nixos.Configuration, error) {
	c, _, err := g.evaluate(ctx, h, "toplevel")
	return c, err
}

// evaluated is what one evaluation tells.
type evaluated struct {
	Configuration string `json:"configuration"`
	// Derivation is null where assertions failed.
	Derivation *string `json:"derivation"`
}

// evaluate evaluates a host, and instantiates what is to be built of it: its
// "toplevel", its "bundle" or its "rootfs".
func (g *Guests) evaluate(ctx context.Context, h nixos.Host, what string) (*nixos.Configuration, string, error) {
	out, err := g.run(ctx, nil, "eval", "--json", "--impure", "--show-trace", "--expr", g.expression(h, what))
	if err != nil {
		return nil, "", g.blame(h, err)
	}
	var e evaluated
	c := &nixos.Configuration{}
	if err = json.Unmarshal([]byte(out), &e); err == nil {
		err = json.Unmarshal([]byte(e.Configuration), c)
	}
	if err != nil || c.Schema == 0 {
		return nil, "", fmt.Errorf("evaluate the %s: vmconfigs/guests rendered something else than a Configuration: %w", h.Role, errors.Join(err, fmt.Errorf("nix eval printed %.200q", out)))
	}
	if len(c.Assertions) > 0 || e.Derivation == nil {
		return nil, "", &nixos.AssertionError{Role: h.Role, Messages: c.Assertions}
	}
	if what == "toplevel" {
		c.Derivation = *e.Derivation
	}
	return c, *e.Derivation, nil
}

// expression is what is evaluated: vmconfigs/guests, of the nixpkgs that was found.
func (g *Guests) expression(h nixos.Host, what string) string {
	var expr strings.Builder
	fmt.Fprintf(&expr, "let guests = import %s { nixpkgs = builtins.getFlake (builtins.flakeRefToString (builtins.fromJSON %s)); };\n",
		absolute(filepath.Join(g.Flake, "guests")), nixos.Quote(string(g.Locked)))
	expr.WriteString("machine = guests.machine {\n")
	if g.Authority != "" {
		fmt.Fprintf(&expr, "  certificateFiles = [ %s ];\n", absolute(g.Authority))
	}
	if g.Containers {
		expr.WriteString("  isContainer = true;\n")
	}
	expr.WriteString("  modules = [\n")
	for _, m := range h.Modules {
		fmt.Fprintf(&expr, "    %s\n", absolute(m))
	}
	for i, s := range h.Settings {
		fmt.Fprintf(&expr, "    %s\n", nixos.SettingModule(h.Role, i, s))
	}
	made := "machine.config.system.build.toplevel"
	switch what {
	case "bundle":
		made = "(guests.bundle { inherit machine; })"
	case "rootfs":
		made = "(guests.rootfs machine)"
	}
	fmt.Fprintf(&expr, `  ];
}; configuration = guests.configuration machine;
in { inherit configuration;
  derivation = if (builtins.fromJSON configuration).assertions == [ ] then %s.drvPath else null; }`, made)
	return expr.String()
}

// absolute writes a path, which may hold any character.
func absolute(p string) string { return "(/. + " + nixos.Quote(p) + ")" }

// blame tells a configuration that does not evaluate from a nix that cannot.
func (g *Guests) blame(h nixos.Host, err error) error {
	var failed *runError
	if !errors.As(err, &failed) {
		return err
	}
	if !failed.says("error:") || failed.says("cannot connect to socket", "unable to download", "Could not resolve", "SQLite database", "No space left on device") {
		return fmt.Errorf("evaluate the %s: %w", h.Role, err)
	}
	return &nixos.EvaluationError{Role: h.Role, Message: nixos.CleanMessage(failed.stderr, "/nix/store")}
}
