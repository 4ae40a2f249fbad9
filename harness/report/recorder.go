package report

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Recorder collects what a run finds, from any goroutine, and makes the report.
type Recorder struct {
	mu       sync.Mutex
	now      func() time.Time
	run      Run
	findings []Finding
	disagree []Disagreement
	errors   []RunError
	spans    []*openSpan
}

type openSpan struct {
	Span
	ended bool
}

// NewRecorder begins a run; Run.Started, where zero, is now.
func NewRecorder(run Run) *Recorder { return newRecorder(run, time.Now) }

func newRecorder(run Run, now func() time.Time) *Recorder {
	if run.Started.IsZero() {
		run.Started = now()
	}
	return &Recorder{run: run, now: now}
}

// EditRun changes what is known of the run, as when its guest is chosen.
func (r *Recorder) EditRun(edit func(*Run)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	edit(&r.run)
}

// AddFinding records what a check found.
func (r *Recorder) AddFinding(f Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.findings = append(r.findings, f)
}

// AddDisagreement records a command that said otherwise than was proved.
func (r *Recorder) AddDisagreement(d Disagreement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disagree = append(r.disagree, d)
}

// AddError records what kept the run from a verdict.
func (r *Recorder) AddError(e RunError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, e)
}

// Span begins a stretch of the time line now; the function it gives ends it.
func (r *Recorder) Span(name, kind, parent string) func() {
	return r.StartSpan(Span{Name: name, Kind: kind, Parent: parent})
}

// StartSpan is Span with a machine or a budget. Started, where zero, is now.
func (r *Recorder) StartSpan(s Span) func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Started.IsZero() {
		s.Started = r.now()
	}
	open := &openSpan{Span: s}
	r.spans = append(r.spans, open)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !open.ended {
			open.ended = true
			open.Seconds = r.now().Sub(open.Started).Seconds()
		}
	}
}

// Findings are those recorded so far.
func (r *Recorder) Findings() []Finding {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.findings)
}

// Report is the run as it stands: verdict, root causes, and, for spans that
// have not ended, the time until now. It may be called while a run goes on.
func (r *Recorder) Report() *Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &Report{Schema: Schema, Run: r.run, Findings: slices.Clone(r.findings),
		Disagreements: slices.Clone(r.disagree), Errors: slices.Clone(r.errors)}
	if out.Run.Ended.IsZero() {
		out.Run.Ended = r.now()
	}
	for _, s := range r.spans {
		span := s.Span
		if !s.ended {
			span.Seconds = r.now().Sub(span.Started).Seconds()
		}
		out.Timeline = append(out.Timeline, span)
	}
	slices.SortStableFunc(out.Timeline, func(a, b Span) int {
		// The parent before its first child.
		return cmp.Or(a.Started.Compare(b.Started), -cmp.Compare(a.Seconds, b.Seconds))
	})
	out.Promises = promises(out.Findings)
	out.RootCauses = Rank(out.Findings)
	out.Verdict = Judge(out)
	return out.filled()
}
