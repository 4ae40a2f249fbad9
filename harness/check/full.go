package check

import (
	"context"
	"fmt"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// room is what is left in a file system: KiB and inodes (df(1)).
type room struct {
	place       string
	kib, inodes int
}

// scarce is what a machine has too little of to do another build.
const (
	scarceKiB    = 10 << 10
	scarceInodes = 200
)

func (r room) scarce() bool { return r.kib < scarceKiB || r.inodes < scarceInodes }

// room asks a machine how much is left where builds end up and where they are made
// (nix.conf(5), build-dir): of the two, the one that has too little.
func (p *Proof) room(ctx context.Context, role nixos.Role) (room, bool) {
	res, ok := p.Exec(ctx, role, "df", "-k", "--output=avail,iavail", "/nix/store", "/tmp")
	lines := strings.Split(strings.TrimSpace(string(res.Stdout)), "\n")
	if !ok || len(lines) != 3 {
		return room{}, false
	}
	var left room
	for i, place := range []string{"/tmp", "/nix/store"} {
		f := strings.Fields(lines[2-i])
		if len(f) != 2 {
			return room{}, false
		}
		if r := (room{place, number(f[0]), number(f[1])}); !left.scarce() || left.place == "" {
			left = r
		}
	}
	return left, true
}

// full says which machine has no room, and of what, where a build or a copy ended so.
func (p *Proof) full(ctx context.Context, said words) report.Diagnosis {
	why := nixError(said)
	for _, at := range []struct {
		role          nixos.Role
		bytes, inodes string
	}{{nixos.Desktop, "builder.store-full", "builder.no-inodes"}, {nixos.Laptop, "nix.store-full", "nix.no-inodes"}} {
		left, known := p.room(ctx, at.role)
		switch {
		case !known || !left.scarce():
		case left.kib < scarceKiB:
			has := fmt.Sprintf("%d KiB", left.kib)
			return report.Diagnosis{Code: at.bytes, Effective: has, Sentence: fmt.Sprintf("the %s's %s has %s left: %s", at.role, left.place, has, why)}
		default:
			has := fmt.Sprintf("%d inodes", left.inodes)
			return report.Diagnosis{Code: at.inodes, Effective: has, Sentence: fmt.Sprintf("the %s's %s has %s left, and bytes in plenty (%d KiB): %s", at.role, left.place, has, left.kib, why)}
		}
	}
	// A build cleans up after itself, and leaves what it had filled.
	return report.Diagnosis{Code: "builder.store-full", Effective: why, Sentence: "there is no space left where the build was sent: " + why}
}

// Room proves that a machine's store can take another build.
func Room(role nixos.Role) Check {
	return Check{"RB.room-" + string(role), "the " + string(role) + "'s store has room for another build", string(role), func(ctx context.Context, p *Proof) {
		left, known := p.room(ctx, role)
		if known && !left.scarce() || !known && p.done() {
			return
		}
		if !known {
			p.Error(fmt.Errorf("%s: df tells nothing of /nix/store and /tmp", role))
			return
		}
		p.Broken(p.full(ctx, "error: the next build would find no space"))
	}}
}

// laptopFull is full for what only the laptop writes: what comes from a cache.
func (p *Proof) laptopFull(ctx context.Context, said words) report.Diagnosis {
	why := nixError(said)
	if left, known := p.room(ctx, nixos.Laptop); known && left.inodes < scarceInodes {
		has := fmt.Sprintf("%d inodes", left.inodes)
		return report.Diagnosis{Code: "nix.no-inodes", Effective: has, Sentence: fmt.Sprintf("the laptop's %s has %s left for what comes from the cache: %s", left.place, has, why)}
	}
	return report.Diagnosis{Code: "nix.store-full", Effective: why, Sentence: "there is no space left on the laptop for what comes from the cache: " + why}
}
