package check

import (
	"context"
	"sync"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
)

// facts are what commands that only read said, by machine and command.
type facts struct {
	mu   sync.Mutex
	said map[string]*fact
}

type fact struct {
	sync.Mutex
	known  bool
	result provider.Result
}

type factsKey struct{}

// Together is a context for checks of one moment, in which nobody changes a machine's
// settings: what several of them read there is read once.
func Together(ctx context.Context) context.Context {
	return context.WithValue(ctx, factsKey{}, &facts{said: map[string]*fact{}})
}

// read runs a command that only reads, or remembers what it said in this moment
// (Together). What failed is tried again.
func (p *Proof) read(ctx context.Context, role nixos.Role, cmd provider.Command) (provider.Result, error) {
	known, ok := ctx.Value(factsKey{}).(*facts)
	if !ok {
		return p.machine(role).Exec(ctx, cmd)
	}
	key := string(role) + " " + cmd.String()
	known.mu.Lock()
	f := known.said[key]
	if f == nil {
		f = &fact{}
		known.said[key] = f
	}
	known.mu.Unlock()
	f.Lock()
	defer f.Unlock()
	if f.known {
		return f.result, nil
	}
	result, err := p.machine(role).Exec(ctx, cmd)
	f.result, f.known = result, err == nil && result.OK()
	return result, err
}
