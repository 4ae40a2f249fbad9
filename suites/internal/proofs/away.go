package proofs

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"

	"offload-e2e/harness/check"
	"offload-e2e/harness/network"
	"offload-e2e/harness/nixos"
)

// Way is a way of being away. Take makes the desktop go; what it returns brings it
// back. Away and Back are what its ssh port is then, as the laptop sees it.
type Way struct {
	Name string // completes "the desktop is …"
	Take func(ctx context.Context, s Suite) (back func(context.Context) error, err error)
	Away []check.PortState
}

// The ways of being away.
var (
	Unplugged = Way{"unplugged", func(ctx context.Context, s Suite) (func(context.Context) error, error) {
		return s.Lab.LAN.LinkDown("desktop").Apply(ctx)
	}, []check.PortState{check.Unreachable, check.Filtered}}

	PoweredOff = Way{"powered off", func(ctx context.Context, s Suite) (func(context.Context) error, error) {
		return s.Lab.Desktop.PowerOn, s.Lab.Desktop.PowerOff(ctx, true)
	}, []check.PortState{check.Unreachable, check.Filtered}}

	Refusing = Way{"refusing", func(ctx context.Context, s Suite) (func(context.Context) error, error) {
		return s.Lab.LAN.Refuse(network.Match{To: "desktop"}).Apply(ctx)
	}, []check.PortState{check.Refused}}

	Dropping = Way{"dropping packets", func(ctx context.Context, s Suite) (func(context.Context) error, error) {
		return s.Lab.LAN.Drop(network.Match{To: "desktop"}).Apply(ctx)
	}, []check.PortState{check.Filtered}}
)

// Away are the specs for one way of being away: the desktop goes, and that is
// proved; builds still succeed on the laptop, within the budget; no command hangs;
// the desktop returns, and that is proved; offload resumes by itself.
func (s Suite) Away(w Way, budget time.Duration) {
	var back func(context.Context) error
	It("takes the desktop away: "+w.Name, func(ctx SpecContext) {
		fail(s.Walk(ctx, "takes the desktop away: "+w.Name, func(ctx context.Context) (err error) {
			if back, err = w.Take(ctx, s); err != nil {
				return err
			}
			return s.WaitPort(ctx, 22, w.Away...)
		}))
	}, NodeTimeout(specLimit))
	s.Proves(check.Offline(w.Name, budget))
	It("runs offload-status while the desktop is "+w.Name, func(ctx SpecContext) {
		_, f := s.TypeAside(ctx, check.UserCommand{Name: "offload-status", Role: nixos.Laptop, Deadline: 45 * time.Second})
		judge(f)
	}, NodeTimeout(specLimit))
	It("brings the desktop back: "+w.Name, func(ctx SpecContext) {
		if back == nil {
			Skip("it was not away")
		}
		fail(s.Walk(ctx, "brings the desktop back: "+w.Name, func(ctx context.Context) error {
			if err := back(ctx); err != nil {
				return err
			}
			back = nil
			return s.WaitPort(ctx, 22, check.Open)
		}))
	}, NodeTimeout(specLimit))
	s.Proves(check.Resumed(w.Name))
	s.Proves(check.Remounted(w.Name))
	// A fault does not outlive its specs, also where they were cut short.
	AfterAll(func(ctx SpecContext) {
		if back != nil {
			if err := back(ctx); err != nil {
				Fail(fmt.Sprintf("bring the desktop back: %v", err))
			}
		}
	}, NodeTimeout(specLimit))
}

func fail(err error) {
	if err != nil {
		Fail(err.Error(), 1)
	}
}
