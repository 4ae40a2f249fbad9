package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

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

// ErrOff is the error of whatever needs a machine that has no power.
var ErrOff = errors.New("machine is off")

// Freezer is a machine whose processors can be stopped and resumed, as in a
// suspend that its peers do not notice.
type Freezer interface {
	Freeze(ctx context.Context) error
	Thaw(ctx context.Context) error
}

// StateKeeper keeps the booted machines of a lab for later ones.
type StateKeeper interface {
	SaveState(ctx context.Context, dir string) error
	// Restored reports whether Create restored such a state, and if not why not.
	Restored() (restored bool, why string)
}

// Journaler is a machine whose journal leaves it by a way that no fault touches.
type Journaler interface {
	Journal(ctx context.Context) (io.ReadCloser, error)
}

// Clock is a machine with a clock of its own, which stands still while it is saved.
type Clock interface {
	SetClock(ctx context.Context, now time.Time) error
}

// Granted is a provider that needs rights beyond the usual, and says which and why.
type Granted interface {
	// Engine is what runs the machines, with its version.
	Engine() string
	Grants() []string
}

// MissingError tells of an ability that a provider, or this machine of the
// harness's, has not. Whoever needs it skips, with the reason.
type MissingError struct {
	Provider string
	// Ability is what is wanted, as a noun: "snapshots".
	Ability string
	// Reason is why there is none, "" where it is the provider's nature.
	Reason string
}

func (e *MissingError) Error() string {
	text := fmt.Sprintf("the provider %s has no %s", e.Provider, e.Ability)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}
