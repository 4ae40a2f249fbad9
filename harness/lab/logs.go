package lab

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"offload-e2e/harness/provider/qemu"
)

// SaveLogs keeps consoles and journals with the run's artifacts.
func (l *Lab) SaveLogs() error {
	var errs []error
	for name, m := range l.provider.Machines() {
		for kind, open := range map[string]func(context.Context) (io.ReadCloser, error){"console": m.Logs, "journal": m.Journal} {
			errs = append(errs, save(open, filepath.Join(l.options.ArtifactsDir, name+"-"+kind+".log")))
		}
	}
	return errors.Join(errs...)
}

func save(open func(context.Context) (io.ReadCloser, error), path string) error {
	r, err := open(context.Background())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// ConsoleFaults are lines no healthy machine prints, by machine.
func (l *Lab) ConsoleFaults() map[string][]qemu.ConsoleFault {
	found := map[string][]qemu.ConsoleFault{}
	for name, m := range l.provider.Machines() {
		if faults, err := m.ConsoleFaults(); err == nil && len(faults) > 0 {
			found[name] = faults
		}
	}
	return found
}
