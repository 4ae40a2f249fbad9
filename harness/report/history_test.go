package report

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
