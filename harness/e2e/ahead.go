package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixos/activate"
	"offload-e2e/harness/report"
)

// Step is what a user does between the checks.
type Step struct {
	Title string
	Do    func(context.Context) error
}

// switched is how a switch went.
type switched struct {
	result activate.Result
	log    string
	err    error
}

// ahead is the beginning of a phase that was not waited for its turn.
type ahead struct {
	steps map[string]error // by title
	// outcome gets how the switch of role went, then done is closed.
	role    nixos.Role
	outcome switched
	done    chan struct{}
	stop    context.CancelFunc
}

// Ahead takes the steps before a machine's switch, and begins the switch, before the
// turn of their phase: the machine has nothing else to do, while commands are typed on
// the other. When their turn comes, Walk and Switch wait for them, and tell how it went.
// At the end of a run what nobody waited for is cut short, or, where the machines stay
// up, ended.
func (r *Run) Ahead(ctx context.Context, role nixos.Role, steps ...Step) {
	a := &ahead{role: role, steps: map[string]error{}, done: make(chan struct{})}
	for _, s := range steps {
		a.steps[s.Title] = s.Do(ctx)
	}
	r.changed()
	// It outlives the spec that begins it, but not the run.
	ctx, a.stop = context.WithCancel(context.WithoutCancel(ctx))
	end := r.Recorder.StartSpan(report.Span{Name: fmt.Sprintf("the %s switches, ahead of its phase", role), Kind: "step", Parent: r.currentPhase(), Machine: string(role)})
	began := time.Now()
	r.ahead = a
	go func() {
		defer close(a.done)
		defer a.stop()
		a.outcome = r.switchNow(ctx, role)
		a.outcome.log += fmt.Sprintf("(begun ahead of its phase; it took %.1f s)\n", time.Since(began).Seconds())
		end()
	}()
}

// switchNow switches a machine to its configuration.
func (r *Run) switchNow(ctx context.Context, role nixos.Role) (s switched) {
	defer r.changed()
	log := switchLog{settling: r.settling}
	before := r.Machine(role).Configuration()
	s.result, s.err = r.Machine(role).SwitchLogged(ctx, r.Configurations[role], &log)
	s.log = log.String()
	s.result.Missing = added(s.result.Missing, before, r.Configurations[role])
	return s
}

// switchLog keeps the log of a switch, and tells when all it does is wait for services.
type switchLog struct {
	strings.Builder
	settling func() // may be nil
}

func (l *switchLog) Write(text []byte) (int, error) {
	n, err := l.Builder.Write(text)
	if l.settling != nil && strings.Contains(l.String(), activate.Settling) {
		l.settling()
	}
	return n, err
}

// added are those of "program of package" that a configuration brings: privileged ones,
// and of packages that the one before had not installed.
func added(missing []string, before, after *nixos.Configuration) []string {
	brings := map[string]bool{"security.wrappers": true}
	for _, path := range after.SystemPath {
		if before == nil || !slices.Contains(before.SystemPath, path) {
			brings[after.Packages[path].Pname] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(missing), func(m string) bool {
		_, of, _ := strings.Cut(m, " of ")
		return !brings[of]
	})
}

// switchedAhead is how the switch went that was begun ahead, if one was, and it was not
// told before.
func (r *Run) switchedAhead(ctx context.Context, role nixos.Role) (s switched, was bool) {
	a := r.ahead
	if a == nil || a.role != role {
		return s, false
	}
	r.ahead = nil
	select {
	case <-a.done:
		return a.outcome, true
	case <-ctx.Done():
		a.stop()
		<-a.done
		return switched{err: context.Cause(ctx)}, true
	}
}

// steppedAhead is how a step went that was taken ahead.
func (r *Run) steppedAhead(title string) (was bool, err error) {
	if r.ahead != nil {
		err, was = r.ahead.steps[title]
	}
	return was, err
}

// endAhead waits for the end of what was begun ahead, and nobody waited for.
func (r *Run) endAhead() {
	if r.ahead != nil {
		<-r.ahead.done
		r.ahead = nil
	}
}

// cutAhead is endAhead without patience.
func (r *Run) cutAhead() {
	if r.ahead != nil {
		r.ahead.stop()
	}
	r.endAhead()
}
