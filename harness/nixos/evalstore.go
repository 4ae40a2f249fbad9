package nixos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// prepareStore lets one evaluation make the store and the others wait: Nix locks
// its database, but two that make it at once leave it broken. release says whether
// Nix ran to its end: the store is made then.
func prepareStore(ctx context.Context, store string) (release func(made bool), err error) {
	mark := filepath.Join(store, "made")
	isMade := func() bool {
		_, err := os.Stat(mark)
		return err == nil
	}
	if isMade() {
		return func(bool) {}, nil
	}
	lock, err := os.OpenFile(store+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the evaluation's store: %w", err)
	}
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			lock.Close()
			return nil, fmt.Errorf("lock the evaluation's store: %w", err)
		}
		select {
		case <-ctx.Done():
			lock.Close()
			return nil, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if isMade() {
		lock.Close()
		return func(bool) {}, nil
	}
	return func(made bool) {
		if made {
			// Without it the next one waits again, and that is all.
			_ = os.WriteFile(mark, nil, 0o644)
		}
		lock.Close()
	}, nil
}
