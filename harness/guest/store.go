package guest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Store is the folder in which images are kept, one folder an image.
type Store struct {
	// Dir holds the images. It is created where it is missing.
	Dir string
	// Mirror is the Debian mirror to build from; empty is mmdebstrap's default.
	Mirror string
	// Say receives progress, a line at a time. Nil is silence.
	Say func(format string, args ...any)
}

func (s *Store) say(format string, args ...any) {
	if s.Say != nil {
		s.Say(format, args...)
	}
}

// BuildError is a build of an image that failed; nothing of it is left.
type BuildError struct{ Err error }

func (e *BuildError) Error() string { return "build guest image: " + e.Err.Error() }
func (e *BuildError) Unwrap() error { return e.Err }

// Get returns the image of a recipe, built now if there is none or if the one
// that is there is half built or damaged. Two processes that want the same image
// build it once.
func (s *Store) Get(ctx context.Context, recipe *Recipe) (*Image, error) {
	id, err := recipe.Hash()
	if err != nil {
		return nil, err
	}
	dir, err := s.path(id)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("keep guest images: %w", err)
	}
	unlock, err := s.lock(ctx, dir+".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	img, err := open(dir)
	switch {
	case err == nil:
		return img, nil
	case errors.Is(err, fs.ErrNotExist):
		s.say("guest image %s: not built yet", id)
	default:
		s.say("guest image %s is built again: %v", id, err)
		if err := os.RemoveAll(dir); err != nil {
			return nil, fmt.Errorf("remove damaged guest image: %w", err)
		}
	}
	if err := s.build(ctx, recipe, id, dir); err != nil {
		return nil, &BuildError{err}
	}
	return open(dir)
}

// Find returns the image of a recipe if it is there and sound, else an error
// that says what is wrong with it; fs.ErrNotExist where it was never built.
func (s *Store) Find(recipe *Recipe) (*Image, error) {
	id, err := recipe.Hash()
	if err != nil {
		return nil, err
	}
	dir, err := s.path(id)
	if err != nil {
		return nil, err
	}
	return open(dir)
}

// path is the folder of an image, absolute: programs run in other folders use it.
func (s *Store) path(id string) (string, error) {
	dir, err := filepath.Abs(filepath.Join(s.Dir, id))
	if err != nil {
		return "", fmt.Errorf("keep guest images: %w", err)
	}
	return dir, nil
}

// lock takes an exclusive flock(2) on path, saying so when it has to wait.
func (s *Store) lock(ctx context.Context, path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock guest image: %w", err)
	}
	for told := false; ; told = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock guest image: %w", err)
		}
		if !told {
			s.say("another process builds or checks this guest image: waiting for it")
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for the guest image of another process: %w", context.Cause(ctx))
		case <-time.After(200 * time.Millisecond):
		}
	}
}
