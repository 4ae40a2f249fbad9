package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"offload-e2e/harness/provider"
)

// cut is a snapshot: for each machine an image of its container's own layer, and
// archives of its volumes, which images do not hold.
type cut map[string]savedMachine

type savedMachine struct {
	image    string
	archives []string // files, one a volume
}

// Snapshot keeps the disks of all machines, stopped for the moment: what runs is not
// in it.
func (p *Provider) Snapshot(ctx context.Context, name string) error {
	made := make([]savedMachine, len(p.machines))
	index := map[*Machine]int{}
	for i, m := range p.machines {
		index[m] = i
	}
	if err := p.each(ctx, func(ctx context.Context, m *Machine) error {
		kept, err := m.transport.Exec(ctx, provider.Cmd("sh", "-c", keep))
		if err := errors.Join(err, kept.Err()); err != nil {
			return fmt.Errorf("keep what the engine empties: %w", err)
		}
		return m.Freeze(ctx)
	}); err != nil {
		return fmt.Errorf("snapshot %s: %w", name, err)
	}
	number := len(p.cuts)
	err := p.each(ctx, func(ctx context.Context, m *Machine) (err error) {
		made[index[m]], err = m.save(ctx, strconv.Itoa(number))
		return err
	})
	if err := errors.Join(err, p.each(context.WithoutCancel(ctx), func(ctx context.Context, m *Machine) error { return m.Thaw(ctx) })); err != nil {
		return fmt.Errorf("snapshot %s: %w", name, err)
	}
	c := cut{}
	for i, m := range p.machines {
		c[m.name] = made[i]
	}
	p.cuts[name] = c
	return nil
}

// save commits the container, and archives its volumes.
func (m *Machine) save(ctx context.Context, suffix string) (savedMachine, error) {
	committed, err := m.lab.engine.api.ContainerCommit(ctx, m.container(), client.ContainerCommitOptions{
		NoPause: true,
		Config:  &container.Config{}, // Podman reads one
		Changes: []string{"LABEL " + labelOurs + "=snapshot " + labelLab + "=" + m.lab.options.Lab}})
	if err != nil {
		return savedMachine{}, fmt.Errorf("commit the container: %w", err)
	}
	saved := savedMachine{image: committed.ID}
	for i, v := range volumes {
		path := filepath.Join(m.lab.stateDir, fmt.Sprintf("%s-%s-%d.tar", m.name, suffix, i))
		if err := m.archive(ctx, v, path); err != nil {
			return saved, err
		}
		saved.archives = append(saved.archives, path)
	}
	return saved, nil
}

// wayOf are the paths by which a volume's content is copied from a container, and to
// one: those of the folder it is in, as Docker refuses links that lead out of where it
// unpacks. Podman would unpack into the image below; it takes the volume itself.
func (e *Engine) wayOf(volume string) (from, to string) {
	if e.podman {
		return volume + "/.", volume
	}
	return volume, filepath.Dir(volume)
}

func (m *Machine) archive(ctx context.Context, volume, path string) error {
	fail := func(err error) error { return fmt.Errorf("archive %s: %w", volume, err) }
	source, _ := m.lab.engine.wayOf(volume)
	from, err := m.lab.engine.api.CopyFromContainer(ctx, m.container(), client.CopyFromContainerOptions{SourcePath: source})
	if err != nil {
		return fail(err)
	}
	defer from.Content.Close()
	to, err := os.Create(path)
	if err != nil {
		return fail(err)
	}
	if _, err := io.Copy(to, from.Content); err != nil {
		return errors.Join(fail(err), to.Close())
	}
	return to.Close()
}

// Restore replaces all machines by new ones with the disks of a snapshot, and boots
// them.
func (p *Provider) Restore(ctx context.Context, name string) error {
	c, ok := p.cuts[name]
	if !ok {
		return fmt.Errorf("restore %s: there is no such snapshot", name)
	}
	err := p.each(ctx, func(ctx context.Context, m *Machine) error { return m.restore(ctx, c[m.name]) })
	if err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	return nil
}

func (m *Machine) restore(ctx context.Context, saved savedMachine) error {
	m.power.Lock()
	defer m.power.Unlock()
	m.mu.Lock()
	m.resting = true
	old := m.id
	m.mu.Unlock()
	m.leave()
	if err := m.lab.engine.remove(ctx, old); err != nil {
		return err
	}
	if err := m.create(ctx, saved.image); err != nil {
		return err
	}
	for i, path := range saved.archives {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, to := m.lab.engine.wayOf(volumes[i])
		_, err = m.lab.engine.api.CopyToContainer(ctx, m.container(), client.CopyToContainerOptions{
			DestinationPath: to, Content: io.NopCloser(f)})
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("fill %s: %w", volumes[i], err)
		}
	}
	return m.start(ctx)
}
