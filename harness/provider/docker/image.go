package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"
	"github.com/moby/moby/client"
)

// repository is the name of guest images with the engine; their tag is the guest's
// content hash. The name leads to no registry: nothing is ever pulled.
const repository = "localhost/offload-e2e/guest"

// importTimeout bounds sending an image to an engine that may be far away.
const importTimeout = 5 * time.Minute

// Image is a guest's root file system.
type Image struct {
	// ID is the guest's content hash, and the beginning of this file's own: of two
	// guests built by one recipe each has keys of its own.
	ID string
	// Rootfs is a file: tar(5), compressed by zstd(1).
	Rootfs string
}

func (i Image) reference() string { return repository + ":" + i.ID }

// imageAge is for how long images of other guests are kept: another host may use
// the same engine.
const imageAge = 24 * time.Hour

// load makes sure that the engine has the image. Images of other guests that no
// container uses are removed once they are old.
func (e *Engine) load(ctx context.Context, i Image, say func(string, ...any)) error {
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	_, err := e.api.ImageInspect(ctx, i.reference())
	if err == nil {
		return nil
	}
	if !errdefs.IsNotFound(err) {
		return fmt.Errorf("look for the guest's image: %w", err)
	}
	say("giving the guest's root file system to %s", e.Version)
	f, err := os.Open(i.Rootfs)
	if err != nil {
		return fmt.Errorf("import the guest's image: %w", err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return fmt.Errorf("import the guest's image: %w", err)
	}
	defer z.Close()
	// Podman takes a tag only with the name.
	reply, err := e.api.ImageImport(ctx, client.ImageImportSource{Source: z, SourceName: "-"}, i.reference(), client.ImageImportOptions{
		Message: "guest of offload-e2e", Changes: []string{"LABEL " + labelOurs + "=guest"}})
	if err != nil {
		return fmt.Errorf("import the guest's image: %w", err)
	}
	if err := errors.Join(streamError(reply), reply.Close()); err != nil {
		return fmt.Errorf("import the guest's image: %w", err)
	}
	return e.removeOldImages(ctx, i)
}

// streamError is the error in a stream of progress messages, which the engine sends
// with the status of success.
func streamError(r io.Reader) error {
	for d := json.NewDecoder(r); ; {
		var message struct {
			Error string `json:"error"`
		}
		switch err := d.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case message.Error != "":
			return errors.New(message.Error)
		}
	}
}

func (e *Engine) removeOldImages(ctx context.Context, keep Image) error {
	images, err := e.api.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("reference", repository)})
	if err != nil {
		return fmt.Errorf("look for images of earlier guests: %w", err)
	}
	for _, image := range images.Items {
		if time.Since(time.Unix(image.Created, 0)) < imageAge || slices.ContainsFunc(image.RepoTags, func(tag string) bool { return strings.HasSuffix(tag, ":"+keep.ID) }) {
			continue
		}
		for _, tag := range image.RepoTags {
			// One that another lab uses stays, until the next import.
			if _, err := e.api.ImageRemove(ctx, tag, client.ImageRemoveOptions{PruneChildren: true}); err != nil && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) {
				return fmt.Errorf("remove the image of an earlier guest: %w", err)
			}
		}
	}
	return nil
}
