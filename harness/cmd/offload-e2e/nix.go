package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"offload-e2e/harness/guest"
)

// Oldest Nix that evaluates vmconfigs/embedded.
const oldestNixMajor, oldestNixMinor = 2, 18

// nixBin is a folder with Nix's programs: the guest image's where there is one,
// else those installed here, else the guest image's, which is built now.
func (p *paths) nixBin(ctx context.Context, say func(format string, args ...any)) (string, error) {
	recipe, err := guest.LoadRecipe(p.recipe())
	if err != nil {
		return "", err
	}
	store := p.imageStore(say)
	if img, err := store.Find(recipe); err == nil {
		return img.NixBin(), nil
	}
	if bin, _, ok := installedNix(ctx); ok {
		return bin, nil
	}
	img, err := store.Get(ctx, recipe)
	if err != nil {
		return "", fmt.Errorf("evaluate with the guest image's Nix (none is installed): %w", err)
	}
	return img.NixBin(), nil
}

// installedNix is the folder of a Nix on PATH that is new enough, with its version.
func installedNix(ctx context.Context) (bin, version string, ok bool) {
	program, err := exec.LookPath("nix-instantiate")
	if err != nil {
		return "", "", false
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--version")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", "", false
	}
	match := regexp.MustCompile(`\(Nix\) (\d+)\.(\d+)\S*`).FindSubmatch(out)
	if match == nil {
		return "", "", false
	}
	major, _ := strconv.Atoi(string(match[1]))
	minor, _ := strconv.Atoi(string(match[2]))
	newEnough := major > oldestNixMajor || major == oldestNixMajor && minor >= oldestNixMinor
	return filepath.Dir(program), string(match[0][len("(Nix) "):]), newEnough
}

// newNixBinCommand prints the folder of Nix's programs, for `make test`.
func newNixBinCommand(p *paths) *cobra.Command {
	return &cobra.Command{
		Use:    "nix-bin",
		Short:  "Print the folder of the Nix that evaluates",
		Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			bin, err := p.nixBin(c.Context(), sayTo(c.ErrOrStderr()))
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), bin)
			}
			return err
		},
	}
}
