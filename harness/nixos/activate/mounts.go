package activate

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
)

// planMounts unmounts what fstab no longer has or has otherwise, and starts the
// targets that mount what is new. What the machine stands on stays mounted.
func (s *state) planMounts(p *plan, now unitStates) {
	same := func(a, b nixos.FileSystem) bool {
		return a.Device == b.Device && a.FsType == b.FsType && slices.Equal(a.Options, b.Options)
	}
	old, with := mountPoints(s.old.Fstab), mountPoints(s.new.Fstab)
	for _, f := range s.old.Fstab {
		n, kept := with[f.MountPoint]
		if _, isMount := old[f.MountPoint]; !isMount || (kept && same(f, n)) {
			continue
		}
		p.daemonReload = true
		if f.MountPoint == "/" || f.MountPoint == "/nix" || f.MountPoint == "/nix/store" {
			s.warn("%s changed in fstab: only a reboot makes that so", f.MountPoint)
			continue
		}
		for _, suffix := range []string{".automount", ".mount"} {
			if unit := escapePath(f.MountPoint) + suffix; now.active[unit] {
				put(&p.stop, unit)
			}
		}
	}
	for _, f := range s.new.Fstab {
		if _, isMount := with[f.MountPoint]; !isMount {
			if !slices.ContainsFunc(s.old.Fstab, func(o nixos.FileSystem) bool { return o.MountPoint == f.MountPoint && same(o, f) }) {
				p.daemonReload = true
				put(&p.start, "swap.target")
			}
			continue
		}
		if o, had := old[f.MountPoint]; !had || !same(o, f) {
			p.daemonReload = true
			put(&p.start, "local-fs.target", "remote-fs.target")
		}
	}
}

// mountPoints are the lines of fstab that mount something; the last of a place
// counts. The others are swap (fstab(5)).
func mountPoints(fstab []nixos.FileSystem) map[string]nixos.FileSystem {
	out := map[string]nixos.FileSystem{}
	for _, f := range fstab {
		if strings.HasPrefix(f.MountPoint, "/") && f.FsType != "swap" {
			out[f.MountPoint] = f
		}
	}
	return out
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
