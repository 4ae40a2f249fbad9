package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// internetCache is the host that NixOS puts behind every list of substituters.
const internetCache = "cache.nixos.org"

// InternetHit proves that a path only the internet's cache has arrives on the laptop
// from there, past the desktop's cache: what the laptop lives on where the desktop has
// nothing, or is away.
func InternetHit() Check {
	return Check{"CH.internet", "a path only the internet has arrives from its cache", "laptop", func(ctx context.Context, p *Proof) {
		if p.Origin == nil {
			p.Skip("there is no internet here that can be filled")
			return
		}
		s, ok := p.NixConfig(ctx, nixos.Laptop)
		if !ok {
			return
		}
		if asked := p.setting(nixos.Laptop, s, "substituters"); !slices.ContainsFunc(ParseSubstituters(s.List("substituters")), func(s Substituter) bool { return s.Hostname() == internetCache }) {
			p.Skip("the laptop is configured not to ask %s: its substituters are %q", internetCache, asked)
			return
		}
		path, err := p.Origin.AddText("offload-e2e-internet", newNonce()+"\n")
		if err != nil {
			p.Error(err)
			return
		}
		res, ok := p.ExecCommand(ctx, nixos.Laptop, realise(path))
		if !ok {
			return
		}
		served := slices.DeleteFunc(p.Origin.Fetched(), func(fetched string) bool { return fetched != path })
		p.Evidence("log", nixos.Laptop, internetCache, count(len(served), "GET")+" of the NAR of "+path)
		if !res.OK() || len(served) == 0 {
			p.Broken(p.whyNoInternet(ctx, words(res.Stderr)))
		}
	}}
}

// whyNoInternet says what keeps the laptop from the internet's cache: the way there, as
// curl meets it, or Nix.
func (p *Proof) whyNoInternet(ctx context.Context, said words) report.Diagnosis {
	if said.has("No space left on device", "database or disk is full") {
		return p.laptopFull(ctx, said)
	}
	why := nixError(said)
	if res, ok := p.Exec(ctx, nixos.Laptop, "curl", "-sSf", "--max-time", "10", "https://"+internetCache+"/nix-cache-info"); ok && !res.OK() {
		why = strings.TrimSpace(lastLine(string(res.Stderr)))
	}
	return report.Diagnosis{Code: "cache.no-internet", Effective: why, Expected: "GET of a NAR",
		Sentence: fmt.Sprintf("a path that only %s has does not arrive on the laptop, a GET of a NAR is expected there: %s", internetCache, why)}
}
