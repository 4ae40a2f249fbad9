package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stateVersion is the format of a saved state's folder.
const stateVersion = 1

const (
	stateManifest = "state.json"
	// staleSave is the age of an unfinished save that nobody is at any more.
	staleSave = time.Hour
	// fasterThanAnyDisk lifts QEMU's limit of 128 MiB/s, in bytes a second.
	fasterThanAnyDisk = 1 << 40
)

// savedState is the manifest of a folder with the machines of a booted lab.
// Whatever a guest could tell a difference by is in it.
type savedState struct {
	Version     int         `json:"version"`
	BundleID    string      `json:"bundle"`
	QEMU        string      `json:"qemu"`
	Accelerator Accelerator `json:"accelerator"`
	// CPU is the host's processor, where guests see it: with KVM.
	CPU      string         `json:"cpu,omitempty"`
	Machines []savedMachine `json:"machines"`
}

type savedMachine struct {
	Name string `json:"name"`
	// Hardware is hardware.fingerprint.
	Hardware string `json:"hardware"`
	// Memory is the migration stream: processors, devices, memory.
	Memory savedFile `json:"memory"`
	// Layers are the disk's overlays above the bundle's disk, lowest first.
	Layers []savedFile `json:"layers"`
}

type savedFile struct {
	File string `json:"file"`
	fileSum
}

// SaveState saves all machines as one cut to a folder, for Options.SavedState
// of later labs with the same bundle, QEMU and requests. The folder appears, or
// is replaced, as a whole or not at all; labs that use the old one are not
// disturbed. The machines go on; their transports are reset, so that what is
// saved holds no connection to a process that will not be there.
func (p *Provider) SaveState(ctx context.Context, dir string) error {
	ctx, cancel := p.within(ctx)
	defer cancel()
	p.op.Lock()
	defer p.op.Unlock()
	defer p.lockPower()()
	if err := p.saveState(ctx, dir); err != nil {
		return fmt.Errorf("save state to %s: %w", dir, err)
	}
	return nil
}

func (p *Provider) saveState(ctx context.Context, dir string) (err error) {
	if err := p.steady(); err != nil {
		return err
	}
	for _, m := range p.machines {
		for cable, up := range m.links {
			if !up {
				return fmt.Errorf("%s: cable %s is pulled (plug it in first)", m.name, cable)
			}
		}
	}
	manifest, err := p.describe(ctx)
	if err != nil {
		return err
	}
	parent, base := filepath.Dir(dir), "."+filepath.Base(dir)+"-saving-"
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	removeStale(parent, base)
	tmp, err := os.MkdirTemp(parent, base)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if err := p.saveMachines(ctx, manifest, tmp); err != nil {
		return fmt.Errorf("%w (is the disk full?)", err)
	}
	b, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, stateManifest), append(b, '\n'), 0o600); err != nil {
		return err
	}
	return replaceFolder(tmp, dir)
}

// saveMachines writes every machine's files to a folder, and their names and
// sums to the manifest. The machines stand still only meanwhile. What is
// written is not synced: a sum that does not fit is how a crash shows.
func (p *Provider) saveMachines(ctx context.Context, manifest *savedState, dir string) (err error) {
	for _, m := range p.machines {
		m.transport.Reset()
	}
	defer func() { err = errors.Join(err, p.resume(ctx)) }()
	if err := p.pause(ctx); err != nil {
		return err
	}
	return p.each(ctx, func(ctx context.Context, m *Machine) error {
		for i := range manifest.Machines {
			if s := &manifest.Machines[i]; s.Name == m.name {
				if err := m.save(ctx, s, dir); err != nil {
					return fmt.Errorf("%s: %w", m.name, err)
				}
			}
		}
		return nil
	})
}

// save writes one stopped machine's memory and disk.
func (m *Machine) save(ctx context.Context, s *savedMachine, dir string) error {
	s.Memory.File = m.name + ".memory"
	out, err := os.OpenFile(filepath.Join(dir, s.Memory.File), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.Memory.fileSum, err = m.saveMemory(ctx, out)
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	// The end of the migration has written back and let go of the disk.
	for i, layer := range append(append([]string(nil), m.hardware.layers...), m.hardware.overlay) {
		file := savedFile{File: fmt.Sprintf("%s.%d%s", m.name, i, diskSuffix)}
		to := filepath.Join(dir, file.File)
		if layer == m.hardware.overlay {
			file.fileSum, err = copyFile(layer, to)
		} else if err = linkFile(layer, to); err == nil {
			file.fileSum, err = sumFile(to)
		}
		if err != nil {
			return fmt.Errorf("disk: %w", err)
		}
		s.Layers = append(s.Layers, file)
	}
	return nil
}

// describe is the manifest of this lab, without files.
func (p *Provider) describe(ctx context.Context) (*savedState, error) {
	version, err := binaryVersion(ctx, p.options.Binary)
	if err != nil {
		return nil, err
	}
	s := &savedState{
		Version: stateVersion, BundleID: p.bundleID(), QEMU: version.String(), Accelerator: p.options.Accelerator,
	}
	if s.Accelerator == KVM {
		if s.CPU, err = hostCPU("/proc/cpuinfo"); err != nil {
			return nil, err
		}
	}
	for _, m := range p.machines {
		hardware, err := m.hardware.fingerprint()
		if err != nil {
			return nil, err
		}
		s.Machines = append(s.Machines, savedMachine{Name: m.name, Hardware: hardware})
	}
	return s, nil
}

// bundleID identifies what the machines boot from.
func (p *Provider) bundleID() string {
	var ids []string
	for _, m := range p.machines {
		if !slices.Contains(ids, m.hardware.bundle.ID) {
			ids = append(ids, m.hardware.bundle.ID)
		}
	}
	return strings.Join(ids, " ")
}

// differs says why a state saved as s does not fit a lab described by want, or "".
func (s *savedState) differs(want *savedState) string {
	for _, field := range []struct{ what, saved, here string }{
		{"format", fmt.Sprint(s.Version), fmt.Sprint(want.Version)},
		{"guest image", s.BundleID, want.BundleID},
		{"QEMU", s.QEMU, want.QEMU},
		{"accelerator", string(s.Accelerator), string(want.Accelerator)},
		{"processor", s.CPU, want.CPU},
		{"number of machines", fmt.Sprint(len(s.Machines)), fmt.Sprint(len(want.Machines))},
	} {
		if field.saved != field.here {
			return fmt.Sprintf("its %s is %s, here it is %s", field.what, field.saved, field.here)
		}
	}
	for _, w := range want.Machines {
		m := s.machine(w.Name)
		switch {
		case m == nil:
			return "it has no machine " + w.Name
		case m.Hardware != w.Hardware:
			return "its " + w.Name + " has other hardware, kernel parameters or memory"
		case len(m.Layers) == 0:
			return "its " + w.Name + " has no disk"
		}
		for _, f := range append([]savedFile{m.Memory}, m.Layers...) {
			if f.File == "" || f.File != filepath.Base(f.File) || f.File == ".." {
				return fmt.Sprintf("file name %q leads out of it", f.File)
			}
		}
	}
	return ""
}

func (s *savedState) machine(name string) *savedMachine {
	for i := range s.Machines {
		if s.Machines[i].Name == name {
			return &s.Machines[i]
		}
	}
	return nil
}

// hostCPU is the first processor of cpuinfo, without what changes as it runs.
func hostCPU(cpuinfo string) (string, error) {
	b, err := os.ReadFile(cpuinfo)
	if err != nil {
		return "", err
	}
	var kept []string
	for _, line := range strings.Split(string(b), "\n") {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			break
		}
		switch strings.TrimSpace(key) {
		case "vendor_id", "cpu family", "model", "stepping", "microcode", "flags":
			kept = append(kept, strings.TrimSpace(value))
		}
	}
	return strings.Join(kept, "|"), nil
}

// replaceFolder moves a folder to a name, atomically also where there is one.
func replaceFolder(from, to string) error {
	err := os.Rename(from, to)
	if err == nil || !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	// The caller removes what is then at from: the old one.
	if err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE); err == nil {
		return nil
	}
	// File systems without the exchange: for a moment there is none, and who
	// looks just then boots.
	return errors.Join(os.RemoveAll(to), os.Rename(from, to))
}

// removeStale removes what saves that were killed have left.
func removeStale(parent, prefix string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), prefix) && time.Since(info.ModTime()) > staleSave {
			_ = os.RemoveAll(filepath.Join(parent, e.Name()))
		}
	}
}
