package check

import (
	"fmt"
	"slices"
	"strings"
)

// Change is what a check does to machines besides looking at them.
type Change string

// The changes that may be allowed on machines that are somebody's own. What does more
// (faults, moments that are over, measurements) is not made there.
const (
	// Builds makes small store paths on both machines, and copies them.
	Builds Change = "build"
	// Mounts mounts the shares, and makes and removes a file in the writable one.
	Mounts Change = "mount"
)

// Allowed are the changes that checks may make; the nil Allowed is all of them.
type Allowed []Change

// harm is what checks whose names begin so do.
type harm struct {
	begins  string
	changes []Change
}

// harmless are checks, by name or by its beginning, that only look, or do what others
// do. Whatever is not here is taken for one that breaks something.
var harmless = []harm{
	{"EV.", nil}, {"PT.", nil}, {"RB.room-", nil}, {"RC.sleep-units", nil}, {"HG.mounts", nil}, {"HG.login", nil},
	{"OF.settings", nil}, {"OF.desktop-settings", nil}, {"CH.info", nil}, {"CH.key-files", nil}, {"CH.internet", nil}, {"NF.export-", nil},
	{"SR.builder-", nil}, {"SR.authorized-key", nil}, {"SR.login", nil}, {"SR.nix-on-path", nil}, {"SR.sessions", nil}, {"SR.keepalive", nil},
	{"HG.offload-server-status", nil}, {"HG.offload-server-test", nil}, {"HG.cache-status", nil},
	{"RB.build", []Change{Builds}}, {"RB.user-build", []Change{Builds}}, {"CH.signature", []Change{Builds}}, {"CH.hit", []Change{Builds}},
	{"HG.offload-test-build", []Change{Builds}},
	{"NF.mount-", []Change{Mounts}}, {"NF.read-", []Change{Builds, Mounts}}, {"NF.write-", []Change{Mounts}},
	// It looks into the shares, and an automount mounts them then.
	{"HG.offload-status", []Change{Mounts}}, {"HG.offload-mount", []Change{Mounts}}, {"HG.offload-unmount", []Change{Mounts}},
}

// refuses says why a check may not be made, "" where it may.
func (a Allowed) refuses(name string) string {
	if a == nil {
		return ""
	}
	i := slices.IndexFunc(harmless, func(h harm) bool { return strings.HasPrefix(name, h.begins) })
	if i < 0 {
		return "it needs machines of the lab's own (PROVIDER=qemu)"
	}
	for _, c := range harmless[i].changes {
		if !slices.Contains(a, c) {
			return fmt.Sprintf("it does more than look, and hosts.yaml has no \"allow: [%s]\"", listed(harmless[i].changes))
		}
	}
	return ""
}

// UnmarshalText reads one of the changes that may be allowed.
func (c *Change) UnmarshalText(text []byte) error {
	switch *c = Change(text); *c {
	case Builds, Mounts:
		return nil
	}
	return fmt.Errorf("it is build or mount, not %q", text)
}

// listed are changes as a file of hosts lists them.
func listed(changes []Change) string {
	words := make([]string, len(changes))
	for i, c := range changes {
		words[i] = string(c)
	}
	return strings.Join(words, ", ")
}
