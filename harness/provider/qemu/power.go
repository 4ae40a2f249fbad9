package qemu

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Running reports whether the machine has power. A frozen one has.
func (m *Machine) Running() bool {
	_, err := m.running()
	return err == nil
}

// PowerOff ends the machine. Hard is as pulling the plug: what the guest has
// not flushed to its disk is lost. Otherwise its ACPI power button is pressed
// and its end awaited, by the context or within Options.PowerOffTimeout; a
// guest that does not end stays on, and that is an error. A machine that is off
// already is none.
func (m *Machine) PowerOff(ctx context.Context, hard bool) error {
	ctx, cancel := m.lab.within(ctx)
	defer cancel()
	m.power.Lock()
	defer m.power.Unlock()
	p, err := m.running()
	var death *DeathError
	if err != nil && !errors.As(err, &death) {
		return nil //nolint:nilerr // it is off, as asked
	}
	// Of a machine that died, only the remains are cleared away.
	if err == nil && !hard {
		if err := m.pressPower(ctx, p); err != nil {
			return fmt.Errorf("power off %s: %w", m.name, err)
		}
	}
	err = m.end()
	m.transport.Reset()
	if err != nil {
		return fmt.Errorf("power off %s: %w", m.name, err)
	}
	return nil
}

// pressPower presses the power button and waits for QEMU to end.
func (m *Machine) pressPower(ctx context.Context, p *process) error {
	if m.isFrozen() {
		return errors.New("it is frozen and would not notice its power button: thaw it first")
	}
	if err := p.qmp.Execute(ctx, "system_powerdown", nil, nil); err != nil {
		return err
	}
	timeout := m.lab.options.PowerOffTimeout
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	var err error
	select {
	case <-p.done:
		if how, unexpected := p.ending(); unexpected {
			return errors.New(how + quote("QEMU says", tail(p.logPath, 5)))
		}
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = fmt.Errorf("the guest did not end within %s of its power button", timeout)
	}
	return fmt.Errorf("%w (switch it off hard)%s", err, quote("console", tail(m.hardware.console, 8)))
}

// PowerOn boots the machine that is off, from its own disk as it was left, and
// waits until Exec works. A machine that is on already is no error.
func (m *Machine) PowerOn(ctx context.Context) error {
	ctx, cancel := m.lab.within(ctx)
	defer cancel()
	m.power.Lock()
	defer m.power.Unlock()
	if m.Running() {
		return nil
	}
	if err := errors.Join(m.end(), m.plugIn()); err != nil {
		return fmt.Errorf("power on %s: %w", m.name, err)
	}
	m.transport.Reset()
	faults := m.console.count()
	if _, err := m.start(ctx, false, nil); err != nil {
		return fmt.Errorf("power on: %w", err)
	}
	if err := m.waitReady(ctx, m.lab.options.BootTimeout, faults); err != nil {
		return fmt.Errorf("power on: %w", err)
	}
	return nil
}

// plugIn asks for the sockets the machine's cables end at.
func (m *Machine) plugIn() error {
	cables, err := m.lab.options.Cables(m.name)
	if err != nil {
		return fmt.Errorf("cables of %s: %w", m.name, err)
	}
	if err := cables.complete(m.hardware.lanMAC); err != nil {
		return fmt.Errorf("cables of %s: %w", m.name, err)
	}
	m.hardware.cables = cables
	return nil
}

// Freeze stops the machine's processors, as a suspend its peers do not notice.
func (m *Machine) Freeze(ctx context.Context) error { return m.setFrozen(ctx, "freeze", "stop", true) }

// Thaw resumes them. The guest's clock has stood still meanwhile.
func (m *Machine) Thaw(ctx context.Context) error { return m.setFrozen(ctx, "thaw", "cont", false) }

func (m *Machine) setFrozen(ctx context.Context, verb, command string, frozen bool) error {
	m.power.Lock()
	defer m.power.Unlock()
	p, err := m.running()
	if err == nil {
		err = p.qmp.Execute(ctx, command, nil, nil)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, m.name, err)
	}
	m.mu.Lock()
	m.frozen = frozen
	m.mu.Unlock()
	return nil
}

func (m *Machine) isFrozen() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.frozen
}

// SetLink pulls a cable, CableLAN or CableMgmt, or plugs it in again: the guest
// sees its carrier go and come. A power cycle plugs all cables in.
func (m *Machine) SetLink(ctx context.Context, cable string, up bool) error {
	if cable != CableLAN && cable != CableMgmt {
		return fmt.Errorf("set link of %s: no cable %q (there are %s and %s)", m.name, cable, CableLAN, CableMgmt)
	}
	p, err := m.running()
	if err == nil {
		err = p.setLink(ctx, cable, up)
	}
	if err != nil {
		return fmt.Errorf("set link %s of %s: %w", cable, m.name, err)
	}
	m.mu.Lock()
	m.links[cable] = up
	m.mu.Unlock()
	return nil
}

func (p *process) setLink(ctx context.Context, cable string, up bool) error {
	return p.qmp.Execute(ctx, "set_link", map[string]any{"name": nicID(cable), "up": up}, nil)
}
