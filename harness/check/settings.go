package check

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// NixConfig reads the settings in force of a machine's Nix, as root
// (nix3-config-show(1)).
func (p *Proof) NixConfig(ctx context.Context, role nixos.Role) (NixSettings, bool) {
	res, err := p.machine(role).Exec(ctx, nixCommand("config", "show", "--json"))
	if err == nil {
		err = res.Err()
	}
	if err != nil {
		p.Error(err)
		return nil, false
	}
	settings := NixSettings{}
	if err := json.Unmarshal(res.Stdout, &settings); err != nil {
		p.Error(fmt.Errorf("%s: read nix config show: %w", role, err))
		return nil, false
	}
	return settings, true
}

// setting keeps one effective setting as evidence.
func (p *Proof) setting(role nixos.Role, s NixSettings, name string) string {
	v := s.Text(name)
	p.Evidence("command", role, "nix config show "+name, v)
	return v
}

// builders reads the laptop's effective builders: `builders`, with @file followed.
func (p *Proof) builders(ctx context.Context) ([]Builder, string, bool) {
	s, ok := p.NixConfig(ctx, nixos.Laptop)
	if !ok {
		return nil, "", false
	}
	raw := strings.TrimSpace(p.setting(nixos.Laptop, s, "builders"))
	text := raw
	if file, isFile := strings.CutPrefix(raw, "@"); isFile {
		text = p.Quiet(ctx, nixos.Laptop, "cat", file)
		p.Evidence("file", nixos.Laptop, file, text)
	}
	builders, err := ParseBuilders(text)
	if err != nil {
		p.Broken(p.blame(ctx, nixos.Laptop, "nix.settings.builders", report.Diagnosis{Code: "builder.list-swallowed",
			Sentence: "the laptop's builders do not parse as they are meant: " + err.Error(), Effective: raw}))
		return builders, raw, false
	}
	return builders, raw, true
}

// ServerEnabled proves that the switch the phase asks for has been thrown.
func ServerEnabled() Check {
	return Check{"EV.server-enabled", "the server module is enabled, with NFS", "desktop", func(ctx context.Context, p *Proof) {
		for _, option := range []string{"services.offload-server.enable", "services.offload-server.enableNFS"} {
			raw, known := p.Server.Declared[option]
			p.Evidence("option", nixos.Desktop, option, string(raw))
			if string(raw) != "true" {
				value := string(raw)
				if !known {
					value = "not declared"
				}
				p.Broken(p.blame(ctx, nixos.Desktop, option, report.Diagnosis{Code: "config.not-enabled",
					Sentence: fmt.Sprintf("%s is %s on the desktop", option, value), Effective: value, Expected: "true"}))
				return
			}
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
		user := p.BuilderUser()
		trusted := p.setting(nixos.Desktop, s, "trusted-users")
		groups := strings.Fields(p.Quiet(ctx, nixos.Desktop, "id", "-Gn", user))
		for _, t := range strings.Fields(trusted) {
			if group, isGroup := strings.CutPrefix(t, "@"); t == user || t == "*" || isGroup && slices.Contains(groups, group) {
				return
			}
		}
		p.Broken(p.blame(ctx, nixos.Desktop, "nix.settings.trusted-users", report.Diagnosis{Code: "builder.untrusted",
			Sentence:  fmt.Sprintf("the desktop's Nix does not trust %s: trusted-users is %q, so it refuses what the laptop sends for a build (\"lacks a signature by a trusted key\")", user, trusted),
			Effective: trusted, Expected: "root " + user}))
	}}
}

// DesktopSandbox proves that the desktop builds in a sandbox.
func DesktopSandbox() Check {
	return Check{"EV.sandbox", "the desktop builds in a sandbox", "desktop", func(ctx context.Context, p *Proof) {
		s, ok := p.NixConfig(ctx, nixos.Desktop)
		if ok && p.setting(nixos.Desktop, s, "sandbox") != "true" {
			p.Broken(p.blame(ctx, nixos.Desktop, "nix.settings.sandbox", report.Diagnosis{Code: "nix.sandbox-off",
				Sentence:  fmt.Sprintf("the desktop builds without a sandbox (sandbox = %s): what it builds may depend on what is installed there", s.Text("sandbox")),
				Effective: s.Text("sandbox"), Expected: "true"}))
		}
	}}
}

// BuildersConfigured proves that the laptop's Nix has a builder at all.
func BuildersConfigured() Check {
	return Check{"EV.builders", "the laptop's Nix knows the desktop as a builder", "laptop", func(ctx context.Context, p *Proof) {
		builders, raw, ok := p.builders(ctx)
		if !ok || p.done() {
			return
		}
		if len(builders) == 0 {
			option := "nix.settings.builders"
			if strings.HasPrefix(raw, "@") {
				option = "nix.buildMachines"
			}
			why := "no definition of nix.settings.builders or nix.buildMachines took effect"
			if p.Client.NixConf != nil {
				if conf, has := p.Client.NixConf["builders"]; !has || conf == nil || conf == "" {
					why = "nix.distributedBuilds is false, and that outranks every mkDefault list of builders"
				}
			}
			p.Broken(p.blame(ctx, nixos.Laptop, option, report.Diagnosis{Code: "builder.not-configured",
				Sentence: "the laptop has no builder: the effective `builders` is empty (" + why + ")", Effective: raw, Expected: "ssh://" + p.BuilderUser() + "@" + p.DesktopAddr.String() + " …"}))
			return
		}
		system := p.Quiet(ctx, nixos.Laptop, "uname", "-m") + "-linux"
		for _, b := range builders {
			if len(b.Systems) > 0 && !slices.Contains(b.Systems, system) && !p.done() {
				p.Broken(p.blame(ctx, nixos.Laptop, "nix.buildMachines", report.Diagnosis{Code: "builder.system-mismatch",
					Sentence:  fmt.Sprintf("the builder takes builds for %s, the laptop's are for %s: every build stays on the laptop", strings.Join(b.Systems, ", "), system),
					Effective: strings.Join(b.Systems, ","), Expected: system}))
			}
			if b.MaxJobs < 1 && !p.done() {
				p.Broken(report.Diagnosis{Code: "builder.no-slots", Sentence: fmt.Sprintf("the builder may run %d jobs", b.MaxJobs), Effective: fmt.Sprint(b.MaxJobs), Expected: "1 or more"})
			}
		}
	}}
}

// BuilderUserExists proves that the user in the builders' URI is the desktop's.
func BuilderUserExists() Check {
	return Check{"EV.builder-user", "the laptop's builders name a user that the desktop has", "laptop", func(ctx context.Context, p *Proof) {
		builders, _, ok := p.builders(ctx)
		if !ok || len(builders) == 0 {
			if !p.done() {
				p.Skip("there is no builder to look at")
			}
			return
		}
		for _, b := range builders {
			if b.User == "" {
				continue
			}
			res, ok := p.Exec(ctx, nixos.Desktop, "id", b.User)
			if ok && !res.OK() {
				p.Broken(report.Diagnosis{Code: "builder.user-unknown", Sentence: fmt.Sprintf("the laptop logs in as %q, a user the desktop does not have (its builder is %q)", b.User, p.BuilderUser()),
					Effective: b.User, Expected: p.BuilderUser()})
				return
			}
		}
	}}
}

// Addresses proves that everything on the laptop names the same, real desktop.
func Addresses() Check {
	return Check{"EV.addresses", "builders, substituters and mounts name the desktop's address", "laptop", func(ctx context.Context, p *Proof) {
		s, ok := p.NixConfig(ctx, nixos.Laptop)
		if !ok {
			return
		}
		lan := netip.PrefixFrom(p.DesktopAddr, 24).Masked()
		wrong := func(where, host, option string) bool {
			addr, err := netip.ParseAddr(host)
			if host == "" || err != nil || addr == p.DesktopAddr || !lan.Contains(addr) {
				return false
			}
			p.Broken(p.blame(ctx, nixos.Laptop, option, report.Diagnosis{Code: "network.wrong-desktop-address",
				Sentence:  fmt.Sprintf("the laptop's %s names %s, the desktop is at %s", where, host, p.DesktopAddr),
				Effective: host, Expected: p.DesktopAddr.String()}))
			return true
		}
		builders, _, _ := p.builders(ctx)
		for _, b := range builders {
			host := p.sshHostName(ctx, b)
			if wrong("builder", host, "nix.buildMachines") {
				return
			}
		}
		for _, sub := range ParseSubstituters(s.List("substituters")) {
			if wrong("substituter "+sub.Raw, sub.Hostname(), "nix.settings.substituters") {
				return
			}
		}
		for _, m := range p.Mounts() {
			if wrong("mount "+m.MountPoint, m.Server, "fileSystems."+m.MountPoint) {
				return
			}
		}
	}}
}

// sshHostName is the address ssh connects to for a builder, aliases resolved
// (ssh -G, ssh(1)).
func (p *Proof) sshHostName(ctx context.Context, b Builder) string {
	out := p.Quiet(ctx, nixos.Laptop, "ssh", "-G", b.Host)
	for line := range strings.Lines(out) {
		if host, ok := strings.CutPrefix(strings.TrimSpace(line), "hostname "); ok {
			return host
		}
	}
	return b.Host
}

// TrustedKeys proves that the laptop's trusted keys parse and hold the desktop's.
func TrustedKeys() Check {
	return Check{"EV.trusted-keys", "the laptop trusts the desktop's cache key, to the byte", "laptop", func(ctx context.Context, p *Proof) {
		s, ok := p.NixConfig(ctx, nixos.Laptop)
		if !ok {
			return
		}
		p.setting(nixos.Laptop, s, "trusted-public-keys")
		var keys []PublicKey
		for _, text := range s.List("trusted-public-keys") {
			k, err := ParsePublicKey(text)
			if err != nil {
				p.Broken(p.blame(ctx, nixos.Laptop, "nix.settings.trusted-public-keys", report.Diagnosis{Code: "cache.key-malformed",
					Sentence: "a malformed entry in the laptop's trusted-public-keys breaks every signature check: " + err.Error(), Effective: text, Expected: "name:base64 of 32 bytes"}))
				return
			}
			keys = append(keys, k)
		}
		text := p.Quiet(ctx, nixos.Desktop, "cat", CachePublicKeyPath)
		want, err := ParsePublicKey(text)
		if err != nil {
			p.Skip("the desktop has no sound public key to compare with")
			return
		}
		p.Evidence("file", nixos.Desktop, CachePublicKeyPath, text)
		if slices.Contains(keys, want) {
			p.strangers(s, keys, want)
			return
		}
		d := report.Diagnosis{Code: "cache.key-untrusted", Sentence: fmt.Sprintf("the laptop does not trust the desktop's key %s", want),
			Effective: s.Text("trusted-public-keys"), Expected: want.String()}
		for _, k := range keys {
			if k.Material == want.Material {
				d.Code, d.Effective = "cache.key-name", k.Name
				d.Sentence = fmt.Sprintf("the laptop trusts the desktop's key under the name %q, the desktop signs as %q: signatures are looked up by name, so none verifies", k.Name, want.Name)
			} else if k.Name == want.Name {
				d.Sentence = fmt.Sprintf("the laptop trusts another key of the name %s than the desktop's: %s", k.Name, k.Material)
			}
		}
		p.Broken(p.blame(ctx, nixos.Laptop, "nix.settings.trusted-public-keys", d))
	}}
}

// strangers warns of configured keys that no configured cache signs with.
func (p *Proof) strangers(s NixSettings, keys []PublicKey, desktop PublicKey) {
	for _, k := range keys {
		if k == desktop || strings.HasPrefix(k.Name, "cache.nixos.org-") {
			continue
		}
		served := false
		for _, sub := range ParseSubstituters(append(s.List("substituters"), s.List("trusted-substituters")...)) {
			// nix-community.cachix.org-1 signs for nix-community.cachix.org.
			name, _, _ := cutLast(k.Name, "-")
			served = served || sub.Hostname() == name
		}
		if !served {
			p.Warn(report.Diagnosis{Code: "cache.key-unused", Sentence: fmt.Sprintf("the laptop trusts the key %s, with which no cache it reaches signs", k), Effective: k.String()})
			return
		}
	}
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Substituters proves that the laptop asks the desktop's cache, first, and in a
// language it speaks.
func Substituters() Check {
	return Check{"EV.substituters", "the laptop asks the desktop's cache before the internet", "laptop", func(ctx context.Context, p *Proof) {
		s, ok := p.NixConfig(ctx, nixos.Laptop)
		if !ok {
			return
		}
		raw := p.setting(nixos.Laptop, s, "substituters")
		lan := netip.PrefixFrom(p.DesktopAddr, 24).Masked()
		const option = "nix.settings.substituters"
		expected := fmt.Sprintf("http://%s:%d", p.DesktopAddr, p.CachePort())
		subs := ParseSubstituters(s.List("substituters"))
		i := slices.IndexFunc(subs, func(s Substituter) bool { return s.Local(lan) })
		if i < 0 {
			p.Broken(p.blame(ctx, nixos.Laptop, option, report.Diagnosis{Code: "cache.not-configured",
				Sentence: "the desktop's cache is not among the laptop's substituters: " + raw, Effective: raw, Expected: expected}))
			return
		}
		sub := subs[i]
		port := sub.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[sub.Scheme]
		}
		switch {
		case sub.Scheme == "https":
			p.Broken(p.blame(ctx, nixos.Laptop, option, report.Diagnosis{Code: "cache.scheme",
				Sentence:  fmt.Sprintf("the laptop speaks TLS (%s) to the desktop's cache, which speaks plain HTTP", sub.Raw),
				Effective: sub.Raw, Expected: expected}))
		case port != fmt.Sprint(p.CachePort()):
			p.Broken(p.blame(ctx, nixos.Laptop, option, report.Diagnosis{Code: "cache.wrong-port",
				Sentence:  fmt.Sprintf("the laptop looks for the desktop's cache at port %s (%s), it listens on %d", port, sub.Raw, p.CachePort()),
				Effective: sub.Raw, Expected: expected}))
		case i > 0 && sub.Query().Get("priority") == "":
			p.Evidence("option", nixos.Laptop, "order", "not first; Nix sorts by priority, nix-serve says 30, cache.nixos.org 40")
		}
		if prio := sub.Query().Get("priority"); !p.done() && prio != "" && len(prio) >= 2 && prio > "40" {
			p.Broken(p.blame(ctx, nixos.Laptop, option, report.Diagnosis{Code: "cache.order",
				Sentence:  fmt.Sprintf("the laptop asks the internet before the desktop's cache: priority %s is behind cache.nixos.org's 40", prio),
				Effective: sub.Raw, Expected: expected}))
		}
	}}
}

// OfflineSettings proves that the laptop's settings let it work alone.
func OfflineSettings() Check {
	return Check{"OF.settings", "the laptop's settings let it build when the desktop is away", "laptop", func(ctx context.Context, p *Proof) {
		s, ok := p.NixConfig(ctx, nixos.Laptop)
		if !ok {
			return
		}
		fallback := p.setting(nixos.Laptop, s, "fallback")
		jobs := p.setting(nixos.Laptop, s, "max-jobs")
		timeout := p.setting(nixos.Laptop, s, "connect-timeout")
		switch {
		case fallback != "true":
			p.Broken(p.blame(ctx, nixos.Laptop, "nix.settings.fallback", report.Diagnosis{Code: "nix.fallback-off",
				Sentence:  "automatic fallback is off (fallback = " + fallback + "): a path the desktop's cache promised and cannot deliver fails the build, instead of being built",
				Effective: fallback, Expected: "true"}))
		case jobs == "0":
			p.Broken(p.blame(ctx, nixos.Laptop, "nix.settings.max-jobs", report.Diagnosis{Code: "nix.no-local-capacity",
				Sentence:  "the laptop may not build anything itself (max-jobs = 0): with the desktop away no build can start",
				Effective: jobs, Expected: "1 or more"}))
		case s.Int("connect-timeout") == 0 || s.Int("connect-timeout") > 10:
			p.Broken(p.blame(ctx, nixos.Laptop, "nix.settings.connect-timeout", report.Diagnosis{Code: "nix.connect-timeout",
				Sentence:  fmt.Sprintf("connect-timeout is %s s, and Nix tries each cache five times: a desktop that drops packets costs minutes a build", timeout),
				Effective: timeout, Expected: "5"}))
		}
	}}
}
