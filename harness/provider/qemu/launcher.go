package qemu

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// launcher starts processes from one operating system thread that lives as long
// as the launcher. Linux ties a parent-death signal to the *thread* that
// forked (prctl(2), PR_SET_PDEATHSIG), and the Go runtime ends threads as it
// likes: started from any other goroutine, a QEMU could die at any time.
type launcher struct {
	jobs chan func()
	done chan struct{}
	once sync.Once
}

func newLauncher() *launcher {
	l := &launcher{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		// Never unlocked: the thread ends with this goroutine, and with the
		// thread whatever it started and nobody has ended.
		runtime.LockOSThread()
		for {
			select {
			case job := <-l.jobs:
				job()
			case <-l.done:
				return
			}
		}
	}()
	return l
}

// start is cmd.Start on the launcher's thread.
func (l *launcher) start(cmd *exec.Cmd) error {
	result := make(chan error, 1)
	select {
	case l.jobs <- func() { result <- cmd.Start() }:
		return <-result
	case <-l.done:
		return errClosed
	}
}

// parentDeathSignal are the attributes of a process that ends with the
// launcher that started it.
func parentDeathSignal() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		// Ctrl-C in a terminal signals its whole process group; who ends a
		// machine, and when, is the lab's decision.
		Setpgid: true,
	}
}

// close ends the thread; every process it started must have ended before.
func (l *launcher) close() { l.once.Do(func() { close(l.done) }) }
