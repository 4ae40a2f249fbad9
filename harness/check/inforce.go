package check

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// InForce proves, of a machine that somebody else switches, that it is what its
// configuration says: an edit that was never switched to is seen by nobody otherwise.
// What other modules of the machine's add is no difference.
func InForce(role nixos.Role) Check {
	return Check{"EV.in-force", "the " + string(role) + " runs what its configuration says", string(role), func(ctx context.Context, p *Proof) {
		differences, ok := p.settingsNotInForce(ctx, role)
		if !ok {
			return
		}
		differences = append(differences, p.linesNotInForce(ctx, role)...)
		if len(differences) == 0 {
			return
		}
		var all []string
		for _, d := range differences {
			all = append(all, d.String())
		}
		p.Evidence("option", role, "what is not in force", strings.Join(all, "\n"))
		first := differences[0]
		more := ""
		if n := len(differences) - 1; n > 0 {
			more = fmt.Sprintf(" (and %s more)", count(n, "difference"))
		}
		p.Warn(p.blame(ctx, role, first.option, report.Diagnosis{Code: "config.not-in-force", Effective: first.has, Expected: first.says,
			Sentence: fmt.Sprintf("the %s has %s, its configuration says %q%s: it was not switched to since, or a module outside of this folder says otherwise", role, first.found(), first.says, more)}))
	}}
}

// difference is what a configuration says, and a machine has not.
type difference struct{ option, what, has, says string }

func (d difference) found() string {
	if d.has == "" {
		return "no " + d.what
	}
	return fmt.Sprintf("%s %q", d.what, d.has)
}

func (d difference) String() string {
	return fmt.Sprintf("%s: %s, the configuration says %q", d.option, d.found(), d.says)
}

// configuration is that of a machine.
func (b *Bench) configuration(role nixos.Role) *nixos.Configuration {
	if role == nixos.Desktop {
		return b.Server
	}
	return b.Client
}

// settingsNotInForce are the settings of Nix that the user's own modules define, and
// that are others in force.
func (p *Proof) settingsNotInForce(ctx context.Context, role nixos.Role) (found []difference, ok bool) {
	s, ok := p.NixConfig(ctx, role)
	if !ok {
		return nil, false
	}
	conf := p.configuration(role).NixConf
	for _, name := range slices.Sorted(maps.Keys(conf)) {
		says, is := conf[name].(string)
		base := strings.TrimPrefix(name, "extra-")
		if !is || s.agrees(base, says) {
			continue
		}
		d := difference{"nix.settings." + name, base, s.Text(base), says}
		if p.definedByUser(ctx, role, d.option) {
			found = append(found, d)
		}
	}
	return found, true
}

// agrees reports whether a setting in force is what nix.conf says: the same value, and
// of a list all that it says. A value that Nix finds out by itself agrees with any.
func (s NixSettings) agrees(name, says string) bool {
	if _, known := s[name]; !known || says == "auto" {
		return true
	}
	if raw := s[name].Value; len(raw) == 0 || raw[0] != '[' {
		return s.Text(name) == strings.TrimSpace(says)
	}
	list := s.List(name)
	for _, word := range strings.Fields(says) {
		if !slices.Contains(list, word) {
			return false
		}
	}
	return true
}

// definedByUser reports whether a module of the user's defines an option.
func (p *Proof) definedByUser(ctx context.Context, role nixos.Role, option string) bool {
	if p.Explain == nil {
		return true
	}
	o, err := p.Explain(ctx, role, option)
	return err != nil || len(usersOwn(o.Definitions)) > 0
}

// linesNotInForce are builders, exports and mounts of the configuration that the
// machine's files do not have.
func (p *Proof) linesNotInForce(ctx context.Context, role nixos.Role) (found []difference) {
	c := p.configuration(role)
	file := func(path string) string {
		text := p.Quiet(ctx, role, "cat", path)
		p.Evidence("file", role, path, text)
		return text
	}
	if c.Machines != nil && strings.TrimSpace(*c.Machines) != "" {
		has := file(machinesFile)
		builders, _ := ParseBuilders(has)
		says, _ := ParseBuilders(*c.Machines)
		for _, b := range says {
			if !slices.ContainsFunc(builders, b.same) {
				found = append(found, difference{"nix.buildMachines", machinesFile, oneLine(has), b.Raw})
			}
		}
	}
	if c.Exports != nil && strings.TrimSpace(*c.Exports) != "" {
		has := oneLine(file("/etc/exports"))
		for line := range strings.Lines(*c.Exports) {
			if says := oneLine(line); !strings.Contains(has, says) {
				found = append(found, difference{"services.nfs.server.exports", "/etc/exports", has, says})
			}
		}
	}
	for _, f := range c.Fstab {
		if f.FsType != "nfs" && f.FsType != "nfs4" {
			continue
		}
		has := p.Quiet(ctx, role, "findmnt", "--fstab", "--noheadings", "--raw", "--output=SOURCE,OPTIONS", "--mountpoint", f.MountPoint)
		p.Evidence("command", role, "findmnt --fstab "+f.MountPoint, has)
		source, options, _ := strings.Cut(has, " ")
		missing := slices.DeleteFunc(slices.Clone(f.Options), func(o string) bool { return slices.Contains(strings.Split(options, ","), o) })
		if source != f.Device || len(missing) > 0 {
			found = append(found, difference{"fileSystems." + f.MountPoint, "line of fstab for " + f.MountPoint, has, f.Device + " " + strings.Join(f.Options, ",")})
		}
	}
	return found
}
