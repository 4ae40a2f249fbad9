package check

import (
	"context"
	"strings"

	"offload-e2e/harness/nixos"
)

// Evaluated records that a host's modules evaluate, with what was imported and
// set: a configuration that does not is found before anything boots.
func Evaluated(role nixos.Role) Check {
	return Check{"EV.evaluates", "the " + string(role) + "'s modules can be imported and evaluate", string(role), func(ctx context.Context, p *Proof) {
		c := p.configuration(role)
		p.Evidence("option", role, "warnings", strings.Join(c.Warnings, "\n"))
		p.Evidence("option", role, "assertions that failed", strings.Join(c.Assertions, "\n"))
	}}
}

// Remounted proves that after the desktop came back the store is there again, with
// no hand.
func Remounted(after string) Check {
	c := Mounted(Shares[0])
	c.Name, c.Title = "RC.mount-after-"+slug(after), "after the desktop was "+after+" and returned, its store is mounted again, with no hand"
	return c
}

// CacheResumed proves that after the desktop came back its cache is used again.
func CacheResumed(after string) Check {
	c := CacheHit()
	c.Name, c.Title = "RC.cache-after-"+slug(after), "after the desktop was "+after+" and returned, its cache is used again, with no hand"
	return c
}
