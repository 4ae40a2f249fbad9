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
// it was built: the boot id of the machine (proc_sys_kernel(5)) is the same inside
// the sandbox. The builder uses what /bin/sh has built in, and nothing else.
func nonceExpression(name string) string {
	return fmt.Sprintf(`derivation { name = "offload-e2e-%s"; system = builtins.currentSystem; builder = "/bin/sh";
  args = [ "-c" "read -r boot < /proc/sys/kernel/random/boot_id; echo \"$boot\" > $out" ]; }`, name)
}

// daemonBuild builds an expression on a machine through its daemon, as any user's
// nix-build does, and prints the output's path.
func daemonBuild(expression string, options ...string) provider.Command {
	argv := append([]string{"timeout", "--kill-after=5", "180", "nix-build", "--no-out-link", "--expr", expression}, options...)
	return provider.Command{Argv: argv, Env: map[string]string{"NIX_REMOTE": "daemon", "HOME": "/root"}}
}

// RemoteBuild proves that a build the laptop may not do itself happens on the
// desktop.
func RemoteBuild() Check {
	return Check{"RB.build", "a build of the laptop runs on the desktop", "laptop", func(ctx context.Context, p *Proof) {
		res, ok := p.ExecCommand(ctx, nixos.Laptop, daemonBuild(nonceExpression(newNonce()), "--max-jobs", "0"))
		if !ok {
			return
		}
		if !res.OK() {
			p.Broken(p.whyNoBuild(ctx, res))
			return
		}
		p.provePlace(ctx, res.Text())
	}}
}

// provePlace proves that out was built on the desktop: its boot id is inside, and
// the desktop has the path too.
func (p *Proof) provePlace(ctx context.Context, out string) {
	said := p.Quiet(ctx, nixos.Laptop, "cat", out)
	desktop := p.Quiet(ctx, nixos.Desktop, "cat", "/proc/sys/kernel/random/boot_id")
	p.Evidence("file", nixos.Laptop, out, said)
	p.Evidence("file", nixos.Desktop, "/proc/sys/kernel/random/boot_id", desktop)
	if said != desktop || desktop == "" {
		p.Broken(report.Diagnosis{Code: "builder.built-locally", Sentence: "the build succeeded, and not on the desktop: the output names another machine's boot", Effective: said, Expected: desktop})
		return
	}
	if res, ok := p.Exec(ctx, nixos.Desktop, "nix-store", "--check-validity", out); ok && !res.OK() {
		p.Broken(report.Diagnosis{Code: "builder.built-locally", Sentence: "the output names the desktop, whose store does not have it"})
	}
}

// whyNoBuild finds why a build that had to be remote failed.
func (p *Proof) whyNoBuild(ctx context.Context, res provider.Result) report.Diagnosis {
	out := string(res.Stderr)
	has := func(t string) bool { return strings.Contains(out, t) }
	switch {
	case has("lacks a signature by a trusted key"), has("lacks a valid signature"), has("not privileged to"), has("is not trusted"):
		d := report.Diagnosis{Code: "builder.untrusted", Sentence: fmt.Sprintf("the desktop's Nix does not trust %s: it refuses what the laptop sends (\"lacks a signature by a trusted key\")", p.BuilderUser())}
		if s, ok := p.NixConfig(ctx, nixos.Desktop); ok {
			d.Effective, d.Expected = s.Text("trusted-users"), "root "+p.BuilderUser()
		}
		return p.blame(ctx, nixos.Desktop, "nix.settings.trusted-users", d)
	case has("No space left on device"), has("disk full"):
		return report.Diagnosis{Code: "builder.store-full", Sentence: "there is no space left where the build was sent"}
	case has("cannot connect to socket"), has("daemon-socket"):
		return report.Diagnosis{Code: "nix.daemon-dead", Sentence: "the laptop's Nix daemon does not answer"}
	}
	b := p.builder(ctx)
	builders, raw, _ := p.builders(ctx)
	if len(builders) == 0 && p.finding.Diagnosis == nil {
		return p.blame(ctx, nixos.Laptop, "nix.settings.builders", report.Diagnosis{Code: "builder.not-configured",
			Sentence: "the laptop has no builder: the effective `builders` is empty", Effective: raw, Expected: "ssh://" + p.BuilderUser() + "@" + p.DesktopAddr.String()})
	}
	if p.finding.Diagnosis != nil {
		return *p.finding.Diagnosis
	}
	// Nix says little of why ssh failed; ssh itself says more.
	if login, ok := p.login(ctx, b, "nix-store", "--version"); ok && !login.OK() {
		return p.whyNoLogin(ctx, b, login)
	}
	if has("required system or feature not available") || has("Unable to start any build") {
		system := p.Quiet(ctx, nixos.Laptop, "uname", "-m") + "-linux"
		if len(b.Systems) > 0 && !strings.Contains(strings.Join(b.Systems, ","), system) {
			return report.Diagnosis{Code: "builder.system-mismatch", Sentence: fmt.Sprintf("the builder takes builds for %s, this one is for %s", strings.Join(b.Systems, ","), system), Effective: strings.Join(b.Systems, ","), Expected: system}
		}
		if len(b.Required) > 0 {
			return report.Diagnosis{Code: "builder.feature-missing", Sentence: fmt.Sprintf("the builder only takes builds that need %s", strings.Join(b.Required, ", ")), Effective: strings.Join(b.Required, ",")}
		}
	}
	return report.Diagnosis{Code: "builder.build-failed", Sentence: "a build that had to run on the desktop failed: " + lastLine(out)}
}

// BuildRefused proves that before the exchange of keys nothing can be offloaded.
func BuildRefused() Check {
	return Check{"RB.refused-before-exchange", "before the exchange of keys nothing is built on the desktop", "laptop", func(ctx context.Context, p *Proof) {
		res, ok := p.ExecCommand(ctx, nixos.Laptop, daemonBuild(nonceExpression(newNonce()), "--max-jobs", "0"))
		if ok && res.OK() {
			p.Broken(report.Diagnosis{Code: "ssh.key-too-early", Sentence: "a build ran on the desktop before the laptop's key was handed over"})
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
			p.Broken(p.whyNotOffline(ctx, how, res))
			return
		}
		out := res.Text()
		said := p.Quiet(ctx, nixos.Laptop, "cat", out)
		laptop := p.Quiet(ctx, nixos.Laptop, "cat", "/proc/sys/kernel/random/boot_id")
		p.Evidence("file", nixos.Laptop, out, said)
		if said != laptop || laptop == "" {
			p.Broken(report.Diagnosis{Code: "nix.offline-build-failed", Sentence: "the build's output does not name the laptop", Effective: said, Expected: laptop})
			return
		}
		if took > limit {
			p.Broken(p.blame(ctx, nixos.Laptop, "nix.settings.connect-timeout", report.Diagnosis{Code: "nix.fallback-slow",
				Sentence:  fmt.Sprintf("with the desktop %s a build takes %.0f s, the budget is %.0f s", how, took.Seconds(), limit.Seconds()),
				Effective: fmt.Sprintf("%.0f s", took.Seconds()), Expected: fmt.Sprintf("%.0f s", limit.Seconds())}))
		}
	}}
}

func (p *Proof) whyNotOffline(ctx context.Context, how string, res provider.Result) report.Diagnosis {
	s, ok := p.NixConfig(ctx, nixos.Laptop)
	out := string(res.Stderr)
	switch {
	case ok && s.Text("max-jobs") == "0":
		return p.blame(ctx, nixos.Laptop, "nix.settings.max-jobs", report.Diagnosis{Code: "nix.no-local-capacity",
			Sentence: "with the desktop " + how + " no build can start: the laptop may not build anything itself (max-jobs = 0)", Effective: "0", Expected: "1 or more"})
	case ok && !s.Bool("fallback") && (strings.Contains(out, "substitut") || strings.Contains(out, "unable to download")):
		return p.blame(ctx, nixos.Laptop, "nix.settings.fallback", report.Diagnosis{Code: "nix.fallback-off",
			Sentence: "with the desktop " + how + " the build fails instead of falling back (fallback = false)", Effective: "false", Expected: "true"})
	case res.ExitStatus == 124 || res.ExitStatus == 137:
		return p.blame(ctx, nixos.Laptop, "nix.settings.connect-timeout", report.Diagnosis{Code: "nix.fallback-slow",
			Sentence: fmt.Sprintf("with the desktop %s a build does not end in three minutes", how), Effective: "over 180 s"})
	}
	return report.Diagnosis{Code: "nix.offline-build-failed", Sentence: fmt.Sprintf("with the desktop %s a build fails: %s", how, lastLine(out))}
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
