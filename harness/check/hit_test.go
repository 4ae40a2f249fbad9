package check

import (
	"testing"
	"testing/synctest"
	"time"

	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// What a busy machine writes into its journal late is waited for.
func TestLateJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now()
		w.desktop.does("journalctl --no-pager --output=cat --unit=nix-serve.service --since *", func([]string) provider.Result {
			said := access("/"+hashPart(made)+".narinfo", 200)
			if time.Since(began) > 2*time.Second {
				said += access(narPath(), 200)
			}
			return out(said)
		})
		if f := w.bench.Run(t.Context(), CacheHit()); f.State != report.Holds {
			t.Errorf("%s %+v", f.State, f.Diagnosis)
		}
		if took := time.Since(began); took > journalDelay {
			t.Errorf("it was waited for for %s", took)
		}
	})
}
