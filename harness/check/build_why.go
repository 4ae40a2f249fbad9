package check

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// whyNoBuild finds why a build that had to be remote failed, from what Nix says:
// the words are those of Nix 2.26. Broken is false where the claim cannot be made
// on these machines.
func (p *Proof) whyNoBuild(ctx context.Context, res provider.Result, since string) (d report.Diagnosis, broken bool) {
	said := words(res.Stderr)
	switch {
	case said.has("is forbidden in restricted mode"):
		return p.restricted(ctx, said), true
	case said.has("lacks a signature by a trusted key", "lacks a valid signature", "you are not privileged to"):
		return p.untrusted(ctx, said), true
	case said.has("is not allowed to connect to the Nix daemon"):
		return p.notAllowed(ctx, said), true
	case said.has("No space left on device", "disk full", "database or disk is full"):
		return p.full(ctx, said), true
	case said.has("cannot connect to socket", "cannot connect to '/nix/var/nix/daemon-socket"):
		return report.Diagnosis{Code: "nix.daemon-dead", Effective: "no answer",
			Sentence: "the laptop's Nix daemon gives no answer: " + nixError(said)}, true
	}
	if timedOut(res) {
		if d := p.waits(ctx, said); d != nil {
			return *d, true
		}
	}
	if d := lost(said); d != nil {
		return *d, true
	}
	s, err := p.nixSettings(ctx, nixos.Laptop)
	if err != nil {
		return p.buildFailed(said), true
	}
	if d := p.noBuilderFor(ctx, s, said); d != nil {
		return *d, true
	}
	// Nix says little of why ssh failed; ssh itself says more.
	b := p.builder(ctx)
	if login, ok := p.login(ctx, b, "nix-store", "--version"); ok && !login.OK() {
		return p.whyNoLogin(ctx, b, login, since), true
	}
	if feature, lacks := desktopLacks(said); lacks {
		return report.Diagnosis{Code: "builder.build-failed", Sentence: "the desktop itself does not have " + feature + ", whatever builders say"}, false
	}
	return p.buildFailed(said), true
}

func (p *Proof) buildFailed(said words) report.Diagnosis {
	last := nixError(said)
	return report.Diagnosis{Code: "builder.build-failed", Effective: last, Sentence: "a build that had to run on the desktop failed: " + last}
}

// untrusted is the diagnosis of a desktop that refuses what the laptop sends.
func (p *Proof) untrusted(ctx context.Context, said words) report.Diagnosis {
	user := p.builder(ctx).User
	if s, err := p.nixSettings(ctx, nixos.Desktop); err == nil {
		return p.distrusted(ctx, s, user)
	}
	return report.Diagnosis{Code: "builder.untrusted", Effective: "untrusted", Expected: user,
		Sentence: fmt.Sprintf("%s is untrusted by the desktop's Nix, which refuses what the laptop sends: %s", user, nixError(said))}
}

// notAllowed is the diagnosis of a daemon that does not talk to who builds
// (nix.conf(5), allowed-users).
func (p *Proof) notAllowed(ctx context.Context, said words) report.Diagnosis {
	_, user, _ := strings.Cut(string(said), "user '")
	user, _, _ = strings.Cut(user, "'")
	d := report.Diagnosis{Code: "builder.not-allowed", Effective: "not allowed", Expected: user,
		Sentence: fmt.Sprintf("the desktop's Nix daemon does not talk to %s: not allowed", user)}
	if s, err := p.nixSettings(ctx, nixos.Desktop); err == nil {
		d.Effective = s.Text("allowed-users")
		d.Sentence = fmt.Sprintf("the desktop's Nix daemon does not talk to %s: allowed-users is %q", user, d.Effective)
	}
	return p.blame(ctx, nixos.Desktop, "nix.settings.allowed-users", d)
}

// offer is what Nix found wanting, in the words of its build hook:
//
//	required (system, features): (x86_64-linux, [kvm])
//	([x86_64-linux], 4, [benchmark], [])
var (
	required = regexp.MustCompile(`required \(system, features\): \(([^,\n]*), \[([^\]\n]*)\]\)`)
	offered  = regexp.MustCompile(`(?m)^\(\[([^\]\n]*)\], (\d+), \[([^\]\n]*)\], \[([^\]\n]*)\]\)`)
	needs    = regexp.MustCompile(`a '([^']*)' with features \{([^}]*)\} is required to build`)
)

// noBuilderFor finds why none of the laptop's builders takes the build, nil where
// one would.
func (p *Proof) noBuilderFor(ctx context.Context, s NixSettings, said words) *report.Diagnosis {
	builders, raw, wrong := p.readBuilders(ctx, s)
	switch {
	case wrong != nil:
		return wrong
	case said.has("bad machine specification", "while parsing machine specification"):
		d := report.Diagnosis{Code: "builder.list-swallowed", Effective: oneLine(raw),
			Sentence: fmt.Sprintf("the laptop's builders (%s) do not mean what they should: %s", oneLine(raw), strings.TrimLeft(said.after("machine specification"), ": "))}
		return &d
	}
	if d := p.whyNoBuilder(ctx, s, builders, raw); d != nil {
		return d
	}
	m := required.FindStringSubmatch(string(said))
	if m == nil || said.has("cannot build on '") {
		return nil
	}
	return featureMissing(m[2], builders, string(said))
}

// featureMissing compares the features a build requires with those on offer.
func featureMissing(wanted string, builders []Builder, said string) *report.Diagnosis {
	var has []string
	for _, m := range offered.FindAllStringSubmatch(said, -1) {
		has = append(has, "["+m[3]+"]")
	}
	for feature := range strings.SplitSeq(wanted, ", ") {
		if feature == "" || slices.ContainsFunc(builders, func(b Builder) bool { return b.offers(feature) }) {
			continue
		}
		effective := strings.Join(has, ", ")
		return &report.Diagnosis{Code: "builder.feature-missing", Effective: effective, Expected: feature,
			Sentence: fmt.Sprintf("no builder of the laptop offers %s: they offer %s", feature, effective)}
	}
	for _, b := range builders {
		for _, r := range b.Required {
			if !strings.Contains(", "+wanted+",", ", "+r+",") {
				return &report.Diagnosis{Code: "builder.feature-missing", Effective: strings.Join(b.Required, ","), Expected: "[" + wanted + "]",
					Sentence: fmt.Sprintf("the laptop's builder only takes builds that require %s, this one requires [%s]", strings.Join(b.Required, ","), wanted)}
			}
		}
	}
	return nil
}

// desktopLacks reads from a build that failed on the desktop which features the
// desktop itself lacks.
func desktopLacks(said words) (string, bool) {
	m := needs.FindStringSubmatch(string(said))
	if m == nil || !said.has(" on 'ssh") {
		return "", false
	}
	return m[2], true
}
