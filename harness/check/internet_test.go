package check

import (
	"strings"
	"testing"

	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// What the internet's cache serves holds; who may not ask it, or has none that is ours
// to fill, is told so.
func TestInternetHit(t *testing.T) {
	w, o := newWorld(t), &origin{}
	if f := w.bench.Run(t.Context(), InternetHit()); f.State != report.Skipped {
		t.Errorf("without an internet: %s %+v", f.State, f.Diagnosis)
	}
	w.bench.Origin = o
	w.laptop.does("timeout * nix-store --realise *", func(argv []string) provider.Result {
		o.fetched = append(o.fetched, argv[len(argv)-1])
		return out("")
	})
	if f := w.bench.Run(t.Context(), InternetHit()); f.State != report.Holds || len(o.fetched) != 1 || o.fetched[0] != o.added[0] {
		t.Errorf("%s %s %+v, fetched %q of %q", f.State, f.Reason, f.Diagnosis, o.fetched, o.added)
	}
	w.laptopNix = with(w.laptopNix, "substituters", []string{"http://192.168.15.7:5000"})
	if f := w.bench.Run(t.Context(), InternetHit()); f.State != report.Skipped || !strings.Contains(f.Reason, "cache.nixos.org") {
		t.Errorf("not asked for: %s %q", f.State, f.Reason)
	}
}
