package report

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLayout(t *testing.T) {
	l := Layout{Root: filepath.Join(t.TempDir(), "new", "reports")}
	if _, err := l.Latest(); err == nil {
		t.Error("a report was found where there is none")
	}
	if ids, err := l.Runs(); err != nil || len(ids) != 0 {
		t.Errorf("got %v, %v", ids, err)
	}
	first, second := NewRunID(start), NewRunID(start.Add(time.Second))
	if !strings.HasPrefix(first, "20261122-223501-") || len(first) != 20 {
		t.Errorf("got %s", first)
	}
	for _, id := range []string{first, second} {
		dir, err := l.Create(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Publish(id); err != nil {
			t.Fatal(err)
		}
		got, err := l.Latest()
		if want, _ := filepath.EvalSymlinks(dir); err != nil || got != want {
			t.Errorf("got %s, %v", got, err)
		}
		if to, err := os.Readlink(filepath.Join(l.Root, "latest")); err != nil || to != id {
			t.Errorf("latest points to %s, %v", to, err)
		}
	}
	if _, err := l.Create(second); err == nil {
		t.Error("a run's folder was taken twice")
	}
	if _, err := l.Create("../x"); err == nil {
		t.Error("a bad id was taken")
	}
	if ids, err := l.Runs(); err != nil || !slices.Equal(ids, []string{first, second}) {
		t.Errorf("got %v, %v", ids, err)
	}
	link := filepath.Join(l.Root, "latest")
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(link, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := l.Publish(first); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("got %v", err)
	}
}
