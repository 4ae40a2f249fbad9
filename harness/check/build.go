package check

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

func newNonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// nonceExpression is a derivation nobody has built before, whose output says where
// it was built. The builder uses what /bin/sh has built in, and nothing else.
func nonceExpression(name string) string { return derivation(name, tellPlace) }

// derivation is one that sh makes by a script.
func derivation(name, script string) string {
	return fmt.Sprintf(`derivation { name = "offload-e2e-%s"; system = builtins.currentSystem; builder = "/bin/sh";
  args = [ "-c" %s ]; }`, name, nixos.Quote(script))
}

// daemonBuild builds an expression on a machine through its daemon, as any user's
// nix-build does, and prints the output's path.
func daemonBuild(expression string, options ...string) provider.Command {
	argv := append([]string{"timeout", "--kill-after=5", "180", "nix-build", "--no-out-link", "--expr", expression}, options...)
	return provider.Command{Argv: argv, Env: map[string]string{"NIX_REMOTE": "daemon", "HOME": "/root"}}
}

// RemoteBuild proves that a build the laptop may not do itself happens on the
// desktop, with an input that only the laptop has: nobody signed it, and a desktop
// that does not trust the builder's user refuses it.
func RemoteBuild() Check {
	return Check{"RB.build", "a build of the laptop runs on the desktop", "laptop", func(ctx context.Context, p *Proof) {
		p.remoteBuild(ctx)
		if !p.done() {
			p.expressionsAllowed(ctx)
		}
	}}
}

func (p *Proof) remoteBuild(ctx context.Context) {
	input, made, ok := p.input(ctx)
	if !ok {
		return
	}
	expression := nonceExpression(newNonce())
	if made {
		expression = strings.Replace(expression, "system = ", "input = "+input+"; system = ", 1)
	}
	p.buildRemotely(ctx, daemonBuild(expression, "--max-jobs", "0"))
}

// inputFile is where MakeInput leaves, on the laptop, the name and the store path of the
// next remote build's input.
const inputFile = "/var/tmp/offload-e2e-input"

// MakeInput makes ahead, on the laptop alone, what the next remote build is to have for
// its input. A laptop that cannot is for the build to find.
func (b *Bench) MakeInput(ctx context.Context) error {
	name := newNonce() + "-input"
	res, err := b.Laptop.Exec(ctx, localBuild(nonceExpression(name)))
	if err != nil || !res.OK() {
		return err
	}
	return b.Laptop.CopyTo(ctx, strings.NewReader(name+" "+res.Text()+"\n"), inputFile, 0o600)
}

// input is an expression that only the laptop has built: made ahead, once, or now. It is
// not made where the laptop cannot build by itself.
func (p *Proof) input(ctx context.Context) (expression string, made, ok bool) {
	const take = `read -r name path <"$1" && rm "$1" && said=$(cat "$path") && echo "$name" && echo "$said"`
	if ahead := p.Quiet(ctx, nixos.Laptop, "sh", "-c", take, "input", inputFile); ahead != "" {
		p.Evidence("file", nixos.Laptop, inputFile, ahead)
		name, _, _ := strings.Cut(ahead, "\n")
		return nonceExpression(name), true, true
	}
	expression = nonceExpression(newNonce() + "-input")
	res, ok := p.ExecCommand(ctx, nixos.Laptop, localBuild(expression))
	return expression, res.OK(), ok
}

// localBuild is daemonBuild on this machine and no other.
func localBuild(expression string) provider.Command {
	return daemonBuild(expression, "--max-jobs", "1", "--option", "builders", "", "--option", "substitute", "false")
}

// BuildAs proves that an ordinary user's build runs on the desktop too. Options are
// further ones of nix-build; Nix ignores those that only trusted users may set.
func BuildAs(user string, options ...string) Check {
	return Check{"RB.user-build", "a build of the laptop's user " + user + " runs on the desktop", "laptop", func(ctx context.Context, p *Proof) {
		if res, ok := p.Exec(ctx, nixos.Laptop, "id", "-u", user); !ok || !res.OK() {
			if ok {
				p.Error(fmt.Errorf("the laptop has no user %s to build as: %s", user, strings.TrimSpace(string(res.Stderr))))
			}
			return
		}
		cmd := daemonBuild(nonceExpression(newNonce()), options...)
		cmd.Argv = append([]string{"runuser", "-u", user, "--", "env", "HOME=/tmp"}, cmd.Argv...)
		p.buildRemotely(ctx, cmd)
	}}
}

// BuildNeeding proves that a build which requires a system feature ("kvm") finds a
// builder that offers it.
func BuildNeeding(feature string) Check {
	return Check{"RB.feature-" + slug(feature), "a build of the laptop that requires " + feature + " runs on the desktop", "laptop", func(ctx context.Context, p *Proof) {
		expression := strings.Replace(nonceExpression(newNonce()), "system = ", fmt.Sprintf("requiredSystemFeatures = [ %q ]; system = ", feature), 1)
		p.buildRemotely(ctx, daemonBuild(expression, "--max-jobs", "0"))
	}}
}

// buildRemotely refutes the claim where a build does not run on the desktop.
func (p *Proof) buildRemotely(ctx context.Context, cmd provider.Command) {
	since := p.now(ctx)
	res, ok := p.ExecCommand(ctx, nixos.Laptop, cmd)
	if !ok {
		return
	}
	if !res.OK() {
		d, broken := p.whyNoBuild(ctx, res, since)
		if broken {
			p.Broken(d)
		} else {
			p.Skip("%s", d.Sentence)
		}
		return
	}
	p.provePlace(ctx, res)
}

// provePlace proves that a build was done on the desktop: its place is in the output,
// and the desktop has the path too.
func (p *Proof) provePlace(ctx context.Context, res provider.Result) {
	out := res.Text()
	said := p.Quiet(ctx, nixos.Laptop, "cat", out)
	desktop := p.place(ctx, nixos.Desktop)
	p.Evidence("file", nixos.Laptop, out, said)
	if desktop.made(said) {
		if res, ok := p.Exec(ctx, nixos.Desktop, "nix-store", "--check-validity", out); ok && !res.OK() {
			p.Broken(report.Diagnosis{Code: "builder.collected", Effective: "not valid", Expected: out,
				Sentence: fmt.Sprintf("the desktop built %s, and a moment later it is not valid there: garbage is collected while builds run, and what laptops wait for goes with it", out)})
		}
		return
	}
	if option := ignoredOption(words(res.Stderr)); option != "" {
		p.Broken(report.Diagnosis{Code: "builder.setting-ignored", Effective: "ignored", Expected: option,
			Sentence: fmt.Sprintf("the build was done on the laptop: --%s was ignored, because whoever builds is not a trusted user of Nix", option)})
		return
	}
	p.Broken(report.Diagnosis{Code: "builder.built-locally", Effective: said, Expected: desktop.String(),
		Sentence: fmt.Sprintf("the build succeeded, and not on the desktop: the output names the boot %q, the desktop's is %q", said, desktop)})
}

// ignoredOption is the setting of the client that Nix's daemon ignored
// (libstore/daemon.cc), "" where it did not.
func ignoredOption(said words) string {
	option, _, _ := strings.Cut(said.after("ignoring the client-specified setting '"), "'")
	return option
}

// expressionsAllowed proves that what people test with may be evaluated.
func (p *Proof) expressionsAllowed(ctx context.Context) {
	s, err := p.nixSettings(ctx, nixos.Laptop)
	if err != nil || !s.Bool("restrict-eval") {
		return
	}
	// The build above needed no file; what users build does.
	res, ok := p.Exec(ctx, nixos.Laptop, "nix-instantiate", "--eval", "--expr", "builtins.stringLength (builtins.readFile /etc/os-release)")
	if ok && words(res.Stderr).has("is forbidden in restricted mode") {
		p.Broken(p.restricted(ctx, words(res.Stderr)))
	}
}

func (p *Proof) restricted(ctx context.Context, said words) report.Diagnosis {
	return p.blame(ctx, nixos.Laptop, "nix.settings.restrict-eval", report.Diagnosis{Code: "nix.restrict-eval", Effective: "true", Expected: "false",
		Sentence: "the laptop's restrict-eval is true, not false: Nix refuses expressions that people test and build with (" + nixError(said) + ")"})
}

// BuildRefused proves that before the exchange of keys nothing can be offloaded.
func BuildRefused() Check {
	return Check{"RB.refused-before-exchange", "before the exchange of keys nothing is built on the desktop", "laptop", func(ctx context.Context, p *Proof) {
		res, ok := p.ExecCommand(ctx, nixos.Laptop, daemonBuild(nonceExpression(newNonce()), "--max-jobs", "0"))
		if ok && res.OK() {
			p.Broken(report.Diagnosis{Code: "ssh.key-too-early", Effective: "built", Expected: "refused",
				Sentence: "a build of the laptop was built before its key was handed over, it should be refused"})
		}
	}}
}

// Offline proves that a new build succeeds on the laptop while the desktop is away,
// within a budget. How says in which way it is away.
func Offline(how string, budget time.Duration) Check {
	return Check{"OF.build-" + slug(how), "with the desktop " + how + " a new build still succeeds on the laptop", "laptop", func(ctx context.Context, p *Proof) {
		started := time.Now()
		res, ok := p.ExecCommand(ctx, nixos.Laptop, daemonBuild(nonceExpression(newNonce())))
		took := time.Since(started)
		if !ok {
			return
		}
		limit := p.stretch(budget)
		if !res.OK() {
			p.Broken(p.whyNotOffline(ctx, how, limit, res))
			return
		}
		out := res.Text()
		said := p.Quiet(ctx, nixos.Laptop, "cat", out)
		laptop := p.place(ctx, nixos.Laptop)
		p.Evidence("file", nixos.Laptop, out, said)
		if !laptop.made(said) {
			p.Broken(report.Diagnosis{Code: "nix.offline-build-failed", Effective: said, Expected: laptop.String(),
				Sentence: fmt.Sprintf("the build's output names the boot %q, the laptop's is %q", said, laptop)})
			return
		}
		if took > limit {
			p.Broken(p.blame(ctx, nixos.Laptop, "nix.settings.connect-timeout", report.Diagnosis{Code: "nix.fallback-slow",
				Sentence:  fmt.Sprintf("with the desktop %s a build takes %.0f s, the budget is %.0f s", how, took.Seconds(), limit.Seconds()),
				Effective: fmt.Sprintf("%.0f s", took.Seconds()), Expected: fmt.Sprintf("%.0f s", limit.Seconds())}))
		}
	}}
}

func (p *Proof) whyNotOffline(ctx context.Context, how string, limit time.Duration, res provider.Result) report.Diagnosis {
	out := words(res.Stderr)
	s, err := p.nixSettings(ctx, nixos.Laptop)
	switch {
	case err == nil && s.Text("max-jobs") == "0":
		return p.noCapacity(ctx, how)
	case err == nil && !s.Bool("fallback") && out.has("substitut", "unable to download", "--fallback"):
		return p.blame(ctx, nixos.Laptop, "nix.settings.fallback", report.Diagnosis{Code: "nix.fallback-off",
			Sentence: "with the desktop " + how + " the build fails instead of falling back: fallback is false, not true", Effective: "false", Expected: "true"})
	case timedOut(res):
		effective, expected := "over 180 s", fmt.Sprintf("%.0f s", limit.Seconds())
		return p.blame(ctx, nixos.Laptop, "nix.settings.connect-timeout", report.Diagnosis{Code: "nix.fallback-slow", Effective: effective, Expected: expected,
			Sentence: fmt.Sprintf("with the desktop %s a build takes %s, the budget is %s", how, effective, expected)})
	}
	last := nixError(out)
	return report.Diagnosis{Code: "nix.offline-build-failed", Effective: last, Sentence: fmt.Sprintf("with the desktop %s a build fails: %s", how, last)}
}

// Resumed proves that offload works again by itself after the desktop came back.
func Resumed(after string) Check {
	c := RemoteBuild()
	c.Name, c.Title = "RC.build-after-"+slug(after), "after the desktop was "+after+" and returned, builds run on it again, with no hand"
	return c
}

func slug(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' {
			return '-'
		}
		return r
	}, strings.ToLower(text))
}
