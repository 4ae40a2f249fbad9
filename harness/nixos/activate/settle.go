package activate

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// calm is how long a service that was started has to sleep, all its processes and
// without a break, to count as done with its start.
const calm = 500 * time.Millisecond

// settle gives what was started time to fail, at most Settle, and reports whether it
// had to. A service that does not say when it is ready is waited for until it is calm;
// a unit that is on its way, as long as there is time.
func (s *state) settle(ctx context.Context, p *plan, before, after unitStates) bool {
	silent, sure := s.unsettled(ctx, p, before, after)
	if sure && len(silent) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, s.Settle)
	defer cancel()
	tick := time.NewTicker(calm / 10)
	defer tick.Stop()
	var last string
	since := time.Now()
	for {
		now, asleep := s.effort(silent)
		if !asleep || now != last {
			last, since = now, time.Now()
		}
		if sure && time.Since(since) >= calm {
			return true
		}
		select {
		case <-ctx.Done():
			return true
		case <-tick.C:
		}
	}
}

// unsettled are the control groups of services that run since this switch, and do not
// say when they are ready (systemd.service(5), Type=). It is not sure that there is
// nothing else to wait for where a unit is on its way, or systemd does not answer.
func (s *state) unsettled(ctx context.Context, p *plan, before, after unitStates) (groups []string, sure bool) {
	if len(p.start)+len(p.restart) == 0 {
		return nil, true
	}
	var fresh []string
	for _, u := range slices.Sorted(maps.Keys(after.active)) {
		if after.starting[u] {
			return nil, false
		}
		if strings.HasSuffix(u, ".service") && (!before.active[u] || p.touches(u) || slices.Contains(p.stop, u)) {
			fresh = append(fresh, u)
		}
	}
	if len(fresh) == 0 {
		return nil, true
	}
	out, err := s.run(ctx, append([]string{"systemctl", "show", "--property=Type", "--property=ControlGroup", "--"}, fresh...)...)
	if err != nil {
		return nil, false
	}
	for service := range strings.SplitSeq(out, "\n\n") {
		properties := map[string]string{}
		for line := range strings.Lines(service) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			properties[name] = value
		}
		switch properties["Type"] {
		case "simple", "exec", "idle":
			groups = append(groups, properties["ControlGroup"])
		}
	}
	return groups, true
}

// effort is how much the processes of control groups have done so far, and whether all
// of them sleep now (cgroups(7), cpu.stat; proc_pid_stat(5)).
func (s *state) effort(groups []string) (done string, asleep bool) {
	for _, g := range groups {
		dir := s.path(filepath.Join("/sys/fs/cgroup", g))
		stat, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
		if err != nil {
			return "", false
		}
		used, _, _ := strings.Cut(string(stat), "\n")
		done += used
		processes, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			return "", false
		}
		for pid := range strings.FieldsSeq(string(processes)) {
			// One that has ended meanwhile is seen to be gone the next time.
			text, err := os.ReadFile(s.path("/proc/" + pid + "/stat"))
			if _, state, ok := strings.Cut(string(text), ") "); err != nil || !ok || !strings.HasPrefix(state, "S") {
				return "", false
			}
		}
	}
	return done, true
}
