package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"offload-e2e/harness/provider/docker"
	"offload-e2e/harness/provider/qemu"
)

// held is the machine's one place for a running lab, ours until release. The lock
// is the kernel's: it goes with the process, however that ends.
type held struct {
	dir    string // the lab's folder
	lock   *os.File
	reaper *reaper // of a lab; who only cleans up has none
}

// holder says in the lock file who holds it.
type holder struct {
	PID int `json:"pid"`
	// Start is the process's, as processStart tells it.
	Start uint64 `json:"start"`
	Verb  string `json:"verb"`
}

// alive reports whether the very process runs.
func (h holder) alive() bool {
	start, err := processStart(h.PID)
	return err == nil && h.PID > 1 && start == h.Start
}

// busyError tells who holds the place.
type busyError struct {
	who   holder
	state string
}

func (e *busyError) Error() string {
	return fmt.Sprintf("process %d (offload-e2e %s) holds %s", e.who.PID, e.who.Verb, e.state)
}

func (p *paths) lockFile() string { return filepath.Join(p.State, "lock") }
func (p *paths) labDir() string   { return filepath.Join(p.State, "lab") }

// hold takes the place. What a process that was killed left there is cleaned up.
func (p *paths) hold(verb string) (*held, error) {
	h, err := p.takeFromDead(verb)
	var busy *busyError
	if errors.As(err, &busy) {
		return nil, &userError{Heading: "Another lab is up", Sentence: fmt.Sprintf("Process %d (offload-e2e %s) holds %s.", busy.who.PID, busy.who.Verb, p.State),
			WayOut: "Wait for it, or take it down: " + p.command("down") + ". For a second lab beside it set OFFLOAD_E2E_STATE to another folder.", Cause: err}
	}
	if err != nil {
		return nil, err
	}
	if err = os.Mkdir(h.dir, 0o700); err == nil {
		h.reaper, err = p.startReaper()
	}
	if err != nil {
		h.release()
		return nil, fmt.Errorf("prepare the state folder: %w", err)
	}
	return h, nil
}

// take takes the place, and empties it. Where another process holds it, that is a
// busyError.
func (p *paths) take(verb string) (*held, error) {
	if err := p.makeState(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(p.lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock the state folder: %w", err)
		}
		return nil, &busyError{p.holder(), p.State}
	}
	h := &held{dir: p.labDir(), lock: f}
	start, err := processStart(os.Getpid())
	text, _ := json.Marshal(holder{os.Getpid(), start, verb})
	// Said before anything that takes its time: who is refused wants to know.
	if err := errors.Join(err, f.Truncate(0), writeAt(f, text), h.sweep(), p.register()); err != nil {
		f.Close()
		return nil, fmt.Errorf("prepare the state folder: %w", err)
	}
	return h, nil
}

// holder is who the lock file names: nobody where it cannot be read. Whether it
// still runs is not said.
func (p *paths) holder() holder {
	var who holder
	text, err := os.ReadFile(p.lockFile())
	if err != nil || json.Unmarshal(text, &who) != nil {
		return holder{}
	}
	return who
}

func writeAt(f *os.File, text []byte) error {
	_, err := f.WriteAt(text, 0)
	return err
}

// sweepTimeout bounds the removal of what a killed process left.
const sweepTimeout = 30 * time.Second

// sweep ends machines that a killed process left, and removes their files.
func (h *held) sweep() error {
	ctx, cancel := context.WithTimeout(context.Background(), sweepTimeout)
	defer cancel()
	machines := filepath.Join(h.dir, "machines")
	if _, err := os.Stat(machines); err == nil {
		if err := errors.Join(docker.Sweep(ctx, machines), qemu.Sweep(ctx, machines)); err != nil {
			return err
		}
	}
	return os.RemoveAll(h.dir)
}

// release gives the place back, with nothing in it.
func (h *held) release() {
	_ = h.sweep()
	h.reaper.dismiss()
	_ = h.lock.Truncate(0)
	_ = h.lock.Close()
}

// sweepLeft cleans up what a process of ours left that was killed.
func (p *paths) sweepLeft() {
	if h, err := p.takeFromDead("down"); err == nil {
		h.release()
	}
}
