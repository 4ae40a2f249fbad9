// Package fault is what goes wrong on purpose: a cable is pulled, a service dies,
// a key is made anew. Each fault is a small struct whose fields are its parameters,
// as a scenario sets them; it can be applied, proved to be in force, and undone.
package fault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"offload-e2e/harness/network"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
)

// World is what faults act on.
type World interface {
	LAN() *network.LAN
	Machine(role nixos.Role) Machine
}

// Machine is a machine of the world. Exec reaches it whatever the fault, unless it
// has no power or is paused.
type Machine interface {
	provider.Machine
	provider.PowerController
	provider.Freezer
}

// Undo takes a fault back. It is idempotent where it succeeded.
type Undo func(ctx context.Context) error

// Fault is one thing that goes wrong.
type Fault interface {
	// Apply puts it in force. The undo is not nil where anything was changed, also
	// beside an error.
	Apply(ctx context.Context, w World) (Undo, error)
	// Probe looks whether it is in force now. What is seen is told in words.
	Probe(ctx context.Context, w World) (inForce bool, seen string, err error)
	// String says it in words: "drop tcp port 5000 to desktop".
	String() string
}

// Lasting is a fault that is not in the machines: it does not go when they are
// restored, and has to be undone.
type Lasting interface{ Lasts() bool }

// Lasts reports whether a fault outlives a restore of the machines.
func Lasts(f Fault) bool {
	l, ok := f.(Lasting)
	return ok && l.Lasts()
}

// kinds are all faults by the names that scenarios have for them.
var kinds = map[string]func() any{
	"link-down":     func() any { return &LinkDown{} },
	"drop":          func() any { return &Drop{} },
	"refuse":        func() any { return &Refuse{} },
	"reject":        func() any { return &Reject{} },
	"hold-packets":  func() any { return &HoldPackets{} },
	"delay":         func() any { return &Delay{Seed: 1} },
	"rate":          func() any { return &Rate{} },
	"loss":          func() any { return &Loss{Seed: 1} },
	"duplicate":     func() any { return &Duplicate{Seed: 1} },
	"mtu-blackhole": func() any { return &Blackhole{MTU: 1280} },
	"dns":           func() any { return &DNS{Mode: "silent"} },
	"internet-away": func() any { return &InternetAway{} },

	"power-off": func() any { return &PowerOff{How: "plug"} },
	"reboot":    func() any { return &Reboot{How: "button"} },
	"suspend":   func() any { return &Suspend{Sleeps: 10 * time.Second} },
	"pause":     func() any { return &Pause{} },

	"duplicate-address": func() any { return &DuplicateAddress{} },

	"service":  func() any { return &Service{} },
	"restrict": func() any { return &Restrict{} },
	"file":     func() any { return &File{} },

	"rotate-key":      func() any { return &RotateKey{} },
	"collect-garbage": func() any { return &CollectGarbage{} },
	"fill-disk":       func() any { return &FillDisk{Path: "/nix/var"} },
	"clock":           func() any { return &Clock{} },
	"many-builds":     func() any { return &ManyBuilds{Count: 8, Take: 20 * time.Second} },
	"second-laptop":   func() any { return &SecondLaptop{User: "nix-builder", Builds: 2, Take: 2 * time.Minute} },

	"run": func() any { return &Run{} },
}

// Kinds are all faults by name: each makes a fresh one with its usual parameters.
func Kinds() map[string]func() any { return maps.Clone(kinds) }

// patience is how long a fault may take to be seen, or to be gone.
const patience = 90 * time.Second

// NotSeenError is a fault that was applied, and has no effect; or one that was
// undone and still has.
type NotSeenError struct {
	Fault Fault
	Want  bool
	Seen  string
}

func (e *NotSeenError) Error() string {
	if e.Want {
		return fmt.Sprintf("the fault %q was applied and is not in force: %s", e.Fault, e.Seen)
	}
	return fmt.Sprintf("the fault %q was undone and is still in force: %s", e.Fault, e.Seen)
}

// Prove waits until a fault is in force, or no longer is, as its probe sees it.
func Prove(ctx context.Context, w World, f Fault, want bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last := "it was not looked at"
	for {
		inForce, seen, err := f.Probe(ctx, w)
		switch {
		case err == nil && inForce == want:
			return nil
		case err == nil:
			last = seen
		case ctx.Err() == nil:
			last = err.Error()
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.Canceled) {
				return context.Cause(ctx)
			}
			return &NotSeenError{f, want, last}
		case <-tick.C:
		}
	}
}
