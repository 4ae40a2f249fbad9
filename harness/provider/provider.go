// Package provider holds the contracts between a lab and what runs its
// machines: contracts only, one noun a file. A provider never knows what a
// desktop or a laptop is; a suite never knows what QEMU is.
//
// What every provider can do is in [Provider] and [Machine]. What only some can
// do is an interface of one ability, found by type assertion: [Snapshotter],
// [PowerController], [Freezer] and their like. Whoever needs an ability that is
// missing skips, and says why ([MissingError]).
package provider

import (
	"context"
	"net/netip"
)

// Request describes the machines of one lab.
type Request struct {
	// StateDir is a folder for sockets, overlays, consoles and pid files. It
	// exists and is empty; the provider owns it until Close.
	StateDir string
	Machines []MachineRequest
}

// MachineRequest describes one machine of a lab.
type MachineRequest struct {
	// Name is the machine's role: "desktop", "laptop".
	Name string
	// Addr is its address on the LAN under test.
	Addr netip.Addr
	// MAC is the hardware address of lan0, e.g. "52:54:00:0f:00:07".
	MAC string
	// MemoryMiB is the guest's memory in MiB.
	MemoryMiB int
}

// Provider creates the machines of a lab and takes them away.
type Provider interface {
	// Name is the provider's word in reports: "qemu".
	Name() string
	// Create brings every machine up, ready for Exec. On error nothing is left.
	Create(ctx context.Context, req Request) ([]Machine, error)
	// Machines are those that were made so far, also by a Create that failed: what
	// they printed says why.
	Machines() []Machine
	// Close takes every machine down and joins all errors. It is idempotent.
	Close(ctx context.Context) error
}
