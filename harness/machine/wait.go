package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"offload-e2e/harness/provider"
)

// DefaultTimeout is the deadline of a wait whose context has none.
const DefaultTimeout = 30 * time.Second

// Wait is a condition of a machine that one can wait for. Waits compose: see
// [All], [Within].
type Wait interface {
	// Ready is nil when the condition holds, else why it does not. An error
	// made by [Hopeless] ends the wait, as does a machine that cannot be
	// talked to; after any other it is asked again.
	Ready(ctx context.Context, m *Machine) error
	// String says what is waited for, to be read after "waiting for".
	String() string
}

// Explainer is a Wait that can add to a failure what a person would look at next.
type Explainer interface {
	Explain(ctx context.Context, m *Machine) string
}

// Hopeless marks an error of Ready: waiting longer cannot help.
func Hopeless(err error) error { return &hopeless{err} }

type hopeless struct{ err error }

func (h *hopeless) Error() string { return h.err.Error() }
func (h *hopeless) Unwrap() error { return h.err }

// For is the condition that f gives nil, told as reason.
func For(reason string, f func(ctx context.Context, m *Machine) error) Wait {
	return condition{reason, f}
}

type condition struct {
	reason string
	ready  func(context.Context, *Machine) error
}

func (c condition) String() string                              { return c.reason }
func (c condition) Ready(ctx context.Context, m *Machine) error { return c.ready(ctx, m) }

// Port is the condition that something listens on a TCP port, on any address.
func Port(port int) Wait {
	return For(fmt.Sprintf("TCP port %d to listen", port), func(ctx context.Context, m *Machine) error {
		found, err := m.Listeners(ctx)
		if err != nil {
			return err
		}
		for _, l := range found {
			if int(l.Port()) == port {
				return nil
			}
		}
		return errors.New("nothing listens on it")
	})
}

// File is the condition that a path exists (a broken symbolic link does not).
func File(path string) Wait {
	return For("file "+path, func(ctx context.Context, m *Machine) error {
		res, err := m.Exec(ctx, provider.Cmd("test", "-e", path))
		switch {
		case err != nil:
			return err
		case res.ExitStatus == 1:
			return errors.New("it does not exist")
		}
		return res.Err()
	})
}

// CommandOK is the condition that a command succeeds.
func CommandOK(argv ...string) Wait {
	return For(fmt.Sprintf("%q to succeed", shown(argv)), func(ctx context.Context, m *Machine) error {
		res, err := m.Exec(ctx, provider.Cmd(argv...))
		if err != nil {
			return err
		}
		return res.Err()
	})
}

// All is the condition that all hold, each seen once, in this order.
func All(waits ...Wait) Wait { return &all{waits: waits} }

type all struct {
	waits []Wait
	held  int
}

func (a *all) String() string {
	names := make([]string, len(a.waits))
	for i, w := range a.waits {
		names[i] = w.String()
	}
	return strings.Join(names, ", then ")
}

func (a *all) Ready(ctx context.Context, m *Machine) error {
	for ; a.held < len(a.waits); a.held++ {
		w := a.waits[a.held]
		if err := w.Ready(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	a.held = 0 // the next wait begins anew
	return nil
}

func (a *all) Explain(ctx context.Context, m *Machine) string {
	if a.held < len(a.waits) {
		return explain(ctx, m, a.waits[a.held])
	}
	return ""
}

// Within is w with a deadline of its own.
func Within(d time.Duration, w Wait) Wait { return within{w, d} }

type within struct {
	Wait
	limit time.Duration
}

func (w within) Explain(ctx context.Context, m *Machine) string { return explain(ctx, m, w.Wait) }

func (w within) Ready(ctx context.Context, m *Machine) error {
	ctx, cancel := context.WithTimeout(ctx, w.limit)
	defer cancel()
	err := m.Wait(ctx, w.Wait)
	if failed := new(WaitError); errors.As(err, &failed) && failed.TimedOut {
		return Hopeless(err)
	}
	return err
}

func explain(ctx context.Context, m *Machine, w Wait) string {
	if e, ok := w.(Explainer); ok {
		return e.Explain(ctx, m)
	}
	return ""
}

// Wait waits until w holds, for [DefaultTimeout] where ctx has no deadline. It
// ends at once, with a [*WaitError], when w is hopeless or the machine is dead.
func (m *Machine) Wait(ctx context.Context, w Wait) error {
	ctx, cancel := withDefaultTimeout(ctx)
	defer cancel()
	began := time.Now()
	var last error
	failed := func(timedOut bool) error {
		// Its own time: the wait's may be over.
		ectx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer stop()
		e := &WaitError{Machine: m.Name(), For: w.String(), Waited: time.Since(began), TimedOut: timedOut, Last: last}
		if unreachable := new(UnreachableError); !errors.As(last, &unreachable) && m.dead() == nil {
			e.Journal = explain(ectx, m, w)
		}
		return e
	}
	for pause := newBackoff(); ; {
		if dead := m.dead(); dead != nil {
			last = dead
			return failed(false)
		}
		err := w.Ready(ctx, m)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			// A question cut short by the deadline says less than the answer before.
			if last == nil || !errors.Is(err, context.Cause(ctx)) {
				last = err
			}
			return failed(errors.Is(ctx.Err(), context.DeadlineExceeded))
		}
		last = err
		var stop *hopeless
		var gone *UnreachableError
		if errors.As(err, &stop) || errors.As(err, &gone) {
			return failed(false)
		}
		if pause.wait(ctx) != nil {
			return failed(errors.Is(ctx.Err(), context.DeadlineExceeded))
		}
	}
}

// dead tells of a machine that is known to have no power.
func (m *Machine) dead() error {
	if p, ok := Ability[provider.PowerController](m); ok && !p.Running() {
		return errors.New("the machine is powered off")
	}
	return nil
}

func withDefaultTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, DefaultTimeout)
}

// backoff is the pauses between questions: short at first, a second at most.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: 50 * time.Millisecond} }

func (b *backoff) wait(ctx context.Context) error {
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	b.next = min(b.next*3/2, time.Second)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
