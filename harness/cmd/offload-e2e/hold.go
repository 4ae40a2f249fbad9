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

	"offload-e2e/harness/provider/qemu"
)

// held is the machine's one place for a running lab, ours until release. The lock
// is the kernel's: it goes with the process, however that ends.
type held struct {
	dir  string // the lab's folder, empty
	lock *os.File
}

// holder says in the lock file who holds it.
type holder struct {
	PID  int    `json:"pid"`
	Verb string `json:"verb"`
}

// hold takes the place. What a process that was killed left there is cleaned up.
func (p *paths) hold(verb string) (*held, error) {
	if err := p.makeState(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(p.State, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock the state folder: %w", err)
		}
		var who holder
		_ = json.NewDecoder(f).Decode(&who)
		return nil, &userError{Heading: "Another lab is up", Sentence: fmt.Sprintf("Process %d (offload-e2e %s) holds %s.", who.PID, who.Verb, p.State),
			WayOut: "Wait for it, or take it down: .bin/offload-e2e down. For a second lab beside it set OFFLOAD_E2E_STATE to another folder."}
	}
	h := &held{dir: filepath.Join(p.State, "lab"), lock: f}
	text, _ := json.Marshal(holder{os.Getpid(), verb})
	if err := errors.Join(h.sweep(), f.Truncate(0), writeAt(f, text), os.Mkdir(h.dir, 0o700)); err != nil {
		f.Close()
		return nil, fmt.Errorf("prepare the state folder: %w", err)
	}
	return h, nil
}

func writeAt(f *os.File, text []byte) error {
	_, err := f.WriteAt(text, 0)
	return err
}

// sweep ends machines that a killed process left, and removes their files.
func (h *held) sweep() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	machines := filepath.Join(h.dir, "machines")
	if _, err := os.Stat(machines); err == nil {
		if err := qemu.Sweep(ctx, machines); err != nil {
			return err
		}
	}
	return os.RemoveAll(h.dir)
}

// release gives the place back, with nothing in it.
func (h *held) release() {
	_ = h.sweep()
	_ = h.lock.Truncate(0)
	_ = h.lock.Close()
}
