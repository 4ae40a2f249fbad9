// Package qemu runs a lab's machines as virtual machines of
// qemu-system-x86_64, with KVM where it works and without where it does not.
//
// Every machine has two cables that end at unix sockets of this process, its
// own overlay on a shared read-only disk, and QEMU's monitor (QMP). All
// machines can be saved and restored as one cut: within a lab (Snapshot,
// Restore), or on disk for later labs (SaveState, Options.SavedState).
// No machine outlives the process that made it, nor Close.
package qemu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"offload-e2e/harness/provider"
)

// diskSuffix is the name's end of every disk in a machine's folder.
const diskSuffix = ".qcow2"

// DefaultMemoryMiB is the memory of a machine whose request names none.
const DefaultMemoryMiB = 1024

// Options are what a provider needs besides the machines' requests. Bundle or
// BundleOf, Cables and Transport are required.
type Options struct {
	Bundle Bundle
	// BundleOf, where set, is asked for each machine's own bundle.
	BundleOf func(machine string) Bundle
	// Accelerator is TCG when empty; ProbeAccelerator finds out.
	Accelerator Accelerator
	// Cables is asked before every start of a machine's QEMU.
	Cables func(machine string) (Cables, error)
	// Transport makes the way commands take to a machine; asked once a machine.
	Transport func(machine string) (provider.Transport, error)
	// Cut, where set, is called around the moment in which Restore replaces what
	// the machines are; it keeps frames from before from those after, and calls
	// do once. The machines run, as far as they do, when it is called.
	Cut func(ctx context.Context, do func(context.Context) error) error
	// Append, where set, returns kernel parameters to add for a machine.
	Append func(machine string) string
	// SavedState, where set, is a folder SaveState wrote: machines are restored
	// from it where it fits, and booted where not. Origin tells which.
	SavedState string
	// BootTimeout bounds a boot until commands run: 90 s with KVM, 8 min
	// without when zero. RestoreTimeout bounds the same after a restore: 45 s.
	BootTimeout, RestoreTimeout time.Duration
	// PowerOffTimeout bounds a guest's own end after its power button: 90 s.
	PowerOffTimeout time.Duration
	// Binary and ImageTool are "qemu-system-x86_64" and "qemu-img" when empty.
	Binary, ImageTool string
}

// Cables are the unix sockets, listened on by us, that a machine's two network
// interfaces connect to, speaking QEMU's "stream" framing: every Ethernet frame
// after its length in 4 bytes, big endian.
type Cables struct {
	LAN, Mgmt string
	// MgmtMAC is the hardware address of mgmt0; MgmtMAC(lan0's) when empty.
	MgmtMAC string
}

// Origin tells how a lab's machines came up.
type Origin struct {
	// Restored: from a saved state; else booted.
	Restored bool
	// Reason is why a saved state was not used, or "".
	Reason string
}

// Provider runs the machines of one lab.
type Provider struct {
	options  Options
	launcher *launcher
	// life ends with Close, and with it whatever is under way.
	life    context.Context //nolint:containedctx // it is the provider's own
	endLife context.CancelCauseFunc

	// op serialises what concerns all machines.
	op       sync.Mutex
	closed   bool
	stateDir string
	machines []*Machine
	origin   Origin
	cuts     map[string]cut
}

var (
	_ provider.Provider    = (*Provider)(nil)
	_ provider.Snapshotter = (*Provider)(nil)
	_ provider.StateKeeper = (*Provider)(nil)
)

// New checks the options. Nothing is started before Create.
func New(o Options) (*Provider, error) {
	if o.BundleOf == nil {
		o.BundleOf = func(string) Bundle { return o.Bundle }
		if err := o.Bundle.Check(); err != nil {
			return nil, err
		}
	}
	switch {
	case o.Cables == nil:
		return nil, errors.New("qemu: Options.Cables is required")
	case o.Transport == nil:
		return nil, errors.New("qemu: Options.Transport is required")
	}
	o.Accelerator = cmp.Or(o.Accelerator, TCG)
	if o.Accelerator != TCG && o.Accelerator != KVM {
		return nil, fmt.Errorf("qemu: accelerator %q is neither %q nor %q", o.Accelerator, KVM, TCG)
	}
	boot := 8 * time.Minute
	if o.Accelerator == KVM {
		boot = 90 * time.Second
	}
	o.BootTimeout = cmp.Or(o.BootTimeout, boot)
	o.RestoreTimeout = cmp.Or(o.RestoreTimeout, 45*time.Second)
	o.PowerOffTimeout = cmp.Or(o.PowerOffTimeout, 90*time.Second)
	o.Binary = cmp.Or(o.Binary, DefaultBinary)
	o.ImageTool = cmp.Or(o.ImageTool, DefaultImageTool)
	p := &Provider{options: o, launcher: newLauncher(), cuts: map[string]cut{}}
	p.life, p.endLife = context.WithCancelCause(context.Background())
	return p, nil
}

// Name is "qemu".
func (p *Provider) Name() string { return "qemu" }

// Origin tells how Create brought the machines up.
func (p *Provider) Origin() Origin {
	p.op.Lock()
	defer p.op.Unlock()
	return p.origin
}

// Restored reports whether Create restored a saved state, and if not why not.
func (p *Provider) Restored() (bool, string) {
	origin := p.Origin()
	return origin.Restored, origin.Reason
}

// Machines are those Create made, as far as it came.
func (p *Provider) Machines() []provider.Machine {
	p.op.Lock()
	defer p.op.Unlock()
	return p.made()
}

func (p *Provider) made() []provider.Machine {
	all := make([]provider.Machine, len(p.machines))
	for i, m := range p.machines {
		all[i] = m
	}
	return all
}

// Create brings every machine up, ready for Exec: restored where
// Options.SavedState fits, else booted, all at the same time. On error nothing
// is left but logs.
func (p *Provider) Create(ctx context.Context, req provider.Request) (_ []provider.Machine, err error) {
	ctx, cancel := p.within(ctx)
	defer cancel()
	p.op.Lock()
	defer p.op.Unlock()
	if p.closed || p.machines != nil {
		return nil, errors.New("qemu: a provider creates one lab, once")
	}
	p.stateDir = req.StateDir
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("create machines: %w", err), p.takeDown())
		}
	}()
	for _, r := range req.Machines {
		if err := p.add(r); err != nil {
			return nil, err
		}
	}
	if len(p.machines) == 0 {
		return nil, errors.New("no machines asked for")
	}
	if err := p.bringUp(ctx); err != nil {
		return nil, err
	}
	return p.made(), nil
}

// add prepares a machine's folder and hardware; it starts nothing.
func (p *Provider) add(r provider.MachineRequest) error {
	if r.Name == "" || r.Name == "." || r.Name == ".." || strings.ContainsAny(r.Name, "/\x00") {
		return fmt.Errorf("machine name %q is no file name", r.Name)
	}
	if _, err := net.ParseMAC(r.MAC); err != nil {
		return fmt.Errorf("machine %s: %w", r.Name, err)
	}
	for _, m := range p.machines {
		if m.name == r.Name || m.hardware.lanMAC == r.MAC {
			return fmt.Errorf("machines %s and %s have the same name or hardware address", m.name, r.Name)
		}
	}
	bundle := p.options.BundleOf(r.Name)
	if err := bundle.Check(); err != nil {
		return fmt.Errorf("machine %s: %w", r.Name, err)
	}
	dir := filepath.Join(p.stateDir, r.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("machine %s: %w", r.Name, err)
	}
	m := &Machine{name: r.Name, dir: dir, lab: p, hardware: hardware{
		name:        r.Name,
		bundle:      bundle,
		accelerator: p.options.Accelerator,
		memoryMiB:   cmp.Or(r.MemoryMiB, DefaultMemoryMiB),
		lanMAC:      r.MAC,
		overlay:     filepath.Join(dir, "disk"+diskSuffix),
		console:     filepath.Join(dir, "console.log"),
		journal:     filepath.Join(dir, "journal.log"),
	}}
	if p.options.Append != nil {
		m.hardware.append = p.options.Append(r.Name)
	}
	m.console = newConsole(m.hardware.console)
	if err := m.plugIn(); err != nil {
		return err
	}
	var err error
	if m.transport, err = p.options.Transport(r.Name); err != nil {
		return fmt.Errorf("machine %s: %w", r.Name, err)
	}
	p.machines = append(p.machines, m)
	return nil
}

// bringUp restores the machines, or boots them where that is not to be.
func (p *Provider) bringUp(ctx context.Context) error {
	if p.options.SavedState != "" {
		err := p.restoreSaved(ctx)
		if err == nil {
			p.origin = Origin{Restored: true}
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		p.origin = Origin{Reason: err.Error()}
		if err := p.eachMachine((*Machine).discard); err != nil {
			return err
		}
	}
	return p.each(ctx, func(ctx context.Context, m *Machine) error {
		err := createOverlay(ctx, p.options.ImageTool, m.hardware.overlay, m.hardware.bundle.Disk, m.hardware.bundle.DiskFormat)
		if err != nil {
			return fmt.Errorf("disk of %s: %w", m.name, err)
		}
		faults := m.console.count()
		if _, err := m.start(ctx, false, nil); err != nil {
			return err
		}
		return m.waitReady(ctx, p.options.BootTimeout, faults)
	})
}

// discard ends the machine and removes its disks.
func (m *Machine) discard() error {
	err := errors.Join(m.end(), removeDisks(m.dir))
	m.transport.Reset()
	m.hardware.layers = nil
	if err != nil {
		return fmt.Errorf("take down %s: %w", m.name, err)
	}
	return nil
}

// Close takes every machine down, removes disks and pid files, and joins all
// errors. Logs stay in the state folder.
func (p *Provider) Close(context.Context) error {
	p.endLife(errClosed)
	p.op.Lock()
	defer p.op.Unlock()
	return p.takeDown()
}

var errClosed = errors.New("the lab is being taken down")

// within is ctx, ended too by Close.
func (p *Provider) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.life, func() { cancel(context.Cause(p.life)) })
	return ctx, func() { stop(); cancel(nil) }
}

// takeDown does not heed a context: an interrupted lab must end all the same,
// and every step of it has its own deadline.
func (p *Provider) takeDown() error {
	if p.closed {
		return nil
	}
	p.closed = true
	p.endLife(errClosed)
	err := p.eachMachine(func(m *Machine) error {
		m.power.Lock()
		defer m.power.Unlock()
		return errors.Join(m.discard(), m.transport.Close())
	})
	p.launcher.close()
	return err
}

// eachMachine calls do for every machine at the same time; all errors are joined.
func (p *Provider) eachMachine(do func(*Machine) error) error {
	errs := make([]error, len(p.machines))
	var wg sync.WaitGroup
	for i, m := range p.machines {
		wg.Go(func() { errs[i] = do(m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// each calls do for every machine at the same time. The first failure cancels
// the others' context; errors that are nothing but that are left out.
func (p *Provider) each(ctx context.Context, do func(context.Context, *Machine) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	errElsewhere := errors.New("another machine failed")
	return p.eachMachine(func(m *Machine) error {
		err := do(ctx, m)
		if err != nil {
			if errors.Is(err, errElsewhere) || errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), errElsewhere) {
				return nil
			}
			cancel(errElsewhere)
		}
		return err
	})
}

// maxSocketPath is sun_path's size without its final NUL, unix(7).
const maxSocketPath = 107

// complete fills in what is empty, and checks.
func (c *Cables) complete(lanMAC string) error {
	for _, path := range []string{c.LAN, c.Mgmt} {
		if path == "" || len(path) > maxSocketPath {
			return fmt.Errorf("socket path %q is empty, or longer than the %d bytes unix(7) allows (use a shorter state directory)",
				path, maxSocketPath)
		}
	}
	if c.MgmtMAC == "" {
		var err error
		if c.MgmtMAC, err = MgmtMAC(lanMAC); err != nil {
			return err
		}
	}
	if _, err := net.ParseMAC(c.MgmtMAC); err != nil {
		return err
	}
	if c.MgmtMAC == lanMAC {
		return fmt.Errorf("both cables have the hardware address %s", lanMAC)
	}
	return nil
}

// MgmtMAC is the hardware address of mgmt0 of the machine whose lan0 has lan:
// the same with the lowest bit of its fourth byte flipped,
// 52:54:00:0f:00:07 -> 52:54:00:0e:00:07.
func MgmtMAC(lan string) (string, error) {
	mac, err := net.ParseMAC(lan)
	if err != nil {
		return "", err
	}
	mac[3] ^= 1
	return mac.String(), nil
}
