package check

import (
	"context"
	"strings"

	"offload-e2e/harness/nixos"
)

// tellPlace is the end of a builder's script: it leaves in the output's first line where
// it runs. The boot id (proc_sys_kernel(5)) tells machines apart; containers have that
// of the kernel they share, and are told apart by where on its disk their /nix is
// (proc_pid_mountinfo(5)). Sandboxes hide neither.
const tellPlace = `read -r boot < /proc/sys/kernel/random/boot_id; disk=/; ` +
	`while read -r id parent device root at rest; do case $at in /nix|/nix/store) disk=$root;; esac; done < /proc/self/mountinfo; echo "$boot $disk" > $out`

// place is where a machine builds.
type place struct{ boot, disk string }

// place is the machine's; nothing was made there where it cannot be asked.
func (p *Proof) place(ctx context.Context, role nixos.Role) place {
	boot, mounts, _ := strings.Cut(p.Quiet(ctx, role, "cat", "/proc/sys/kernel/random/boot_id", "/proc/self/mountinfo"), "\n")
	here := place{boot: boot, disk: "/"}
	for _, m := range parseMountInfo(mounts) {
		if m.Point == "/nix" {
			here.disk = m.Root
		}
	}
	p.Evidence("file", role, "/proc/sys/kernel/random/boot_id, and the place of /nix in /proc/self/mountinfo", here.String())
	return here
}

func (a place) String() string { return strings.TrimSpace(a.boot + " " + a.disk) }

// made reports whether what a builder left by tellPlace was made here: below this
// place's /nix, as a sandbox has folders of its own there.
func (a place) made(said string) bool {
	boot, disk, _ := strings.Cut(strings.TrimSpace(said), " ")
	below := func(dir string) string { return strings.TrimSuffix(dir, "/") + "/" }
	return boot != "" && boot == a.boot && strings.HasPrefix(below(disk), below(a.disk))
}
