package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"offload-e2e/harness/provider"
)

// ErrOff is the error of whatever needs a machine that has no power. Where
// QEMU died by itself the error is a *DeathError too.
var ErrOff = provider.ErrOff

// DeathError is the end of a machine that nobody asked for.
type DeathError struct {
	Machine string
	// How QEMU ended, e.g. "QEMU died: signal: killed".
	How string
	// Log is QEMU's own last words, Console the guest's; either may be empty.
	Log, Console string
}

func (e *DeathError) Error() string {
	return fmt.Sprintf("machine %s is dead: %s%s%s (power it on, or restore a snapshot)",
		e.Machine, e.How, quote("QEMU says", e.Log), quote("console", e.Console))
}

// Is makes a death a way of being off.
func (e *DeathError) Is(target error) bool { return target == ErrOff }

// Machine is one virtual machine. Besides [provider.Machine] it is a
// [provider.PowerController] and a [provider.Freezer].
type Machine struct {
	name      string
	dir       string
	lab       *Provider
	hardware  hardware
	console   *console
	transport provider.Transport

	// power serialises whatever starts, stops or saves the machine.
	power sync.Mutex

	mu     sync.Mutex
	proc   *process // the latest, alive or not; nil before the first start
	frozen bool
	links  map[string]bool // cable -> up
}

var (
	_ provider.Machine         = (*Machine)(nil)
	_ provider.PowerController = (*Machine)(nil)
	_ provider.Freezer         = (*Machine)(nil)
	_ provider.Journaler       = (*Machine)(nil)
	_ provider.Clock           = (*Machine)(nil)
)

// Name is the machine's role.
func (m *Machine) Name() string { return m.name }

// Exec runs a command; see [provider.Machine]. On a machine that is off, or
// loses its power meanwhile, it fails at once with ErrOff.
func (m *Machine) Exec(ctx context.Context, cmd provider.Command) (result provider.Result, err error) {
	err = m.whileOn(ctx, "exec "+cmd.String(), func(ctx context.Context) error {
		result, err = m.transport.Exec(ctx, cmd)
		return err
	})
	return result, err
}

// CopyTo writes a file; see [provider.Machine].
func (m *Machine) CopyTo(ctx context.Context, content io.Reader, path string, mode fs.FileMode) error {
	return m.whileOn(ctx, "copy to "+path, func(ctx context.Context) error {
		return m.transport.CopyTo(ctx, content, path, mode)
	})
}

// CopyFrom reads a file; see [provider.Machine].
func (m *Machine) CopyFrom(ctx context.Context, path string, w io.Writer) error {
	return m.whileOn(ctx, "copy from "+path, func(ctx context.Context) error {
		return m.transport.CopyFrom(ctx, path, w)
	})
}

// Logs is the machine's console so far, over all its boots.
func (m *Machine) Logs(context.Context) (io.ReadCloser, error) {
	return m.openLog("console", m.hardware.console)
}

// Journal is what the guest has streamed on its journal port so far: in the
// guest's own format, independent of its network.
func (m *Machine) Journal(context.Context) (io.ReadCloser, error) {
	return m.openLog("journal", m.hardware.journal)
}

// SetClock sets the guest's clock.
func (m *Machine) SetClock(ctx context.Context, now time.Time) error {
	result, err := m.Exec(ctx, provider.Cmd("date", "--set", fmt.Sprintf("@%.3f", float64(now.UnixMilli())/1000)))
	if err != nil {
		return err
	}
	if err := result.Err(); err != nil {
		return fmt.Errorf("set the clock of %s: %w", m.name, err)
	}
	return nil
}

func (m *Machine) openLog(what, path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", what, m.name, err)
	}
	return f, nil
}

// ConsoleFaults are the lines of the console so far that no healthy machine
// prints: kernel panics, oopses, lockups, memory exhausted.
func (m *Machine) ConsoleFaults() ([]ConsoleFault, error) {
	faults, err := m.console.scan()
	if err != nil {
		return nil, fmt.Errorf("read console of %s: %w", m.name, err)
	}
	return faults, nil
}

// whileOn runs do while the machine has power. Where the machine's end, or its
// full disk, is why do failed, the error says so.
func (m *Machine) whileOn(ctx context.Context, what string, do func(context.Context) error) error {
	p, err := m.running()
	if err != nil {
		return fmt.Errorf("%s: %s: %w", m.name, what, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	finished := make(chan struct{})
	defer close(finished)
	go func() {
		select {
		case <-p.done:
			cancel(ErrOff)
		case <-finished:
		}
	}()
	err = do(ctx)
	if err == nil {
		return nil
	}
	switch disk := p.disk(); {
	case !p.alive():
		err = fmt.Errorf("%w (%w)", m.offError(p), err)
	case disk != "":
		err = fmt.Errorf("%s: %w", disk, err)
	}
	return fmt.Errorf("%s: %s: %w", m.name, what, err)
}

// running is the machine's living process, or why there is none.
func (m *Machine) running() (*process, error) {
	m.mu.Lock()
	p := m.proc
	m.mu.Unlock()
	if p == nil || !p.alive() {
		return nil, m.offError(p)
	}
	return p, nil
}

// offError says why a machine without a living process has none.
func (m *Machine) offError(p *process) error {
	if p == nil {
		return fmt.Errorf("%w: it was never switched on", ErrOff)
	}
	how, unexpected := p.ending()
	if !unexpected {
		return fmt.Errorf("%w: %s (power it on first)", ErrOff, how)
	}
	return &DeathError{Machine: m.name, How: how, Log: tail(p.logPath, 5), Console: tail(m.hardware.console, 10)}
}

// start starts QEMU: stopped when paused is set; with its state read from
// incoming where that is not nil.
func (m *Machine) start(ctx context.Context, paused bool, incoming *os.File) (*process, error) {
	for _, c := range []context.Context{m.lab.life, ctx} {
		if c.Err() != nil {
			return nil, fmt.Errorf("start %s: %w", m.name, context.Cause(c))
		}
	}
	h := m.hardware
	args, err := h.args(paused, incoming != nil)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", m.name, err)
	}
	p, err := startProcess(ctx, m.lab.launcher, startSpec{
		machine: m.name, binary: m.lab.options.Binary, args: args, dir: m.dir, cables: h.cables, incoming: incoming,
	})
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.proc, m.frozen = p, false
	m.links = map[string]bool{CableLAN: true, CableMgmt: true}
	m.mu.Unlock()
	return p, nil
}

// end kills the machine's QEMU, if there is one, and removes its pid file.
func (m *Machine) end() error {
	m.mu.Lock()
	p := m.proc
	m.mu.Unlock()
	if p == nil {
		return nil
	}
	err := p.kill()
	if p.alive() {
		return err // the pid file still leads to it
	}
	return errors.Join(err, removeIfThere(filepath.Join(m.dir, pidfileName)))
}

// Attempts to reach a machine that may not be up yet: short at first, since a
// connection asked for too early is best given up soon; long enough at last
// for a handshake on a busy host.
const (
	firstAttempt = 4 * time.Second
	lastAttempt  = 20 * time.Second
	attemptPause = 100 * time.Millisecond
)

// waitReady waits until a command runs on the machine. It fails at once when
// the machine dies, or its console tells that it cannot come up.
func (m *Machine) waitReady(ctx context.Context, timeout time.Duration, knownFaults int) error {
	p, err := m.running()
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout,
		fmt.Errorf("not reachable within %s", timeout))
	defer cancel()
	var last error
	attempt := firstAttempt
	err = poll(ctx, attemptPause, func() (bool, error) {
		if !p.alive() {
			return false, m.offError(p)
		}
		if err := m.console.fatal(knownFaults); err != nil {
			return false, err
		}
		last = m.tryExec(ctx, p, attempt)
		attempt = min(attempt*3/2, lastAttempt)
		return last == nil, nil
	})
	if err == nil {
		return nil
	}
	if last != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: last attempt: %w", err, last)
	}
	var death *DeathError
	if errors.As(err, &death) {
		return fmt.Errorf("%s did not come up: %w", m.name, err)
	}
	return fmt.Errorf("%s did not come up: %w%s", m.name, err, quote("console", tail(m.hardware.console, 12)))
}

func (m *Machine) tryExec(ctx context.Context, p *process, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-p.done:
			cancel()
		case <-stop:
		}
	}()
	result, err := m.transport.Exec(ctx, provider.Cmd("true"))
	if err != nil {
		return err
	}
	return result.Err()
}
