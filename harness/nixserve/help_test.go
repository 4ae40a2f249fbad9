package nixserve_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"offload-e2e/harness/nixserve"
)

// syncBuffer is a log that a server writes while a test reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// wait waits for a condition that another goroutine brings about.
func wait(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("waited 20 s in vain for %s", what)
		case <-tick.C:
		}
	}
}

// lastAccess is the latest request of a URL in a log, or a zero one.
func lastAccess(t testing.TB, log *syncBuffer, url string) (last nixserve.Access) {
	t.Helper()
	accesses, err := nixserve.ParseAccessLog(strings.NewReader(log.String()))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accesses {
		if strings.HasSuffix(url, a.Path) {
			last = a
		}
	}
	return last
}
