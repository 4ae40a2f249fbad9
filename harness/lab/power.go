package lab

import "context"

// PowerOff ends the machine: hard, as by pulling its plug, or by its power button.
func (m *Machine) PowerOff(ctx context.Context, hard bool) error { return m.qemu.PowerOff(ctx, hard) }

// PowerOn boots the machine and waits until it runs commands.
func (m *Machine) PowerOn(ctx context.Context) error {
	if err := m.qemu.PowerOn(ctx); err != nil {
		return err
	}
	return m.setClock(ctx)
}

// Freeze stops the machine's processor; Thaw lets it run on.
func (m *Machine) Freeze(ctx context.Context) error { return m.qemu.Freeze(ctx) }

// Thaw lets a frozen machine run on.
func (m *Machine) Thaw(ctx context.Context) error { return m.qemu.Thaw(ctx) }

// Running reports whether the machine has power.
func (m *Machine) Running() bool { return m.qemu.Running() }
