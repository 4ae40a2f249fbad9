package e2e

import (
	"context"
	"fmt"
	"time"

	"offload-e2e/harness/nixos"
)

// Phases is how many phases the walk has.
const Phases = 4

// walkStep is one thing a user does on the way to the end of the four phases.
type walkStep struct {
	phase int
	title string
	do    func(context.Context) error
}

// walk are the steps to the end of the four phases, proving nothing on the way.
func (r *Run) walk() []walkStep {
	return []walkStep{
		{1, "the desktop switches", r.switchQuietly(nixos.Desktop)},
		{1, "the cache has its keys", r.MakeCacheKeys},
		{2, "the laptop has its key", r.MakeBuilderKey},
		{2, "the laptop trusts the cache", r.TrustCacheKey},
		{2, "the laptop switches", r.switchQuietly(nixos.Laptop)},
		{3, "the desktop authorizes the laptop", r.Authorize},
	}
}

// WalkPhases walks on from the end of one phase to the end of another. Machines that
// are somebody's own are where they are.
func (r *Run) WalkPhases(ctx context.Context, after, to int) error {
	if r.Lab.Theirs() {
		return nil
	}
	for _, s := range r.walk() {
		if s.phase <= after || s.phase > to {
			continue
		}
		var err error
		if r.quiet {
			if err = s.do(ctx); err != nil {
				err = fmt.Errorf("%s: %w", s.title, err)
			}
		} else {
			err = r.Walk(ctx, s.title, s.do)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// moment is the name of the lab's snapshot at the end of a phase.
func moment(phase int) string { return fmt.Sprintf("phase%d", phase) }

// Moments walks the four phases and keeps the ends of those that are asked for; that
// of the last is kept by KeepEnd.
func (r *Run) Moments(ctx context.Context, phases map[int]bool) error {
	for phase := 1; phase <= Phases; phase++ {
		if err := r.WalkPhases(ctx, phase-1, phase); err != nil {
			return err
		}
		if !phases[phase] || phase == Phases {
			continue
		}
		if err := r.Lab.Snapshot(ctx, moment(phase)); err != nil {
			return err
		}
	}
	return nil
}

// KeepEnd keeps the end of the phases, where nothing of the desktop's is mounted: what
// a scenario changes is met by who mounts it then. The input of a remote build, which
// only the laptop has, is made once for all of them.
func (r *Run) KeepEnd(ctx context.Context) error {
	for _, m := range r.Bench().Mounts() {
		// An automount that waits for its first use stays (proc_mounts(5)).
		const script = `if grep -q " $1 nfs" /proc/mounts; then umount "$1"; fi`
		if _, err := r.Succeed(ctx, nixos.Laptop, "", "bash", "-c", script, "umount", m.MountPoint); err != nil {
			return fmt.Errorf("unmount %s: %w", m.MountPoint, err)
		}
	}
	if err := r.Bench().MakeInput(ctx); err != nil {
		return fmt.Errorf("make the input of a remote build: %w", err)
	}
	return r.Lab.Snapshot(ctx, moment(Phases))
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Establish brings a lab to where the four phases end, proving nothing on the way.
func (r *Run) Establish(ctx context.Context) error { return r.WalkPhases(ctx, 0, Phases) }
