// Package lab is what suites hold in hand: a desktop, a laptop, the LAN between
// them and an internet beyond, brought up, switched, cut off and taken down.
package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/machine"
	"offload-e2e/harness/network"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/provider/hosts"
	"offload-e2e/harness/provider/qemu"
)

// Addresses of the stack under test.
var (
	DesktopAddr = netip.MustParseAddr("192.168.15.7")
	LaptopAddr  = netip.MustParseAddr("192.168.15.9")
)

// Options are what a lab is made of.
type Options struct {
	// Images are what the machines boot; both may be one.
	Images map[nixos.Role]*guest.Image
	// Switcher brings machines to their configurations; that of embedded guests
	// where it is nil.
	Switcher Switcher
	// Provider runs the machines: QEMU where it is empty.
	Provider string
	// Hosts are how somebody's own machines are reached, where they are the lab's.
	Hosts map[string]hosts.Host
	// Accelerator is QEMU's.
	Accelerator qemu.Accelerator
	// StateDir is a folder of this lab's own, for sockets and disks. Its path must
	// be short: unix sockets have at most 107 characters (unix(7)).
	StateDir string
	// ArtifactsDir receives what a run leaves: capture, consoles, journals.
	ArtifactsDir string
	// CacheDir keeps booted machines for later labs, and the internet's identity.
	CacheDir string
	// Programs is the folder of the guest programs: nix-serve, switch-to-configuration.
	Programs string
	// Nixpkgs is the folder of the tiny <nixpkgs> that guests have as their channel.
	Nixpkgs string
	// Container is the folder of files that containers get on a kernel without NFS.
	Container string
	// Base are the configurations of machines before the user's: booted states hold them.
	Base map[nixos.Role]*nixos.Configuration
	// MemoryMiB is each guest's memory; 0 is the provider's default.
	MemoryMiB int
	// Say receives progress, a line at a time.
	Say func(format string, args ...any)
	// fake is the provider of tests.
	fake provider.Provider
}

// Lab is two machines and their network.
type Lab struct {
	Desktop, Laptop *Machine
	LAN             *network.LAN
	Internet        *Internet
	// Restored tells whether the machines were restored; RestoreReason why not.
	Restored      bool
	RestoreReason string
	// NoKernelNFS says why nothing can be mounted by NFS; "" where all can.
	NoKernelNFS string
	// NoSandbox says why Nix cannot build in a sandbox; "" where it can.
	NoSandbox string

	options  Options
	provider provider.Provider
	mgmt     map[string]*network.Management                 // of providers whose machines have such a cable
	nonces   map[string]string                              // snapshot -> nonce in the guests
	switched map[string]map[nixos.Role]*nixos.Configuration // snapshot -> what the machines were then
	closers  []func() error
}

// Machine is one machine of a lab.
type Machine struct {
	*machine.Machine
	Role nixos.Role
	Addr netip.Addr
	// provider is the word for it in reports.
	provider string
	image    *guest.Image
	switcher Switcher
	dial     func(context.Context) (net.Conn, error)
	// transport is nil where a provider has a way of its own.
	transport provider.Transport
	// configuration is what the machine was last switched to; of somebody's own, nil.
	configuration *nixos.Configuration
}

// Configuration is what the machine was last switched to.
func (m *Machine) Configuration() *nixos.Configuration { return m.configuration }

// DialManagement connects to the machine's management sshd.
func (m *Machine) DialManagement(ctx context.Context) (net.Conn, error) {
	return m.dial(ctx)
}

// Image is what the machine was booted from; it knows the keys to enter it.
func (m *Machine) Image() *guest.Image { return m.image }

// Granted says what runs the machines, and which rights it took to run them, where
// those are more than the usual.
func (l *Lab) Granted() (engine string, grants []string) {
	if g, ok := l.provider.(provider.Granted); ok {
		return g.Engine(), g.Grants()
	}
	return "", nil
}

// Theirs reports whether the machines are somebody's own, who alone changes them.
func (l *Lab) Theirs() bool { return l.options.Provider == Hosts }

// Network is the LAN, to do something to it; a provider.MissingError where it is
// somebody's own.
func (l *Lab) Network() (*network.LAN, error) {
	if l.LAN == nil {
		return nil, &provider.MissingError{Provider: l.options.Provider, Ability: "cable to pull", Reason: "the network is your own"}
	}
	return l.LAN, nil
}

// Machines are both machines, the desktop first.
func (l *Lab) Machines() []*Machine { return []*Machine{l.Desktop, l.Laptop} }

// Up brings the lab up: restored from a kept state where one fits, else booted,
// prepared, and kept for the next time. On error nothing is left running.
func Up(ctx context.Context, o Options) (_ *Lab, err error) {
	l := &Lab{options: o, mgmt: map[string]*network.Management{}, nonces: map[string]string{},
		switched: map[string]map[nixos.Role]*nixos.Configuration{}}
	defer func() {
		if err != nil {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			err = errors.Join(err, l.Close(closing))
		}
	}()
	if l.Theirs() {
		// They are what they are, on a network of their own.
		return l, l.createMachines(ctx)
	}
	if l.Internet, err = openInternet(o.CacheDir); err != nil {
		return nil, err
	}
	if err := l.openNetwork(); err != nil {
		return nil, err
	}
	if err := l.createMachines(ctx); err != nil {
		return nil, err
	}
	if err := l.Internet.serve(l.LAN); err != nil {
		return nil, err
	}
	if l.Restored {
		return l, l.refresh(ctx)
	}
	if err := l.findNFS(ctx); err != nil {
		return nil, err
	}
	if err := l.prepare(ctx); err != nil {
		return nil, err
	}
	if err := l.findSandbox(ctx); err != nil {
		return nil, err
	}
	if keeper, ok := l.provider.(provider.StateKeeper); ok {
		l.say("keeping the booted machines for later runs")
		if err := keeper.SaveState(ctx, l.statePath()); err != nil {
			// A run does not fail for the sake of the next one.
			l.say("the booted machines could not be kept: %v", err)
		}
	}
	return l, l.refresh(ctx)
}

func (l *Lab) say(format string, args ...any) {
	if l.options.Say != nil {
		l.options.Say(format, args...)
	}
}

func (l *Lab) openNetwork() error {
	lan, err := network.New(network.Config{
		Machines: []network.Machine{
			{Name: "desktop", Addr: DesktopAddr, MAC: macOf(DesktopAddr)},
			{Name: "laptop", Hostnames: []string{"kernelcore"}, Addr: LaptopAddr, MAC: macOf(LaptopAddr)},
		},
		Capture: filepath.Join(l.options.ArtifactsDir, "lan.pcapng"),
	})
	if err != nil {
		return fmt.Errorf("open the lab's LAN: %w", err)
	}
	l.LAN = lan
	l.closers = append(l.closers, lan.Close)
	for _, name := range []string{"desktop", "laptop"} {
		if err := lan.Listen(name, l.socket(name, "lan")); err != nil {
			return fmt.Errorf("open the cable of the %s: %w", name, err)
		}
	}
	return nil
}

func (l *Lab) socket(name, cable string) string {
	return filepath.Join(l.options.StateDir, name+"-"+cable+".sock")
}

// macOf is lan0's hardware address of the machine with an address: the last octet
// is the address's.
func macOf(addr netip.Addr) string {
	return fmt.Sprintf("52:54:00:0f:00:%02x", addr.As4()[3])
}

// refresh makes restored and fresh machines alike: the clock is now.
func (l *Lab) refresh(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, m := range l.Machines() {
		g.Go(func() error { return m.setClock(ctx) })
	}
	return g.Wait()
}

func (m *Machine) setClock(ctx context.Context) error {
	if clock, ok := machine.Ability[provider.Clock](m.Machine); ok {
		return clock.SetClock(ctx, time.Now())
	}
	return nil
}

// Each runs f for both machines at the same time.
func (l *Lab) Each(ctx context.Context, f func(context.Context, *Machine) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, m := range l.Machines() {
		g.Go(func() error { return f(ctx, m) })
	}
	return g.Wait()
}

// Snapshot cuts the state of the whole lab.
func (l *Lab) Snapshot(ctx context.Context, name string) error {
	snapshotter, err := l.snapshotter()
	if err != nil {
		return err
	}
	nonce := Nonce()
	if err := l.writeNonce(ctx, nonce); err != nil {
		return err
	}
	// Whose plug is pulled later has been what it is for long: nothing is to be lost that
	// waits in memory now. What containers have written is their engine's host's.
	if l.options.Provider != Docker {
		flush := func(ctx context.Context, m *Machine) error { _, err := m.Succeed(ctx, "sync"); return err }
		if err := l.Each(ctx, flush); err != nil {
			return err
		}
	}
	if err := snapshotter.Snapshot(ctx, name); err != nil {
		return err
	}
	l.nonces[name], l.switched[name] = nonce, map[nixos.Role]*nixos.Configuration{}
	for _, m := range l.Machines() {
		l.switched[name][m.Role] = m.configuration
	}
	return nil
}

// Restore brings the whole lab back to a cut, sets the clocks, and proves with a
// nonce in the guests that they are what they were.
func (l *Lab) Restore(ctx context.Context, name string) error {
	snapshotter, err := l.snapshotter()
	if err != nil {
		return err
	}
	if err := snapshotter.Restore(ctx, name); err != nil {
		return err
	}
	for _, m := range l.mgmt {
		m.Reset()
	}
	for _, m := range l.Machines() {
		m.configuration = l.switched[name][m.Role]
	}
	if err := l.proveNonce(ctx, l.nonces[name]); err != nil {
		return err
	}
	return l.refresh(ctx)
}

func (l *Lab) snapshotter() (provider.Snapshotter, error) {
	if s, ok := l.provider.(provider.Snapshotter); ok {
		return s, nil
	}
	return nil, &provider.MissingError{Provider: l.provider.Name(), Ability: "snapshots"}
}

// Nonce is a fresh random word.
func Nonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Close takes everything down, keeping what the machines printed. It joins all
// errors and is idempotent.
func (l *Lab) Close(ctx context.Context) error {
	var errs []error
	if l.provider != nil {
		errs = append(errs, l.SaveLogs(), l.provider.Close(ctx))
	}
	if l.Internet != nil {
		errs = append(errs, l.Internet.close())
	}
	for i := len(l.closers) - 1; i >= 0; i-- {
		errs = append(errs, l.closers[i]())
	}
	l.closers = nil
	return errors.Join(append(errs, os.RemoveAll(filepath.Join(l.options.StateDir, "machines")))...)
}
