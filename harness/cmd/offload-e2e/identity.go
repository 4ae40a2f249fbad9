package main

import (
	"github.com/spf13/cobra"

	"offload-e2e/harness/internet"
)

// newIdentityCommand makes the identity of the internet's stand-in, for guests that
// are built before a lab is there: vmconfigs/guests/check.nix.
func newIdentityCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "identity <file>",
		Short:  "Keep the internet's identity in a file, and print the certificate to trust",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := internet.LoadIdentity(args[0])
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(id.CACertPEM())
			return err
		},
	}
}
