package check

import "offload-e2e/harness/provider"

// nixCommand is a call of the new command line (nix3(1)), wherever it is enabled.
func nixCommand(args ...string) provider.Command {
	return provider.Cmd(append([]string{"nix", "--extra-experimental-features", "nix-command"}, args...)...)
}
