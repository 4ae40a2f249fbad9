package check

import (
	"context"
	"fmt"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// room is what is left in a file system: KiB and inodes (df(1)).
type room struct{ kib, inodes int }

// scarce is what a store has too little of to take another build.
const (
	scarceKiB    = 10 << 10
	scarceInodes = 200
)

// room asks a machine how much its store has left.
func (p *Proof) room(ctx context.Context, role nixos.Role) (room, bool) {
	res, ok := p.Exec(ctx, role, "df", "--output=avail,iavail", "-k", "/nix/store")
	f := strings.Fields(lastLine(string(res.Stdout)))
	if !ok || len(f) != 2 {
		return room{}, false
	}
	return room{number(f[0]), number(f[1])}, true
}

// full says which machine's store has no room, and of what, where a build or a copy
// ended so.
func (p *Proof) full(ctx context.Context, said words) report.Diagnosis {
	why := nixError(said)
	for _, at := range []struct {
		role          nixos.Role
		bytes, inodes string
	}{{nixos.Desktop, "builder.store-full", "builder.no-inodes"}, {nixos.Laptop, "nix.store-full", "nix.no-inodes"}} {
		left, known := p.room(ctx, at.role)
		switch {
		case !known:
		case left.kib < scarceKiB:
			has := fmt.Sprintf("%d KiB", left.kib)
			return report.Diagnosis{Code: at.bytes, Effective: has, Sentence: fmt.Sprintf("the %s's /nix/store has %s left: %s", at.role, has, why)}
		case left.inodes < scarceInodes:
			has := fmt.Sprintf("%d inodes", left.inodes)
			return report.Diagnosis{Code: at.inodes, Effective: has, Sentence: fmt.Sprintf("the %s's /nix/store has %s left, and bytes in plenty (%d KiB): %s", at.role, has, left.kib, why)}
		}
	}
	// A build cleans up after itself, and leaves what it had filled.
	return report.Diagnosis{Code: "builder.store-full", Effective: why, Sentence: "there is no space left where the build was sent: " + why}
}

// Room proves that a machine's store can take another build.
func Room(role nixos.Role) Check {
	return Check{"RB.room-" + string(role), "the " + string(role) + "'s store has room for another build", string(role), func(ctx context.Context, p *Proof) {
		left, known := p.room(ctx, role)
		if known && left.kib >= scarceKiB && left.inodes >= scarceInodes || !known && p.done() {
			return
		}
		if !known {
			p.Error(fmt.Errorf("%s: df tells nothing of /nix/store", role))
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
		return report.Diagnosis{Code: "nix.no-inodes", Effective: has, Sentence: fmt.Sprintf("the laptop's /nix/store has %s left for what comes from the cache: %s", has, why)}
	}
	return report.Diagnosis{Code: "nix.store-full", Effective: why, Sentence: "there is no space left on the laptop for what comes from the cache: " + why}
}
