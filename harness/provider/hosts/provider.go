// Package hosts reaches machines that are there already, by SSH. It makes nothing,
// switches nothing off and takes nothing down; what is done on them beyond looking is
// for others to decide.
package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"offload-e2e/harness/machine"
	"offload-e2e/harness/provider"
)

// Name is the provider's word in reports.
const Name = "hosts"

// environment is the file that sets a login's environment on NixOS
// (nixos/modules/config/shells-environment.nix).
const environment = "/etc/set-environment"

// Host is how a machine is reached.
type Host struct {
	SSH        string `yaml:"ssh" need:"yes" doc:"where ssh(1) goes: root@192.168.15.7, ssh://root@desktop:2222, or a Host of ~/.ssh/config"`
	Identity   string `yaml:"identity" doc:"the private key's file, if it is none that ssh would offer"`
	KnownHosts string `yaml:"known_hosts" doc:"a file of known host keys, if it is not ssh's"`
}

// Provider reaches machines that run.
type Provider struct {
	hosts    map[string]Host
	machines []*Machine
	closers  []io.Closer
}

// New is a provider of the machines of those names. It reaches nothing yet.
func New(hosts map[string]Host) *Provider { return &Provider{hosts: hosts} }

// Name is "hosts".
func (p *Provider) Name() string { return Name }

// Create connects to every machine. What keeps it from doing so is an [*AccessError].
func (p *Provider) Create(ctx context.Context, req provider.Request) (_ []provider.Machine, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close(ctx))
		}
	}()
	reached := map[string]string{}
	for _, m := range req.Machines {
		made, err := p.reach(ctx, m.Name)
		if err != nil {
			return nil, err
		}
		// Containers share a kernel, and with it the boot id.
		id, err := machine.Wrap(made).Succeed(ctx, "cat", "/proc/sys/kernel/random/boot_id", "/proc/sys/kernel/hostname", "/etc/machine-id")
		if err != nil {
			return nil, err
		}
		if other, is := reached[id]; is {
			return nil, &AccessError{Machine: m.Name, What: fmt.Sprintf("is the same machine as the %s: %s", other, strings.Join(strings.Fields(id), ", ")), WayOut: "Name two machines."}
		}
		reached[id] = m.Name
	}
	return p.Machines(), nil
}

// reach connects to one machine.
func (p *Provider) reach(ctx context.Context, name string) (*Machine, error) {
	host, known := p.hosts[name]
	if !known {
		return nil, &AccessError{Machine: name, What: "is not named", WayOut: "Say how ssh reaches it."}
	}
	e, err := resolve(ctx, name, host)
	if err != nil {
		return nil, err
	}
	c := machine.Config{Name: name, User: e.user, Profile: environment, Dial: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(e.host, e.port))
	}}
	if c.HostKey, err = e.hostKey(); err != nil {
		return nil, err
	}
	var agent io.Closer
	if c.Signers, agent, err = e.signers(ctx); err != nil {
		return nil, err
	}
	if agent != nil {
		p.closers = append(p.closers, agent)
	}
	ssh, err := machine.New(c)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, ssh)
	if err := ssh.Connect(ctx); err != nil {
		return nil, e.unreachable(err)
	}
	m := &Machine{SSH: ssh}
	p.machines = append(p.machines, m)
	res, err := ssh.Exec(ctx, provider.Cmd("date", "+@%s"))
	if err == nil {
		err = res.Err()
	}
	m.since = res.Text()
	return m, err
}

// Machines are those that are reached.
func (p *Provider) Machines() []provider.Machine {
	all := make([]provider.Machine, len(p.machines))
	for i, m := range p.machines {
		all[i] = m
	}
	return all
}

// Close hangs up.
func (p *Provider) Close(context.Context) error {
	var errs []error
	for _, c := range p.closers {
		errs = append(errs, c.Close())
	}
	p.closers, p.machines = nil, nil
	return errors.Join(errs...)
}

// Machine is a machine that runs, whoever started it.
type Machine struct {
	*machine.SSH
	since string // when it was reached, by its clock, for journalctl(1)
}

// Logs are the kernel's messages since the machine's boot.
func (m *Machine) Logs(ctx context.Context) (io.ReadCloser, error) {
	return m.journal(ctx, "--dmesg", "--boot")
}

// Journal is what the machine logged since it was reached.
func (m *Machine) Journal(ctx context.Context) (io.ReadCloser, error) {
	return m.journal(ctx, "--since="+m.since)
}

func (m *Machine) journal(ctx context.Context, options ...string) (io.ReadCloser, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	argv := append([]string{"journalctl", "--no-pager", "--quiet", "--output=short-precise"}, options...)
	res, err := m.Exec(ctx, provider.Cmd(argv...))
	if err == nil {
		err = res.Err()
	}
	return io.NopCloser(bytes.NewReader(res.Stdout)), err
}
