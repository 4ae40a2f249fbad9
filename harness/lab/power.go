package lab

import (
	"context"

	"offload-e2e/harness/machine"
	"offload-e2e/harness/provider"
)

// PowerOff ends the machine: hard, as by pulling its plug, or by its power button.
func (m *Machine) PowerOff(ctx context.Context, hard bool) error {
	power, err := ability[provider.PowerController](m, "power switches")
	if err != nil {
		return err
	}
	return power.PowerOff(ctx, hard)
}

// PowerOn boots the machine and waits until it runs commands.
func (m *Machine) PowerOn(ctx context.Context) error {
	power, err := ability[provider.PowerController](m, "power switches")
	if err != nil {
		return err
	}
	if err := power.PowerOn(ctx); err != nil {
		return err
	}
	return m.setClock(ctx)
}

// Freeze stops the machine's processor; Thaw lets it run on.
func (m *Machine) Freeze(ctx context.Context) error {
	freezer, err := ability[provider.Freezer](m, "machines that freeze")
	if err != nil {
		return err
	}
	return freezer.Freeze(ctx)
}

// Thaw lets a frozen machine run on.
func (m *Machine) Thaw(ctx context.Context) error {
	freezer, err := ability[provider.Freezer](m, "machines that freeze")
	if err != nil {
		return err
	}
	return freezer.Thaw(ctx)
}

// Running reports whether the machine has power, as far as that can be known.
func (m *Machine) Running() bool {
	power, ok := machine.Ability[provider.PowerController](m.Machine)
	return !ok || power.Running()
}

// ability is what only some providers' machines can do, or a provider.MissingError.
func ability[T any](m *Machine, noun string) (T, error) {
	a, ok := machine.Ability[T](m.Machine)
	if !ok {
		return a, &provider.MissingError{Provider: m.provider, Ability: noun}
	}
	return a, nil
}
