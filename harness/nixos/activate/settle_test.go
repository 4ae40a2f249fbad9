package activate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A service that dies a moment after its start is seen to fail.
func TestSettle(t *testing.T) {
	m := newMachine(t)
	s := m.switcher()
	s.Settle = 10 * time.Millisecond
	play, started := s.Run, time.Time{}
	s.Run = func(ctx context.Context, argv ...string) (string, error) {
		if argv[0] == "systemctl" && argv[1] == "list-units" && !started.IsZero() && time.Since(started) >= s.Settle {
			m.units["greet.service"] = "failed"
		}
		out, err := play(ctx, argv...)
		if argv[0] == "systemctl" && argv[1] == "start" {
			started = time.Now()
		}
		return out, err
	}
	result, err := s.Switch(context.Background(), host())
	if err != nil || len(result.Failed) != 1 || result.Failed[0].Unit != "greet.service" {
		t.Errorf("failed %v, %v", result.Failed, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.Settle = time.Hour
	s.Run = func(ctx context.Context, argv ...string) (string, error) {
		if argv[0] == "systemctl" && argv[1] == "start" {
			cancel()
		}
		return play(ctx, argv...)
	}
	if _, err := s.Switch(ctx, host()); err != nil {
		t.Error(err)
	}
}

// Services that say when they are ready are not waited for.
func TestSettledAtOnce(t *testing.T) {
	for _, test := range []struct {
		kind string
		want bool
	}{{"notify", false}, {"oneshot", false}, {"simple", true}, {"exec", true}, {"idle", true}} {
		m := newMachine(t)
		m.units["greet.service"], m.types = "active", map[string]string{"greet.service": test.kind}
		st := &state{Switcher: m.switcher()}
		// waited reports whether something is waited for, now that there is no time.
		waited := func(p *plan, before, after unitStates) bool { return st.settle(t.Context(), p, before, after) }
		started := &plan{start: []string{"greet.service"}}
		running := unitStates{active: map[string]bool{"greet.service": true, "sockets.target": true}}
		if got := waited(started, unitStates{}, running); got != test.want {
			t.Errorf("one of type %s is waited for: %v", test.kind, got)
		}
		if waited(&plan{start: []string{"b.service"}}, running, running) || waited(&plan{}, unitStates{}, running) {
			t.Errorf("one of type %s that ran before is waited for", test.kind)
		}
		onItsWay := unitStates{active: running.active, starting: map[string]bool{"greet.service": true}}
		if !waited(&plan{start: []string{"b.service"}}, running, onItsWay) {
			t.Errorf("one of type %s that is on its way is not waited for", test.kind)
		}
	}
}

// A service is waited for until its processes have nothing to do, however much time
// there is.
func TestCalm(t *testing.T) {
	const group = "/sys/fs/cgroup/system.slice/greet.service"
	m := newMachine(t)
	m.units["greet.service"] = "active"
	used := func(n int) { m.write(group+"/cpu.stat", fmt.Sprintf("usage_usec %d\nuser_usec 0\n", n), 0o644) }
	stat := func(letter string) { m.write("/proc/41/stat", "41 (greet) "+letter+" 1 41", 0o644) }
	m.write(group+"/cgroup.procs", "41\n", 0o644)
	used(1)
	stat("S")
	st := &state{Switcher: m.switcher()}
	st.Settle = time.Hour
	started, running := &plan{start: []string{"greet.service"}}, unitStates{active: map[string]bool{"greet.service": true}}

	began := time.Now()
	if !st.settle(t.Context(), started, unitStates{}, running) {
		t.Error("it was not waited for")
	}
	if took := time.Since(began); took < calm {
		t.Errorf("it was calm after %s", took)
	}
	for name, busy := range map[string]func(n int){
		"it runs":            func(int) { stat("R") },
		"it waits for disks": func(int) { stat("D") },
		"it works":           func(n int) { stat("S"); used(n) },
		"its group is gone":  func(int) { os.Remove(filepath.Join(m.root, group, "cgroup.procs")) },
	} {
		t.Run(name, func(t *testing.T) {
			m.write(group+"/cgroup.procs", "41\n", 0o644)
			ctx, cancel := context.WithTimeout(t.Context(), 2*calm)
			defer cancel()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for n := 2; ctx.Err() == nil; n++ {
					busy(n)
				}
			}()
			st.settle(ctx, started, unitStates{}, running)
			if ctx.Err() == nil {
				t.Error("it counts as calm")
			}
			cancel()
			<-ended
		})
	}
}
