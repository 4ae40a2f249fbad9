package provider

import "context"

// Snapshotter cuts and restores the state of all machines of a lab at once:
// all paused, all saved, all resumed, so that connections between machines
// survive. Connections of the harness do not; machines dial again by themselves.
type Snapshotter interface {
	Snapshot(ctx context.Context, name string) error
	Restore(ctx context.Context, name string) error
}

// PowerController is a machine whose power can be switched.
type PowerController interface {
	// PowerOff ends the machine: hard as by pulling the plug, or, when not
	// hard, by the ACPI power button, waiting for the guest to end.
	PowerOff(ctx context.Context, hard bool) error
	// PowerOn boots the machine that is off, and waits until Exec works.
	PowerOn(ctx context.Context) error
	// Running reports whether the machine has power.
	Running() bool
}

// Freezer is a machine whose processors can be stopped and resumed, as in a
// suspend that its peers do not notice.
type Freezer interface {
	Freeze(ctx context.Context) error
	Thaw(ctx context.Context) error
}
