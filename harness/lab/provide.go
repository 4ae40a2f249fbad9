package lab

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/machine"
	"offload-e2e/harness/network"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/provider/docker"
	"offload-e2e/harness/provider/hosts"
	"offload-e2e/harness/provider/qemu"
)

// The providers a lab can be brought up with.
const (
	QEMU   = "qemu"
	Docker = docker.Name
	Hosts  = hosts.Name
)

// fake is the provider of tests.
const fake = "fake"

// managementPort is the port of the guests' management sshd, set by their recipe.
const managementPort = 2222

// maxSessions is how many commands run at once over one connection.
const maxSessions = 8

// createMachines makes the provider, and the machines with it.
func (l *Lab) createMachines(ctx context.Context) error {
	entries := map[string]entry{}
	for role, img := range l.options.Images {
		e, err := entryOf(img)
		if err != nil {
			return err
		}
		entries[string(role)] = e
	}
	dials := map[string]func(context.Context) (net.Conn, error){}
	transports := map[string]provider.Transport{}
	transport := func(name string, dial func(context.Context) (net.Conn, error)) (t provider.Transport, err error) {
		dials[name] = dial
		t, err = machine.New(machine.Config{Name: name, Signers: []ssh.Signer{entries[name].signer}, HostKey: entries[name].hostKey, MaxSessions: maxSessions, Dial: dial,
			// A machine that is emulated on a busy host falls silent for longer than one
			// that is real, and is not dead yet; the end of its process is noticed at once.
			KeepaliveTimeout: time.Minute})
		transports[name] = t
		return t, err
	}
	var (
		made provider.Provider
		err  error
	)
	switch l.options.Provider {
	case QEMU, "":
		made, err = l.newQEMU(transport)
	case fake:
		made = l.options.fake
	case Docker:
		made, err = l.newDocker(ctx, transport)
	case Hosts:
		made = hosts.New(l.options.Hosts)
	default:
		err = fmt.Errorf("no provider %q", l.options.Provider)
	}
	if err != nil {
		return err
	}
	l.provider = made
	stateDir := filepath.Join(l.options.StateDir, "machines")
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return err
	}
	request := provider.Request{StateDir: stateDir}
	for _, m := range []struct {
		name string
		addr netip.Addr
	}{{"desktop", DesktopAddr}, {"laptop", LaptopAddr}} {
		request.Machines = append(request.Machines, provider.MachineRequest{
			Name: m.name, Addr: m.addr, MAC: macOf(m.addr), MemoryMiB: l.options.MemoryMiB})
	}
	machines, err := l.provider.Create(ctx, request)
	if err != nil {
		return fmt.Errorf("bring the machines up: %w", err)
	}
	if keeper, ok := l.provider.(provider.StateKeeper); ok {
		l.Restored, l.RestoreReason = keeper.Restored()
	}
	for _, p := range machines {
		m := &Machine{Machine: machine.Wrap(p), provider: l.provider.Name(), dial: dials[p.Name()], transport: transports[p.Name()], Role: nixos.Role(p.Name()),
			image: l.options.Images[nixos.Role(p.Name())], switcher: l.options.Switcher, configuration: l.options.Base[nixos.Role(p.Name())]}
		switch m.Role {
		case nixos.Desktop:
			l.Desktop, m.Addr = m, DesktopAddr
		case nixos.Laptop:
			l.Laptop, m.Addr = m, LaptopAddr
		}
	}
	return nil
}

// dialed is a machine's transport over connections that a function dials.
type dialed func(name string, dial func(context.Context) (net.Conn, error)) (provider.Transport, error)

// newQEMU is the provider of virtual machines, each with a management cable.
func (l *Lab) newQEMU(transport dialed) (provider.Provider, error) {
	for _, name := range []string{"desktop", "laptop"} {
		m, err := network.NewManagement(name, nil)
		if err != nil {
			return nil, fmt.Errorf("open the management cable of the %s: %w", name, err)
		}
		l.mgmt[name] = m
		l.closers = append(l.closers, m.Close)
		if err := m.Listen(l.socket(name, "mgmt")); err != nil {
			return nil, fmt.Errorf("open the management cable of the %s: %w", name, err)
		}
	}
	parameters := map[string]string{}
	for role, img := range l.options.Images {
		credentials, err := img.Credentials()
		if err != nil {
			return nil, err
		}
		parameters[string(role)] = kernelParameters(string(role), img.Kind) + " " + credentials
	}
	return qemu.New(qemu.Options{
		BundleOf:    func(name string) qemu.Bundle { return Bundle(l.options.Images[nixos.Role(name)]) },
		Accelerator: l.options.Accelerator,
		Cables: func(name string) (qemu.Cables, error) {
			return qemu.Cables{LAN: l.socket(name, "lan"), Mgmt: l.socket(name, "mgmt")}, nil
		},
		Transport: func(name string) (provider.Transport, error) {
			m := l.mgmt[name]
			return transport(name, func(ctx context.Context) (net.Conn, error) { return m.DialContext(ctx, managementPort) })
		},
		Append:     func(name string) string { return parameters[name] },
		Cut:        l.LAN.Cut,
		SavedState: l.statePath(),
	})
}

// kernelParameters tell machines of one image apart; NixOS knows its name.
func kernelParameters(name, kind string) string {
	id := "systemd.machine_id=" + machineID(name)
	if kind == guest.NixOS {
		return id
	}
	return "systemd.hostname=" + name + " " + id
}

// newDocker is the provider of containers.
func (l *Lab) newDocker(ctx context.Context, transport dialed) (provider.Provider, error) {
	images := map[string]docker.Image{}
	for role, img := range l.options.Images {
		made, err := ContainerImage(img)
		if err != nil {
			return nil, err
		}
		images[string(role)] = made
	}
	return docker.New(ctx, docker.Options{
		ImageOf:      func(name string) docker.Image { return images[name] },
		CableProgram: filepath.Join(l.options.Programs, "lan-cable"),
		Cable:        func(name string) string { return l.socket(name, "lan") },
		Transport:    transport,
		Lab:          docker.LabOf(l.options.StateDir),
		Say:          l.say,
	})
}

// Bundle is a guest image as QEMU boots it.
func Bundle(img *guest.Image) qemu.Bundle {
	return qemu.Bundle{Disk: img.Path(guest.DiskName), DiskFormat: "qcow2", Kernel: img.Path(guest.KernelName),
		Initrd: img.Path(guest.InitrdName), Append: img.Append, ID: img.ID}
}

// ContainerImage is a guest image as containers are made of it.
func ContainerImage(img *guest.Image) (docker.Image, error) {
	sum := img.Files[guest.RootfsName]
	if sum == "" {
		return docker.Image{}, fmt.Errorf("guest image %s has no %s, which containers are made of", img.Dir, guest.RootfsName)
	}
	keys, err := img.Brought()
	return docker.Image{ID: img.ID + "-" + sum[:8], Rootfs: img.Path(guest.RootfsName), Keys: keys}, err
}

// machineID is a fixed machine-id(5) for a machine, so that both, booted from one
// image, differ, and a restored one stays what it was.
func machineID(name string) string {
	id := strings.Repeat("0", 32)
	text := hex.EncodeToString([]byte("e2e" + name))
	return (text + id)[:32]
}

// entry is what a machine is entered by.
type entry struct {
	signer  ssh.Signer
	hostKey ssh.PublicKey
}

func entryOf(img *guest.Image) (e entry, _ error) {
	private, err1 := os.ReadFile(img.Key())
	public, err2 := os.ReadFile(img.HostKey())
	err := errors.Join(err1, err2)
	if err != nil {
		return e, fmt.Errorf("read the guest image's keys: %w", err)
	}
	e.signer, err = ssh.ParsePrivateKey(private)
	if err != nil {
		return e, fmt.Errorf("read the guest image's key: %w", err)
	}
	e.hostKey, _, _, _, err = ssh.ParseAuthorizedKey(public)
	if err != nil {
		return e, fmt.Errorf("read the guest image's host key: %w", err)
	}
	return e, nil
}
