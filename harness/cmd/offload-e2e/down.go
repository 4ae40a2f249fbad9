package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func newDownCommand(p *paths) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "down",
		Short: "Take down the lab that is up, or the run that is under way",
		Long: `down asks the process that holds the lab to end, waits until it has, and removes
what a killed one may have left. One that does not end within 30 seconds of being
asked is killed; its machines end with it.`,
		RunE: func(c *cobra.Command, _ []string) error {
			states := []*paths{p}
			if all {
				var err error
				if states, err = p.everyState(); err != nil {
					return err
				}
			}
			var errs []error
			for _, state := range states {
				d := takeDown{paths: state, say: sayTo(c.OutOrStdout()), patience: 30 * time.Second, every: 100 * time.Millisecond, quietly: state != p}
				errs = append(errs, d.run(c.Context()))
			}
			return errors.Join(errs...)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "those in other state folders, too, that were brought up with the same cache")
	return c
}

// killTimeout is how long the kernel may take to end a process that was killed.
const killTimeout = 20 * time.Second

// takeDown ends the lab of a state folder.
type takeDown struct {
	paths    *paths
	say      func(format string, args ...any)
	patience time.Duration // until who was asked is killed
	every    time.Duration // between looks
	quietly  bool          // says nothing where there is no lab
}

// run returns when no lab is up and nothing of one is left.
func (d takeDown) run(ctx context.Context) error {
	if _, err := os.Stat(d.paths.lockFile()); errors.Is(err, os.ErrNotExist) {
		d.none()
		return nil
	}
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	var (
		asked  holder
		since  = time.Now() // the last change
		killed bool
	)
	for {
		_, statErr := os.Stat(d.paths.labDir())
		h, err := d.paths.take("down")
		if err == nil {
			h.release()
			switch {
			case asked.PID != 0:
				d.say("The lab is down.")
			case statErr == nil:
				d.say("No lab was up; what a killed one left in %s is removed.", d.paths.State)
			default:
				d.none()
			}
			return nil
		}
		var busy *busyError
		if !errors.As(err, &busy) {
			return err
		}
		who, waited := busy.who, time.Since(since)
		switch {
		case who.Verb == reapVerb && waited <= handOver:
			// What a killed one left is being removed.
		case asked.PID != 0 && who.alive() && who != asked:
			// The lab that was up is down; this is the next one.
			d.say("The lab is down; process %d (offload-e2e %s) has begun another.", who.PID, who.Verb)
			return nil
		case asked.PID == 0 && who.alive():
			d.say("Taking down the lab of process %d (offload-e2e %s) …", who.PID, who.Verb)
			if err := who.signal(syscall.SIGTERM); err != nil {
				return err
			}
			asked, since = who, time.Now()
		case asked.PID != 0 && !killed && waited > d.patience:
			d.say("It does not end: killing it.")
			if err := who.signal(syscall.SIGKILL); err != nil {
				return err
			}
			killed, since = true, time.Now()
		case killed && waited > killTimeout:
			return &userError{Heading: "The lab cannot be taken down", Sentence: fmt.Sprintf("Process %d was killed and is still there: it waits for the kernel, most likely for a disk.", asked.PID),
				WayOut: "See what it waits for: cat /proc/" + fmt.Sprint(asked.PID) + "/wchan"}
		case asked.PID == 0 && waited > d.patience:
			return &userError{Heading: "The lab cannot be taken down", Sentence: fmt.Sprintf("A process holds %s that is not the one its lock names (%d).", d.paths.State, who.PID),
				WayOut: "See who: fuser -v " + d.paths.lockFile()}
		}
		select {
		case <-ctx.Done():
			return &userError{Heading: "Interrupted", Sentence: "The lab may still be up.", WayOut: "Try again: " + d.paths.command("down"), Cause: context.Cause(ctx)}
		case <-tick.C:
		}
	}
}

func (d takeDown) none() {
	if !d.quietly {
		d.say("No lab is up.")
	}
}

// signal sends a signal to the very process; one that has ended is no error.
func (h holder) signal(s syscall.Signal) error {
	// os.FindProcess holds a pidfd: between the check and the signal the number
	// cannot be given to another process.
	process, err := os.FindProcess(h.PID)
	if err != nil || !h.alive() {
		return nil //nolint:nilerr // it is gone
	}
	defer func() { _ = process.Release() }()
	if err := process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end process %d: %w", h.PID, err)
	}
	return nil
}
