package lab

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"offload-e2e/harness/provider"
)

// SaveLogs keeps consoles and journals with the run's artifacts.
func (l *Lab) SaveLogs() error {
	var errs []error
	for _, m := range l.provider.Machines() {
		kinds := map[string]func(context.Context) (io.ReadCloser, error){"console": m.Logs}
		if j, ok := m.(provider.Journaler); ok {
			kinds["journal"] = j.Journal
		}
		for kind, open := range kinds {
			errs = append(errs, save(open, filepath.Join(l.options.ArtifactsDir, m.Name()+"-"+kind+".log")))
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
