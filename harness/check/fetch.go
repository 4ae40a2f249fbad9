package check

import (
	"context"
	"fmt"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// megabytes is how large the output of FetchFallback is: enough for something to
// happen to it on its way.
const megabytes = 8

// large is the beginning of a script that has a text of so many MiB in $x.
const large = `x=0123456789abcdef; i=0; while [ $i -lt %d ]; do x=$x$x; i=$((i+1)); done; `

// FetchFallback proves that a build whose output the laptop was fetching from the
// desktop's cache is done on the laptop, when the desktop goes away meanwhile.
func FetchFallback(how string, budget time.Duration) Check {
	return Check{"OF.fetch-" + slug(how), "with the desktop " + how + " in the middle of a fetch the laptop builds what it did not get", "laptop", func(ctx context.Context, p *Proof) {
		// 16 bytes doubled 16 times are 1 MiB.
		doublings := 16
		for n := 1; n < megabytes; n *= 2 {
			doublings++
		}
		expression := derivation(newNonce(), fmt.Sprintf(large, doublings)+tellPlace+`; echo "$x" >> $out`)
		made, ok := p.ExecCommand(ctx, nixos.Desktop, desktopBuild(expression))
		if !ok {
			return
		}
		if !made.OK() {
			p.Error(fmt.Errorf("build on the desktop what is to be fetched: %w", made.Err()))
			return
		}
		started := time.Now()
		res, ok := p.ExecCommand(ctx, nixos.Laptop, daemonBuild(expression, "--option", "builders", ""))
		took, limit := time.Since(started), p.stretch(budget)
		switch {
		case !ok:
		case !res.OK():
			p.Broken(p.whyNotOffline(ctx, how, limit, res))
		case took > limit:
			p.Broken(p.blame(ctx, nixos.Laptop, "nix.settings.connect-timeout", report.Diagnosis{Code: "nix.fallback-slow",
				Sentence:  fmt.Sprintf("with the desktop %s in the middle of a fetch a build takes %.0f s, the budget is %.0f s", how, took.Seconds(), limit.Seconds()),
				Effective: fmt.Sprintf("%.0f s", took.Seconds()), Expected: fmt.Sprintf("%.0f s", limit.Seconds())}))
		default:
			p.builtHere(ctx, res.Text(), how)
		}
	}}
}

// builtHere refutes the claim where an output's first line is not the laptop's place.
func (p *Proof) builtHere(ctx context.Context, out, how string) {
	said := strings.TrimSpace(p.Quiet(ctx, nixos.Laptop, "head", "-n", "1", out))
	laptop := p.place(ctx, nixos.Laptop)
	p.Evidence("file", nixos.Laptop, out, said)
	if !laptop.made(said) {
		p.Broken(report.Diagnosis{Code: "nix.offline-build-failed", Effective: said, Expected: laptop.String(),
			Sentence: fmt.Sprintf("with the desktop %s in the middle of a fetch the output names the boot %q, the laptop's is %q", how, said, laptop)})
	}
}
