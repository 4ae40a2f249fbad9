package main

import (
	"context"
	"path/filepath"
	"strings"

	"offload-e2e/harness/provider/qemu"
)

// preflight is what a run asks of this machine.
func (p *paths) preflight() qemu.Preflight {
	return qemu.Preflight{Machines: runMachines, StateDir: p.State, DiskMiB: stateDiskMiB}
}

// reportDiskMiB is room for a report with its evidence, several times over.
const reportDiskMiB = 50

// fit refuses a machine that cannot run a lab, before anything is built or booted:
// its programs, its memory, the room on its disks, that for the report in dir too.
func (p *paths) fit(ctx context.Context, needed qemu.Preflight, dir string) error {
	images, _ := filepath.Glob(filepath.Join(p.images(), "*", "manifest.json"))
	e := &examination{system: thisSystem(), paths: p, machine: needed}
	conditions := append(e.hypervisor(ctx), e.room(ctx, len(images) == 0)...)
	conditions = append(conditions, e.roomIn(ctx, "report space", dir, reportDiskMiB, "Make room, or put the report elsewhere: REPORT=<dir> with make, --report <dir> without")...)
	var found, ways []string
	for _, c := range conditions {
		if c.State == stateMissing {
			found = append(found, c.Name+": "+c.Found)
			ways = append(ways, c.WayOut)
		}
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case found == nil:
		return nil
	}
	return &userError{Heading: "A lab cannot run on this machine", Sentence: strings.Join(found, "\n"),
		WayOut: strings.Join(ways, "\n") + "\nAll that this machine has and lacks: .bin/offload-e2e doctor"}
}
