package activate

import (
	"slices"
	"strings"
	"testing"

	"offload-e2e/harness/nixos"
)

func TestMounts(t *testing.T) {
	store := nixos.FileSystem{Device: "192.168.15.7:/nix/store", MountPoint: "/nix/store-remote", FsType: "nfs", Options: []string{"ro", "soft", "x-systemd.automount"}}
	hard := store
	hard.Options = []string{"ro", "hard", "x-systemd.automount"}
	root := nixos.FileSystem{Device: "/dev/vda", MountPoint: "/", FsType: "ext4"}
	label := root
	label.Device = "/dev/disk/by-label/nixos"
	swap := nixos.FileSystem{Device: "/dev/vdb", MountPoint: "none", FsType: "swap"}
	swap2 := swap
	swap2.Device = "/dev/vdc"
	type fstab = []nixos.FileSystem
	const unit, automount = `nix-store\x2dremote.mount`, `nix-store\x2dremote.automount`
	for name, tc := range map[string]struct {
		old, new fstab
		active   []string
		want     []string
		warning  string
	}{
		"new":                      {fstab{root}, fstab{root, store}, nil, []string{"local-fs.target started", "remote-fs.target started"}, ""},
		"the same":                 {fstab{root, store}, fstab{root, store}, []string{unit, automount}, nil, ""},
		"gone":                     {fstab{root, store}, fstab{root}, []string{unit, automount}, []string{automount + " stopped", unit + " stopped"}, ""},
		"gone, only the automount": {fstab{root, store}, fstab{root}, []string{automount}, []string{automount + " stopped"}, ""},
		"gone, not mounted":        {fstab{root, store}, fstab{root}, nil, nil, ""},
		"options":                  {fstab{root, store}, fstab{root, hard}, []string{unit, automount}, []string{automount + " stopped", unit + " stopped", "local-fs.target started", "remote-fs.target started"}, ""},
		"the root changes":         {fstab{root}, fstab{label}, []string{"-.mount"}, []string{"local-fs.target started", "remote-fs.target started"}, "/ changed in fstab"},
		"swap, two of them, stays": {fstab{root, swap, swap2}, fstab{root, swap, swap2}, nil, nil, ""},
		"swap, one more":           {fstab{root, swap}, fstab{root, swap, swap2}, nil, []string{"swap.target started"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.must(&nixos.Configuration{Fstab: tc.old})
			for _, u := range tc.active {
				m.units[u] = "active"
			}
			result := m.must(&nixos.Configuration{Fstab: tc.new})
			wantActions(t, result, "unit", tc.want...)
			if got := strings.Join(result.Warnings, "\n"); !strings.Contains(got, tc.warning) || (got != "") != (tc.warning != "") {
				t.Errorf("warnings %q, want %q", got, tc.warning)
			}
			if len(tc.want) > 0 && !slices.Contains(m.log, "systemctl daemon-reload") {
				t.Error("systemd was not told of the new fstab")
			}
		})
	}
}

// A mount goes with its line, also where units said more of it.
func TestMountWithDropIn(t *testing.T) {
	m := newMachine(t)
	const unit = `nix-store\x2dremote.mount`
	m.must(&nixos.Configuration{
		Fstab:     []nixos.FileSystem{{Device: "a:/b", MountPoint: "/nix/store-remote", FsType: "nfs"}},
		UnitFiles: map[string]nixos.Unit{unit: {Text: "[Unit]\nAfter=x\n", Enable: true, DropIn: true}},
	})
	m.units[unit] = "active"
	m.must(&nixos.Configuration{})
	if got := m.commands("systemctl stop"); len(got) != 1 || !strings.HasSuffix(got[0], " "+unit) {
		t.Errorf("ran %q", got)
	}
	if got := append(m.commands("systemctl restart"), m.commands("systemctl reload")...); len(got) != 0 {
		t.Errorf("ran %q", got)
	}
}

func TestEscapePath(t *testing.T) {
	for path, want := range map[string]string{
		"/":                           "-",
		"/nix/store-remote":           `nix-store\x2dremote`,
		"/var/lib/nix-offload-remote": `var-lib-nix\x2doffload\x2dremote`,
		"//a//b/":                     "a-b",
		"/.hidden/x.y":                `\x2ehidden-x.y`,
		"/a b/ü":                      `a\x20b-\xc3\xbc`,
	} {
		if got := escapePath(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
