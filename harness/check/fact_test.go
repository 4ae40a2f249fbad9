package check

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// What is read in one moment is read once, by however many; what failed is asked again,
// and another moment asks anew.
func TestTogether(t *testing.T) {
	w := newWorld(t)
	var asked atomic.Int32
	answer := out("fallback = true\n")
	w.laptop.does("nix config show", func([]string) provider.Result {
		asked.Add(1)
		return answer
	})
	p := &Proof{Bench: w.bench}
	read := func(ctx context.Context) error {
		got, err := p.read(ctx, nixos.Laptop, provider.Cmd("nix", "config", "show"))
		if err == nil && got.ExitStatus != answer.ExitStatus {
			err = errors.New("it is another answer")
		}
		return err
	}
	times := func(want int32, ctx context.Context, n int) { //nolint:revive // how often comes first
		t.Helper()
		asked.Store(0)
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				if err := read(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if asked.Load() != want {
			t.Errorf("%d readers: asked %d times, want %d", n, asked.Load(), want)
		}
	}
	times(3, t.Context(), 3)
	moment := Together(t.Context())
	times(1, moment, 5)
	times(0, moment, 2)
	times(1, Together(t.Context()), 2)
	answer = said(1, "error: it is busy\n")
	times(2, Together(t.Context()), 2)
}

// Checks of one moment look at the same path, which is built once; those of another, and
// those that are alone, at others.
func TestFreshPathTogether(t *testing.T) {
	w := newWorld(t)
	var built atomic.Int32
	w.desktop.does("timeout --kill-after=5 180 nix-build *", func(argv []string) provider.Result {
		built.Add(1)
		expression := argv[slices.Index(argv, "--expr")+1]
		return out("/nix/store/" + storeHash + "-" + nonceRE.FindString(expression) + "\n")
	})
	path := func(ctx context.Context) string {
		p := &Proof{Bench: w.bench}
		path, ok := p.freshPath(ctx)
		if !ok || len(p.finding.Evidence) != 1 {
			t.Errorf("got %+v", p.finding)
		}
		return path
	}
	moment := Together(t.Context())
	seen := map[string]bool{path(moment): true, path(moment): true, path(Together(t.Context())): true, path(t.Context()): true, path(t.Context()): true}
	if len(seen) != 4 || built.Load() != 4 {
		t.Errorf("%d builds, of %v", built.Load(), seen)
	}
}

// The first hit of a moment is about the path that its other checks look at, the next
// about one of its own: the laptop has the first by then.
func TestHitTogether(t *testing.T) {
	w := newWorld(t)
	var built []string
	w.desktop.does("timeout --kill-after=5 180 nix-build *", func(argv []string) provider.Result {
		built = append(built, nonceRE.FindString(argv[slices.Index(argv, "--expr")+1]))
		return out(made + "\n")
	})
	moment := Together(t.Context())
	for i, want := range []int{1, 1, 2} {
		c := []Check{CacheSignature(), CacheHit(), CacheHit()}[i]
		if f := w.bench.Run(moment, c); f.State != report.Holds || len(built) != want {
			t.Errorf("%d: %s is %s %s, built %v", i, c.Name, f.State, f.Reason, built)
		}
	}
}

const storeHash = "0123456789abcdfghijklmnpqrsvwxyz"

var nonceRE = regexp.MustCompile(`offload-e2e-[0-9a-f]{16}`)
