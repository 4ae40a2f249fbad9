package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"offload-e2e/harness/fault"
)

// Timeline puts the events of a scenario in force, each at its moment, and takes
// them back. Each is proved to be in force, and to be gone.
type Timeline struct {
	World  fault.World
	Events []Event
	// Wait returns when a moment has come, or with the context's end.
	Wait func(ctx context.Context, m Moment) error
	// Say receives what happens, a line each; nil is nobody.
	Say func(text string)

	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	applied []*inForce
	errs    []error
	never   []string
}

// inForce is a fault that was applied and is to be undone.
type inForce struct {
	fault.Fault
	mu   sync.Mutex
	undo fault.Undo
}

// over is a fault that is done when it is applied, as a reboot: it is not taken back.
type over interface{ Over() bool }

func isOver(f fault.Fault) bool {
	o, ok := f.(over)
	return ok && o.Over()
}

// Before applies the events that come before the checks, or after a phase of the
// walk, one after another.
func (t *Timeline) Before(ctx context.Context, kind MomentKind, phase int) error {
	for _, e := range t.Events {
		if e.At.Kind != kind || kind == AfterPhase && e.At.Phase != phase {
			continue
		}
		f, err := t.apply(ctx, e.Fault.Fault)
		if err != nil {
			return err
		}
		if e.For > 0 {
			if err := sleep(ctx, e.For); err != nil {
				return err
			}
			if err := t.takeBack(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// Begin waits in the background for the moments that come while the checks are made.
func (t *Timeline) Begin(ctx context.Context) {
	ctx, t.cancel = context.WithCancel(ctx)
	for _, e := range t.Events {
		if e.At.Kind == Before || e.At.Kind == AfterPhase {
			continue
		}
		t.work.Go(func() { t.meet(ctx, e) })
	}
}

// meet applies one event at its moment.
func (t *Timeline) meet(ctx context.Context, e Event) {
	if err := t.Wait(ctx, e.At); err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if ctx.Err() != nil {
			t.never = append(t.never, e.At.String())
		} else {
			t.errs = append(t.errs, fmt.Errorf("wait for the moment %q: %w", e.At, err))
		}
		return
	}
	// What has begun is brought to its end, whatever ends the waiting.
	f, err := t.apply(context.WithoutCancel(ctx), e.Fault.Fault)
	if err == nil && e.For > 0 {
		if sleep(ctx, e.For) == nil {
			err = t.takeBack(ctx, f)
		}
	}
	if err != nil {
		t.mu.Lock()
		t.errs = append(t.errs, err)
		t.mu.Unlock()
	}
}

// End ends the waiting, and tells what went wrong meanwhile: also moments that have
// never come.
func (t *Timeline) End() error {
	if t.cancel != nil {
		t.cancel()
		t.work.Wait()
		t.cancel = nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	errs := t.errs
	for _, m := range t.never {
		errs = append(errs, fmt.Errorf("the moment %q never came while the checks were made", m))
	}
	t.errs, t.never = nil, nil
	return errors.Join(errs...)
}

// apply puts a fault in force and proves it. What was applied is remembered also
// where it failed half-way.
func (t *Timeline) apply(ctx context.Context, f fault.Fault) (*inForce, error) {
	t.say("applies: " + f.String())
	undo, err := f.Apply(ctx, t.World)
	entry := &inForce{Fault: f, undo: undo}
	if undo != nil {
		t.mu.Lock()
		t.applied = append(t.applied, entry)
		t.mu.Unlock()
	}
	if err != nil {
		return entry, fmt.Errorf("apply %q: %w", f, err)
	}
	return entry, fault.Prove(ctx, t.World, f, true)
}

// takeBack undoes a fault, once, and proves that it is gone.
func (t *Timeline) takeBack(ctx context.Context, f *inForce) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.undo == nil || isOver(f.Fault) {
		return nil
	}
	t.say("undoes: " + f.String())
	if err := f.undo(ctx); err != nil {
		return fmt.Errorf("undo %q: %w", f, err)
	}
	f.undo = nil
	return fault.Prove(ctx, t.World, f.Fault, false)
}

// TakeBack undoes everything that is in force, the latest first, also after one
// could not be undone. With lasting, only what a restore of the machines would leave.
func (t *Timeline) TakeBack(ctx context.Context, lasting bool) error {
	errs := []error{t.End()}
	t.mu.Lock()
	applied := slices.Clone(t.applied)
	t.mu.Unlock()
	for _, f := range slices.Backward(applied) {
		switch {
		case !lasting:
			errs = append(errs, t.takeBack(ctx, f))
		case fault.Lasts(f.Fault):
			errs = append(errs, f.drop(ctx))
		}
	}
	return errors.Join(errs...)
}

// drop undoes without a proof: what it did to the machines is thrown away.
func (f *inForce) drop(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.undo == nil {
		return nil
	}
	if err := f.undo(ctx); err != nil {
		return fmt.Errorf("undo %q: %w", f, err)
	}
	f.undo = nil
	return nil
}

func (t *Timeline) say(text string) {
	if t.Say != nil {
		t.Say(text)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
