package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offload-e2e/harness/fault"
	"offload-e2e/harness/network"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// book is what was done to a world of toys, in order.
type book struct {
	mu    sync.Mutex
	lines []string
}

func (b *book) write(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line)
}

func (b *book) read() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.lines, ", ")
}

func (*book) LAN() *network.LAN                { return nil }
func (*book) Machine(nixos.Role) fault.Machine { return nil }

// toy is a fault that writes into the book.
type toy struct {
	name              string
	applyErr, undoErr error
	noEffect, stays   bool
	lasting, over     bool
	inForce           bool
}

func (t *toy) String() string { return t.name }
func (t *toy) Lasts() bool    { return t.lasting }
func (t *toy) Over() bool     { return t.over }

func (t *toy) Apply(_ context.Context, w fault.World) (fault.Undo, error) {
	w.(*book).write("+" + t.name)
	t.inForce = !t.noEffect
	return func(context.Context) error {
		w.(*book).write("-" + t.name)
		if t.undoErr == nil && !t.stays {
			t.inForce = false
		}
		return t.undoErr
	}, t.applyErr
}

func (t *toy) Probe(context.Context, fault.World) (bool, string, error) {
	return t.inForce, "as the toy says", nil
}

func event(at Moment, t *toy, length time.Duration) Event {
	return Event{At: at, Fault: FaultRef{Name: t.name, Fault: t}, For: length}
}

func TestTimelineBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &book{}
		started := time.Now()
		line := &Timeline{World: w, Events: []Event{
			event(Moment{}, &toy{name: "a"}, 10*time.Second),
			event(Moment{}, &toy{name: "b", over: true}, 0),
			event(Moment{Kind: AfterPhase, Phase: 3}, &toy{name: "p3"}, 0),
			event(Moment{}, &toy{name: "c"}, 0),
		}}
		if err := line.Before(t.Context(), Before, 0); err != nil {
			t.Fatal(err)
		}
		if got := w.read(); got != "+a, -a, +b, +c" {
			t.Errorf("it came to %s", got)
		}
		if took := time.Since(started); took != 10*time.Second {
			t.Errorf("the first was in force for %s", took)
		}
		if err := line.Before(t.Context(), AfterPhase, 3); err != nil || !strings.HasSuffix(w.read(), "+p3") {
			t.Errorf("after phase 3: %s, %v", w.read(), err)
		}
		if err := line.TakeBack(t.Context(), false); err != nil {
			t.Error(err)
		}
		if got := w.read(); got != "+a, -a, +b, +c, +p3, -p3, -c" {
			t.Errorf("it ended as %s: undone in reverse, each once, what is over never", got)
		}
	})
}

// Everything is undone in reverse order, also after one that cannot be, and all
// errors are told.
func TestTimelineTakesBackAfterFailures(t *testing.T) {
	one, two := errors.New("the first stays"), errors.New("half-way")
	w := &book{}
	line := &Timeline{World: w, Events: []Event{
		event(Moment{}, &toy{name: "a", undoErr: one}, 0),
		event(Moment{}, &toy{name: "b"}, 0),
		event(Moment{}, &toy{name: "c", applyErr: two}, 0),
		event(Moment{}, &toy{name: "d"}, 0),
	}}
	if err := line.Before(t.Context(), Before, 0); !errors.Is(err, two) {
		t.Errorf("applying says %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := line.TakeBack(ctx, false)
	cancel()
	if !errors.Is(err, one) || !strings.Contains(err.Error(), `undo "a"`) {
		t.Errorf("undoing says %v", err)
	}
	if got := w.read(); got != "+a, +b, +c, -c, -b, -a" {
		t.Errorf("it went %s", got)
	}
}

func TestTimelineLeavesWhatARestoreUndoes(t *testing.T) {
	w := &book{}
	line := &Timeline{World: w, Events: []Event{
		event(Moment{}, &toy{name: "cable", lasting: true}, 0),
		event(Moment{}, &toy{name: "file"}, 0),
	}}
	if err := errors.Join(line.Before(t.Context(), Before, 0), line.TakeBack(t.Context(), true), line.TakeBack(t.Context(), true)); err != nil {
		t.Fatal(err)
	}
	if got := w.read(); got != "+cable, +file, -cable" {
		t.Errorf("it went %s", got)
	}
}

func TestTimelineProves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var notSeen *fault.NotSeenError
		line := &Timeline{World: &book{}, Events: []Event{event(Moment{}, &toy{name: "nothing", noEffect: true}, 0)}}
		if err := line.Before(t.Context(), Before, 0); !errors.As(err, &notSeen) || !notSeen.Want {
			t.Errorf("a fault without effect: %v", err)
		}
		line = &Timeline{World: &book{}, Events: []Event{event(Moment{}, &toy{name: "sticky", stays: true}, 0)}}
		if err := line.Before(t.Context(), Before, 0); err != nil {
			t.Fatal(err)
		}
		if err := line.TakeBack(t.Context(), false); !errors.As(err, &notSeen) || notSeen.Want || !strings.Contains(err.Error(), "as the toy says") {
			t.Errorf("a fault that stays: %v", err)
		}
	})
}

func TestTimelineMoments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &book{}
		accepted := make(chan struct{})
		wait := func(ctx context.Context, m Moment) error {
			switch m.Kind {
			case AfterTime:
				return sleep(ctx, m.Time)
			case Accepted:
				select {
				case <-accepted:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			<-ctx.Done()
			return ctx.Err()
		}
		line := &Timeline{World: w, Wait: wait, Events: []Event{
			event(Moment{}, &toy{name: "first"}, 0),
			event(Moment{Kind: AfterTime, Time: 5 * time.Second}, &toy{name: "later"}, 10*time.Second),
			event(Moment{Kind: Accepted}, &toy{name: "built"}, 0),
			event(Moment{Kind: AfterNAR, Bytes: 1 << 20}, &toy{name: "never"}, 0),
		}}
		if err := line.Before(t.Context(), Before, 0); err != nil {
			t.Fatal(err)
		}
		line.Begin(t.Context())
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{time.Second, "+first"}, {5 * time.Second, "+first, +later"}, {10 * time.Second, "+first, +later, -later"}} {
			time.Sleep(step.after)
			synctest.Wait()
			if got := w.read(); got != step.want {
				t.Errorf("it has come to %s, not %s", got, step.want)
			}
		}
		close(accepted)
		synctest.Wait()
		if got := w.read(); !strings.HasSuffix(got, "+built") {
			t.Errorf("the builder has accepted, and it came to %s", got)
		}
		if err := line.End(); err == nil || !strings.Contains(err.Error(), `"when 1 MiB of a NAR has passed" never came`) {
			t.Errorf("the end says %v", err)
		}
		if err := line.TakeBack(t.Context(), false); err != nil {
			t.Error(err)
		}
		if got := w.read(); got != "+first, +later, -later, +built, -built, -first" {
			t.Errorf("it ended as %s", got)
		}
	})
}

// A cancelled trial undoes what is in force, and begins nothing more.
func TestTimelineCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &book{}
		ctx, cancel := context.WithCancel(t.Context())
		line := &Timeline{World: w, Wait: func(ctx context.Context, m Moment) error { return sleep(ctx, m.Time) }, Events: []Event{
			event(Moment{Kind: AfterTime, Time: time.Second}, &toy{name: "a"}, time.Hour),
			event(Moment{Kind: AfterTime, Time: time.Minute}, &toy{name: "b"}, 0),
		}}
		line.Begin(ctx)
		time.Sleep(2 * time.Second)
		cancel()
		if err := line.TakeBack(context.WithoutCancel(ctx), true); err == nil {
			t.Error("a moment that never came is not told")
		}
		if err := line.TakeBack(context.WithoutCancel(ctx), false); err != nil {
			t.Error(err)
		}
		if got := w.read(); got != "+a, -a" {
			t.Errorf("it went %s", got)
		}
	})
}

func TestJudge(t *testing.T) {
	found := func(name, code string, layer report.Layer) report.Finding {
		return report.Finding{Check: name, Family: name[:2], Machine: "laptop", State: report.Broken, Diagnosis: &report.Diagnosis{Code: code, Layer: layer, Sentence: "so"}}
	}
	holds := report.Finding{Check: "EV.builders", Family: "EV", Machine: "laptop", State: report.Holds}
	bare := report.Finding{Check: "HG.x", Family: "HG", Machine: "laptop", State: report.Broken}
	unknown := report.Finding{Check: "CH.hit", Family: "CH", State: report.Errored, Reason: "no answer"}
	own := found("EV.builders", "builder.not-configured", report.Evaluation)
	other := found("PT.cache", "cache.port-filtered", report.Port)
	expect := func(then Then) Scenario { return Scenario{ID: "X", Then: then} }
	one := expect(Then{Check: CheckRef{Name: "EV.builders"}, Diagnosis: "builder.not-configured"})
	two := expect(Then{Diagnoses: []string{"builder.not-configured", "cache.port-filtered"}})
	also := expect(Then{Check: CheckRef{Name: "EV.builders"}, Diagnosis: "builder.not-configured", Also: []string{"cache.port-filtered"}})
	hold := expect(Then{Hold: Hold{All: true}})
	for name, c := range map[string]struct {
		s        Scenario
		findings []report.Finding
		want     string
		detail   string
	}{
		"caught":                   {one, []report.Finding{own}, report.Caught, ""},
		"missed":                   {one, []report.Finding{holds}, report.Missed, "EV.builders holds, and should have broken"},
		"another broke":            {one, []report.Finding{holds, other}, report.WrongDiagnosis, "cache.port-filtered on the laptop (PT.cache): so"},
		"another cause":            {one, []report.Finding{found("EV.builders", "builder.no-slots", report.Evaluation)}, report.WrongDiagnosis, "builder.not-configured is not what is blamed"},
		"more broke":               {one, []report.Finding{own, other}, report.FalseAlarm, "cache.port-filtered"},
		"more broke by nature":     {also, []report.Finding{own, other}, report.Caught, ""},
		"broke without a reason":   {one, []report.Finding{own, bare}, report.FalseAlarm, "HG.x broke, and nothing says why"},
		"one could not be made":    {one, []report.Finding{own, unknown}, report.NotKnown, "CH.hit could not be made: no answer"},
		"both":                     {two, []report.Finding{other, own}, report.Caught, ""},
		"one of both":              {two, []report.Finding{own}, report.WrongDiagnosis, "cache.port-filtered is not what is blamed"},
		"none of both":             {two, []report.Finding{holds}, report.Missed, ""},
		"holds":                    {hold, []report.Finding{holds}, report.Held, ""},
		"should hold":              {hold, []report.Finding{own}, report.NotHeld, "builder.not-configured on the laptop"},
		"should hold, not known":   {hold, []report.Finding{holds, unknown}, report.NotKnown, "no answer"},
		"should hold, no reason":   {hold, []report.Finding{bare}, report.NotHeld, "HG.x broke"},
		"made with a parameter":    {expect(Then{Check: CheckRef{Name: "EV"}, Diagnosis: "builder.not-configured"}), []report.Finding{found("EV-kvm", "builder.not-configured", report.Evaluation)}, report.Caught, ""},
		"nothing was found at all": {one, nil, report.Missed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.s.Judge(c.findings)
			if o.Result != c.want || !strings.Contains(o.Detail, c.detail) || o.Good() && o.Detail != "" {
				t.Errorf("%s: %q, not %s: %q", o.Result, o.Detail, c.want, c.detail)
			}
		})
	}
}

func TestMatrix(t *testing.T) {
	m := &report.Matrix{Scenarios: []report.Outcome{{Result: report.Caught, Seconds: 9}, {Result: report.Held, Seconds: 1}, {Result: report.Missed, Seconds: 2},
		{Result: report.NotTried, Seconds: 100}, {Result: report.NotKnown, Seconds: 4}}}
	m.Conclude()
	if got := fmt.Sprint(m.Passed, m.Failed, m.Skipped, m.MedianSeconds); got != "2 2 1 3" {
		t.Errorf("counted %s", got)
	}
	dir := t.TempDir()
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	back, err := report.LoadOutcomes(dir)
	if err != nil || !slices.EqualFunc(back, m.Scenarios, func(a, b report.Outcome) bool { return a.Result == b.Result && a.Seconds == b.Seconds }) {
		t.Errorf("read back: %v, %v", back, err)
	}
}
