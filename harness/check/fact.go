package check

import (
	"context"
	"sync"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
)

// Facts are what commands that only read said in one moment, in which nobody changes a
// machine's settings: what several checks read there is read once.
type Facts struct {
	mu    sync.Mutex
	nonce string
	hit   bool             // a hit was about the moment's path
	said  map[string]*fact // by machine and command
}

type fact struct {
	sync.Mutex
	known  bool
	result provider.Result
}

type factsKey struct{}

// In is a context for the checks of the moment.
func (f *Facts) In(ctx context.Context) context.Context { return context.WithValue(ctx, factsKey{}, f) }

// Together is a context for checks of a moment of its own.
func Together(ctx context.Context) context.Context { return new(Facts).In(ctx) }

// read runs a command that only reads, or remembers what it said in this moment
// (Together). What failed is tried again.
func (p *Proof) read(ctx context.Context, role nixos.Role, cmd provider.Command) (provider.Result, error) {
	known, ok := ctx.Value(factsKey{}).(*Facts)
	if !ok {
		return p.machine(role).Exec(ctx, cmd)
	}
	key := string(role) + " " + cmd.String()
	f := known.of(key)
	f.Lock()
	defer f.Unlock()
	if f.known {
		return f.result, nil
	}
	result, err := p.machine(role).Exec(ctx, cmd)
	f.result, f.known = result, err == nil && result.OK()
	return result, err
}

// file is what a file holds in this moment, without white space around it; "" where it
// cannot be read.
func (p *Proof) file(ctx context.Context, role nixos.Role, path string) string {
	res, _ := p.read(ctx, role, provider.Cmd("cat", path))
	return res.Text()
}

// of is the fact of a key, known or not.
func (f *Facts) of(key string) *fact {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.said == nil {
		f.said = map[string]*fact{}
	}
	if f.said[key] == nil {
		f.said[key] = &fact{}
	}
	return f.said[key]
}

// nonceOf is the nonce of the moment; checks that are in none have each their own.
func nonceOf(ctx context.Context) string {
	f, ok := ctx.Value(factsKey{}).(*Facts)
	if !ok {
		return newNonce()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.nonce == "" {
		f.nonce = newNonce()
	}
	return f.nonce
}

// firstHit reports whether nobody in the moment has asked for its path yet; who asks is
// the one from now on. In no moment each has a path of its own.
func firstHit(ctx context.Context) bool {
	f, ok := ctx.Value(factsKey{}).(*Facts)
	if !ok {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	first := !f.hit
	f.hit = true
	return first
}
