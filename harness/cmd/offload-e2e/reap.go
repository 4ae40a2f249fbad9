package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Virtual machines end with the process that started them. Containers do not, and no
// files do: so a reaper, a process of its own session, waits for the end of whoever
// holds a place, and removes what that leaves if it is killed. Where the reaper is
// killed with it, the next lab in the place does.

// reapVerb makes this program a reaper.
const reapVerb = "reap"

func newReapCommand(p *paths) *cobra.Command {
	return &cobra.Command{
		Use:    reapVerb,
		Short:  "Wait until standard input ends, and remove what the lab's process has left",
		Hidden: true,
		RunE:   func(*cobra.Command, []string) error { return p.reap(os.Stdin) },
	}
}

// reap is the reaper's life. The place's holder has the other end of alive, which
// the kernel closes with it.
func (p *paths) reap(alive io.Reader) error {
	_, _ = io.Copy(io.Discard, alive)
	if _, err := os.Stat(p.labDir()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	h, err := p.takeFromDead(reapVerb)
	var busy *busyError
	if errors.As(err, &busy) {
		// The next lab has come first, and has done it.
		return nil
	}
	if err != nil {
		return err
	}
	h.release()
	return nil
}

// reaper is the reaper of a place that this process holds.
type reaper struct {
	cmd   *exec.Cmd
	alive *os.File // nothing else has it open
}

// startReaper has another process wait for this one's end.
func (p *paths) startReaper() (*reaper, error) {
	read, alive, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("reaper: %w", err)
	}
	defer read.Close()
	// Not the program's path: it may have been built anew by then.
	cmd := exec.Command("/proc/self/exe", reapVerb) //nolint:noctx // it outlives this process
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), stateVariable+"="+p.State, cacheVariable+"="+p.Cache)
	cmd.Stdin = read
	// What ends everything in a terminal, or in its process group, is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		alive.Close()
		return nil, fmt.Errorf("reaper: %w", err)
	}
	return &reaper{cmd, alive}, nil
}

// dismiss ends the reaper: this process cleans up by itself.
func (r *reaper) dismiss() {
	if r == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	_ = r.alive.Close()
}

// handOver is how long a killed process may take to be gone, and its reaper to have
// cleaned up after it.
const handOver = sweepTimeout + 10*time.Second

// takeFromDead takes the place as take does, and waits where who holds it is dead or
// its reaper. Where somebody else holds it, that is a busyError.
func (p *paths) takeFromDead(verb string) (*held, error) {
	for deadline := time.Now().Add(handOver); ; time.Sleep(20 * time.Millisecond) {
		h, err := p.take(verb)
		var busy *busyError
		if !errors.As(err, &busy) || busy.who.alive() && busy.who.Verb != reapVerb || time.Now().After(deadline) {
			return h, err
		}
	}
}
