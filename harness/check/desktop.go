package check

import (
	"context"
	"fmt"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// ServerEnabled proves that the switch the phase asks for has been thrown.
func ServerEnabled() Check {
	return Check{"EV.server-enabled", "the server module is enabled, with NFS", "desktop", func(ctx context.Context, p *Proof) {
		for _, option := range []string{"services.offload-server.enable", "services.offload-server.enableNFS"} {
			raw, known := p.Server.Declared[option]
			p.Evidence("option", nixos.Desktop, option, string(raw))
			if string(raw) == "true" {
				continue
			}
			value, code := string(raw), "config.not-enabled"
			if !known {
				value = "not declared"
			}
			if option == "services.offload-server.enableNFS" {
				code = "nfs.not-enabled"
			}
			p.Broken(p.blame(ctx, nixos.Desktop, option, report.Diagnosis{Code: code,
				Sentence: fmt.Sprintf("%s is %s on the desktop, the phase asks for true", option, value), Effective: value, Expected: "true"}))
			return
		}
	}}
}

// Sudo proves that the administrator needs no password, which is optional.
func Sudo(admin string) Check {
	return Check{"EV.sudo", "the administrator may use sudo without a password (optional)", "desktop", func(ctx context.Context, p *Proof) {
		res, ok := p.Exec(ctx, nixos.Desktop, "runuser", "-u", admin, "--", "/run/wrappers/bin/sudo", "-n", "true")
		if ok && !res.OK() {
			p.Skip("optional, and not configured: %s needs a password", admin)
		}
	}}
}

// BuilderTrusted proves that the desktop's Nix trusts the builder's user.
func BuilderTrusted() Check {
	return Check{"EV.builder-trusted", "the desktop's Nix trusts the builder user", "desktop", func(ctx context.Context, p *Proof) {
		s, ok := p.NixConfig(ctx, nixos.Desktop)
		if !ok {
			return
		}
		p.setting(nixos.Desktop, s, "trusted-users")
		if !p.trusts(ctx, s, p.BuilderUser()) {
			p.Broken(p.distrusted(ctx, s, p.BuilderUser()))
		}
	}}
}

// trusts reports whether the desktop's Nix trusts a user.
func (p *Proof) trusts(ctx context.Context, s NixSettings, user string) bool {
	return nixUsers(s.List("trusted-users"), user, p.groups(ctx, user))
}

// groups are the groups of a user of the desktop.
func (p *Proof) groups(ctx context.Context, user string) []string {
	return strings.Fields(p.Quiet(ctx, nixos.Desktop, "id", "-Gn", user))
}

// distrusted is the diagnosis of a builder's user that the desktop does not trust.
func (p *Proof) distrusted(ctx context.Context, s NixSettings, user string) report.Diagnosis {
	trusted, expected := s.Text("trusted-users"), "root "+user
	return p.blame(ctx, nixos.Desktop, "nix.settings.trusted-users", report.Diagnosis{Code: "builder.untrusted",
		Sentence: fmt.Sprintf("the desktop's Nix does not trust %s: trusted-users is %q, not %q, so it refuses what the laptop sends for a build (\"lacks a signature by a trusted key\")",
			user, trusted, expected),
		Effective: trusted, Expected: expected})
}

// DesktopSandbox proves that the desktop builds in a sandbox.
func DesktopSandbox() Check {
	return Check{"EV.sandbox", "the desktop builds in a sandbox", "desktop", func(ctx context.Context, p *Proof) {
		if p.NoSandbox != "" {
			p.Skip("%s", p.NoSandbox)
			return
		}
		s, ok := p.NixConfig(ctx, nixos.Desktop)
		if !ok {
			return
		}
		if sandbox := p.setting(nixos.Desktop, s, "sandbox"); sandbox != "true" {
			p.Broken(p.blame(ctx, nixos.Desktop, "nix.settings.sandbox", report.Diagnosis{Code: "nix.sandbox-off",
				Sentence:  fmt.Sprintf("the desktop builds with sandbox = %s, not true: what it builds may depend on what is installed there", sandbox),
				Effective: sandbox, Expected: "true"}))
		}
	}}
}
