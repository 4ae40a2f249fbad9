// Package e2e is one run in hand: the lab, what it was configured to be, the
// checks made on it, and the report that grows. Suites say what is asserted; this
// is how they do it.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"offload-e2e/harness/check"
	"offload-e2e/harness/known"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/machine"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// Evaluator evaluates hosts, and tells how their options came by their values.
type Evaluator interface {
	Evaluate(ctx context.Context, h nixos.Host) (*nixos.Configuration, error)
	Explain(ctx context.Context, h nixos.Host, options ...string) (map[string]nixos.Option, error)
}

// Run is one run.
type Run struct {
	Lab        *lab.Lab
	Evaluator  Evaluator
	Repository *nixos.Repository
	Recorder   *report.Recorder
	Progress   *report.Progress
	// Configurations are the user's, as evaluated.
	Configurations map[nixos.Role]*nixos.Configuration
	// Exchange adds the desktop's new cache key to what the laptop trusts, as
	// phase 2 tells the user to; else only the keys in the configuration count.
	Exchange bool
	// Slow stretches deadlines: 1 with KVM, more without.
	Slow float64

	// known are the defects on record of what provider runs.
	known    *known.List
	provider string
	// allowed is what may be done to machines that are somebody's own; else nil.
	allowed check.Allowed
	// baseline is what is broken without a fault, where that was looked at.
	baseline baseline
	// quiet runs show nothing of their checks.
	quiet bool
	// temporary is the folder of a broken configuration's copy.
	temporary string

	// ahead was begun before its turn.
	ahead *ahead
	// settling, where set, is called when a switch only waits for services any more.
	settling func()

	mu    sync.Mutex
	phase string
	said  []check.Said
	// facts are what checks have read since anybody changed a machine.
	facts *check.Facts
}

// Phase begins a phase; the function it returns ends it. Budget is in seconds.
func (r *Run) Phase(name, heading string, budget float64) func() {
	r.mu.Lock()
	r.phase, r.said = name, nil
	r.mu.Unlock()
	r.Progress.Heading(heading)
	end := r.Recorder.StartSpan(report.Span{Name: name, Kind: "phase", Budget: budget * r.Slow})
	return func() {
		r.disagree()
		end()
	}
}

// moment is a context for a check: what was read since the last change is known.
func (r *Run) moment(ctx context.Context) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.facts == nil {
		r.facts = &check.Facts{}
	}
	return r.facts.In(ctx)
}

// changed says that a machine may not be what it was.
func (r *Run) changed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts = nil
}

func (r *Run) currentPhase() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.phase
}

// Bench is what checks look at now.
func (r *Run) Bench() *check.Bench {
	b := &check.Bench{
		Desktop: r.Lab.Desktop.Machine, Laptop: r.Lab.Laptop.Machine, DesktopAddr: lab.DesktopAddr, LaptopAddr: lab.LaptopAddr,
		Server: r.Configurations[nixos.Desktop], Client: r.Configurations[nixos.Laptop],
		Explain: r.explain, KeysWritten: !r.Exchange, Phase: r.currentPhase(), Slow: r.Slow, NoMounts: r.Lab.NoKernelNFS, NoSandbox: r.Lab.NoSandbox, Allowed: r.allowed,
	}
	if r.Lab.Internet != nil {
		b.Origin = r.Lab.Internet
	}
	return b
}

func (r *Run) explain(ctx context.Context, role nixos.Role, option string) (nixos.Option, error) {
	found, err := r.Evaluator.Explain(ctx, r.Repository.Hosts[role], option)
	return found[option], err
}

// Check makes a check, shows and records what it found.
func (r *Run) Check(ctx context.Context, c check.Check) report.Finding {
	var step *report.Step
	if !r.quiet {
		step = r.Progress.Start(c.Title)
	}
	f := r.known.Judge(r.Bench().Run(r.moment(ctx), c), r.provider, time.Now())
	r.Recorder.AddFinding(f)
	if step != nil {
		words := f.Reason
		if f.Diagnosis != nil {
			words = f.Diagnosis.Sentence
		}
		step.End(f.State, words)
	}
	return f
}

// Type runs a user's command, as they would, and remembers what it said, to be
// compared with what the phase proves.
func (r *Run) Type(ctx context.Context, c check.UserCommand) report.Finding {
	said, f := r.TypeAside(ctx, c)
	r.mu.Lock()
	r.said = append(r.said, said)
	r.mu.Unlock()
	return f
}

// TypeAside is Type while things are not as the phase proves them: during a fault.
func (r *Run) TypeAside(ctx context.Context, c check.UserCommand) (check.Said, report.Finding) {
	var said check.Said
	end := r.Recorder.StartSpan(report.Span{Name: c.Name, Kind: "command", Parent: r.currentPhase(), Machine: string(c.Role)})
	f := r.Check(ctx, check.Typed(c, &said))
	r.changed()
	end()
	return said, f
}

// disagree compares what the phase's commands said with what it proved.
func (r *Run) disagree() {
	phase := r.currentPhase()
	findings := slices.DeleteFunc(r.Recorder.Findings(), func(f report.Finding) bool { return f.Phase != phase })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, said := range r.said {
		for _, d := range check.Disagreements(said, findings) {
			r.Recorder.AddDisagreement(d)
		}
	}
}

// Switch switches a machine to its configuration and proves that it came to it; of
// somebody's own machine, which is switched by whoever owns it, that it was.
func (r *Run) Switch(ctx context.Context, role nixos.Role) report.Finding {
	if r.Lab.Theirs() {
		return r.Check(ctx, check.InForce(role))
	}
	return r.Check(ctx, check.Check{Name: "EV.switch", Title: "the " + string(role) + " switches to its configuration", Machine: string(role), Run: func(ctx context.Context, p *check.Proof) {
		s, was := r.switchedAhead(ctx, role)
		if !was {
			s = r.switchNow(ctx, role)
		}
		result, err := s.result, s.err
		p.Evidence("command", role, "switch-to-configuration switch", s.log+strings.Join(result.Warnings, "\n"))
		if len(result.Missing) > 0 {
			p.Evidence("log", role, "what the configuration adds and this guest has not", strings.Join(result.Missing, "\n"))
		}
		var failed *machine.CommandError
		switch {
		case errors.As(err, &failed):
			p.Broken(report.Diagnosis{Code: "config.switch-failed", Sentence: fmt.Sprintf("the %s does not come to its configuration: %s", role, lastLine(err.Error())), Effective: err.Error()})
		case err != nil:
			p.Error(err)
		case len(result.Failed) > 0:
			f := result.Failed[0]
			state := p.Warn
			for _, u := range result.Failed {
				p.Evidence("log", role, "journal of "+u.Unit, u.Journal)
				if !r.provedElsewhere(u.Unit) {
					f, state = u, p.Broken
				}
			}
			state(report.Diagnosis{Code: "config.unit-failed", Sentence: fmt.Sprintf("after the switch the %s's %s does not run (%s): %s", role, f.Unit, f.State, lastLine(f.Journal)), Effective: f.State, Expected: "active"})
		}
	}})
}

// provedElsewhere reports whether a unit that fails is no cause by itself: a mount or
// a server of the stack, whose checks say why, or one that systemd starts again and
// again, which may yet find what it lacks.
func (r *Run) provedElsewhere(unit string) bool {
	kind := path.Ext(unit)
	switch name := strings.TrimSuffix(unit, kind); {
	case kind == ".mount", kind == ".automount":
		return true
	case slices.Contains([]string{"nfs-server", "nfs-mountd", "rpcbind", "sshd", "nix-serve"}, name):
		return true
	}
	for _, c := range r.Configurations {
		if u, ok := c.UnitFiles[unit]; ok && strings.Contains(u.Text, "\nRestart=") {
			return true
		}
	}
	return false
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// Machine is the machine in a role.
func (r *Run) Machine(role nixos.Role) *lab.Machine {
	if role == nixos.Desktop {
		return r.Lab.Desktop
	}
	return r.Lab.Laptop
}

// Reevaluate evaluates a host again with one more module of the harness's, as when
// a user writes down a key.
func (r *Run) Reevaluate(ctx context.Context, role nixos.Role, setting string) error {
	host := r.Repository.Hosts[role]
	host.Settings = append(slices.Clone(host.Settings), setting)
	c, err := r.Evaluator.Evaluate(ctx, host)
	if err != nil {
		return err
	}
	r.Repository.Hosts[role] = host
	r.Configurations[role] = c
	r.Recorder.EditRun(func(run *report.Run) { run.Imports[string(role)] = host.Imports() })
	return nil
}

// Walk is a step that is no claim, as when a user hands over a key. Where it
// fails, it is not known what the checks after it are worth: that is recorded. What
// the machines cannot do is no failure, but a skip, and a provider.MissingError.
func (r *Run) Walk(ctx context.Context, title string, f func(context.Context) error) error {
	end := r.Recorder.StartSpan(report.Span{Name: title, Kind: "step", Parent: r.currentPhase()})
	step := r.Progress.Start(title)
	started := time.Now()
	if r.Lab.Theirs() {
		f = untouched
	}
	was, err := r.steppedAhead(title)
	if !was {
		err = f(ctx)
	}
	r.changed()
	end()
	var missing *provider.MissingError
	if errors.As(err, &missing) {
		step.End(report.Skipped, missing.Error())
		r.Recorder.AddFinding(report.Finding{Check: "ST.step", Family: "ST", Title: title, Phase: r.currentPhase(), State: report.Skipped,
			Reason: missing.Error(), Evidence: []report.Evidence{}, Started: started, Seconds: time.Since(started).Seconds()})
		return missing
	}
	if err != nil {
		step.End(report.Errored, lastLine(err.Error()))
		r.Recorder.AddFinding(report.Finding{Check: "ST.step", Family: "ST", Title: title, Phase: r.currentPhase(), State: report.Errored,
			Class: report.Infra, Reason: err.Error(), Evidence: []report.Evidence{}, Started: started, Seconds: time.Since(started).Seconds()})
		return fmt.Errorf("%s: %w", title, err)
	}
	step.End(report.Holds, "")
	return nil
}

// Succeed runs a command on a machine that has to succeed.
func (r *Run) Succeed(ctx context.Context, role nixos.Role, stdin string, argv ...string) (string, error) {
	res, err := r.Machine(role).Exec(ctx, provider.Command{Argv: argv, Stdin: strings.NewReader(stdin)})
	if err != nil {
		return "", err
	}
	if err := res.Err(); err != nil {
		return "", fmt.Errorf("%s: %w", role, err)
	}
	return res.Text(), nil
}

// WaitPort waits until the desktop's port is what is expected as seen from the
// laptop, or the deadline of ctx: a fault or its undo is proved so.
func (r *Run) WaitPort(ctx context.Context, port int, want ...check.PortState) error {
	deadline, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	reason := fmt.Sprintf("the desktop's port %d is %v from the laptop", port, want)
	return r.Lab.Laptop.WaitUntil(deadline, reason, func(ctx context.Context) error {
		state, err := check.Probe(ctx, r.Lab.Laptop.Machine, lab.DesktopAddr, port)
		if err != nil {
			return err
		}
		if !slices.Contains(want, state) {
			return fmt.Errorf("it is %s", state)
		}
		return nil
	})
}
