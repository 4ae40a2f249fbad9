package activate

import (
	"maps"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
)

// plan is what happens to units.
type plan struct {
	stop, reload, restart, start []string
	daemonReload                 bool
	failed                       bool // some unit is failed now
}

func (p *plan) touches(unit string) bool {
	return slices.Contains(p.restart, unit) || slices.Contains(p.start, unit) || slices.Contains(p.reload, unit)
}

// put adds units that are not in a list yet.
func put(list *[]string, units ...string) {
	for _, u := range units {
		if !slices.Contains(*list, u) {
			*list = append(*list, u)
		}
	}
}

// setting reads a boolean setting of a unit's text as NixOS's switch does.
func setting(text, key string, unset bool) bool {
	value := unset
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			v = strings.TrimSpace(v)
			value = v == "true" || v == "yes" || v == "1" || v == "on"
		}
	}
	return value
}

// base is the unit file of a unit: its own, or its template's where the
// configurations have none of its name.
func base(name string, configurations ...*nixos.Configuration) string {
	before, after, instance := strings.Cut(name, "@")
	if !instance || strings.HasPrefix(after, ".") {
		return name
	}
	for _, c := range configurations {
		if _, own := c.UnitFiles[name]; own {
			return name
		}
	}
	return before + "@" + after[strings.LastIndex(after, "."):]
}

// planUnits decides by NixOS's rules (switch-to-configuration-ng): an active unit
// that is gone or masked is stopped; one that changed is reloaded, restarted, or
// stopped before and started after, as its X- settings say; new ones start with
// the targets that want them.
//
// Units of Debian's count too, where the configuration begins or ceases to have a
// say in them: on NixOS they would have been NixOS's own before.
func (s *state) planUnits(now unitStates) *plan {
	p := &plan{failed: len(now.bad) > 0}
	p.daemonReload = !maps.EqualFunc(s.old.UnitFiles, s.new.UnitFiles, func(a, b nixos.Unit) bool {
		return a.Text == b.Text && a.Enable == b.Enable && a.DropIn == b.DropIn
	})
	for _, unit := range slices.Sorted(maps.Keys(now.active)) {
		name := base(unit, s.old, s.new)
		if guestUnits[name] {
			continue
		}
		old, had := s.old.UnitFiles[name]
		u, has := s.new.UnitFiles[name]
		switch {
		case !had && !has, had && !old.Enable && !has:
			// None of the configuration's.
		case has && !u.Enable, had && !has && !old.DropIn:
			if setting(old.Text, "X-StopOnRemoval", true) {
				put(&p.stop, unit)
			}
		case had && !has:
			// Debian's own unit, without what the configuration added to it.
			s.planChange(p, unit, name, nixos.Unit{Text: old.Text, DropIn: true}, now)
		case !had && name != unit:
			// An instance that somebody started from a template of Debian's.
		default:
			if !had || !old.Enable {
				old = nixos.Unit{}
			}
			switch compareUnits(old.Text, u.Text) {
			case needsReload:
				put(&p.reload, unit)
			case needsRestart:
				s.planChange(p, unit, name, u, now)
			}
		}
	}
	s.planMounts(p, now)
	s.planStarts(p, now)
	// A mount that fstab has no more is no unit any more after it is stopped.
	stopped := func(unit string) bool { return slices.Contains(p.stop, unit) }
	p.restart = slices.DeleteFunc(p.restart, stopped)
	p.reload = slices.DeleteFunc(p.reload, stopped)
	return p
}

// planChange decides what becomes of an active unit that is another now; its own
// text says how it likes that.
func (s *state) planChange(p *plan, unit, name string, u nixos.Unit, now unitStates) {
	switch {
	case strings.HasSuffix(unit, ".target"), strings.HasSuffix(unit, ".path"), strings.HasSuffix(unit, ".slice"), strings.HasSuffix(unit, ".socket"):
		// Targets come with what wants them; slices and paths take their settings from
		// the daemon-reload; sockets go with their service.
	case unit == "-.mount" || unit == "nix.mount" || unit == `nix-store.mount`:
		put(&p.reload, unit)
	case strings.HasSuffix(unit, ".mount"):
		put(&p.restart, unit)
	case setting(u.Text, "X-ReloadIfChanged", false):
		put(&p.reload, unit)
	case !setting(u.Text, "X-RestartIfChanged", true) || setting(u.Text, "RefuseManualStop", false) || setting(u.Text, "X-OnlyManualStart", false):
		s.say("%s has changed, and is to be left as it is", unit)
	case !setting(u.Text, "X-StopIfChanged", true) || !strings.HasSuffix(unit, ".service"):
		put(&p.restart, unit)
	default:
		put(&p.stop, unit)
		if !s.planSockets(p, name, u, now) || setting(u.Text, "X-NotSocketActivated", false) {
			put(&p.start, unit)
		}
	}
}

// planSockets stops and starts the sockets of a service that changed, and reports
// whether it has any: they start it then.
func (s *state) planSockets(p *plan, name string, u nixos.Unit, now unitStates) bool {
	var sockets []string
	for line := range strings.Lines(u.Text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "Sockets="); ok {
			sockets = append(sockets, strings.Fields(v)...)
		}
	}
	if len(sockets) == 0 {
		sockets = []string{strings.TrimSuffix(strings.TrimSuffix(name, ".service"), "@") + ".socket"}
	}
	activated := false
	for _, socket := range sockets {
		su, has := s.new.UnitFiles[socket]
		has = has && su.Enable
		// One of Debian's that nobody masks is in the new configuration as well.
		_, masked := s.new.UnitFiles[socket]
		_, had := s.old.UnitFiles[socket]
		if now.active[socket] {
			put(&p.stop, socket)
			if has = has || (!masked && !had); has {
				put(&p.start, socket)
			}
		}
		activated = activated || has
	}
	return activated
}

// planStarts starts what the active targets want and does not run. NixOS starts the
// targets themselves; naming the units says more, and pulls in less: what has run
// and ended stays ended.
func (s *state) planStarts(p *plan, now unitStates) {
	wanted := func(u nixos.Unit) bool {
		return u.Enable && slices.ContainsFunc(slices.Concat(u.WantedBy, u.RequiredBy, u.UpheldBy), func(target string) bool {
			return now.active[target] || target == "multi-user.target"
		})
	}
	for _, name := range slices.Sorted(maps.Keys(s.new.UnitFiles)) {
		u := s.new.UnitFiles[name]
		if !wanted(u) || guestUnits[name] || now.active[name] || strings.Contains(name, "@.") ||
			setting(u.Text, "X-OnlyManualStart", false) || setting(u.Text, "RefuseManualStart", false) {
			continue
		}
		old := s.old.UnitFiles[name]
		_, bad := now.bad[name]
		if wanted(old) && !bad && compareUnits(old.Text, u.Text) != needsRestart &&
			oneshot(u.Text) && !setting(u.Text, "RemainAfterExit", false) {
			continue
		}
		put(&p.start, name)
	}
}

// oneshot reports whether a service of this text ends by itself.
func oneshot(text string) bool {
	return slices.Contains(parseUnit(text)["Service"]["Type"], "oneshot")
}

// idle takes back that units were started which a condition of theirs kept from
// starting (systemd.unit(5), "Conditions and Asserts").
func (s *state) idle(after unitStates) {
	s.result.Changes = slices.DeleteFunc(s.result.Changes, func(c Change) bool {
		_, bad := after.bad[c.Name]
		idle := c.Kind == "unit" && c.Action == "started" && !after.active[c.Name] && !bad &&
			strings.HasSuffix(c.Name, ".service") && !oneshot(s.new.UnitFiles[c.Name].Text)
		if idle {
			s.say("%s was asked to start, and does not run", c.Name)
		}
		return idle
	})
}
