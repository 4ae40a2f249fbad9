package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"offload-e2e/harness/provider"
)

func TestSweep(t *testing.T) {
	t.Parallel()
	l := newLab(t, sectorBundle(t), nil, "desktop", "laptop")
	left := l.pidfile(t, "desktop")
	for range 2 { // the second finds nothing
		if err := Sweep(t.Context(), l.stateDir); err != nil {
			t.Fatal(err)
		}
	}
	if left.alive() {
		t.Error("QEMU is alive after the sweep")
	}
	for _, pattern := range []string{"*/" + pidfileName, "*/*" + diskSuffix} {
		if files, _ := filepath.Glob(filepath.Join(l.stateDir, pattern)); len(files) > 0 {
			t.Errorf("left by the sweep: %v", files)
		}
	}
	// The zombie is this process's to reap, which takes a moment.
	eventually(t, "the end is noticed", func() bool { return !l.machine("laptop").Running() })
	if _, err := l.machine("laptop").Exec(t.Context(), provider.Cmd("true")); !errors.Is(err, ErrOff) {
		t.Errorf("exec on a machine swept away: %v", err)
	}
	if err := Sweep(t.Context(), "/nonexistent"); err != nil {
		t.Errorf("sweep of nothing: %v", err)
	}
}

// A number given to another process since must not be its death.
func TestSweepSparesStrangers(t *testing.T) {
	t.Parallel()
	stranger := exec.Command("sleep", "1000")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Process.Kill(); _ = stranger.Wait() })
	dir := filepath.Join(t.TempDir(), "a [b]* ?")
	file := filepath.Join(dir, "desktop", pidfileName)
	mustDo(t, os.MkdirAll(filepath.Dir(file), 0o700))
	mustDo(t, writePidfile(file, "desktop", stranger.Process.Pid))
	for name, change := range map[string]func(*pidfile){
		"started at another time": func(p *pidfile) { p.Start-- },
		"of another boot":         func(p *pidfile) { p.Boot = "x" },
		"of init":                 func(p *pidfile) { p.PID = 1 },
	} {
		p := readPidfileOf(t, stranger.Process.Pid)
		change(&p)
		b, err := json.Marshal(p)
		mustDo(t, err)
		mustDo(t, os.WriteFile(file, b, 0o600))
		if err := Sweep(t.Context(), dir); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the pid file is left: %v", name, err)
		}
	}
	mustDo(t, os.WriteFile(file, []byte("{"), 0o600))
	if err := Sweep(t.Context(), dir); err != nil {
		t.Errorf("a damaged pid file: %v", err)
	}
	if _, err := startTime(stranger.Process.Pid); err != nil {
		t.Errorf("the stranger is gone: %v", err)
	}
}

func readPidfileOf(t *testing.T, pid int) pidfile {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pid")
	mustDo(t, writePidfile(file, "desktop", pid))
	return readPidfile(t, file)
}

// labVariable makes this test binary a program that holds a lab in the folder
// it names, until it is killed.
const labVariable = "QEMU_TEST_HOLDS_LAB_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(labVariable); dir != "" {
		if err := holdLab(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func holdLab(dir string) error {
	ends := &cableEnds{dir: dir, all: map[string]net.Listener{}}
	p, err := New(Options{
		Bundle: Bundle{Disk: filepath.Join(dir, "base.img"), DiskFormat: "raw", ID: "sector"},
		Cables: ends.cables,
		Transport: func(machine string) (provider.Transport, error) {
			return &consoleTransport{console: filepath.Join(dir, "state", machine, "console.log")}, nil
		},
	})
	if err != nil {
		return err
	}
	if _, err := p.Create(context.Background(), testRequest(filepath.Join(dir, "state"), "desktop", "laptop")); err != nil {
		return err
	}
	fmt.Println("up")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func TestNoMachineOutlivesItsKilledProcess(t *testing.T) {
	t.Parallel()
	b := sectorBundle(t)
	dir, err := os.MkdirTemp("", "held")
	mustDo(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	mustDo(t, linkFile(b.Disk, filepath.Join(dir, "base.img")))
	holder := exec.Command(os.Args[0]) //nolint:gosec // this very binary
	holder.Env = append(os.Environ(), labVariable+"="+dir)
	stdin, err := holder.StdinPipe()
	mustDo(t, err)
	defer func() { _ = stdin.Close() }()
	stdout, err := holder.StdoutPipe()
	mustDo(t, err)
	mustDo(t, holder.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "up\n" {
		_ = holder.Process.Kill()
		t.Fatalf("the holder says %q, %v", line, err)
	}
	var left []pidfile
	for _, name := range []string{"desktop", "laptop"} {
		p := readPidfile(t, filepath.Join(dir, "state", name, pidfileName))
		if !p.alive() {
			t.Errorf("%s is not running", name)
		}
		left = append(left, p)
	}
	mustDo(t, holder.Process.Kill())
	_ = holder.Wait()
	for _, p := range left {
		eventually(t, "QEMU of "+p.Machine+" ends with its process", func() bool { return !p.alive() })
	}
	mustDo(t, Sweep(t.Context(), filepath.Join(dir, "state")))
	if files, _ := filepath.Glob(filepath.Join(dir, "state", "*", "*"+diskSuffix)); len(files) > 0 {
		t.Errorf("disks left: %v", files)
	}
}

// Whatever started it, a machine must not die with a thread of this process.
func TestMachineOutlivesThreads(t *testing.T) {
	t.Parallel()
	l := newLauncher()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = parentDeathSignal()
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		if err := l.start(cmd); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	for range 20 {
		wg.Go(func() { runtime.LockOSThread() })
	}
	wg.Wait()
	if _, err := startTime(cmd.Process.Pid); err != nil {
		t.Fatalf("the process died with a thread: %v", err)
	}
	// It dies with the launcher, which is the proof that the signal is set.
	l.close()
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("after the launcher's end: %v", err)
	}
	if err := l.start(exec.Command("true")); !errors.Is(err, errClosed) {
		t.Errorf("start by a closed launcher: %v", err)
	}
}
