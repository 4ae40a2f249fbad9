package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"
)

// Labels of what is ours with an engine.
const (
	labelOurs    = "org.offload-e2e"         // machine, snapshot or guest
	labelLab     = "org.offload-e2e.lab"     // which lab's
	labelMachine = "org.offload-e2e.machine" // which machine of it
)

// LabOf names the lab of a state folder of this host, of which there is one at a
// time: whatever with that name is there before it begins was left by a killed one.
func LabOf(stateDir string) string {
	host, _ := os.ReadFile("/etc/machine-id")
	name, _ := os.Hostname()
	sum := sha256.Sum256([]byte(string(host) + "\x00" + name + "\x00" + stateDir))
	return hex.EncodeToString(sum[:8])
}

// marker says in a state folder that containers of a lab may be there, and where.
type marker struct {
	Host string `json:"host"`
	Lab  string `json:"lab"`
}

const markerName = "docker.json"

func writeMarker(stateDir string, m marker) error {
	text, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(filepath.Join(stateDir, markerName), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("remember the lab's containers: %w", err)
	}
	return nil
}

// Sweep removes what the lab of a state folder left with its engine, if it was one of
// containers. It is idempotent.
func Sweep(ctx context.Context, stateDir string) error {
	text, err := os.ReadFile(filepath.Join(stateDir, markerName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	var m marker
	if err := json.Unmarshal(text, &m); err != nil || m.Lab == "" {
		// Cut off as it was written: before anything was made.
		return nil //nolint:nilerr
	}
	e, err := Connect(ctx)
	if err != nil {
		return fmt.Errorf("remove the containers of a lab that was killed: %w", err)
	}
	if e.Host != m.Host {
		return errors.Join(fmt.Errorf("remove the containers of a lab that was killed: they are at %s (set DOCKER_HOST)", m.Host), e.Close())
	}
	return errors.Join(e.sweep(ctx, m.Lab), e.Close())
}

// find lists what is a lab's: containers, and images of snapshots. A container's
// volumes have no name, and go with it.
func (e *Engine) find(ctx context.Context, lab string) ([]container.Summary, []image.Summary, error) {
	ours := make(client.Filters).Add("label", labelLab+"="+lab)
	containers, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return nil, nil, fmt.Errorf("look for the lab's containers: %w", err)
	}
	images, err := e.api.ImageList(ctx, client.ImageListOptions{Filters: ours})
	if err != nil {
		return nil, nil, fmt.Errorf("look for the lab's snapshots: %w", err)
	}
	return containers.Items, images.Items, nil
}

// Left says what is there of a lab.
func (e *Engine) Left(ctx context.Context, lab string) ([]string, error) {
	containers, images, err := e.find(ctx, lab)
	var left []string
	for _, c := range containers {
		left = append(left, "container "+c.ID)
	}
	for _, i := range images {
		left = append(left, "image "+i.ID)
	}
	return left, err
}

// sweep removes all that is a lab's, and returns once nothing is listed: an engine
// whose client was killed still makes what it was asked for, and lists it before it
// can be removed.
func (e *Engine) sweep(ctx context.Context, lab string) error {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		containers, images, err := e.find(ctx, lab)
		if err != nil || len(containers)+len(images) == 0 {
			return err
		}
		if err := e.removeAll(ctx, containers, images); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("remove the lab's containers: %d are still there: %w", len(containers), ctx.Err())
		}
	}
}

func (e *Engine) removeAll(ctx context.Context, containers []container.Summary, images []image.Summary) error {
	var g errgroup.Group
	for _, c := range containers {
		g.Go(func() error { return e.remove(ctx, c.ID) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var errs []error
	for _, i := range images {
		if _, err := e.api.ImageRemove(ctx, i.ID, client.ImageRemoveOptions{Force: true, PruneChildren: true}); err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("remove a snapshot: %w", err))
		}
	}
	return errors.Join(errs...)
}

// remove removes a container, whatever it does, and its volumes, and returns once it
// is gone: an engine that is busy with it, still making it or removing it already,
// is asked again.
func (e *Engine) remove(ctx context.Context, id string) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := e.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if err == nil || errdefs.IsNotFound(err) {
			return nil
		}
		if !errdefs.IsConflict(err) {
			return fmt.Errorf("remove a container: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("remove a container: %w", err)
		}
	}
}
