package qemu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// jobTimeout bounds the saving or loading of one machine: half a second to two
// for 1 GiB, limited by the host's disk. QEMU cannot give it up half way, so
// the caller's context does not shorten it.
const jobTimeout = 3 * time.Minute

// cut is what is known of a snapshot besides what is in the disks.
type cut struct {
	links map[string]map[string]bool // machine -> cable -> up
}

// snapshotName is what may name a snapshot: it becomes a tag in qcow2 files.
const snapshotName = `^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`

// Snapshot saves all machines as one cut, under a name; one of the same name
// is replaced. All have to be on and none frozen. It costs as much room in the
// state folder as the guests use memory.
func (p *Provider) Snapshot(ctx context.Context, name string) error {
	ctx, cancel := p.within(ctx)
	defer cancel()
	p.op.Lock()
	defer p.op.Unlock()
	defer p.lockPower()()
	if err := p.snapshot(ctx, name); err != nil {
		return fmt.Errorf("snapshot %q: %w", name, err)
	}
	return nil
}

func (p *Provider) snapshot(ctx context.Context, name string) (err error) {
	if !regexp.MustCompile(snapshotName).MatchString(name) {
		return fmt.Errorf("the name has to match %s", snapshotName)
	}
	if err := p.steady(); err != nil {
		return err
	}
	_, replaces := p.cuts[name]
	delete(p.cuts, name)
	defer func() { err = errors.Join(err, p.resume(ctx)) }()
	if err := p.pause(ctx); err != nil {
		return err
	}
	made := cut{links: map[string]map[string]bool{}}
	for _, m := range p.machines {
		m.mu.Lock()
		made.links[m.name] = maps.Clone(m.links)
		m.mu.Unlock()
	}
	err = p.each(ctx, func(ctx context.Context, m *Machine) error {
		if replaces {
			if err := m.job(ctx, "snapshot-delete", map[string]any{"tag": name, "devices": []string{"disk0"}}); err != nil {
				return err
			}
		}
		return m.job(ctx, "snapshot-save", map[string]any{"tag": name, "vmstate": "disk0", "devices": []string{"disk0"}})
	})
	if err == nil {
		p.cuts[name] = made
	}
	return err
}

// Restore puts all machines back to a snapshot, also those that are off,
// frozen or dead now, and waits until commands run. Connections between the
// machines go on as they were; their clocks stand where they stood, and each has a new
// QEMU.
func (p *Provider) Restore(ctx context.Context, name string) error {
	ctx, cancel := p.within(ctx)
	defer cancel()
	p.op.Lock()
	defer p.op.Unlock()
	defer p.lockPower()()
	if err := p.restore(ctx, name); err != nil {
		return fmt.Errorf("restore snapshot %q: %w", name, err)
	}
	return nil
}

func (p *Provider) restore(ctx context.Context, name string) error {
	saved, ok := p.cuts[name]
	if !ok {
		return fmt.Errorf("there is none of this name (there are: %s)",
			strings.Join(slices.Sorted(maps.Keys(p.cuts)), ", "))
	}
	around := p.options.Cut
	if around == nil {
		around = func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }
	}
	err := around(ctx, func(ctx context.Context) error {
		if err := p.each(ctx, func(ctx context.Context, m *Machine) error { return m.renew(ctx) }); err != nil {
			return err
		}
		return p.each(ctx, func(ctx context.Context, m *Machine) error { return m.revert(ctx, name, saved.links[m.name]) })
	})
	if err != nil {
		return fmt.Errorf("%w (the machines stay stopped: create the lab again)", err)
	}
	return p.resumeReady(ctx)
}

// revert puts a stopped machine back to a snapshot, and leaves it stopped.
func (m *Machine) revert(ctx context.Context, name string, links map[string]bool) error {
	m.transport.Reset()
	args := map[string]any{"tag": name, "vmstate": "disk0", "devices": []string{"disk0"}}
	if err := m.job(ctx, "snapshot-load", args); err != nil {
		return err
	}
	return m.relink(ctx, links)
}

// resumeReady resumes all machines, and waits until commands run on each.
func (p *Provider) resumeReady(ctx context.Context) error {
	faults := make(map[string]int)
	for _, m := range p.machines {
		faults[m.name] = m.console.count()
	}
	if err := p.resume(ctx); err != nil {
		return err
	}
	return p.each(ctx, func(ctx context.Context, m *Machine) error {
		return m.waitReady(ctx, p.options.RestoreTimeout, faults[m.name])
	})
}

// lockPower keeps all machines from being switched, and returns the undo.
func (p *Provider) lockPower() func() {
	for _, m := range p.machines {
		m.power.Lock()
	}
	return func() {
		for _, m := range p.machines {
			m.power.Unlock()
		}
	}
}

// steady is nil when every machine is on, not frozen, and has its disk.
func (p *Provider) steady() error {
	var errs []error
	if len(p.machines) == 0 || p.closed {
		errs = append(errs, errors.New("there are no machines"))
	}
	for _, m := range p.machines {
		proc, err := m.running()
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
		case m.isFrozen():
			errs = append(errs, fmt.Errorf("%s is frozen (thaw it first)", m.name))
		case proc.disk() != "":
			errs = append(errs, fmt.Errorf("%s: %s", m.name, proc.disk()))
		}
	}
	return errors.Join(errs...)
}

// pause stops all processors, as near to at once as can be.
func (p *Provider) pause(ctx context.Context) error {
	return p.each(ctx, func(ctx context.Context, m *Machine) error { return m.command(ctx, "stop") })
}

// resume starts them again. A cancelled context does not keep it from that.
func (p *Provider) resume(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	return p.eachMachine(func(m *Machine) error {
		if err := m.command(ctx, "cont"); err != nil {
			return err
		}
		m.mu.Lock()
		m.frozen = false
		m.mu.Unlock()
		return nil
	})
}

// renew gives the machine a QEMU that has not run yet, and does not let it run.
//
// One that has keeps its guest's time stamp counter from going back (cpu_get_ticks in
// system/cpu-timers.c): put back to a snapshot in it, a guest finds that all the time
// since has passed at once, and its systemd kills the services that were silent for so
// long (systemd.service(5), WatchdogSec=).
func (m *Machine) renew(ctx context.Context) error {
	if err := errors.Join(m.end(), m.plugIn()); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	if _, err := m.start(ctx, true, nil); err != nil {
		return err
	}
	m.mu.Lock()
	m.frozen = true
	m.mu.Unlock()
	return nil
}

// relink sets all cables as they were: that of the guest's own view is in its
// memory, that of QEMU's is not.
func (m *Machine) relink(ctx context.Context, links map[string]bool) error {
	p, err := m.running()
	for cable, up := range links {
		if err == nil {
			err = p.setLink(ctx, cable, up)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	m.mu.Lock()
	m.links = maps.Clone(links)
	m.mu.Unlock()
	return nil
}

// command runs a QMP command without arguments or answer.
func (m *Machine) command(ctx context.Context, command string) error {
	p, err := m.running()
	if err == nil {
		err = p.qmp.Execute(ctx, command, nil, nil)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return nil
}

// job runs a QMP command that starts a job, to the job's end (QAPI, "jobs").
func (m *Machine) job(ctx context.Context, command string, args map[string]any) error {
	p, err := m.running()
	if err == nil {
		err = p.job(ctx, command, args)
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", m.name, command, err)
	}
	return nil
}

func (p *process) job(ctx context.Context, command string, args map[string]any) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jobTimeout)
	defer cancel()
	id := "job-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	args["job-id"] = id
	if err := p.qmp.Execute(ctx, command, args, nil); err != nil {
		return err
	}
	var failure string
	err := poll(ctx, 10*time.Millisecond, func() (bool, error) {
		var jobs []struct {
			ID     string `json:"id"`
			Status string `json:"status"`
			Error  string `json:"error"`
		}
		if err := p.qmp.Execute(ctx, "query-jobs", nil, &jobs); err != nil {
			return false, err
		}
		for _, job := range jobs {
			if job.ID == id {
				failure = job.Error
				return job.Status == "concluded", nil
			}
		}
		return false, errors.New("the job is gone")
	})
	if err != nil {
		return err
	}
	if err := p.qmp.Execute(ctx, "job-dismiss", map[string]string{"id": id}, nil); err != nil {
		return err
	}
	if failure != "" {
		return errors.New(failure)
	}
	return nil
}
