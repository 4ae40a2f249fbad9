package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"offload-e2e/harness/e2e"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/report"
	"offload-e2e/harness/shard"
)

// runOptions are the flags of `run`, which `make e2e` sets from its variables.
type runOptions struct {
	config, provider, guest, keys, labels, report, keep string
	// hosts is the file of the user's own machines; empty for the configuration's own.
	hosts string
	// known is the list of defects on record; empty for the configuration's own.
	known string
	// part is which part of the run this is.
	part shard.Part
	// supervisor is a descriptor, where this process is a worker: worker.go.
	supervisor int
}

// args are the options for a worker.
func (o runOptions) args() []string {
	return []string{"run", "--config=" + o.config, "--provider=" + o.provider, "--guest=" + o.guest, "--keys=" + o.keys,
		"--labels=" + o.labels, "--report=" + o.report, "--keep=" + o.keep, "--known=" + o.known, "--hosts=" + o.hosts, "--shard=" + o.part.String()}
}

// choice checks a flag that takes one of a few words.
func choice(flag, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	return fmt.Errorf("--%s %q: it is one of %s", flag, value, strings.Join(words, ", "))
}

// providerWords are what --provider takes.
var providerWords = []string{"auto", lab.QEMU, lab.Docker, lab.Hosts} //nolint:gochecknoglobals // a constant

func choiceOfGuest(value string) error { return choice("guest", value, "auto", "embedded", "nixos") }

// check refuses options that are none, and what cannot be had here.
func (o runOptions) check(c *cobra.Command) error {
	err := errors.Join(
		choice("provider", o.provider, providerWords...),
		choiceOfGuest(o.guest),
		choice("keys", o.keys, "exchange", "config"),
		choice("keep", o.keep, "never", "failure", "always"),
		checkLabels(o.labels),
	)
	if err != nil {
		return usageError(c.CommandPath(), err)
	}
	switch {
	case o.provider == lab.Hosts && c.Name() != "run":
		err = fmt.Errorf("--provider hosts: your own machines are looked at by %s alone; nothing is broken on them", "run")
	case o.provider == lab.Hosts && o.keep != "" && o.keep != "never":
		err = fmt.Errorf("--keep %s: your own machines stay up anyway", o.keep)
	case o.provider != lab.Hosts && o.hosts != "":
		err = fmt.Errorf("--hosts %s: it is for --provider hosts", o.hosts)
	}
	if err != nil {
		return usageError(c.CommandPath(), err)
	}
	return nil
}

// chosen is the provider that runs the machines.
func (o runOptions) chosen() string {
	if o.provider == "auto" || o.provider == "" {
		name, _ := automatic(providers(context.Background()))
		return name
	}
	return o.provider
}

func addProviderFlag(c *cobra.Command, provider *string) {
	c.Flags().StringVar(provider, "provider", "auto", "what runs the machines: auto, qemu, docker")
}

func newRunCommand(p *paths) *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run",
		Short: "Boot both machines, walk the four phases, write the report",
		Long: `run boots a desktop and a laptop (or restores them, if they were booted
before), applies the configuration to them, walks the four validation phases and
takes the desktop away in every way. The verdict is its exit status.

With --provider hosts it looks at your own machines, as they are, by SSH: whether
they are what the configuration says, and whether they do what it promises. What
would change them is skipped, but for what their file allows.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(c); err != nil {
				return err
			}
			// A lab that may stay up needs a process that stays with it.
			switch {
			case o.keep == "never":
				return p.run(c.Context(), o, nil, c.OutOrStdout())
			case o.supervisor == 0:
				return p.superviseSelf(c.Context(), o.args(), c.OutOrStdout(), c.ErrOrStderr())
			}
			return p.run(c.Context(), o, attach(o.supervisor, p.workerLog()), c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&o.config, "config", p.config(), "the configuration under test: a folder of the shape of /etc/nixos")
	f.StringVar(&o.provider, "provider", "auto", "what runs the machines: auto, qemu, docker, or hosts: your own, by SSH, looked at and no more")
	f.StringVar(&o.hosts, "hosts", "", "how your own machines are reached (default: "+e2e.HostsFile+" of the configuration)")
	f.StringVar(&o.guest, "guest", "auto", "what the machines are: auto (nixos where nix can build it), embedded, nixos")
	f.StringVar(&o.keys, "keys", "exchange", "exchange: the laptop is told the desktop's new cache key; config: only keys in the configuration count")
	f.StringVar(&o.labels, "labels", "", "which parts to run, as a Ginkgo label filter: phase1 || phase2, !fallback")
	f.StringVar(&o.report, "report", p.reports(), "the folder of reports")
	addKnownFlag(c, &o.known)
	f.Var(&o.part, "shard", "run one part of so many, as 2/8: suites are dealt out by how long they took; report merge joins the parts")
	f.StringVar(&o.keep, "keep", "never", "leave the machines up afterwards, to be entered with ssh and ended with down: never, failure, always")
	addSupervisorFlag(c, &o.supervisor)
	return c
}

// run is a whole run: its report is written whatever becomes of it. With a
// supervisor, its lab may stay up.
func (p *paths) run(ctx context.Context, o runOptions, s *supervisor, out io.Writer) error {
	verb := "run"
	if s != nil {
		verb += " --keep=" + o.keep
	}
	held, err := p.hold(verb)
	if err != nil {
		return err
	}
	defer held.release()
	layout := report.Layout{Root: abs(mustWorkingDir(), o.report)}
	id := report.NewRunID(time.Now())
	dir, err := layout.Create(id)
	if err != nil {
		return fmt.Errorf("make the report's folder: %w", err)
	}
	release, err := report.Hold(dir)
	if err != nil {
		return err
	}
	defer release()
	recorder := report.NewRecorder(report.Run{ID: id, Config: o.config, Keys: o.keys, Provider: o.chosen(),
		Command: o.again(p, "make e2e", "auto"), Harness: version(), Shard: o.part.String()})
	look := report.LookOf(out, os.Getenv)
	progress := report.NewProgress(out, look)
	if o.provider == "auto" {
		name, why := automatic(providers(ctx))
		progress.Note("  provider " + name + ": " + why)
	}
	open, counts, runErr := p.walk(ctx, o, held.dir, dir, recorder, progress)
	defer func() { _ = open.close(ctx) }()
	progress.Close()
	if runErr != nil && ctx.Err() != nil {
		// Ctrl-C in a terminal reaches programs that were just starting, too: what became
		// of them is not what ended the run.
		runErr = fmt.Errorf("%w: %w", context.Canceled, runErr)
	}
	if runErr != nil {
		e := explain(runErr)
		recorder.AddError(report.RunError{Heading: e.Heading, Sentence: e.Sentence, WayOut: e.WayOut})
	}
	result := recorder.Report()
	if err := publish(layout, dir, result); err != nil {
		return errors.Join(runErr, fmt.Errorf("write the report: %w", err))
	}
	if err := report.Summary(out, result, dir, look); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", counts.passed, counts.failed, counts.skipped)
	err = verdictStatus(result.Verdict)
	if runErr != nil {
		err = exitStatus(explain(runErr).Exit)
	}
	if open == nil {
		return err
	}
	return p.stay(ctx, s, open, err, out)
}

// walk opens the run and runs the suites on it. The lab is gone when it returns,
// or is returned where it is to stay up.
func (p *paths) walk(ctx context.Context, o runOptions, state, dir string, recorder *report.Recorder, progress *report.Progress) (*openLab, counts, error) {
	labels, err := p.labelsOfPart(o)
	if err != nil || labels == nothing {
		return nil, counts{}, err
	}
	l, err := p.openLab(ctx, o, "run", state, dir, recorder, progress)
	if err != nil {
		return nil, counts{}, err
	}
	c := counts{}
	if beginsLater(labels) {
		progress.Heading("To the end of the four phases")
		err = l.run.WalkPhases(ctx, 0, e2e.Phases)
	}
	if err == nil {
		c, err = runSuites(ctx, l.run, labels, filepath.Join(dir, "ginkgo.log"))
	}
	if ctx.Err() != nil || !o.keeps(err, recorder.Report().Verdict) {
		return nil, c, errors.Join(err, l.close(ctx))
	}
	return l, c, errors.Join(err, l.gather(ctx))
}

// keeps reports whether the lab is to stay up after a run with an outcome.
func (o runOptions) keeps(err error, verdict report.Verdict) bool {
	return o.keep == "always" || o.keep == "failure" && (err != nil || verdict != report.Pass)
}

// openOptions are what a run is opened with.
func (p *paths) openOptions(o runOptions, state, dir string, recorder *report.Recorder, progress *report.Progress) e2e.Options {
	return e2e.Options{
		Config: abs(mustWorkingDir(), o.config), Exchange: o.keys == "exchange", Provider: o.chosen(), Hosts: o.hostsFile(), NixBin: p.nixBin,
		Guest: o.guest, Prepared: os.Getenv(preparedVariable), Vmconfigs: p.config(),
		Recipe: p.recipe(), Embedded: p.embedded(), Base: p.base(), Nixpkgs: p.nixpkgs(), Programs: p.programs(), Container: p.container(),
		Images: p.images(), Cache: p.Cache, Eval: p.eval(), State: state, Mirror: os.Getenv(mirrorVariable),
		Artifacts: dir, Recorder: recorder, Progress: progress,
	}
}

// hostsFile is the file of the user's own machines.
func (o runOptions) hostsFile() string {
	return abs(mustWorkingDir(), cmp.Or(o.hosts, filepath.Join(o.config, e2e.HostsFile)))
}

// again is how to run the same once more, by a command of make; guest is what that
// takes when nobody asks for another.
func (o runOptions) again(p *paths, command, guest string) string {
	if abs(mustWorkingDir(), o.config) != p.config() {
		command += " CONFIG=" + o.config
	}
	for _, v := range []struct{ name, value, usual string }{
		{"KEYS", o.keys, "exchange"}, {"LABELS", o.labels, ""}, {"GUEST", o.guest, guest}, {"PROVIDER", o.provider, "auto"}, {"HOSTS", o.hosts, ""}, {"SHARD", o.part.String(), ""},
	} {
		if v.value != v.usual {
			command += fmt.Sprintf(" %s='%s'", v.name, v.value)
		}
	}
	return command
}

func mustWorkingDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return "/"
	}
	return dir
}

// version is the harness's: the commit it was built from, where that is known.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}
