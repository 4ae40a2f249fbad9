package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roleVariable makes this test binary another program: a supervisor, or a worker
// whose lab is a process that sleeps.
const roleVariable = "OFFLOAD_E2E_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	p := &paths{State: os.Getenv(stateVariable), Cache: os.Getenv(cacheVariable)}
	if len(os.Args) == 2 && os.Args[1] == reapVerb {
		os.Exit(tell(os.Stderr, p.reap(os.Stdin)))
	}
	if role == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	if body, ok := strings.CutPrefix(role, "supervisor:"); ok {
		os.Setenv(roleVariable, "worker:"+body)
		os.Exit(tell(os.Stderr, p.superviseSelf(ctx, nil, os.Stdout, os.Stderr)))
	}
	os.Exit(fakeWorker(ctx, p, strings.TrimPrefix(role, "worker:")))
}

// fakeWorker has the life of a worker, with a lab that costs nothing.
func fakeWorker(ctx context.Context, p *paths, body string) int {
	if status, err := strconv.Atoi(body); err == nil {
		return status
	}
	var s *supervisor
	if body != "alone" && body != "alone-stuck" {
		s = attach(supervisorFD, p.workerLog())
	}
	asked := make(chan os.Signal, 1)
	if body == "late" {
		signal.Notify(asked, syscall.SIGTERM)
	}
	if body == "alone-stuck" {
		signal.Ignore(syscall.SIGTERM)
	}
	held, err := p.hold("up")
	if err != nil {
		return tell(os.Stderr, err)
	}
	defer held.release()
	// As QEMU: it ends with the thread that started it.
	runtime.LockOSThread()
	machine := exec.Command("sleep", "1000")
	machine.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := machine.Start(); err != nil {
		return tell(os.Stderr, err)
	}
	defer func() { _ = machine.Process.Kill(); _ = machine.Wait() }()
	if err := os.WriteFile(filepath.Join(p.State, "machine"), []byte(strconv.Itoa(machine.Process.Pid)), 0o600); err != nil {
		return tell(os.Stderr, err)
	}
	fmt.Println("up")
	switch body {
	case "late":
		<-asked // and yet the lab comes up
		if err := s.keep(context.Background(), 0); !errors.Is(err, errNotKept) {
			fmt.Println("it may stay:", err)
			return exitOK
		}
		return 4
	case "keep":
		if err := s.keep(ctx, 7); err != nil {
			return tell(os.Stderr, err)
		}
		fmt.Println("staying")
	}
	<-ctx.Done()
	return exitInfra
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// stage is a state folder and what runs in it.
type stage struct {
	*paths
	t *testing.T
}

func newStage(t *testing.T) stage {
	t.Helper()
	return stage{&paths{State: filepath.Join(t.TempDir(), "state"), Cache: filepath.Join(t.TempDir(), "cache")}, t}
}

// start starts this binary in a role, and waits until its lab is up.
func (s stage) start(role string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, stateVariable+"="+s.State, cacheVariable+"="+s.Cache)
	out := filepath.Join(s.t.TempDir(), "output")
	f, err := os.Create(out)
	must(s.t, err)
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	must(s.t, cmd.Start())
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = s.holder().signal(syscall.SIGKILL)
	})
	s.until(role+" is up", func() bool {
		text, _ := os.ReadFile(out)
		return bytes.Contains(text, []byte("up\n"))
	})
	return cmd
}

func (s stage) until(what string, is func() bool) {
	s.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline:
			s.t.Fatalf("it never came to this: %s", what)
		case <-tick.C:
		}
	}
}

// machine reports whether the process runs that stands for machines.
func (s stage) machine() bool {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.State, "machine"))
	must(s.t, err)
	pid, err := strconv.Atoi(string(text))
	must(s.t, err)
	_, err = processStart(pid)
	return err == nil
}

// nothingLeft waits until no process is left, nor the lab's folder.
func (s stage) nothingLeft() {
	s.t.Helper()
	who := s.holder()
	s.until("no process is left", func() bool { return !who.alive() && !s.machine() })
	if exists(s.labDir()) {
		s.t.Error("the lab's folder is left")
	}
}

func exitCode(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

func TestAWorkersStatusIsTheSupervisors(t *testing.T) {
	s := newStage(t)
	for status, want := range map[string]error{"0": nil, "5": exitStatus(5)} {
		t.Setenv(roleVariable, "worker:"+status)
		if err := s.superviseSelf(t.Context(), nil, os.Stdout, os.Stderr); err != want { //nolint:errorlint // it is not wrapped
			t.Errorf("status %s is %v", status, err)
		}
	}
}

func TestAKeptLabStays(t *testing.T) {
	s := newStage(t)
	if status := exitCode(t, s.start("supervisor:keep")); status != 7 {
		t.Errorf("the supervisor ends with %d, not with what the worker said", status)
	}
	if !s.holder().alive() || !s.machine() {
		t.Fatal("the lab does not outlive the supervisor")
	}
	_, err := s.hold("run")
	contains(t, explain(err).Text(), "Another lab is up", fmt.Sprintf("Process %d (offload-e2e up)", s.holder().PID), "down")
	s.until("the worker writes to its log", func() bool {
		text, _ := os.ReadFile(s.workerLog())
		return string(text) == "staying\n"
	})
	contains(t, s.down(time.Minute), "Taking down the lab of process", "The lab is down.")
	s.nothingLeft()
}

func TestNoLabOutlivesAKilledSupervisor(t *testing.T) {
	s := newStage(t)
	supervisor := s.start("supervisor:wait")
	must(t, supervisor.Process.Kill())
	_ = exitCode(t, supervisor)
	s.until("the worker ends", func() bool { return !exists(s.labDir()) })
	s.nothingLeft()
}

func TestNoLabOutlivesAKilledWorker(t *testing.T) {
	s := newStage(t)
	supervisor := s.start("supervisor:wait")
	must(t, s.holder().signal(syscall.SIGKILL))
	if status := exitCode(t, supervisor); status != exitInfra {
		t.Errorf("the supervisor ends with %d", status)
	}
	s.nothingLeft()
}

func TestAKilledKeptWorkerIsSweptByItsReaper(t *testing.T) {
	s := newStage(t)
	exitCode(t, s.start("supervisor:keep"))
	must(t, s.holder().signal(syscall.SIGKILL))
	s.until("the lab's folder is gone", func() bool { return !exists(s.labDir()) })
	s.nothingLeft()
}

// Who comes while a reaper is at work waits for it.
func TestAKilledKeptWorkerIsSweptByTheNext(t *testing.T) {
	s := newStage(t)
	exitCode(t, s.start("supervisor:keep"))
	who := s.holder()
	must(t, who.signal(syscall.SIGKILL))
	s.until("the signal has arrived", func() bool { return !who.alive() })
	h, err := s.hold("run")
	must(t, err)
	defer h.release()
	if files, _ := os.ReadDir(h.dir); len(files) > 0 {
		t.Errorf("the next lab finds %v", files)
	}
	s.until("the machine ends", func() bool { return !s.machine() })
}

func TestSignalsArePassedOn(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		s := newStage(t)
		supervisor := s.start("supervisor:wait")
		must(t, supervisor.Process.Signal(sig))
		if status := exitCode(t, supervisor); status != exitInfra {
			t.Errorf("%v: the supervisor ends with %d, not with the worker's status", sig, status)
		}
		s.nothingLeft()
	}
}

// A lab that comes up while its supervisor is asked to end does not stay.
func TestALabThatComesTooLateDoesNotStay(t *testing.T) {
	s := newStage(t)
	supervisor := s.start("supervisor:late")
	must(t, supervisor.Process.Signal(syscall.SIGINT))
	if status := exitCode(t, supervisor); status != 4 {
		t.Errorf("the supervisor ends with %d, not with the worker's status", status)
	}
	s.nothingLeft()
}
