package report

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Layout is the folder runs report to: <root>/<run id>/, and <root>/latest, a
// symbolic link to the last that was published.
type Layout struct {
	Root string
}

const latest = "latest"

// NewRunID names a run by its start and two random bytes: "20261122-223501-ab12".
// Ids sort by time.
func NewRunID(start time.Time) string {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return start.Format("20060102-150405-") + hex.EncodeToString(b[:])
}

var runID = regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-[0-9a-f]{4}$`)

// Create makes the folder of a run, which must be new, and gives its path.
func (l Layout) Create(id string) (string, error) {
	if !runID.MatchString(id) {
		return "", fmt.Errorf("make folder of run: %q is no run id like 20261122-223501-ab12", id)
	}
	if err := os.MkdirAll(l.Root, 0o755); err != nil {
		return "", fmt.Errorf("make folder of reports: %w: name another one with REPORT=dir", err)
	}
	dir := filepath.Join(l.Root, id)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("make folder of run: %w: name another one with REPORT=dir", err)
	}
	return dir, nil
}

// Publish makes latest point to a run, in one step: readers see the former run
// or this one, never none.
func (l Layout) Publish(id string) error {
	link := filepath.Join(l.Root, latest)
	if info, err := os.Lstat(link); err == nil && info.Mode()&os.ModeSymlink == 0 {
		return fmt.Errorf("publish run %s: %s is no symbolic link: move it away", id, link)
	}
	tmp := filepath.Join(l.Root, "."+latest+"-"+id)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("publish run %s: %w", id, err)
	}
	// Relative, so that the folder can be moved or copied.
	if err := os.Symlink(id, tmp); err != nil {
		return fmt.Errorf("publish run %s: %w", id, err)
	}
	if err := os.Rename(tmp, link); err != nil {
		return errors.Join(fmt.Errorf("publish run %s: %w", id, err), os.Remove(tmp))
	}
	return nil
}

// Latest is the folder of the run published last.
func (l Layout) Latest() (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Join(l.Root, latest))
	if err != nil {
		return "", fmt.Errorf("find latest report: %w: make one with: make e2e", err)
	}
	return dir, nil
}

// Runs are the ids of all runs there, the oldest first.
func (l Layout) Runs() ([]string, error) {
	entries, err := os.ReadDir(l.Root) // sorted
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && runID.MatchString(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}
