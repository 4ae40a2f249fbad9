package docker

import (
	"context"
	"errors"
	"fmt"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"offload-e2e/harness/provider"
)

// rebooted is the exit status of a container whose init was ended by its own
// reboot(2): 128 and SIGHUP.
const rebooted = 129

// start starts the container, plugs it in, and waits until commands run.
func (m *Machine) start(ctx context.Context) error {
	if _, err := m.lab.engine.api.ContainerStart(ctx, m.container(), client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start the container: %w", err)
	}
	m.mu.Lock()
	m.resting, m.frozen = false, false
	m.mu.Unlock()
	m.watch()
	if err := m.plugIn(ctx); err != nil {
		return err
	}
	return m.waitReady(ctx)
}

// watch starts the container again when the machine reboots by itself.
func (m *Machine) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	m.mu.Lock()
	if m.watching != nil {
		m.watching()
	}
	m.watching = cancel
	id := m.id
	m.mu.Unlock()
	ended := m.lab.engine.api.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	go func() {
		defer cancel()
		select {
		case <-ctx.Done():
		case err := <-ended.Error:
			_ = err // whoever asks for the machine asks the engine, and is told
		case how := <-ended.Result:
			if how.StatusCode != rebooted || m.off() {
				return
			}
			again, stop := context.WithTimeout(context.Background(), bootTimeout)
			defer stop()
			m.power.Lock()
			defer m.power.Unlock()
			m.leave()
			// Whoever waits for the machine finds it off where this fails.
			_ = m.start(again)
		}
	}()
}

// leave gives up what leads to the machine: it has lost its power.
func (m *Machine) leave() {
	m.unplug()
	m.transport.Reset()
}

func (m *Machine) off() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.resting
}

// Running reports whether the machine has power. A frozen one has.
func (m *Machine) Running() bool {
	if m.off() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	found, err := m.lab.engine.api.ContainerInspect(ctx, m.container(), client.ContainerInspectOptions{})
	return err == nil && found.Container.State != nil && found.Container.State.Running
}

// PowerOff ends the machine: hard as by pulling its plug, else as by its power
// button, waiting for its end. A machine that is off already is no error.
func (m *Machine) PowerOff(ctx context.Context, hard bool) error {
	m.power.Lock()
	defer m.power.Unlock()
	if !m.Running() {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("power off %s: %w", m.name, err) }
	m.mu.Lock()
	frozen := m.frozen
	m.resting = true
	m.mu.Unlock()
	switch {
	case !hard && frozen:
		m.awake()
		return fail(errors.New("it is frozen and would not notice its power button: thaw it first"))
	case !hard:
		if err := m.press(ctx); err != nil {
			m.awake()
			return fail(err)
		}
	default:
		if frozen { // the engine kills no container that is paused
			if _, err := m.lab.engine.api.ContainerUnpause(ctx, m.container(), client.ContainerUnpauseOptions{}); err != nil {
				return fail(err)
			}
		}
		if _, err := m.lab.engine.api.ContainerKill(ctx, m.container(), client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
			return fail(err)
		}
	}
	err := m.waitEnd(ctx)
	m.leave()
	if err != nil {
		return fail(err)
	}
	return nil
}

func (m *Machine) awake() {
	m.mu.Lock()
	m.resting = false
	m.mu.Unlock()
}

// press tells systemd to end, as a power button does.
func (m *Machine) press(ctx context.Context) error {
	_, err := m.lab.engine.api.ContainerKill(ctx, m.container(), client.ContainerKillOptions{Signal: "SIGRTMIN+4"})
	if err != nil {
		return err
	}
	return m.waitEnd(ctx)
}

// waitEnd waits until the container does not run.
func (m *Machine) waitEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, powerOffTimeout, fmt.Errorf("it still runs after %s", powerOffTimeout))
	defer cancel()
	ended := m.lab.engine.api.ContainerWait(ctx, m.container(), client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-ended.Result:
		return nil
	case err := <-ended.Error:
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
}

// PowerOn boots the machine that is off, and waits until commands run. One that is
// on is left as it is.
func (m *Machine) PowerOn(ctx context.Context) error {
	m.power.Lock()
	defer m.power.Unlock()
	if m.Running() {
		return nil
	}
	m.leave()
	if err := m.start(ctx); err != nil {
		return fmt.Errorf("power on %s: %w", m.name, err)
	}
	return nil
}

// Freeze stops the machine's processes; its peers notice nothing but silence.
func (m *Machine) Freeze(ctx context.Context) error {
	return m.pause(ctx, true, func() error {
		_, err := m.lab.engine.api.ContainerPause(ctx, m.container(), client.ContainerPauseOptions{})
		return err
	})
}

// Thaw lets a frozen machine run on.
func (m *Machine) Thaw(ctx context.Context) error {
	return m.pause(ctx, false, func() error {
		_, err := m.lab.engine.api.ContainerUnpause(ctx, m.container(), client.ContainerUnpauseOptions{})
		return err
	})
}

func (m *Machine) pause(_ context.Context, frozen bool, do func() error) error {
	m.power.Lock()
	defer m.power.Unlock()
	what := map[bool]string{true: "freeze ", false: "thaw "}[frozen] + m.name
	if !m.Running() {
		return fmt.Errorf("%s: %w", what, provider.ErrOff)
	}
	m.mu.Lock()
	already := m.frozen == frozen
	m.mu.Unlock()
	if already {
		return nil
	}
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	m.mu.Lock()
	m.frozen = frozen
	m.mu.Unlock()
	return nil
}
