// Package machine is one machine as suites hold it in hand: commands, copies,
// and waits that end when what they wait for cannot come any more. Its words
// are those of the NixOS test driver.
//
// [Machine] works on any provider's machine. [SSH] is the transport of
// providers whose machines run sshd.
package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"offload-e2e/harness/provider"
)

// Machine is a provider's machine with a test's vocabulary.
type Machine struct {
	provider.Machine
}

// Wrap is m with a test's vocabulary.
func Wrap(m provider.Machine) *Machine { return &Machine{Machine: m} }

// Ability is what only some machines can do, e.g. provider.PowerController.
func Ability[T any](m *Machine) (T, bool) {
	a, ok := m.Machine.(T)
	return a, ok
}

// Succeed runs a command and gives its standard output, without surrounding
// white space. A command that fails is a [*CommandError].
func (m *Machine) Succeed(ctx context.Context, argv ...string) (string, error) {
	res, err := m.Exec(ctx, provider.Cmd(argv...))
	if err != nil {
		return "", err
	}
	if !res.OK() {
		return res.Text(), &CommandError{Machine: m.Name(), Result: res}
	}
	return res.Text(), nil
}

// Fail runs a command that has to fail, and gives both its outputs, standard
// output first. One that succeeds is a [*CommandError].
func (m *Machine) Fail(ctx context.Context, argv ...string) (string, error) {
	res, err := m.Exec(ctx, provider.Cmd(argv...))
	if err != nil {
		return "", err
	}
	out := strings.TrimSpace(string(res.Stdout) + string(res.Stderr))
	if res.OK() {
		return out, &CommandError{Machine: m.Name(), Result: res}
	}
	return out, nil
}

// BootID is the kernel's id of this boot (random(4)); it tells one boot from
// the next and one machine from another. A restore does not change it.
func (m *Machine) BootID(ctx context.Context) (string, error) {
	id, err := m.Succeed(ctx, "cat", "/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return id, nil
}

// WaitForUnit waits until a systemd unit is active; see [Unit].
func (m *Machine) WaitForUnit(ctx context.Context, unit string) error { return m.Wait(ctx, Unit(unit)) }

// WaitForPort waits until something listens on a TCP port; see [Port].
func (m *Machine) WaitForPort(ctx context.Context, port int) error { return m.Wait(ctx, Port(port)) }

// WaitForFile waits until a path exists; see [File].
func (m *Machine) WaitForFile(ctx context.Context, path string) error { return m.Wait(ctx, File(path)) }

// WaitForCommand waits until a command succeeds; see [CommandOK].
func (m *Machine) WaitForCommand(ctx context.Context, argv ...string) error {
	return m.Wait(ctx, CommandOK(argv...))
}

// WaitUntil waits until f gives nil. The reason is read after "waiting for".
func (m *Machine) WaitUntil(ctx context.Context, reason string, f func(ctx context.Context) error) error {
	return m.Wait(ctx, For(reason, func(ctx context.Context, _ *Machine) error { return f(ctx) }))
}

// WaitForReboot waits until the machine answers with another boot id than
// before. Unlike other waits it takes a machine that cannot be talked to as
// one that is on its way.
func (m *Machine) WaitForReboot(ctx context.Context, before string) error {
	return m.Wait(ctx, For("a boot after "+before, func(ctx context.Context, m *Machine) error {
		now, err := m.BootID(ctx)
		switch {
		case errors.Is(err, ErrHostKey), errors.Is(err, ErrClosed):
			return Hopeless(err)
		case err != nil:
			// Not %w: an UnreachableError would end the wait.
			return fmt.Errorf("it does not answer: %v", err) //nolint:errorlint
		case now == before:
			return errors.New("it has not gone down yet")
		}
		return nil
	}))
}
