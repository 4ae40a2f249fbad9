package proofs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"

	"offload-e2e/harness/check"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/network"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// Way is a way of being away. Take makes the desktop go; what it returns brings it
// back. Away and Back are what its ssh port is then, as the laptop sees it.
type Way struct {
	Name string // completes "the desktop is …"
	Take func(ctx context.Context, s Suite) (back func(context.Context) error, err error)
	Away []check.PortState
}

// Label selects the specs of a way.
func (w Way) Label() string { return strings.ReplaceAll(w.Name, " ", "-") }

// The ways of being away.
var (
	Unplugged = Way{"unplugged", func(ctx context.Context, s Suite) (func(context.Context) error, error) {
		lan, err := s.Lab.Network()
		if err != nil {
			return nil, err
		}
		return lan.LinkDown("desktop").Apply(ctx)
	}, []check.PortState{check.Unreachable, check.Filtered}}

	PoweredOff = Way{"powered off", func(ctx context.Context, s Suite) (func(context.Context) error, error) {
		return s.Lab.Desktop.PowerOn, s.Lab.Desktop.PowerOff(ctx, true)
	}, []check.PortState{check.Unreachable, check.Filtered}}

	Refusing = Way{"refusing", func(ctx context.Context, s Suite) (func(context.Context) error, error) {
		lan, err := s.Lab.Network()
		if err != nil {
			return nil, err
		}
		return lan.Refuse(network.Match{To: "desktop"}).Apply(ctx)
	}, []check.PortState{check.Refused}}

	Dropping = Way{"dropping packets", func(ctx context.Context, s Suite) (func(context.Context) error, error) {
		lan, err := s.Lab.Network()
		if err != nil {
			return nil, err
		}
		return lan.Drop(network.Match{To: "desktop"}).Apply(ctx)
	}, []check.PortState{check.Filtered}}
)

// Away are the specs for one way of being away: the desktop goes; builds still succeed
// on the laptop, within the budget; no command hangs; the laptop's one look, begun
// with its build, found the desktop away; the desktop returns, and that is proved;
// offload resumes by itself. Where the machines cannot go away like that, all of them
// are skipped, and say why.
func (s Suite) Away(w Way, budget time.Duration) {
	var back func(context.Context) error
	var missing *provider.MissingError
	away := make(chan error, 1) // nil: that it is, was seen
	it := func(title string, f func(ctx SpecContext)) {
		It(title, func(ctx SpecContext) {
			if missing != nil {
				Skip(missing.Error())
			}
			f(ctx)
		}, NodeTimeout(specLimit))
	}
	proves := func(c check.Check) {
		it(c.Title+" ["+c.Machine+"]", func(ctx SpecContext) { judge(s.Check(ctx, c)) })
	}
	it("takes the desktop away: "+w.Name, func(ctx SpecContext) {
		err := s.Walk(ctx, "takes the desktop away: "+w.Name, func(ctx context.Context) (err error) {
			back, err = w.Take(ctx, s)
			return err
		})
		if errors.As(err, &missing) {
			back = nil
			Skip(missing.Error())
		}
		fail(err)
		// To find that nothing answers takes its time, which others have their use for.
		// It is one look: one that is repeated until it is right could be too late.
		go func() { away <- s.lookAway(context.WithoutCancel(ctx), w) }()
	})
	// Who waits for a build asks meanwhile what is the matter.
	offline := check.Offline(w.Name, budget)
	var status report.Finding
	it(offline.Title+" ["+offline.Machine+"]", func(ctx SpecContext) {
		var both sync.WaitGroup
		both.Go(func() {
			_, status = s.TypeAside(ctx, check.UserCommand{Name: "offload-status", Role: nixos.Laptop, Deadline: 45 * time.Second})
		})
		build := s.Check(ctx, offline)
		both.Wait()
		judge(build)
	})
	it("runs offload-status while the desktop is "+w.Name, func(SpecContext) {
		if status.Check == "" {
			Skip("it was not run")
		}
		judge(status)
	})
	it("finds the desktop away: "+w.Name, func(ctx SpecContext) {
		if back == nil {
			Skip("it was not away")
		}
		fail(s.Walk(ctx, "finds the desktop away: "+w.Name, func(context.Context) error { return <-away }))
	})
	it("brings the desktop back: "+w.Name, func(ctx SpecContext) {
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
	})
	proves(check.Resumed(w.Name))
	proves(check.Remounted(w.Name))
	// A fault does not outlive its specs, also where they were cut short.
	AfterAll(func(ctx SpecContext) {
		if back != nil {
			if err := back(ctx); err != nil {
				Fail(fmt.Sprintf("bring the desktop back: %v", err))
			}
		}
	}, NodeTimeout(specLimit))
}

// lookAway is an error unless the desktop is away in that way, as the laptop sees it.
func (s Suite) lookAway(ctx context.Context, w Way) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	state, err := check.Probe(ctx, s.Lab.Laptop.Machine, lab.DesktopAddr, 22)
	if err == nil && !slices.Contains(w.Away, state) {
		err = fmt.Errorf("the desktop is %s, and its port 22 is %s from the laptop, not %v", w.Name, state, w.Away)
	}
	return err
}

func fail(err error) {
	if err != nil {
		Fail(err.Error(), 1)
	}
}
