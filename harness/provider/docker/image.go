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
	// Keys are files that each container gets in /usr/lib/offload-e2e, by name.
	Keys map[string][]byte
}

func (i Image) reference() string { return repository + ":" + i.ID }

// imageAge is for how long images of other guests are kept: another host may use
// the same engine.
const imageAge = 24 * time.Hour

// load makes sure that the engine has the image, and tells whether it is new there.
func (e *Engine) load(ctx context.Context, i Image, say func(string, ...any)) (isNew bool, _ error) {
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	_, err := e.api.ImageInspect(ctx, i.reference())
	if err == nil {
		return false, nil
	}
	if !errdefs.IsNotFound(err) {
		return false, fmt.Errorf("look for the guest's image: %w", err)
	}
	say("giving the guest's root file system to %s", e.Version)
	f, err := os.Open(i.Rootfs)
	if err != nil {
		return false, fmt.Errorf("import the guest's image: %w", err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return false, fmt.Errorf("import the guest's image: %w", err)
	}
	defer z.Close()
	// Podman takes a tag only with the name.
	reply, err := e.api.ImageImport(ctx, client.ImageImportSource{Source: z, SourceName: "-"}, i.reference(), client.ImageImportOptions{
		Message: "guest of offload-e2e", Changes: []string{"LABEL " + labelOurs + "=guest"}})
	if err != nil {
		return false, fmt.Errorf("import the guest's image: %w", err)
	}
	if err := errors.Join(streamError(reply), reply.Close()); err != nil {
		return false, fmt.Errorf("import the guest's image: %w", err)
	}
	return true, nil
}

// Forget removes an image from the engine, unless containers use it.
func (e *Engine) Forget(ctx context.Context, i Image) error {
	return e.removeImage(ctx, i.reference())
}

func (e *Engine) removeImage(ctx context.Context, tag string) error {
	_, err := e.api.ImageRemove(ctx, tag, client.ImageRemoveOptions{PruneChildren: true})
	if errdefs.IsConflict(err) || errdefs.IsNotFound(err) {
		return nil
	}
	return err
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

// removeOldImages removes images of other guests than those, once they are old and
// where no container uses them.
func (e *Engine) removeOldImages(ctx context.Context, keep ...Image) error {
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	used := func(tag string) bool {
		return slices.ContainsFunc(keep, func(i Image) bool { return strings.HasSuffix(tag, ":"+i.ID) })
	}
	images, err := e.api.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("reference", repository)})
	if err != nil {
		return fmt.Errorf("look for images of earlier guests: %w", err)
	}
	for _, image := range images.Items {
		if time.Since(time.Unix(image.Created, 0)) < imageAge || slices.ContainsFunc(image.RepoTags, used) {
			continue
		}
		for _, tag := range image.RepoTags {
			// One that another lab uses stays, until the next import.
			if err := e.removeImage(ctx, tag); err != nil {
				return fmt.Errorf("remove the image of an earlier guest: %w", err)
			}
		}
	}
	return nil
}
