package report

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// clock is one that a test turns.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func TestRecorder(t *testing.T) {
	c := &clock{t: start}
	r := newRecorder(Run{ID: "x"}, c.now)
	r.EditRun(func(run *Run) { run.Provider = "qemu" })
	endPhase := r.StartSpan(Span{Name: "phase 1", Kind: "phase", Budget: 20})
	endStep := r.Span("switch", "step", "phase 1")
	c.add(3 * time.Second)
	endStep()
	c.add(time.Second)
	endStep() // once is enough
	r.Span("never ends", "step", "phase 1")
	r.AddFinding(broken(t, "laptop CH.hit cache.key-name")[0])
	r.AddDisagreement(Disagreement{Check: "CH.hit"})
	c.add(time.Second)
	got := r.Report()
	if got.Verdict != Fail || len(got.RootCauses) != 1 || got.Run.Provider != "qemu" || got.Run.Started != start || got.Run.Ended != start.Add(5*time.Second) {
		t.Errorf("got %+v", got)
	}
	var took []float64
	for _, s := range got.Timeline {
		took = append(took, s.Seconds)
	}
	if !slices.Equal(took, []float64{5, 3, 1}) || got.Timeline[0].Budget != 20 {
		t.Errorf("got %+v", got.Timeline)
	}
	endPhase()
	r.AddError(RunError{Heading: "no"})
	if again := r.Report(); again.Verdict != Error || len(got.Errors) != 0 {
		t.Errorf("got %+v", again)
	}
}

func TestRecorderIsConcurrent(t *testing.T) {
	r := NewRecorder(Run{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			end := r.Span("s", "step", "")
			r.AddFinding(Finding{State: Holds})
			r.AddDisagreement(Disagreement{})
			r.Report()
			end()
		})
	}
	wg.Wait()
	if got := r.Report(); len(got.Findings) != 50 || len(got.Timeline) != 50 || len(r.Findings()) != 50 {
		t.Errorf("%d findings, %d spans", len(got.Findings), len(got.Timeline))
	}
}
