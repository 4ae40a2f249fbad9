package lab

import (
	"context"
	"fmt"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
)

// probeSandbox builds a path that nobody has, named $1, with sandbox = $2, and without
// falling back to none (nix.conf(5), sandbox-fallback).
const probeSandbox = `exec nix-build --no-out-link --quiet --quiet --option substitute false --option builders '' \
--option sandbox-fallback false --option sandbox "$2" --argstr name "$1" -E '{ name }: derivation {
  inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo > $out" ];
  preferLocalBuild = true; }'`

// findSandbox finds out, on machines that run on a kernel that is not their own,
// whether it lets Nix build in a sandbox: Nix tries. Where it does not,
// Lab.NoSandbox says why.
func (l *Lab) findSandbox(ctx context.Context) error {
	if l.options.Provider != Docker {
		return nil
	}
	build := func(sandbox string) (provider.Result, error) {
		return l.Desktop.Exec(ctx, provider.Cmd("sh", "-c", probeSandbox, "sh", "sandbox-"+sandbox+"-"+Nonce(), sandbox))
	}
	inside, err := build("true")
	if err != nil || inside.OK() {
		return err
	}
	outside, err := build("false")
	if err != nil {
		return err
	}
	if err := outside.Err(); err != nil {
		return fmt.Errorf("try whether Nix builds on the %s: %w", nixos.Desktop, err)
	}
	said := strings.Join(strings.Fields(string(inside.Stderr)), " ")
	if i := strings.LastIndex(said, "error: "); i >= 0 {
		said = said[i+len("error: "):]
	}
	l.NoSandbox = "the engine's host lets Nix make no sandbox in containers: " + said
	return nil
}
