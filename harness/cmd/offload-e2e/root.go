package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newRoot is the command with all its verbs.
func newRoot(p *paths) *cobra.Command {
	root := &cobra.Command{
		Use:   "offload-e2e",
		Short: "Prove that a laptop offloads its Nix builds to a desktop",
		Long: `offload-e2e boots a desktop and a laptop on a private LAN, applies a NixOS
configuration to them, and proves what it promises: remote builds, a binary
cache, the store over NFS, and builds that go on when the desktop is away.

Exit status: 0 all holds, 1 the configuration is broken, 2 wrong usage or the
configuration does not evaluate, 3 this machine is in the way.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			err := fmt.Errorf("there is no verb %q", args[0])
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
			}
			return err
		},
		SuggestionsMinimumDistance: 2,
		CompletionOptions:          cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.AddCommand(verbs(p)...)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError(c.CommandPath(), err) })
	for _, c := range allCommands(root) {
		check := c.Args
		if check == nil {
			check = cobra.NoArgs
		}
		c.Args = func(c *cobra.Command, args []string) error {
			// The flags are parsed by now; cobra itself looks at groups later.
			if err := errors.Join(check(c, args), c.ValidateRequiredFlags(), c.ValidateFlagGroups()); err != nil {
				return usageError(c.CommandPath(), err)
			}
			return nil
		}
	}
	return root
}

// allCommands are a command and all below it.
func allCommands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, below := range c.Commands() {
		all = append(all, allCommands(below)...)
	}
	return all
}

// machineArgument wants the name of one machine.
func machineArgument(_ *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return errors.New("say which machine: desktop or laptop")
	case len(args) > 1:
		return fmt.Errorf("one machine at a time, not %q", args)
	case args[0] != "desktop" && args[0] != "laptop":
		return fmt.Errorf("there is no machine %q: it is desktop or laptop", args[0])
	}
	return nil
}
