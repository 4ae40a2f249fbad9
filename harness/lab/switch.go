package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"offload-e2e/harness/machine"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixos/activate"
	"offload-e2e/harness/provider"
)

// Switcher makes a machine what a configuration says, as `nixos-rebuild switch`
// does. Units that fail are in the result, not an error: a configuration may do
// that. Progress goes to log, line by line; it may be nil.
type Switcher interface {
	Switch(ctx context.Context, m *machine.Machine, c *nixos.Configuration, log io.Writer) (activate.Result, error)
}

// Switch makes the machine what a configuration says. The log of the switch is in
// the error where there is one.
func (m *Machine) Switch(ctx context.Context, c *nixos.Configuration) (activate.Result, error) {
	return m.SwitchLogged(ctx, c, nil)
}

// SwitchLogged is Switch with its progress, line by line, written to log as it comes.
func (m *Machine) SwitchLogged(ctx context.Context, c *nixos.Configuration, log io.Writer) (activate.Result, error) {
	switcher := m.switcher
	if switcher == nil {
		switcher = programSwitcher{}
	}
	result, err := switcher.Switch(ctx, m.Machine, c, log)
	if err != nil {
		return result, err
	}
	m.configuration = c
	return result, nil
}

// programSwitcher runs the program switch-to-configuration in an embedded guest.
type programSwitcher struct{}

func (programSwitcher) Switch(ctx context.Context, m *machine.Machine, c *nixos.Configuration, log io.Writer) (result activate.Result, _ error) {
	text, err := json.Marshal(c)
	if err != nil {
		return result, err
	}
	res, err := m.Exec(ctx, provider.Command{
		Argv: []string{guestPrograms + "/switch-to-configuration", "switch"}, Stdin: bytes.NewReader(text), Stderr: log})
	if err != nil {
		return result, err
	}
	if e := json.Unmarshal(res.Stdout, &result); e != nil && res.OK() {
		return result, fmt.Errorf("%s: switch-to-configuration did not say what it did: %w", m.Name(), e)
	}
	if res.ExitStatus != 0 && res.ExitStatus != 4 {
		return result, &machine.CommandError{Machine: m.Name(), Result: res}
	}
	return result, nil
}
