package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"offload-e2e/harness/nixos"
)

// desktopAddr is the desktop's address on the LAN.
const desktopAddr = "192.168.15.7"

// evalOptions are the flags of eval.
type evalOptions struct {
	config, diff, option string
	json, all            bool
}

func newEvalCommand(p *paths) *cobra.Command {
	var o evalOptions
	c := &cobra.Command{
		Use:   "eval {desktop|laptop}",
		Short: "Show what a configuration comes to on a machine",
		Long: `Evaluate a configuration for one machine, without booting it, and print what it
comes to: Nix settings, builders, exports, mounts, firewall, users, units and
commands. Lines with "+" are not as a NixOS without these modules has them.`,
		Example: `  offload-e2e eval laptop
  offload-e2e eval desktop --config /etc/nixos --diff vmconfigs
  offload-e2e eval laptop --option nix.settings.builders`,
		Args:      machineArgument,
		ValidArgs: []string{string(nixos.Desktop), string(nixos.Laptop)},
		RunE: func(c *cobra.Command, args []string) error {
			o.config = cmp.Or(o.config, p.config())
			return p.evaluate(c.Context(), nixos.Role(args[0]), o, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&o.config, "config", "", "folder of the configuration, of the shape of /etc/nixos (default: vmconfigs)")
	f.StringVar(&o.diff, "diff", "", "show how this other configuration differs")
	f.StringVar(&o.option, "option", "", "tell where an option's value comes from, e.g. nix.settings.builders")
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.BoolVar(&o.all, "all", false, "print also what every NixOS has")
	c.MarkFlagsMutuallyExclusive("diff", "option")
	c.MarkFlagsMutuallyExclusive("diff", "json")
	c.MarkFlagsMutuallyExclusive("diff", "all")
	return c
}

// evaluator evaluates hosts with the repository's own modules.
func (p *paths) evaluator(nixBin string) *nixos.Evaluator {
	return &nixos.Evaluator{NixBin: nixBin, Embedded: p.embedded(), Base: []string{p.base()}, StateDir: p.eval()}
}

func (p *paths) evaluate(ctx context.Context, role nixos.Role, o evalOptions, out, progress io.Writer) error {
	host, err := openHost(o.config, role)
	if err != nil {
		return err
	}
	// What is wrong with the flags is said before a minute is spent on an image.
	var other nixos.Host
	if o.diff != "" {
		if other, err = openHost(o.diff, role); err != nil {
			return err
		}
	}
	bin, err := p.nixBin(ctx, sayTo(progress))
	if err != nil {
		return err
	}
	e := p.evaluator(bin)
	switch {
	case o.option != "":
		return p.explainOption(ctx, e, host, o, out)
	case o.diff != "":
		return diffHosts(ctx, e, host, other, o, out)
	}
	c, err := e.Evaluate(ctx, host)
	if err != nil {
		return err
	}
	if o.json {
		return writeJSON(out, c)
	}
	bare, err := e.Evaluate(ctx, nixos.Host{Role: role, Settings: []string{`{ networking.hostName = lib.mkDefault "nixos"; }`}})
	if err != nil {
		return fmt.Errorf("evaluate a host without modules: %w", err)
	}
	fmt.Fprintf(out, "%s (%s) by %s\n", role, c.HostName, p.relative(p.Root, o.config))
	printSections(out, sectionsOf(c), sectionsOf(bare), o.all)
	return nil
}

func openHost(dir string, role nixos.Role) (nixos.Host, error) {
	repo, err := nixos.OpenRepository(dir, desktopAddr)
	if err != nil {
		return nixos.Host{}, err
	}
	return repo.Hosts[role], nil
}

func diffHosts(ctx context.Context, e *nixos.Evaluator, host, other nixos.Host, o evalOptions, out io.Writer) error {
	a, err := e.Evaluate(ctx, host)
	if err != nil {
		return fmt.Errorf("%s: %w", o.config, err)
	}
	b, err := e.Evaluate(ctx, other)
	if err != nil {
		return fmt.Errorf("%s: %w", o.diff, err)
	}
	var text strings.Builder
	diffSections(&text, sectionsOf(a), sectionsOf(b))
	if text.Len() == 0 {
		_, err := fmt.Fprintf(out, "%s: no difference between %s and %s\n", host.Role, o.config, o.diff)
		return err
	}
	_, err = fmt.Fprintf(out, "--- %s\n+++ %s\n%s", o.config, o.diff, text.String())
	return err
}

func (p *paths) explainOption(ctx context.Context, e *nixos.Evaluator, host nixos.Host, o evalOptions, out io.Writer) error {
	found, err := e.Explain(ctx, host, o.option)
	var failed *nixos.EvaluationError
	if errors.As(err, &failed) && strings.Contains(failed.Message, fmt.Sprintf("The option `%s' does not exist", o.option)) {
		return &userError{Heading: "There is no such option", Exit: exitUsage, Cause: err,
			Sentence: fmt.Sprintf("Nothing that is imported on the %s declares %s.", host.Role, o.option),
			WayOut:   fmt.Sprintf("See those there are: offload-e2e eval %s --json", host.Role)}
	}
	if err != nil {
		return err
	}
	option := found[o.option]
	slices.SortStableFunc(option.Definitions, func(a, b nixos.Definition) int { return a.Priority - b.Priority })
	if o.json {
		return writeJSON(out, option)
	}
	// An option without a default that nobody defines, or a member of a set that is open.
	if len(option.Definitions) == 0 && string(option.Value) == `"<error>"` {
		fmt.Fprintf(out, "%s is not set\n", o.option)
	} else {
		fmt.Fprintf(out, "%s = %s\n", o.option, nixText(option.Value, ""))
	}
	if option.Type != "" {
		fmt.Fprintf(out, "  type: %s\n", option.Type)
	}
	if len(option.Definitions) == 0 {
		fmt.Fprintln(out, "  nothing defines it")
		return nil
	}
	fmt.Fprintln(out, "  defined by, the strongest first (a lower priority is stronger):")
	for _, d := range option.Definitions {
		result := "loses"
		if d.Wins {
			result = "wins"
		}
		fmt.Fprintf(out, "  %-5s %s %s\n        %s\n", result, priorityName(d.Priority), p.relative(o.config, d.Position()),
			nixText(d.Value, "        "))
	}
	return nil
}

// relative is a position as a person looks it up: in the configuration, or the
// repository, where it is in one of them.
func (p *paths) relative(config, position string) string {
	for _, base := range []string{config, p.Root} {
		base, err := filepath.Abs(base)
		if err != nil {
			continue
		}
		if rest, ok := strings.CutPrefix(position, base+"/"); ok {
			return rest
		}
	}
	return position
}

// priorityName is a priority with the function that sets it.
func priorityName(priority int) string {
	names := map[int]string{10: "mkVMOverride", 50: "mkForce", 100: "", 1000: "mkDefault", 1500: "the option's default"}
	if name := names[priority]; name != "" {
		return fmt.Sprintf("%d (%s)", priority, name)
	}
	return fmt.Sprint(priority)
}

// nixText writes a JSON value as Nix, over several lines where it is long.
func nixText(raw json.RawMessage, indent string) string {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return string(raw)
	}
	return nixValue(v, indent)
}

func nixValue(v any, indent string) string {
	var parts []string
	var left, right string
	switch v := v.(type) {
	case string:
		return nixos.Quote(v)
	case []any:
		left, right = "[", "]"
		for _, item := range v {
			parts = append(parts, nixValue(item, indent+"  "))
		}
	case map[string]any:
		left, right = "{", "}"
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, fmt.Sprintf("%s = %s;", k, nixValue(v[k], indent+"  ")))
		}
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(text)
	}
	if len(parts) == 0 {
		return left + " " + right
	}
	line := left + " " + strings.Join(parts, " ") + " " + right
	if len(line) <= 80 && !strings.Contains(line, "\n") {
		return line
	}
	return left + "\n" + indent + "  " + strings.Join(parts, "\n"+indent+"  ") + "\n" + indent + right
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
