package e2e

import (
	"context"
	"fmt"

	"offload-e2e/harness/fault"
	"offload-e2e/harness/network"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/scenario"
)

// world is the lab as faults see it.
type world struct{ *Run }

func (w world) LAN() *network.LAN { return w.Lab.LAN }

func (w world) Machine(role nixos.Role) fault.Machine { return w.Run.Machine(role) }

// waitFor returns when a moment has come.
func (r *Run) waitFor(ctx context.Context, m scenario.Moment) error {
	switch m.Kind {
	case scenario.AfterTime:
		return pause(ctx, m.Time)
	case scenario.AfterNAR:
		return r.waitNAR(ctx, uint64(m.Bytes))
	case scenario.Accepted:
		// Whoever builds, does it as a user of Nix's own.
		const script = `until ps -eo user:20= | grep -q '^nixbld'; do sleep 0.1; done`
		res, err := r.Lab.Desktop.Exec(ctx, provider.Cmd("bash", "-c", script))
		if err != nil {
			return err
		}
		return res.Err()
	}
	return fmt.Errorf("the moment %q is none to wait for", m)
}

// waitNAR returns when so much has passed from the desktop's cache to the laptop.
func (r *Run) waitNAR(ctx context.Context, bytes uint64) error {
	passed := make(chan struct{})
	match := network.Match{From: "laptop", To: "desktop", Proto: network.TCP, Port: uint16(r.Bench().CachePort()), Way: network.Back}
	undo, err := r.Lab.LAN.After(match, bytes, network.Func{Name: "tell", Do: func(context.Context) error {
		close(passed)
		return nil
	}}).Apply(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = undo(context.WithoutCancel(ctx)) }()
	select {
	case <-passed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
