package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"offload-e2e/harness/nixos"
)

// PowerOff ends a machine; its undo boots it.
type PowerOff struct {
	Machine nixos.Role `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"which machine"`
	How     string     `yaml:"how" enum:"plug,button" doc:"plug: pulled, what is not on the disk is lost (the default); button: an orderly end"`
}

func (f *PowerOff) String() string {
	if f.How == "button" {
		return "power button of the " + string(f.Machine)
	}
	return "plug of the " + string(f.Machine) + " pulled"
}

func (f *PowerOff) Apply(ctx context.Context, w World) (Undo, error) {
	m := w.Machine(f.Machine)
	return m.PowerOn, m.PowerOff(ctx, f.How != "button")
}

func (f *PowerOff) Probe(_ context.Context, w World) (bool, string, error) {
	if w.Machine(f.Machine).Running() {
		return false, "the " + string(f.Machine) + " is on", nil
	}
	return true, "the " + string(f.Machine) + " is off", nil
}

// Reboot ends a machine and boots it again. It is over when it is applied.
type Reboot struct {
	Machine nixos.Role `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"which machine"`
	How     string     `yaml:"how" enum:"plug,button" doc:"plug: pulled, what is not on the disk is lost; button: an orderly end (the default)"`

	before string
}

func (f *Reboot) String() string { return "reboot of the " + string(f.Machine) }

func (f *Reboot) Apply(ctx context.Context, w World) (Undo, error) {
	m := w.Machine(f.Machine)
	var err error
	if f.before, err = bootID(ctx, w, f.Machine); err != nil {
		return nil, err
	}
	if err := m.PowerOff(ctx, f.How == "plug"); err != nil {
		return m.PowerOn, err
	}
	return m.PowerOn, m.PowerOn(ctx)
}

func (f *Reboot) Probe(ctx context.Context, w World) (bool, string, error) {
	now, err := bootID(ctx, w, f.Machine)
	return now != f.before, "boot " + now, err
}

// Over is true: what a reboot does is done, and nothing takes it back.
func (*Reboot) Over() bool { return true }

func bootID(ctx context.Context, w World, role nixos.Role) (string, error) {
	return succeed(ctx, w, role, "cat", "/proc/sys/kernel/random/boot_id")
}

// Pause stops a machine's processors: its peers hear nothing, and no end.
type Pause struct {
	Machine nixos.Role `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"which machine"`

	paused bool
}

func (f *Pause) String() string { return "pause of the " + string(f.Machine) }

// Lasts is true: a machine that is paused cannot be restored.
func (*Pause) Lasts() bool { return true }

func (f *Pause) Apply(ctx context.Context, w World) (Undo, error) {
	m := w.Machine(f.Machine)
	if err := m.Freeze(ctx); err != nil {
		return m.Thaw, err
	}
	f.paused = true
	return func(ctx context.Context) error {
		err := m.Thaw(ctx)
		f.paused = err != nil
		return err
	}, nil
}

func (f *Pause) Probe(ctx context.Context, w World) (bool, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if f.paused {
		// Its peers see that it is silent; the harness's own way in would wait too.
		other := nixos.Laptop
		if f.Machine == nixos.Laptop {
			other = nixos.Desktop
		}
		answers, seen, err := ping(ctx, w, Scope{From: string(other), To: string(f.Machine)}, 1, 0)
		return answers == 0, seen, err
	}
	_, err := succeed(ctx, w, f.Machine, "true")
	return false, "the " + string(f.Machine) + " runs commands", err
}

// Suspend sends a machine to sleep, as the lid of a laptop does, and has it wake up
// by itself. It is over when it is applied.
type Suspend struct {
	Machine nixos.Role    `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"which machine"`
	Sleeps  time.Duration `yaml:"sleeps" doc:"how long it sleeps"`

	before, after string
}

func (f *Suspend) String() string { return "suspend of the " + string(f.Machine) }

func (f *Suspend) Apply(ctx context.Context, w World) (Undo, error) {
	const count = `cat /sys/power/suspend_stats/success`
	var err error
	if f.before, err = succeed(ctx, w, f.Machine, "sh", "-c", count); err != nil {
		return nil, err
	}
	seconds := fmt.Sprintf("%.0f", max(f.Sleeps, 5*time.Second).Seconds())
	// The alarm wakes it; the command itself is cut off by the sleep, and started by
	// systemd so that its end is nobody's.
	if _, err := succeed(ctx, w, f.Machine, "sh", "-c", `rtcwake --mode no --seconds "$1" && systemctl --no-block suspend`, "suspend", seconds); err != nil {
		return nil, err
	}
	deadline, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		now, err := succeed(deadline, w, f.Machine, "sh", "-c", count)
		if err == nil && now != f.before {
			f.after = now
			return nil, nil
		}
		select {
		case <-deadline.Done():
			return nil, errors.Join(fmt.Errorf("the %s did not sleep and wake again within %s", f.Machine, patience), err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (f *Suspend) Probe(context.Context, World) (bool, string, error) {
	return f.after != f.before, "it has slept " + f.after + " times", nil
}

// Over is true: it is awake again.
func (*Suspend) Over() bool { return true }
