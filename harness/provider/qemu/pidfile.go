package qemu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// pidfileName is the file in a machine's folder that tells another process
// which QEMU runs it.
const pidfileName = "qemu.pid"

// pidfile identifies a process beyond the reuse of its number.
type pidfile struct {
	PID int `json:"pid"`
	// Start is the process's start in clock ticks since boot: field 22 of
	// /proc/PID/stat, proc(5).
	Start uint64 `json:"start"`
	// Boot is the kernel's /proc/sys/kernel/random/boot_id.
	Boot    string `json:"boot"`
	Machine string `json:"machine"`
}

func writePidfile(path, machine string, pid int) error {
	start, err := startTime(pid)
	if err != nil {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	b, err := json.Marshal(pidfile{PID: pid, Start: start, Boot: boot, Machine: machine})
	if err != nil {
		return err
	}
	return writeFileAtomic(path, append(b, '\n'))
}

// alive reports whether the very process is still there, other than as a zombie.
func (p pidfile) alive() bool {
	boot, err := bootID()
	if err != nil || boot != p.Boot || p.PID <= 1 {
		return false
	}
	start, err := startTime(p.PID)
	return err == nil && start == p.Start
}

// Sweep ends the QEMUs that a process now gone has left running in stateDir,
// and removes their disks and pid files; logs stay, for the caller to read and
// remove. A folder without leftovers, or none at all, is no error. It must not
// be called for the folder of a lab that is in use.
func Sweep(ctx context.Context, stateDir string) error {
	files, err := filepath.Glob(filepath.Join(escapeGlob(stateDir), "*", pidfileName))
	if err != nil {
		return fmt.Errorf("sweep %s: %w", stateDir, err)
	}
	var errs []error
	for _, file := range files {
		if err := sweepOne(ctx, file); err != nil {
			errs = append(errs, fmt.Errorf("sweep %s: %w", file, err))
			continue
		}
		errs = append(errs, removeDisks(filepath.Dir(file)), removeIfThere(file))
	}
	return errors.Join(errs...)
}

func sweepOne(ctx context.Context, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var p pidfile
	if err := json.Unmarshal(b, &p); err != nil {
		// Written atomically, so it is not ours, or the disk is damaged: there
		// is no process it could lead to.
		return nil //nolint:nilerr // explained above
	}
	// os.FindProcess holds a pidfd, so the number cannot be given to another
	// process between the check and the signal.
	process, err := os.FindProcess(p.PID)
	if err != nil || !p.alive() {
		return nil //nolint:nilerr // it is gone already
	}
	defer func() { _ = process.Release() }()
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill QEMU of %s, process %d: %w", p.Machine, p.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	return poll(ctx, 10*time.Millisecond, func() (bool, error) { return !p.alive(), nil })
}

// removeDisks removes the disks in a machine's folder: they are large, and of
// no use without the machine.
func removeDisks(dir string) error {
	files, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*"+diskSuffix))
	errs := []error{err}
	for _, file := range files {
		errs = append(errs, removeIfThere(file))
	}
	return errors.Join(errs...)
}

// startTime is field 22 of /proc/PID/stat. A zombie has none.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	// Field 2 is the program's name in parentheses and may hold anything.
	after := b[bytes.LastIndexByte(b, ')')+1:]
	fields := strings.Fields(string(after))
	const state, start = 0, 22 - 3 // fields 3 and 22, counted from 3
	if len(fields) <= start {
		return 0, fmt.Errorf("/proc/%d/stat has only %d fields", pid, len(fields)+2)
	}
	if s := fields[state]; s == "Z" || s == "X" {
		return 0, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	return strconv.ParseUint(fields[start], 10, 64)
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

// writeFileAtomic replaces a file as a whole or not at all.
func writeFileAtomic(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// escapeGlob quotes what filepath.Glob would take for a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// poll calls done until it reports true or an error, or the context ends.
func poll(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
