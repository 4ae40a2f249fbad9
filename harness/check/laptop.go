package check

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// machinesFile is where nix.buildMachines is written to, and where Nix looks
// when `builders` is not set.
const machinesFile = "/etc/nix/machines"

// builders reads the laptop's effective builders: `builders`, with @file followed.
// Where it is not what it should be, the check is decided and ok false.
func (p *Proof) builders(ctx context.Context) (builders []Builder, raw string, ok bool) {
	s, ok := p.NixConfig(ctx, nixos.Laptop)
	if !ok {
		return nil, "", false
	}
	builders, raw, d := p.readBuilders(ctx, s)
	if d != nil {
		p.Broken(*d)
	}
	return builders, raw, d == nil
}

// readBuilders is builders for one who looks for a cause.
func (p *Proof) readBuilders(ctx context.Context, s NixSettings) (builders []Builder, raw string, wrong *report.Diagnosis) {
	raw = strings.TrimSpace(p.setting(nixos.Laptop, s, "builders"))
	text := p.followFiles(ctx, raw, 3)
	builders, err := ParseBuilders(text)
	if err != nil {
		d := p.blame(ctx, nixos.Laptop, "nix.settings.builders", report.Diagnosis{Code: "builder.list-swallowed",
			Sentence: fmt.Sprintf("the laptop's builders (%s) do not mean what they should: %v", oneLine(text), err), Effective: oneLine(text)})
		return builders, raw, &d
	}
	return builders, raw, nil
}

// followFiles puts the text of machines files in the place of their "@file".
func (p *Proof) followFiles(ctx context.Context, text string, depth int) string {
	if depth == 0 || !strings.Contains(text, "@/") {
		return text
	}
	var out []string
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ';' }) {
		if file, isFile := strings.CutPrefix(strings.TrimSpace(line), "@"); isFile {
			line = p.file(ctx, nixos.Laptop, file)
			p.Evidence("file", nixos.Laptop, file, line)
			line = p.followFiles(ctx, line, depth-1)
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// oneLine puts a text of several lines on one.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// BuildersConfigured proves that the laptop's Nix has a builder for its builds.
func BuildersConfigured() Check {
	return Check{"EV.builders", "the laptop's Nix knows the desktop as a builder", "laptop", func(ctx context.Context, p *Proof) {
		s, ok := p.NixConfig(ctx, nixos.Laptop)
		if !ok {
			return
		}
		builders, raw, wrong := p.readBuilders(ctx, s)
		if wrong == nil {
			wrong = p.whyNoBuilder(ctx, s, builders, raw)
		}
		if wrong != nil {
			p.Broken(*wrong)
		}
	}}
}

// whyNoBuilder says why no builder would take a build of the laptop, nil where one
// would.
func (p *Proof) whyNoBuilder(ctx context.Context, s NixSettings, builders []Builder, raw string) *report.Diagnosis {
	if len(builders) == 0 {
		d := p.notConfigured(ctx, raw)
		return &d
	}
	if d := p.shadowed(ctx, builders, raw); d != nil {
		return d
	}
	system := s.Text("system")
	var systems []string
	slots := 0
	for _, b := range builders {
		if b.takes(system) {
			slots += b.MaxJobs
		} else {
			systems = append(systems, b.Systems...)
		}
	}
	switch {
	case slots > 0:
		return nil
	case len(systems) > 0:
		has := strings.Join(systems, ",")
		d := p.blame(ctx, nixos.Laptop, "nix.buildMachines", report.Diagnosis{Code: "builder.system-mismatch",
			Sentence:  fmt.Sprintf("the laptop's builders take builds for %s, its own are for %s: every build stays on the laptop", has, system),
			Effective: has, Expected: system})
		return &d
	}
	return &report.Diagnosis{Code: "builder.no-slots", Effective: "0", Expected: "1 or more",
		Sentence: fmt.Sprintf("the laptop's builder %s may run 0 jobs at a time, it needs 1 or more", builders[0].Destination())}
}

// notConfigured says why the effective `builders` comes to nothing.
func (p *Proof) notConfigured(ctx context.Context, raw string) report.Diagnosis {
	option := "nix.settings.builders"
	why := "nix.distributedBuilds is false, which outranks every mkDefault list of builders"
	switch configured := p.Client.NixConf["builders"]; {
	case strings.HasPrefix(raw, "@"):
		option, why = "nix.buildMachines", "nothing defines nix.buildMachines or nix.settings.builders"
	case p.Client.Machines != nil && len(p.configuredBuilders()) > 0:
		why = "nix.distributedBuilds is false, so that nix.buildMachines (" + machinesFile + ") is not looked at"
	case configured != nil && configured != "":
		why = fmt.Sprintf("the configuration has %q, and Nix does not use it", configured)
	}
	return p.blame(ctx, nixos.Laptop, option, report.Diagnosis{Code: "builder.not-configured",
		Sentence:  fmt.Sprintf("the laptop has no builder: the effective `builders` is %q, and %s should be in it (%s)", raw, p.builderURI(), why),
		Effective: raw, Expected: p.builderURI()})
}

// shadowed finds a builder of nix.buildMachines that a list in `builders` hides.
func (p *Proof) shadowed(ctx context.Context, builders []Builder, raw string) *report.Diagnosis {
	if p.Client.Machines == nil || strings.Contains(raw, "@"+machinesFile) {
		return nil
	}
	machines, _ := ParseBuilders(*p.Client.Machines)
	for _, m := range machines {
		seen := false
		for _, b := range builders {
			seen = seen || b.same(m)
		}
		if !seen {
			d := p.blame(ctx, nixos.Laptop, "nix.settings.builders", report.Diagnosis{Code: "builder.machines-shadowed",
				Sentence: fmt.Sprintf("the laptop's nix.buildMachines has the builder %q, and Nix does not look at it: `builders` is set beside it, to %q",
					m.Raw, oneLine(raw)),
				Effective: oneLine(raw), Expected: m.Raw})
			return &d
		}
	}
	return nil
}

// BuilderUserExists proves that the user in the builders' URI is the desktop's.
func BuilderUserExists() Check {
	return Check{"EV.builder-user", "the laptop's builders name a user that the desktop has", "laptop", func(ctx context.Context, p *Proof) {
		builders, _, ok := p.builders(ctx)
		if ok && len(builders) == 0 {
			p.Skip("there is no builder to look at")
		}
		if !ok {
			return
		}
		for _, b := range builders {
			if b.User == "" || b.Host == "" {
				continue
			}
			res, ok := p.Exec(ctx, nixos.Desktop, "id", b.User)
			if ok && !res.OK() {
				p.Broken(p.userUnknown(b.User))
				return
			}
		}
	}}
}

func (p *Proof) userUnknown(user string) report.Diagnosis {
	return report.Diagnosis{Code: "builder.user-unknown", Effective: user, Expected: p.BuilderUser(),
		Sentence: fmt.Sprintf("the laptop logs in as %q, a user the desktop does not have: its builder is %q", user, p.BuilderUser())}
}

// Addresses proves that everything on the laptop names the same, real desktop.
func Addresses() Check {
	return Check{"EV.addresses", "builders, substituters and mounts name the desktop's address", "laptop", func(ctx context.Context, p *Proof) {
		s, ok := p.NixConfig(ctx, nixos.Laptop)
		if !ok {
			return
		}
		// A list that does not parse is another check's.
		builders, _, _ := p.readBuilders(ctx, s)
		for _, b := range builders {
			if b.Host != "" && p.wrongAddress(ctx, "builder", p.sshHostName(ctx, b), "nix.buildMachines") {
				return
			}
		}
		for _, sub := range ParseSubstituters(s.List("substituters")) {
			if p.wrongAddress(ctx, "substituter "+sub.Raw, sub.Hostname(), "nix.settings.substituters") {
				return
			}
		}
		for _, m := range p.Mounts() {
			if p.wrongAddress(ctx, "mount "+m.MountPoint, m.Server, "fileSystems."+m.MountPoint) {
				return
			}
		}
	}}
}

// wrongAddress refutes the claim where a host is an address of the LAN, and not the
// desktop's. Names, and caches of the internet, are no business of it.
func (p *Proof) wrongAddress(ctx context.Context, where, host, option string) bool {
	addr, err := netip.ParseAddr(host)
	if err != nil || addr == p.DesktopAddr || !p.lan().Contains(addr) {
		return false
	}
	p.Broken(p.blame(ctx, nixos.Laptop, option, p.staleAddress("the laptop's "+where, host)))
	return true
}

// staleAddress is the diagnosis of a setting that names another address than the
// desktop's.
func (p *Proof) staleAddress(what, host string) report.Diagnosis {
	return report.Diagnosis{Code: "network.wrong-desktop-address", Effective: host, Expected: p.DesktopAddr.String(),
		Sentence: fmt.Sprintf("%s names %s, the desktop is at %s", what, host, p.DesktopAddr)}
}

// sshHostName is the address ssh connects to for a builder, aliases resolved
// (ssh -G, ssh(1)).
func (p *Proof) sshHostName(ctx context.Context, b Builder) string {
	if host := p.sshConfig(ctx, b)["hostname"]; host != "" {
		return host
	}
	return b.Host
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
				Sentence:  "automatic fallback is off, fallback = " + fallback + " and not true: a path the desktop's cache promised and cannot deliver fails the build, instead of being built",
				Effective: fallback, Expected: "true"}))
		case jobs == "0":
			p.Broken(p.noCapacity(ctx, ""))
		case s.Int("connect-timeout") <= 0 || s.Int("connect-timeout") > 10:
			p.Broken(p.blame(ctx, nixos.Laptop, "nix.settings.connect-timeout", report.Diagnosis{Code: "nix.connect-timeout",
				Sentence:  fmt.Sprintf("connect-timeout is %s (seconds; 0 is none of its own), better 5: Nix tries each cache five times, and a desktop that drops packets costs minutes a build", timeout),
				Effective: timeout, Expected: "5"}))
		}
	}}
}

// noCapacity is the diagnosis of a laptop that may build nothing. How says in which
// way the desktop is away, where it is.
func (p *Proof) noCapacity(ctx context.Context, how string) report.Diagnosis {
	if how == "" {
		how = "away"
	}
	return p.blame(ctx, nixos.Laptop, "nix.settings.max-jobs", report.Diagnosis{Code: "nix.no-local-capacity",
		Sentence:  "the laptop may not build anything itself, max-jobs is 0 and not 1 or more: with the desktop " + how + " no build can start",
		Effective: "0", Expected: "1 or more"})
}
