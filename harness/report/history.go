package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// historyLength is how many outcomes a finding tells, its own among them.
const historyLength = 10

// key names a finding in every run: its check, machine and phase, and which time it
// is that the check is made there.
type key struct {
	check, machine, phase string
	time                  int
}

// keysOf are the keys of findings, in their order.
func keysOf(findings []Finding) []key {
	keys := make([]key, len(findings))
	times := map[key]int{}
	for i, f := range findings {
		k := key{check: f.Check, machine: f.Machine, phase: f.Phase}
		times[k]++
		k.time = times[k]
		keys[i] = k
	}
	return keys
}

// Remember gives each finding of r its history: what it found in the runs before it
// of the same configuration, on the same kind of machines; and each phase how long it
// took on others. Reports that cannot be read are passed over: what is old does not
// keep a run from its verdict.
func (l Layout) Remember(r *Report) error {
	ids, err := l.Runs()
	if err != nil {
		return err
	}
	var before []*Report
	others := map[string]*Report{}
	for _, id := range slices.Backward(ids) {
		if id >= r.Run.ID {
			continue
		}
		old, err := Load(filepath.Join(l.Root, id, JSONFile))
		switch {
		case err != nil || old.Run.Config != r.Run.Config:
		case old.Run.Provider != r.Run.Provider:
			if others[old.Run.Provider] == nil && len(old.phaseTimes()) > 0 {
				others[old.Run.Provider] = old
			}
		case old.Run.Guest.Kind == r.Run.Guest.Kind && len(before) < historyLength-1:
			before = append(before, old)
		}
	}
	slices.Reverse(before)
	r.remember(before)
	r.compare(others)
	return nil
}

// phaseTimes are the seconds of a run's phases, by name.
func (r *Report) phaseTimes() map[string]float64 {
	times := map[string]float64{}
	for _, s := range r.Timeline {
		if s.Kind == "phase" {
			times[s.Name] = s.Seconds
		}
	}
	return times
}

// compare gives each phase its times in runs on other providers' machines.
func (r *Report) compare(others map[string]*Report) {
	for i, s := range r.Timeline {
		r.Timeline[i].Elsewhere = nil
		if s.Kind != "phase" {
			continue
		}
		for _, provider := range sortedKeys(others) {
			if took, is := others[provider].phaseTimes()[s.Name]; is {
				r.Timeline[i].Elsewhere = append(r.Timeline[i].Elsewhere, Elsewhere{provider, took, others[provider].Run.ID})
			}
		}
	}
}

// remember is Remember with the runs before at hand, the oldest first.
func (r *Report) remember(before []*Report) {
	type outcome struct {
		state  State
		inputs string
	}
	past := map[key][]outcome{}
	for _, old := range append(before, r) {
		for i, k := range keysOf(old.Findings) {
			if s := old.Findings[i].State; s != Skipped {
				past[k] = append(past[k], outcome{s, old.Run.Inputs})
			}
		}
	}
	for i, k := range keysOf(r.Findings) {
		if r.Findings[i].History = nil; r.Findings[i].State == Skipped || len(past[k]) < 2 {
			continue
		}
		h := &History{}
		same, changed := 0, 0
		for j, o := range past[k] {
			h.Outcomes = append(h.Outcomes, o.state)
			if j == 0 || o.inputs == "" || o.inputs != past[k][j-1].inputs {
				continue
			}
			same++
			if good(o.state) != good(past[k][j-1].state) {
				changed++
			}
		}
		if same > 0 {
			h.FlakeRate = float64(changed) / float64(same)
		}
		r.Findings[i].History = h
	}
}

func good(s State) bool { return s == Holds || s == Warns }

// Bounds are how much of the past is kept; a bound of 0 is none.
type Bounds struct {
	Runs  int
	Bytes int64
}

// UsualBounds keep what a history needs, and a disk in order.
var UsualBounds = Bounds{Runs: 30, Bytes: 3 << 30}

// Hold keeps a run's folder from being pruned, by this and other processes, until
// release or the end of the process.
func Hold(dir string) (release func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("hold run: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("hold run %s: it is being removed: %w", dir, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// Prune removes the oldest runs until the rest is within bounds; never the latest,
// and none that somebody holds. It gives the ids of those it removed.
func (l Layout) Prune(b Bounds) (removed []string, err error) {
	ids, err := l.Runs()
	if err != nil {
		return nil, err
	}
	latest, err := l.Latest()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	sizes := make([]int64, len(ids))
	var total int64
	for i, id := range ids {
		if sizes[i], err = sizeOf(filepath.Join(l.Root, id)); err != nil {
			return nil, fmt.Errorf("prune runs: %w", err)
		}
		total += sizes[i]
	}
	left := len(ids)
	var errs []error
	for i, id := range ids {
		within := (b.Runs <= 0 || left <= b.Runs) && (b.Bytes <= 0 || total <= b.Bytes)
		if within {
			break
		}
		if id == filepath.Base(latest) {
			continue
		}
		switch gone, err := removeUnheld(filepath.Join(l.Root, id)); {
		case err != nil:
			errs = append(errs, fmt.Errorf("prune run %s: %w", id, err))
		case gone:
			removed, left, total = append(removed, id), left-1, total-sizes[i]
		}
	}
	return removed, errors.Join(errs...)
}

// removeUnheld removes a run's folder unless it is held.
func removeUnheld(dir string) (bool, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // another process was quicker
	} else if err != nil {
		return false, err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, os.RemoveAll(dir)
}

// sizeOf is what a folder's files hold.
func sizeOf(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return total, err
}
