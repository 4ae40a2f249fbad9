package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"offload-e2e/harness/guest"
)

// imageStore keeps the guest images. OFFLOAD_E2E_MIRROR is the Debian mirror
// they are built from.
func (p *paths) imageStore(say func(format string, args ...any)) *guest.Store {
	return &guest.Store{Dir: p.images(), Mirror: os.Getenv(mirrorVariable), Say: say}
}

// image is the guest image of the repository's recipe, built now where it is
// missing or damaged.
func (p *paths) image(ctx context.Context, say func(format string, args ...any)) (*guest.Image, error) {
	recipe, err := guest.LoadRecipe(p.recipe())
	if err != nil {
		return nil, err
	}
	return p.imageStore(say).Get(ctx, recipe)
}

// imageKey prints the hash that the guest image is kept by.
func (p *paths) imageKey(out io.Writer) error {
	recipe, err := guest.LoadRecipe(p.recipe())
	if err != nil {
		return err
	}
	hash, err := recipe.Hash()
	if err == nil {
		_, err = fmt.Fprintln(out, hash)
	}
	return err
}
