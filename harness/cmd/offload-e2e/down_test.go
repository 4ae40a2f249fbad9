package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// down takes the stage's lab down and returns what is said.
func (s stage) down(patience time.Duration) string {
	s.t.Helper()
	var said strings.Builder
	d := takeDown{paths: s.paths, say: sayTo(&said), patience: patience, every: 5 * time.Millisecond}
	must(s.t, d.run(s.t.Context()))
	return said.String()
}

func (s stage) writeLock(h holder) {
	s.t.Helper()
	must(s.t, s.makeState())
	text, err := json.Marshal(h)
	must(s.t, err)
	must(s.t, os.WriteFile(s.lockFile(), text, 0o600))
}

func TestDownWithoutALab(t *testing.T) {
	s := newStage(t)
	for range 2 {
		if said := s.down(time.Second); said != "No lab is up.\n" {
			t.Errorf("it says %q", said)
		}
	}
	if exists(s.State) {
		t.Error("it makes a state folder to find nothing in")
	}
}

func TestDownAsksTheHolder(t *testing.T) {
	s := newStage(t)
	cmd := s.start("worker:alone")
	contains(t, s.down(time.Minute), "(offload-e2e up)", "The lab is down.")
	if status := exitCode(t, cmd); status != exitInfra {
		t.Errorf("the holder ends with %d: it was not asked, but killed", status)
	}
	s.nothingLeft()
}

func TestDownKillsAHolderThatIsStuck(t *testing.T) {
	s := newStage(t)
	cmd := s.start("worker:alone-stuck")
	contains(t, s.down(50*time.Millisecond), "killing it", "The lab is down.")
	if status := exitCode(t, cmd); status != -1 {
		t.Errorf("the holder ends with %d", status)
	}
	s.nothingLeft()
}

// A number given to another process since must not be its end.
func TestDownSparesStrangers(t *testing.T) {
	stranger := exec.Command("sleep", "1000")
	must(t, stranger.Start())
	t.Cleanup(func() { _ = stranger.Process.Kill(); _ = stranger.Wait() })
	start, err := processStart(stranger.Process.Pid)
	must(t, err)

	s := newStage(t)
	s.writeLock(holder{PID: stranger.Process.Pid, Start: start - 1, Verb: "up"})
	must(t, os.Mkdir(s.labDir(), 0o700))
	contains(t, s.down(time.Second), "No lab was up", "is removed")
	if exists(s.labDir()) {
		t.Error("what a killed process left is left")
	}

	// Nobody holds the lock of a process that runs but holds no lab.
	s.writeLock(holder{PID: stranger.Process.Pid, Start: start, Verb: "up"})
	contains(t, s.down(time.Second), "No lab is up")

	// The lock is held, and names another.
	h, err := s.hold("up")
	must(t, err)
	defer h.release()
	s.writeLock(holder{PID: stranger.Process.Pid, Start: start - 1, Verb: "up"})
	d := takeDown{paths: s.paths, say: t.Logf, patience: 20 * time.Millisecond, every: time.Millisecond}
	contains(t, explain(d.run(t.Context())).Text(), "cannot be taken down", "fuser")
	if _, err := processStart(stranger.Process.Pid); err != nil {
		t.Errorf("the stranger is gone: %v", err)
	}
}

func TestDownAll(t *testing.T) {
	here, there, gone := newStage(t), newStage(t), newStage(t)
	there.Cache, gone.Cache = here.Cache, here.Cache
	left, err := gone.hold("up")
	must(t, err)
	left.release()
	must(t, os.RemoveAll(gone.State))
	cmd := there.start("worker:alone")
	states, err := here.everyState()
	must(t, err)
	if len(states) != 2 || states[0] != here.paths || states[1].State != there.State {
		t.Fatalf("the state folders are %v", states)
	}
	p := &paths{Root: clone(t), Cache: here.Cache, State: here.State}
	root := newRoot(p)
	var said strings.Builder
	root.SetOut(&said)
	root.SetArgs([]string{"down", "--all"})
	must(t, root.ExecuteContext(t.Context()))
	contains(t, said.String(), "No lab is up.", "The lab is down.")
	exitCode(t, cmd)
	there.nothingLeft()
	if files, _ := os.ReadDir(here.labs()); len(files) != 1 {
		t.Errorf("%d state folders are remembered, not the one there is", len(files))
	}
}
