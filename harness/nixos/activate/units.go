package activate

import (
	"context"
	"errors"
	"fmt"
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
	active map[string]bool
	bad    map[string]string // unit -> "failed" or "auto-restart"
}

func (s *Switcher) failing(ctx context.Context) (unitStates, error) {
	out, err := s.run(ctx, "systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "--full")
	if err != nil {
		return unitStates{}, err
	}
	st := unitStates{active: map[string]bool{}, bad: map[string]string{}}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		switch {
		case f[2] == "active" || f[2] == "activating" || f[2] == "reloading":
			st.active[f[0]] = true
		}
		if f[2] == "failed" || f[3] == "auto-restart" {
			st.bad[f[0]] = f[3]
		}
	}
	return st, nil
}

// plan is what happens to units.
type plan struct {
	stop, reload, restart, start []string
	daemonReload                 bool
	mounts                       bool // fstab has something new
}

func (p *plan) touches(unit string) bool {
	return slices.Contains(p.restart, unit) || slices.Contains(p.start, unit) || slices.Contains(p.reload, unit)
}

// setting reads a boolean X- setting of a unit's text as NixOS's switch does.
func setting(text, key string, unset bool) bool {
	value := unset
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			value = v == "true" || v == "yes" || v == "1"
		}
	}
	return value
}

// planUnits decides by NixOS's rules (switch-to-configuration-ng): a unit that is
// gone is stopped; one whose text changed is reloaded, restarted, or stopped
// before and started after, as its X- settings say; new ones start with the
// targets that want them.
func (s *state) planUnits(now unitStates) *plan {
	p := &plan{}
	for _, name := range slices.Sorted(maps.Keys(s.old.UnitFiles)) {
		old := s.old.UnitFiles[name]
		u, kept := s.new.UnitFiles[name]
		if !kept || (!u.Enable && old.Enable) {
			p.daemonReload = true
			if now.active[name] && (!kept || !u.Enable) && !old.DropIn {
				p.stop = append(p.stop, name)
			} else if now.active[name] && old.DropIn {
				p.restart = append(p.restart, name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.new.UnitFiles)) {
		if guestUnits[name] {
			continue
		}
		u := s.new.UnitFiles[name]
		old, had := s.old.UnitFiles[name]
		if had && old.Text == u.Text && old.Enable == u.Enable && old.DropIn == u.DropIn {
			if !slices.Equal(old.WantedBy, u.WantedBy) || !slices.Equal(old.RequiredBy, u.RequiredBy) {
				p.daemonReload = true
			}
			continue
		}
		p.daemonReload = true
		if !u.Enable || !now.active[name] || strings.HasSuffix(name, ".target") || strings.Contains(name, "@.") {
			continue
		}
		switch {
		case setting(u.Text, "X-ReloadIfChanged", false):
			p.reload = append(p.reload, name)
		case !setting(u.Text, "X-RestartIfChanged", true) || setting(u.Text, "RefuseManualStop", false) || setting(u.Text, "X-OnlyManualStart", false):
		case !setting(u.Text, "X-StopIfChanged", true):
			p.restart = append(p.restart, name)
		default:
			p.stop = append(p.stop, name)
			p.start = append(p.start, name)
		}
	}
	s.planMounts(p, now)
	s.planStarts(p, now)
	return p
}

// planStarts starts what the active targets want and does not run. NixOS starts the
// targets themselves; naming the units says more, and pulls in less.
func (s *state) planStarts(p *plan, now unitStates) {
	active := func(target string) bool { return now.active[target] || target == "multi-user.target" }
	for _, name := range slices.Sorted(maps.Keys(s.new.UnitFiles)) {
		u := s.new.UnitFiles[name]
		if !u.Enable || guestUnits[name] || now.active[name] || strings.Contains(name, "@.") ||
			setting(u.Text, "X-OnlyManualStart", false) || setting(u.Text, "RefuseManualStart", false) {
			continue
		}
		if _, had := s.old.UnitFiles[name]; had && strings.Contains(u.Text, "Type=oneshot") && !setting(u.Text, "RemainAfterExit", false) {
			continue // it has run, and ended
		}
		if slices.ContainsFunc(append(u.WantedBy, u.RequiredBy...), active) {
			p.start = append(p.start, name)
		}
	}
	if p.mounts {
		p.start = append(p.start, "local-fs.target", "remote-fs.target")
	}
}

// planMounts unmounts what fstab no longer has or has otherwise.
func (s *state) planMounts(p *plan, now unitStates) {
	same := func(a, b nixos.FileSystem) bool {
		return a.Device == b.Device && a.FsType == b.FsType && slices.Equal(a.Options, b.Options)
	}
	entry := func(list []nixos.FileSystem, at string) (nixos.FileSystem, bool) {
		i := slices.IndexFunc(list, func(f nixos.FileSystem) bool { return f.MountPoint == at })
		if i < 0 {
			return nixos.FileSystem{}, false
		}
		return list[i], true
	}
	for _, f := range s.old.Fstab {
		n, kept := entry(s.new.Fstab, f.MountPoint)
		if f.MountPoint == "/" || !strings.HasPrefix(f.MountPoint, "/") || (kept && same(f, n)) {
			continue
		}
		p.daemonReload = true
		for _, suffix := range []string{".automount", ".mount"} {
			if unit := escapePath(f.MountPoint) + suffix; now.active[unit] {
				p.stop = append(p.stop, unit)
			}
		}
	}
	for _, f := range s.new.Fstab {
		if old, had := entry(s.old.Fstab, f.MountPoint); !had || !same(old, f) {
			p.daemonReload, p.mounts = true, true
		}
	}
}

// escapePath is systemd-escape --path (systemd.unit(5), "String escaping").
func escapePath(path string) string {
	path = strings.Trim(filepath.Clean(path), "/")
	if path == "" {
		return "-"
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '/':
			b.WriteByte('-')
		case c == '.' && i == 0, !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == ':'):
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
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
}

func (s *state) systemctl(ctx context.Context, verb string, units ...string) {
	if _, err := s.run(ctx, append([]string{"systemctl", verb, "--no-ask-password", "--"}, units...)...); err != nil {
		// Whether a unit that did not start matters is decided by what runs in the
		// end: its failure is reported with its journal then.
		s.result.Warnings = append(s.result.Warnings, err.Error())
	}
}

// startUnits writes the units, tells systemd, and reloads, restarts, starts.
func (s *state) startUnits(ctx context.Context, p *plan) {
	s.fail(s.writeUnits())
	if p.daemonReload {
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

// kernel loads modules, sets sysctls and makes tmpfiles, each if its file changed.
func (s *state) kernel(ctx context.Context) {
	changed := func(name string) bool {
		return slices.ContainsFunc(s.result.Changes, func(c Change) bool { return c.Kind == "etc" && c.Name == name })
	}
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
	if changed("sysctl.d/60-nixos.conf") {
		if _, err := s.run(ctx, "/usr/lib/systemd/systemd-sysctl", "/etc/sysctl.d/60-nixos.conf"); err != nil {
			s.result.Warnings = append(s.result.Warnings, err.Error())
		}
	}
	if changed("tmpfiles.d/00-nixos.conf") {
		_, err := s.run(ctx, "systemd-tmpfiles", "--create", "--remove", "/etc/tmpfiles.d/00-nixos.conf")
		s.fail(err)
	}
}

// writeUnits makes the links of units in /etc/systemd/system; what an earlier
// generation put there and this one has not goes.
func (s *state) writeUnits() error {
	want, had := unitLinks(s.new.UnitFiles), unitLinks(s.old.UnitFiles)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(had)) {
		if _, kept := want[name]; !kept {
			s.changed("unit", name, "removed")
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
		}
		errs = append(errs, s.link(want[name], path))
	}
	return errors.Join(errs...)
}

// unitLinks are the links below /etc/systemd/system with their targets. A unit's
// file is linked through /etc/static, so a changed text alone changes no link.
func unitLinks(units map[string]nixos.Unit) map[string]string {
	links := map[string]string{}
	for name, u := range units {
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
			links[a] = name
		}
	}
	return links
}
