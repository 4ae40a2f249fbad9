// Package check proves, or refutes, what a user is promised: one function a
// claim, each returning a Finding with its evidence and, where the claim is broken,
// a diagnosis that names the cause in one line.
//
// Checks look for themselves. What the user's own commands say is recorded,
// compared, and never taken for evidence.
package check

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"offload-e2e/harness/machine"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// Bench is what checks look at: two machines and what they were configured to be.
type Bench struct {
	Desktop, Laptop *machine.Machine
	// DesktopAddr and LaptopAddr are the machines' real addresses.
	DesktopAddr, LaptopAddr netip.Addr
	// Server and Client are the configurations in force.
	Server, Client *nixos.Configuration
	// Explain tells how an option came by its value, nil where that is not known.
	Explain func(ctx context.Context, role nixos.Role, option string) (nixos.Option, error)
	// KeysWritten: nobody tells the laptop the desktop's cache key, only what its
	// configuration has counts (KEYS=config).
	KeysWritten bool
	// Phase is where in the walk the checks run.
	Phase string
	// NoMounts is why nothing can be mounted by NFS here; "" where all can.
	NoMounts string
	// NoSandbox is why the machines' Nix, as the harness set it, builds without a
	// sandbox; "" where it is as configured.
	NoSandbox string
	// Allowed is what may be done to the machines; nil is everything.
	Allowed Allowed
	// Origin is the internet's cache, nil where it is not ours to fill.
	Origin Origin
	// Slow stretches deadlines, 1 with KVM.
	Slow float64

	// away is the way in which the desktop was found to be away last.
	away struct {
		sync.Mutex
		state     PortState
		since     time.Time
		diagnosis report.Diagnosis
	}
}

// Check is a claim that can be proved.
type Check struct {
	Name    string // "CH.hit": family, dot, name
	Title   string
	Machine string // desktop or laptop
	Run     func(ctx context.Context, p *Proof)
}

// Family is the two letters that its name begins with: EV, PT, SR and so on.
func (c Check) Family() string {
	family, _, _ := strings.Cut(c.Name, ".")
	return family
}

// Run carries a check out under its deadline. It never fails: what it could not
// find out is a Finding in state error.
func (b *Bench) Run(ctx context.Context, c Check) report.Finding {
	p := &Proof{Bench: b, finding: report.Finding{Check: c.Name, Family: c.Family(), Title: c.Title, Phase: b.Phase,
		Machine: c.Machine, State: report.Holds, Started: time.Now(), Evidence: []report.Evidence{}}}
	// Longer than any command of a check may take by itself: that one does not end is
	// a finding, and not a check's deadline.
	limit := max(b.stretch(90*time.Second), 4*time.Minute)
	if c.Family() == "PF" {
		// What is measured is done several times.
		limit *= 3
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if why := b.Allowed.refuses(c.Name); why != "" {
		p.Skip("%s", why)
	} else {
		c.Run(ctx, p)
	}
	p.finding.Seconds = time.Since(p.finding.Started).Seconds()
	if p.finding.State == report.Errored && p.finding.Class == "" {
		p.finding.Class = report.Infra
		if ctx.Err() != nil {
			p.finding.Class = report.Timeout
		}
	}
	return p.finding
}

func (b *Bench) stretch(d time.Duration) time.Duration {
	if b.Slow > 1 {
		return time.Duration(float64(d) * b.Slow)
	}
	return d
}

// machine finds a machine by its role.
func (b *Bench) machine(role nixos.Role) *machine.Machine {
	if role == nixos.Desktop {
		return b.Desktop
	}
	return b.Laptop
}

// Proof is a check under way: evidence so far, and the verdict.
type Proof struct {
	*Bench
	finding report.Finding
}

// Exec runs a command on a machine and keeps it as evidence. Its error is nil
// whatever the command's exit status; then the check ends in state error.
func (p *Proof) Exec(ctx context.Context, role nixos.Role, argv ...string) (provider.Result, bool) {
	return p.ExecCommand(ctx, role, provider.Cmd(argv...))
}

// ExecCommand is Exec for a Command with more than arguments.
func (p *Proof) ExecCommand(ctx context.Context, role nixos.Role, cmd provider.Command) (provider.Result, bool) {
	res, err := p.machine(role).Exec(ctx, cmd)
	return p.keep(role, cmd, res, err)
}

// keep makes evidence of what a command said.
func (p *Proof) keep(role nixos.Role, cmd provider.Command, res provider.Result, err error) (provider.Result, bool) {
	if err != nil {
		p.Error(err)
		return res, false
	}
	status := res.ExitStatus
	p.finding.Evidence = append(p.finding.Evidence, report.Evidence{Kind: "command", Machine: string(role), Title: cmd.String(),
		ExitStatus: &status, Text: clip(string(res.Stdout) + string(res.Stderr)), Seconds: res.Duration.Seconds()})
	return res, true
}

// Quiet runs a command that is not evidence by itself.
func (p *Proof) Quiet(ctx context.Context, role nixos.Role, argv ...string) string {
	res, err := p.machine(role).Exec(ctx, provider.Cmd(argv...))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(res.Stdout))
}

// now is the desktop's time, for journalctl(1), --since: to the microsecond, as what
// happened a moment before is not what is looked for.
func (p *Proof) now(ctx context.Context) string {
	return p.Quiet(ctx, nixos.Desktop, "date", "+@%s.%6N")
}

// Evidence adds something seen.
func (p *Proof) Evidence(kind string, role nixos.Role, title, text string) {
	p.finding.Evidence = append(p.finding.Evidence, report.Evidence{Kind: kind, Machine: string(role), Title: title, Text: clip(text)})
}

// clip keeps evidence to a page; whole logs are files beside the report.
func clip(text string) string {
	const limit = 4000
	text = strings.TrimSpace(text)
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit/2], "") + "\n…\n" + strings.ToValidUTF8(text[len(text)-limit/2:], "")
	}
	return strings.ToValidUTF8(text, "�")
}

// Error ends the check: it is not known whether the claim holds.
func (p *Proof) Error(err error) {
	p.finding.State = report.Errored
	p.finding.Reason = err.Error()
}

// Skip ends the check with a reason.
func (p *Proof) Skip(format string, args ...any) {
	p.finding.State = report.Skipped
	p.finding.Reason = fmt.Sprintf(format, args...)
}

// Broken refutes the claim.
func (p *Proof) Broken(d report.Diagnosis) { p.judge(report.Broken, d) }

// Warn lets the claim hold, with a remark.
func (p *Proof) Warn(d report.Diagnosis) { p.judge(report.Warns, d) }

func (p *Proof) judge(s report.State, d report.Diagnosis) {
	if known, ok := Catalogue[d.Code]; ok {
		d.Layer = known.Layer
		if d.Remedy == "" {
			d.Remedy = known.Remedy
		}
	}
	p.finding.State, p.finding.Class, p.finding.Diagnosis = s, report.Product, &d
	p.finding.Reason = ""
}

// done reports whether the check has been decided already.
func (p *Proof) done() bool { return p.finding.State != report.Holds }

// blame adds to a diagnosis where the option got its value: the definition that
// won, and those that lost to it.
func (p *Proof) blame(ctx context.Context, role nixos.Role, option string, d report.Diagnosis) report.Diagnosis {
	if name, is := strings.CutPrefix(option, "nix.settings."); is && d.Expected != "" && p.configuration(role) != nil && p.configuration(role).NixConf[name] == d.Expected {
		d.Remedy = fmt.Sprintf("switch the %s to its configuration (nixos-rebuild switch): that says %s already", role, d.Expected)
	}
	if p.Explain == nil {
		return d
	}
	o, err := p.Explain(ctx, role, option)
	if err != nil || len(o.Definitions) == 0 {
		return d
	}
	var text strings.Builder
	for _, def := range o.Definitions {
		how := "loses"
		if def.Wins {
			how = "wins"
		}
		fmt.Fprintf(&text, "%s  priority %d, %s: %s\n", def.Position(), def.Priority, how, def.Value)
	}
	// The line to mend is the user's, also where it is one that lost; NixOS's own is
	// named only where there is no other.
	for _, def := range append(usersOwn(o.Definitions), o.Definitions...) {
		if d.Source == "" && strings.HasPrefix(def.File, "/") {
			d.Source = def.Position()
		}
	}
	p.Evidence("option", role, option, text.String())
	return d
}

// usersOwn are the definitions that stand in files of the user's, not in NixOS's.
func usersOwn(all []nixos.Definition) []nixos.Definition {
	return slices.DeleteFunc(slices.Clone(all), func(def nixos.Definition) bool {
		return !strings.HasPrefix(def.File, "/") || strings.Contains(def.File, "/vmconfigs/embedded/")
	})
}
