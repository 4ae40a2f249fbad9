package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offload-e2e/harness/provider"
)

// Name is the provider's word in reports.
const Name = "docker"

// Options are what a provider needs besides the machines' requests; all are required
// but Say.
type Options struct {
	// ImageOf is what a machine is made of.
	ImageOf func(machine string) Image
	// CableProgram is lan-cable's file.
	CableProgram string
	// Cable is the unix socket of the LAN that a machine's lan0 is connected to. Every
	// frame comes after its length in 4 bytes, big endian.
	Cable func(machine string) string
	// Transport makes the way commands take to a machine, over connections to an sshd
	// that dial makes; asked once a machine.
	Transport func(machine string, dial func(context.Context) (net.Conn, error)) (provider.Transport, error)
	// Lab tells this lab's containers from others' with the same engine: LabOf.
	Lab string
	// Say receives progress, a line at a time.
	Say func(format string, args ...any)
}

// Timeouts of what a machine does.
const (
	bootTimeout     = 4 * time.Minute
	settleTimeout   = 30 * time.Second // for units after basic.target
	powerOffTimeout = 90 * time.Second
	removeTimeout   = time.Minute
)

// Provider runs the machines of one lab.
type Provider struct {
	options Options
	engine  *Engine

	mu       sync.Mutex
	closed   bool
	machines []*Machine
	cuts     map[string]cut
	stateDir string
}

var (
	_ provider.Provider    = (*Provider)(nil)
	_ provider.Snapshotter = (*Provider)(nil)
	_ provider.Granted     = (*Provider)(nil)
)

// New connects to the engine. Nothing is started before Create.
func New(ctx context.Context, o Options) (*Provider, error) {
	if o.Cable == nil || o.Transport == nil || o.Lab == "" || o.CableProgram == "" || o.ImageOf == nil {
		return nil, errors.New("docker: an option is missing")
	}
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	engine, err := Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &Provider{options: o, engine: engine, cuts: map[string]cut{}}, nil
}

// Name is "docker".
func (p *Provider) Name() string { return Name }

// Engine is what runs the containers.
func (p *Provider) Engine() string { return p.engine.Version }

// Grants are the rights that containers get beyond the engine's defaults.
func (p *Provider) Grants() []string {
	words := make([]string, 0, len(grants))
	for _, g := range grants {
		words = append(words, g.right+": "+g.why)
	}
	return words
}

// Machines are those Create made, as far as it came.
func (p *Provider) Machines() []provider.Machine {
	p.mu.Lock()
	defer p.mu.Unlock()
	made := make([]provider.Machine, len(p.machines))
	for i, m := range p.machines {
		made[i] = m
	}
	return made
}

// Create brings every machine up, ready for Exec, all at the same time. On error
// nothing is left.
func (p *Provider) Create(ctx context.Context, req provider.Request) (_ []provider.Machine, err error) {
	if err := p.begin(req); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("create machines: %w", err), p.Close(ctx))
		}
	}()
	if err := writeMarker(req.StateDir, marker{Host: p.engine.Host, Lab: p.options.Lab}); err != nil {
		return nil, err
	}
	// What a lab of this place left that was killed.
	if err := p.engine.sweep(ctx, p.options.Lab); err != nil {
		return nil, err
	}
	if err := p.load(ctx); err != nil {
		return nil, err
	}
	for _, m := range p.machines {
		if m.transport, err = p.options.Transport(m.name, m.dial); err != nil {
			return nil, fmt.Errorf("machine %s: %w", m.name, err)
		}
	}
	if err := p.each(ctx, func(ctx context.Context, m *Machine) error { return m.create(ctx, m.image().reference()) }); err != nil {
		return nil, err
	}
	if err := p.each(ctx, func(ctx context.Context, m *Machine) error { return m.start(ctx) }); err != nil {
		return nil, err
	}
	return p.Machines(), nil
}

// load gives the machines' images to the engine, and takes old ones away.
func (p *Provider) load(ctx context.Context) error {
	var images []Image
	fresh := false
	for _, m := range p.machines {
		isNew, err := p.engine.load(ctx, m.image(), p.options.Say)
		if err != nil {
			return err
		}
		images, fresh = append(images, m.image()), fresh || isNew
	}
	if !fresh {
		return nil
	}
	return p.engine.removeOldImages(ctx, images...)
}

// begin takes the request.
func (p *Provider) begin(req provider.Request) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.machines != nil {
		return errors.New("docker: a provider creates one lab, once")
	}
	if len(req.Machines) == 0 {
		return errors.New("docker: no machines asked for")
	}
	p.stateDir = req.StateDir
	seen := map[string]bool{}
	for _, r := range req.Machines {
		if r.Name == "" || strings.Trim(r.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return fmt.Errorf("machine name %q is no host name", r.Name)
		}
		if _, err := net.ParseMAC(r.MAC); err != nil {
			return fmt.Errorf("machine %s: %w", r.Name, err)
		}
		if seen[r.Name] || seen[r.MAC] {
			return fmt.Errorf("machine %s has another's name or hardware address", r.Name)
		}
		seen[r.Name], seen[r.MAC] = true, true
		p.machines = append(p.machines, &Machine{name: r.Name, mac: r.MAC, memoryMiB: r.MemoryMiB, lab: p})
	}
	return nil
}

// each calls do for every machine at the same time; the first error ends the others.
func (p *Provider) each(ctx context.Context, do func(context.Context, *Machine) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, m := range p.machines {
		g.Go(func() error {
			if err := do(ctx, m); err != nil {
				return fmt.Errorf("machine %s: %w", m.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// Close removes every container, with its volumes and snapshots, and joins all
// errors. It does not heed the end of ctx: an interrupted lab must end all the same.
func (p *Provider) Close(ctx context.Context) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	var errs []error
	for _, m := range p.machines {
		errs = append(errs, m.keepLogs(ctx))
		m.unplug()
		if m.transport != nil {
			errs = append(errs, m.transport.Close())
		}
	}
	errs = append(errs, p.engine.sweep(ctx, p.options.Lab))
	return errors.Join(append(errs, p.engine.Close())...)
}
