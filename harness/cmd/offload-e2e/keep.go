package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"offload-e2e/harness/e2e"
)

// closeTimeout bounds taking a lab down, and keeping what its machines tell.
const closeTimeout = time.Minute

// openLab is a lab that is up and can be entered.
type openLab struct {
	run     *e2e.Run
	control *control
	state   string // the lab's folder
	dir     string // of its logs
	stays   bool   // what is done by hand from now on is no evidence of the run's
	closed  bool
}

// close takes the lab down, also when ctx has ended. It is idempotent.
func (l *openLab) close(ctx context.Context) error {
	if l == nil || l.closed {
		return nil
	}
	l.closed = true
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	// First, so that who is thrown out can be told why.
	_ = os.Remove(labFilePath(l.state))
	l.control.Close()
	if l.stays {
		return l.run.Lab.Close(closing)
	}
	return l.run.Close(closing, l.dir)
}

// gather keeps what the machines tell beside the report.
func (l *openLab) gather(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	return l.run.Gather(limited, l.dir)
}

// stay says how to enter the lab, lets the supervisor end with status, and keeps the
// lab up until ctx ends.
func (p *paths) stay(ctx context.Context, s *supervisor, l *openLab, status error, out io.Writer) error {
	l.stays = true
	p.sayUp(out, l)
	var code exitStatus
	errors.As(status, &code)
	if err := s.keep(ctx, int(code)); err != nil {
		return errors.Join(err, l.close(ctx))
	}
	<-ctx.Done()
	if err := l.close(ctx); err != nil {
		return err
	}
	return status
}

func (p *paths) sayUp(out io.Writer, l *openLab) {
	fmt.Fprintf(out, "\nThe lab is up:")
	for i, m := range l.run.Lab.Machines() {
		separator := ","
		if i == 0 {
			separator = ""
		}
		fmt.Fprintf(out, "%s %s %s", separator, m.Name(), m.Addr)
	}
	fmt.Fprintf(out, "\n  enter it      %s\n                %s\n  take it down  %s\n", p.command("ssh desktop"), p.command("ssh laptop"), p.command("down"))
}
