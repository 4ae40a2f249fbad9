package check

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixserve"
)

// Substituter is an entry of the `substituters` setting.
type Substituter struct {
	*url.URL
	Raw string
}

// ParseSubstituters reads the list of substituters; what is no URL is left out.
func ParseSubstituters(list []string) []Substituter {
	var out []Substituter
	for _, raw := range list {
		if u, err := url.Parse(raw); err == nil && u.Host != "" {
			out = append(out, Substituter{u, raw})
		}
	}
	return out
}

// Local reports whether it is a machine of the LAN, by address.
func (s Substituter) Local(lan netip.Prefix) bool {
	addr, err := netip.ParseAddr(s.Hostname())
	return err == nil && lan.Contains(addr) || s.Hostname() == "desktop" || s.Hostname() == "desktop.local"
}

// port is the TCP port asked.
func (s Substituter) port() string {
	if s.Port() != "" {
		return s.Port()
	}
	return map[string]string{"http": "80", "https": "443"}[s.Scheme]
}

// fixed is the priority that the URL itself sets, if it does.
func (s Substituter) fixed() (int, bool) {
	n, err := strconv.Atoi(s.Query().Get("priority"))
	return n, err == nil
}

// cachePriority reads the priority in a nix-cache-info. Nix takes a cache that
// names none to have 0 (libstore/binary-cache-store.cc).
func cachePriority(info string) int {
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(line, ":")
		if n, err := strconv.Atoi(strings.TrimSpace(value)); name == "Priority" && err == nil {
			return n
		}
	}
	return 0
}

// The priorities of public caches, as their nix-cache-info have them.
const (
	nixosPriority  = 40
	cachixPriority = 41
)

// priority is what Nix sorts a substituter by, the lowest first: that of its URL,
// else that of its nix-cache-info.
func (p *Proof) priority(ctx context.Context, s Substituter) int {
	if n, ok := s.fixed(); ok {
		return n
	}
	switch host := s.Hostname(); {
	case host == "cache.nixos.org":
		return nixosPriority
	case strings.HasSuffix(host, ".cachix.org"):
		return cachixPriority
	}
	u := url.URL{Scheme: s.Scheme, Host: s.Host, Path: strings.TrimSuffix(s.Path, "/") + "/nix-cache-info"}
	info := p.Quiet(ctx, nixos.Laptop, "curl", "-sSf", "--noproxy", "*", "--max-time", "8", u.String())
	if !strings.Contains(info, "StoreDir:") {
		// It does not answer now; nix-serve's is the one to expect.
		return nixserve.Priority
	}
	p.Evidence("network", nixos.Laptop, u.String(), info)
	return cachePriority(info)
}

// before names the first substituter that Nix asks before the i-th, with both
// priorities. Equal ones are asked in the order in which they are configured.
func (p *Proof) before(ctx context.Context, subs []Substituter, i int) (first Substituter, its, own int, found bool) {
	own = p.priority(ctx, subs[i])
	for j, s := range subs {
		if j == i || s.Host == subs[i].Host {
			continue
		}
		if n := p.priority(ctx, s); n < own || n == own && j < i {
			return s, n, own, true
		}
	}
	return Substituter{}, 0, own, false
}

// cacheURL is how the laptop should name the desktop's cache.
func (b *Bench) cacheURL() string { return fmt.Sprintf("http://%s:%d", b.DesktopAddr, b.CachePort()) }
