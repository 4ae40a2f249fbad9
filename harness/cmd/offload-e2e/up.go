package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"offload-e2e/harness/e2e"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/report"
)

// upOptions are the flags of `up`.
type upOptions struct {
	runOptions
	bare bool
}

func newUpCommand(p *paths) *cobra.Command {
	o := upOptions{runOptions: runOptions{keep: "always"}}
	c := &cobra.Command{
		Use:   "up",
		Short: "Bring both machines up, to look at by hand",
		Long: `up boots a desktop and a laptop (or restores them), switches both to the
configuration and hands the keys over, as the first three phases do; nothing is
proved. The machines stay up: enter them with ssh, end them with down.

Where the configuration stands in the way, they stay up as far as they came; the
exit status is then 1.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(c); err != nil {
				return err
			}
			if o.supervisor == 0 {
				return p.superviseSelf(c.Context(), o.args(), c.OutOrStdout(), c.ErrOrStderr())
			}
			return p.up(c.Context(), o, attach(o.supervisor, p.workerLog()), c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&o.config, "config", p.config(), "the configuration: a folder of the shape of /etc/nixos")
	addProviderFlag(c, &o.provider)
	f.StringVar(&o.keys, "keys", "exchange", "exchange: the laptop is told the desktop's new cache key; config: only keys in the configuration count")
	f.StringVar(&o.guest, "guest", "auto", "what the machines are: auto (nixos where nix can build it), embedded, nixos")
	f.BoolVar(&o.bare, "bare", false, "leave the machines as they are before the configuration")
	addSupervisorFlag(c, &o.supervisor)
	return c
}

// addSupervisorFlag lets a verb be a worker.
func addSupervisorFlag(c *cobra.Command, fd *int) {
	c.Flags().IntVar(fd, supervisorFlag, 0, "descriptor of the supervisor's socket")
	_ = c.Flags().MarkHidden(supervisorFlag)
}

func (o upOptions) args() []string {
	return []string{"up", "--config=" + o.config, "--keys=" + o.keys, "--provider=" + o.provider, "--guest=" + o.guest, fmt.Sprintf("--bare=%t", o.bare)}
}

func (p *paths) workerLog() string { return filepath.Join(p.State, "worker.log") }

// up is the worker's part.
func (p *paths) up(ctx context.Context, o upOptions, s *supervisor, out io.Writer) error {
	held, err := p.hold("up")
	if err != nil {
		return err
	}
	defer held.release()
	dir := filepath.Join(held.dir, "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("prepare the state folder: %w", err)
	}
	recorder := report.NewRecorder(report.Run{ID: report.NewRunID(time.Now()), Config: o.config, Keys: o.keys, Provider: o.chosen()})
	progress := report.NewProgress(out, report.LookOf(out, os.Getenv))
	l, err := p.openLab(ctx, o.runOptions, "up", held.dir, dir, recorder, progress)
	if err != nil {
		progress.Close()
		return err
	}
	var status error
	if !o.bare {
		err = l.run.Establish(ctx)
	}
	progress.Close()
	switch {
	case ctx.Err() != nil:
		return errors.Join(context.Cause(ctx), l.close(ctx))
	case err != nil:
		e := &userError{Heading: "The machines are up, but not all the way", Sentence: err.Error(),
			WayOut: "Look at them by hand, or let a run say why: make e2e", Exit: exitBroken}
		fmt.Fprint(out, e.Text())
		status = exitStatus(exitBroken)
	}
	return p.stay(ctx, s, l, status, out)
}

// openLab opens a run and lets other processes enter its machines.
func (p *paths) openLab(ctx context.Context, o runOptions, verb, state, dir string, recorder *report.Recorder, progress *report.Progress) (*openLab, error) {
	theirs := o.provider == lab.Hosts
	if !theirs {
		if err := p.fit(ctx, p.preflight(), dir); err != nil {
			return nil, err
		}
	}
	options := p.openOptions(o, state, dir, recorder, progress)
	var err error
	if options.Known, err = loadKnown(o); err != nil {
		return nil, err
	}
	r, err := e2e.Open(ctx, options)
	if err != nil {
		return nil, err
	}
	l := &openLab{run: r, state: state, dir: dir}
	if theirs {
		// Whoever owns the machines enters them by themselves.
		return l, nil
	}
	if l.control, err = expose(state, verb, o.config, dir, r); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		return nil, errors.Join(err, r.Close(closing, dir))
	}
	return l, nil
}
