package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"offload-e2e/harness/report"
)

// SoakFile is what soak writes.
const soakFile = "soak.json"

// soakSchema is the version of soak.json.
const soakSchema = 1

// soak is how often a run was repeated, and what broke: soak.json.
type soak struct {
	Schema  int       `json:"schema"`
	Config  string    `json:"config"`
	Harness string    `json:"harness"`
	Runs    []soakRun `json:"runs"`
	Passed  int       `json:"passed"`
	Failed  int       `json:"failed"`
	// Broke tells how often each thing broke or could not be found out, the most
	// frequent first.
	Broke []soakBreak `json:"broke"`
}

// soakRun is one of the runs.
type soakRun struct {
	ID      string   `json:"id"`
	Verdict string   `json:"verdict"` // pass | fail | error
	Causes  []string `json:"causes"`  // codes of root causes; words of errors
	Seconds float64  `json:"seconds"`
}

// soakBreak is one cause, with the runs it was in.
type soakBreak struct {
	Cause string   `json:"cause"`
	Times int      `json:"times"`
	Runs  []string `json:"runs"`
}

func newSoakCommand(p *paths) *cobra.Command {
	o := runOptions{guest: "embedded", keep: "never"}
	times := 20
	c := &cobra.Command{
		Use:   "soak",
		Short: "Run many times, and tell how often something breaks, and why",
		Long: `soak does what run does, again and again. Of a configuration that works, each
run that breaks is a false alarm, and is told with its causes. soak.json beside the
reports of the runs has the figures.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(c); err != nil {
				return err
			}
			if times < 1 {
				return usageError(c.CommandPath(), fmt.Errorf("--runs %d: run at least once", times))
			}
			return p.soak(c.Context(), o, times, c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.IntVar(&times, "runs", times, "how often")
	f.StringVar(&o.config, "config", p.config(), "the configuration under test")
	addProviderFlag(c, &o.provider)
	f.StringVar(&o.keys, "keys", "exchange", "as run has it")
	f.StringVar(&o.labels, "labels", "", "which parts to run, as run has it")
	f.StringVar(&o.report, "report", filepath.Join(p.reports(), "soak"), "the folder of the runs' reports")
	return c
}

// soak repeats the run, each in a process of its own, as a user would.
func (p *paths) soak(ctx context.Context, o runOptions, times int, out io.Writer) error {
	root := abs(mustWorkingDir(), o.report)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return fmt.Errorf("make the reports' folder: %w", err)
	}
	s := &soak{Schema: soakSchema, Config: o.config, Harness: version()}
	progress := report.NewProgress(out, report.LookOf(out, os.Getenv))
	defer progress.Close()
	progress.Heading(fmt.Sprintf("%d runs", times))
	for i := range times {
		step := progress.Start(fmt.Sprintf("run %d of %d", i+1, times))
		run, err := p.soakOnce(ctx, o, root)
		if err != nil {
			step.End(report.Errored, "")
			return err
		}
		state := map[string]report.State{"pass": report.Holds, "fail": report.Broken}[run.Verdict]
		step.End(cmp.Or(state, report.Errored), strings.Join(run.Causes, ", "))
		s.Runs = append(s.Runs, run)
		s.count()
		if err := s.write(root); err != nil {
			return err
		}
	}
	progress.Close()
	fmt.Fprintf(out, "\n%d of %d runs broke.\n", s.Failed, len(s.Runs))
	for _, b := range s.Broke {
		fmt.Fprintf(out, "  %3d times  %s\n", b.Times, b.Cause)
	}
	fmt.Fprintf(out, "\nReport: %s\n%d passed, %d failed, 0 skipped\n", filepath.Join(root, soakFile), s.Passed, s.Failed)
	if s.Failed > 0 {
		return exitStatus(exitBroken)
	}
	return nil
}

// soakOnce is one run, with what its report says.
func (p *paths) soakOnce(ctx context.Context, o runOptions, root string) (soakRun, error) {
	layout := report.Layout{Root: root}
	before, err := layout.Runs()
	if err != nil {
		return soakRun{}, err
	}
	started := time.Now()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append(o.args(), "--report="+root)...)
	cmd.Args[0] = os.Args[0]
	// It takes its lab down by itself when it is asked to; and ends with us.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * closeTimeout
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	said, runErr := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return soakRun{}, context.Cause(ctx)
	}
	after, err := layout.Runs()
	if err != nil {
		return soakRun{}, err
	}
	fresh := slices.DeleteFunc(after, func(id string) bool { return slices.Contains(before, id) })
	if len(fresh) != 1 {
		return soakRun{}, &userError{Heading: "A run left no report", Sentence: fmt.Sprintf("%v\n%s", runErr, said), WayOut: "Run it by itself: make e2e", Exit: exitInfra}
	}
	r, err := report.Load(filepath.Join(root, fresh[0], report.JSONFile))
	if err != nil {
		return soakRun{}, err
	}
	run := soakRun{ID: fresh[0], Verdict: string(r.Verdict), Causes: []string{}, Seconds: time.Since(started).Seconds()}
	for _, c := range r.RootCauses {
		run.Causes = append(run.Causes, c.Code+" on "+c.Machine)
	}
	for _, e := range r.Errors {
		run.Causes = append(run.Causes, e.Heading+": "+e.Sentence)
	}
	for _, f := range r.Findings {
		if f.State == report.Errored && f.Diagnosis == nil {
			run.Causes = append(run.Causes, f.Check+" could not be made: "+f.Reason)
		}
	}
	return run, nil
}

// count sums up the runs so far.
func (s *soak) count() {
	s.Passed, s.Failed, s.Broke = 0, 0, []soakBreak{}
	for _, r := range s.Runs {
		if r.Verdict == string(report.Pass) {
			s.Passed++
		} else {
			s.Failed++
		}
		for _, c := range r.Causes {
			i := slices.IndexFunc(s.Broke, func(b soakBreak) bool { return b.Cause == c })
			if i < 0 {
				i, s.Broke = len(s.Broke), append(s.Broke, soakBreak{Cause: c})
			}
			s.Broke[i].Times++
			s.Broke[i].Runs = append(s.Broke[i].Runs, r.ID)
		}
	}
	slices.SortStableFunc(s.Broke, func(a, b soakBreak) int { return b.Times - a.Times })
}

func (s *soak) write(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, soakFile), append(text, '\n'), 0o644)
}
