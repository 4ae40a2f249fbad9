package report

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// keep keeps a run of a state, so many minutes after the start.
func keepRun(t *testing.T, l Layout, minute int, s State, inputs string) *Report {
	t.Helper()
	r := passed()
	r.Run.ID = fmt.Sprintf("%s-%04x", start.Add(time.Duration(minute)*time.Minute).Format("20060102-150405"), minute)
	r.Findings[0].State, r.Run.Inputs = s, inputs
	dir, err := l.Create(r.Run.ID)
	if err == nil {
		err = Save(dir, r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHistory(t *testing.T) {
	l := Layout{Root: t.TempDir()}
	for i, s := range []State{Broken, Holds, Holds, Skipped, Broken, Holds} {
		inputs := "a"
		if i == 0 {
			inputs = "before the change"
		}
		keepRun(t, l, i, s, inputs)
	}
	// Another configuration's runs, and what is no report, are not its past.
	other := keepRun(t, l, 7, Broken, "a")
	other.Run.Config = "elsewhere"
	if err := Save(filepath.Join(l.Root, other.Run.ID), other); err != nil {
		t.Fatal(err)
	}
	damaged := keepRun(t, l, 8, Broken, "a")
	if err := os.WriteFile(filepath.Join(l.Root, damaged.Run.ID, JSONFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	now := keepRun(t, l, 9, Holds, "a")
	if err := l.Remember(now); err != nil {
		t.Fatal(err)
	}
	h := now.Findings[0].History
	if h == nil || !slices.Equal(h.Outcomes, []State{Broken, Holds, Holds, Broken, Holds, Holds}) {
		t.Fatalf("got %+v", h)
	}
	// Of four changes that could be, two were: the first was the configuration's doing.
	if h.FlakeRate != 0.5 {
		t.Errorf("flake rate %v", h.FlakeRate)
	}
	for i := range 20 {
		keepRun(t, l, 20+i, Holds, "a")
	}
	last := keepRun(t, l, 50, Holds, "a")
	if err := l.Remember(last); err != nil || len(last.Findings[0].History.Outcomes) != historyLength || last.Findings[0].History.FlakeRate != 0 {
		t.Errorf("got %+v, %v", last.Findings[0].History, err)
	}
	first := passed()
	if first.remember(nil); first.Findings[0].History != nil {
		t.Error("a first run has a past")
	}
}

func TestPrune(t *testing.T) {
	l := Layout{Root: t.TempDir()}
	var ids []string
	for i := range 6 {
		ids = append(ids, keepRun(t, l, i, Holds, "a").Run.ID)
	}
	if err := l.Publish(ids[0]); err != nil {
		t.Fatal(err)
	}
	release, err := Hold(filepath.Join(l.Root, ids[1]))
	if err != nil {
		t.Fatal(err)
	}
	has := func(want ...string) {
		t.Helper()
		if have, err := l.Runs(); err != nil || !slices.Equal(have, want) {
			t.Errorf("there are %v, %v; want %v", have, err, want)
		}
	}
	if removed, err := l.Prune(Bounds{Runs: 6}); err != nil || len(removed) > 0 {
		t.Errorf("removed %v, %v", removed, err)
	}
	// The latest and the one that is held stay, although they are the oldest.
	if _, err := l.Prune(Bounds{Runs: 3}); err != nil {
		t.Error(err)
	}
	has(ids[0], ids[1], ids[5])
	release()
	size, err := sizeOf(filepath.Join(l.Root, ids[5]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Prune(Bounds{Bytes: 2*size + size/2}); err != nil {
		t.Error(err)
	}
	has(ids[0], ids[5])
	if removed, err := (Layout{Root: filepath.Join(t.TempDir(), "absent")}).Prune(UsualBounds); err != nil || removed != nil {
		t.Errorf("removed %v, %v", removed, err)
	}
}

// A phase tells how long it took when it was last walked on other machines.
func TestElsewhere(t *testing.T) {
	l := Layout{Root: t.TempDir()}
	phase := func(minute int, provider string, took float64) *Report {
		r := keepRun(t, l, minute, Holds, "a")
		r.Run.Provider, r.Timeline = provider, []Span{{Name: "guest", Kind: "setup", Seconds: 1}, {Name: "phase1", Kind: "phase", Seconds: took}}
		if err := Save(filepath.Join(l.Root, r.Run.ID), r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	phase(1, "docker", 9)
	last := phase(2, "docker", 3.4)
	phase(3, "qemu", 50)
	now := phase(4, "qemu", 38)
	phase(5, "docker", 1)
	if err := l.Remember(now); err != nil {
		t.Fatal(err)
	}
	if got := now.Timeline[1].Elsewhere; len(got) != 1 || got[0] != (Elsewhere{"docker", 3.4, last.Run.ID}) {
		t.Errorf("%+v", got)
	}
	if got := now.Timeline[0].Elsewhere; got != nil {
		t.Errorf("a setup is compared: %+v", got)
	}
	text := &strings.Builder{}
	if err := Summary(text, now, "reports/x", Look{}); err != nil || !strings.Contains(text.String(), "38 s; docker 3.4 s") {
		t.Errorf("%v\n%s", err, text)
	}
}
