package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// memoryTimeout bounds the saving or loading of one machine's memory, which
// takes a second for 1 GiB.
const memoryTimeout = 3 * time.Minute

// saveMemory writes a stopped machine's migration stream to out.
//
// QEMU writes to a pipe of ours rather than to the file: every version can do
// that, no shell quotes a path, its closing tells that all of it is there, and
// the sum costs no second reading.
func (m *Machine) saveMemory(ctx context.Context, out io.Writer) (sum fileSum, err error) {
	ctx, cancel := context.WithTimeout(ctx, memoryTimeout)
	defer cancel()
	p, err := m.running()
	if err != nil {
		return fileSum{}, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fileSum{}, err
	}
	limit := map[string]any{"max-bandwidth": int64(fasterThanAnyDisk)}
	err = p.qmp.Execute(ctx, "migrate-set-parameters", limit, nil)
	if err == nil {
		err = p.qmp.PassFile(ctx, "state", w)
	}
	// From here on QEMU's is the only writing end.
	if err = errors.Join(err, w.Close()); err != nil {
		return fileSum{}, errors.Join(err, r.Close())
	}
	copied := make(chan error, 1)
	go func() {
		var err error
		sum, err = copySummed(out, r)
		// On a full disk, closing is what ends QEMU's writing.
		copied <- errors.Join(err, r.Close())
	}()
	err = p.qmp.Execute(ctx, "migrate", map[string]string{"uri": "fd:state"}, nil)
	if err == nil {
		err = p.migrated(ctx)
	}
	if err != nil {
		_ = r.SetReadDeadline(time.Now())
	}
	if copyErr := <-copied; copyErr != nil && !errors.Is(copyErr, os.ErrDeadlineExceeded) {
		err = errors.Join(copyErr, err)
	}
	return sum, err
}

// migrated waits until a migration, out or in, has completed.
func (p *process) migrated(ctx context.Context) error {
	return poll(ctx, 10*time.Millisecond, func() (bool, error) {
		var info struct {
			Status string `json:"status"`
			Error  string `json:"error-desc"`
		}
		if err := p.qmp.Execute(ctx, "query-migrate", nil, &info); err != nil {
			return false, err
		}
		switch info.Status {
		case "completed":
			return true, nil
		case "failed", "cancelled":
			return false, fmt.Errorf("QEMU's migration %s: %s", info.Status, info.Error)
		}
		return false, nil
	})
}

// restoreSaved brings the machines up from Options.SavedState.
func (p *Provider) restoreSaved(ctx context.Context) error {
	dir := p.options.SavedState
	saved, err := readState(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("saved state %s is missing: %w", dir, err)
	}
	if err != nil {
		return fmt.Errorf("saved state %s is damaged: %w", dir, err)
	}
	want, err := p.describe(ctx)
	if err != nil {
		return err
	}
	if why := saved.differs(want); why != "" {
		return fmt.Errorf("saved state %s does not fit: %s", dir, why)
	}
	err = p.each(ctx, func(ctx context.Context, m *Machine) error {
		if err := m.load(ctx, dir, *saved.machine(m.name)); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		return nil
	})
	if err == nil {
		err = p.resumeReady(ctx)
	}
	if err != nil {
		return fmt.Errorf("saved state %s: %w", dir, err)
	}
	return nil
}

// maxManifest bounds a manifest, in bytes: some 1 KiB a machine.
const maxManifest = 1 << 20

func readState(dir string) (*savedState, error) {
	f, err := os.Open(filepath.Join(dir, stateManifest))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	var s savedState
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// load starts the machine, stopped, from a saved one. Its files are linked into
// the machine's folder first, so that a replaced or removed state does not
// matter from there on; the links are what is checked.
func (m *Machine) load(ctx context.Context, dir string, s savedMachine) error {
	m.hardware.layers = nil
	for i, layer := range s.Layers {
		file := filepath.Join(m.dir, fmt.Sprintf("layer%d%s", i, diskSuffix))
		if err := linkFile(filepath.Join(dir, layer.File), file); err != nil {
			return err
		}
		if sum, err := sumFile(file); err != nil || sum != layer.fileSum {
			return errors.Join(fmt.Errorf("%s is damaged", layer.File), err)
		}
		m.hardware.layers = append(m.hardware.layers, file)
	}
	top := m.hardware.layers[len(m.hardware.layers)-1]
	if err := createOverlay(ctx, m.lab.options.ImageTool, m.hardware.overlay, top, "qcow2"); err != nil {
		return err
	}
	return m.loadMemory(ctx, filepath.Join(dir, s.Memory.File), s.Memory.fileSum)
}

// loadMemory starts the machine from a migration stream, and leaves it stopped.
// The sum is taken as QEMU reads: a damaged stream is known before the guest
// runs a single instruction of it.
func (m *Machine) loadMemory(ctx context.Context, file string, want fileSum) (err error) {
	ctx, cancel := context.WithTimeout(ctx, memoryTimeout)
	defer cancel()
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	p, err := m.start(ctx, true, r)
	// From here on QEMU's is the only reading end.
	_ = r.Close()
	if err != nil {
		return errors.Join(err, w.Close())
	}
	fed := make(chan error, 1)
	go func() {
		sum, err := copySummed(w, in)
		err = errors.Join(err, w.Close())
		if err == nil && sum != want {
			err = fmt.Errorf("%s is damaged", filepath.Base(file))
		}
		fed <- err
	}()
	if err = p.migrated(ctx); err != nil {
		_ = w.SetWriteDeadline(time.Now())
		err = fmt.Errorf("load memory: %w%s", err, quote("QEMU says", strings.TrimSpace(tail(p.logPath, 4))))
	}
	if feedErr := <-fed; feedErr != nil {
		err = errors.Join(feedErr, err)
	}
	return err
}
