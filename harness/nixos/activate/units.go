package activate

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
)

const unitDir = "/etc/systemd/system"

// guestUnits are those of NixOS's own units that the guest answers for itself: its
// network is systemd-networkd's, its clock the harness's, its firmware none.
var guestUnits = map[string]bool{
	"dhcpcd.service": true, "network-local-commands.service": true, "networking-scripted.target": true,
	"systemd-timesyncd.service": true, "resolvconf.service": true, "linger-users.service": true,
}

// unitFile is where a unit's text goes below systemd's folder.
func unitFile(name string, u nixos.Unit) string {
	if u.DropIn {
		return name + ".d/overrides.conf"
	}
	return name
}

// unitStates is what systemd says of all units.
type unitStates struct {
	active   map[string]bool
	starting map[string]bool   // of those, which are not there yet
	bad      map[string]string // unit -> "failed" or "auto-restart"
}

func (s *Switcher) failing(ctx context.Context) (unitStates, error) {
	out, err := s.run(ctx, "systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "--full")
	if err != nil {
		return unitStates{}, err
	}
	st := unitStates{active: map[string]bool{}, starting: map[string]bool{}, bad: map[string]string{}}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		restarting := strings.HasPrefix(f[3], "auto-restart")
		if f[2] == "active" || f[2] == "activating" || f[2] == "reloading" {
			st.active[f[0]], st.starting[f[0]] = true, f[2] == "activating" && !restarting
		}
		if f[2] == "failed" || restarting {
			st.bad[f[0]] = f[3]
		}
	}
	return st, nil
}

func (s *state) stop(ctx context.Context, p *plan) {
	if len(p.stop) == 0 {
		return
	}
	s.say("stopping %s", strings.Join(p.stop, " "))
	s.systemctl(ctx, "stop", p.stop...)
	for _, u := range p.stop {
		s.changed("unit", u, "stopped")
	}
	// What requires a stopped unit stopped with it, and comes back with its target.
	now, err := s.failing(ctx)
	s.fail(err)
	if err == nil {
		s.planStarts(p, now)
	}
}

func (s *state) systemctl(ctx context.Context, verb string, units ...string) {
	argv := []string{"systemctl", verb, "--no-ask-password"}
	if len(units) > 0 {
		argv = append(append(argv, "--"), units...)
	}
	if _, err := s.run(ctx, argv...); err != nil {
		// Whether a unit that did not start matters is decided by what runs in the
		// end: its failure is reported with its journal then.
		s.result.Warnings = append(s.result.Warnings, err.Error())
	}
}

// startUnits tells systemd of the units, and reloads, restarts, starts.
func (s *state) startUnits(ctx context.Context, p *plan) {
	if p.failed {
		// One that failed too often would not start, however well it is configured now.
		s.systemctl(ctx, "reset-failed")
	}
	if p.daemonReload || s.units > 0 {
		_, err := s.run(ctx, "systemctl", "daemon-reload")
		s.fail(err)
	}
	s.kernel(ctx)
	if len(p.reload) > 0 {
		s.say("reloading %s", strings.Join(p.reload, " "))
		s.systemctl(ctx, "reload", p.reload...)
		for _, u := range p.reload {
			s.changed("unit", u, "reloaded")
		}
	}
	if len(p.restart) > 0 {
		s.say("restarting %s", strings.Join(p.restart, " "))
		s.systemctl(ctx, "restart", p.restart...)
		for _, u := range p.restart {
			s.changed("unit", u, "restarted")
		}
	}
	if len(p.start) > 0 {
		s.say("starting %s", strings.Join(p.start, " "))
		s.systemctl(ctx, "start", p.start...)
		for _, u := range p.start {
			s.changed("unit", u, "started")
		}
	}
}

// unsettled reports whether a unit is on its way, or a service runs since this switch,
// that may yet turn out to fail: where that cannot be found out, one does.
func (s *state) unsettled(ctx context.Context, p *plan, before, after unitStates) bool {
	if len(p.start)+len(p.restart) == 0 {
		return false
	}
	var fresh []string
	for _, u := range slices.Sorted(maps.Keys(after.active)) {
		if after.starting[u] {
			return true
		}
		if strings.HasSuffix(u, ".service") && (!before.active[u] || p.touches(u) || slices.Contains(p.stop, u)) {
			fresh = append(fresh, u)
		}
	}
	if len(fresh) == 0 {
		return false
	}
	types, err := s.run(ctx, append([]string{"systemctl", "show", "--property=Type", "--value", "--"}, fresh...)...)
	return err != nil || slices.ContainsFunc(strings.Fields(types), func(t string) bool { return t == "simple" || t == "exec" || t == "idle" })
}

// kernel loads modules, sets sysctls and makes tmpfiles, of each file that changed.
func (s *state) kernel(ctx context.Context) {
	for _, m := range s.new.KernelModules {
		if !slices.Contains(s.old.KernelModules, m) {
			// A module the guest's kernel has not, or has built in, is no failure: NixOS's
			// systemd-modules-load goes on too.
			if _, err := s.run(ctx, "modprobe", "--quiet", m); err != nil {
				s.result.Warnings = append(s.result.Warnings, err.Error())
			}
		}
	}
	if slices.ContainsFunc(s.result.Changes, func(c Change) bool {
		return c.Kind == "etc" && strings.HasPrefix(c.Name, "systemd/network/")
	}) {
		_, err := s.run(ctx, "networkctl", "reload")
		s.fail(err)
	}
	for _, c := range slices.Clone(s.result.Changes) {
		if c.Kind != "etc" || c.Action != "written" {
			continue
		}
		var argv []string
		switch filepath.Dir(c.Name) {
		case "sysctl.d":
			argv = []string{"/usr/lib/systemd/systemd-sysctl", "/etc/" + c.Name}
		case "tmpfiles.d":
			argv = []string{"systemd-tmpfiles", "--create", "--remove", "/etc/" + c.Name}
		default:
			continue
		}
		// A line that cannot be done is no failure of NixOS's switch.
		if _, err := s.run(ctx, argv...); err != nil {
			s.result.Warnings = append(s.result.Warnings, err.Error())
		}
	}
}

// writeUnits makes the links of units in /etc/systemd/system; what an earlier
// generation put there and this one has not goes. A unit whose link is there
// already may still have another text: the plan knows.
func (s *state) writeUnits() error {
	want, had := unitLinks(s.new.UnitFiles), unitLinks(s.old.UnitFiles)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(had)) {
		if _, kept := want[name]; !kept {
			s.changed("unit", name, "removed")
			s.units++
			if err := os.Remove(s.path(filepath.Join(unitDir, name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		path := filepath.Join(unitDir, name)
		now, err := os.Readlink(s.path(path))
		if err != nil || now != want[name] {
			s.changed("unit", name, "written")
			s.units++
		}
		errs = append(errs, s.link(want[name], path))
	}
	return errors.Join(errs...)
}

// unitLinks are the links below /etc/systemd/system with their targets. A unit's
// file is linked through /etc/static, so a changed text alone changes no link.
func unitLinks(units map[string]nixos.Unit) map[string]string {
	links := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(units)) {
		u := units[name]
		if guestUnits[name] {
			continue
		}
		if !u.Enable {
			links[name] = "/dev/null"
			continue
		}
		links[unitFile(name, u)] = filepath.Join(etcStatic, "systemd/system", unitFile(name, u))
		for kind, targets := range map[string][]string{"wants": u.WantedBy, "requires": u.RequiredBy, "upholds": u.UpheldBy} {
			for _, t := range targets {
				links[t+"."+kind+"/"+name] = "../" + name
			}
		}
		for _, a := range u.Aliases {
			if _, other := units[a]; !other {
				links[a] = name
			}
		}
	}
	return links
}
