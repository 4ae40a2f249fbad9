package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
)

// A lab lives in the process that made it: its network does, and its machines end
// with it. So a lab that is to stay up is made by a worker, a process of its own
// session, for a supervisor that has the terminal. A socket joins them:
//
//   - while it is open, the worker has somebody to work for; at its end, however
//     the supervisor came to it, the worker takes everything down;
//   - the worker says on it that the lab stays, and with which exit status the
//     supervisor is to end; only when the supervisor has agreed does it stay.
//
// A worker that does not say so ends with the exit status that is the supervisor's.

// kept is what a worker says of a lab that stays.
type kept struct {
	Exit int `json:"exit"`
}

// Answers of the supervisor.
const (
	agreed  = 'y'
	refused = 'n'
)

// supervisorFlag makes a verb a worker; its value is the socket's descriptor.
const (
	supervisorFlag = "supervisor"
	supervisorFD   = 3 // the first of exec.Cmd's ExtraFiles
)

// superviseSelf runs this program's verb in a worker.
func (p *paths) superviseSelf(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	// Not the program's path: it may have been built anew by now.
	cmd := exec.Command("/proc/self/exe", append(args, "--"+supervisorFlag+"="+strconv.Itoa(supervisorFD))...) //nolint:noctx // its end is asked for, below
	cmd.Args[0] = os.Args[0]
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := supervise(ctx, cmd)
	var killed *killedError
	if errors.As(err, &killed) {
		p.sweepLeft()
		return &userError{Heading: "The lab's process was killed", Sentence: fmt.Sprintf("Process %d, which held the machines, got a signal (%s). They ended with it.", cmd.Process.Pid, killed.signal),
			WayOut: "Nothing of it is left: start again. If memory was short, the kernel's log says so: dmesg.", Cause: err}
	}
	return err
}

// killedError is the end of a worker by a signal.
type killedError struct{ signal syscall.Signal }

func (e *killedError) Error() string { return "the worker was ended by a signal: " + e.signal.String() }

// supervise starts a worker, and waits until it has ended or keeps its lab. The
// end of ctx asks it to end. Its exit status is the error.
func supervise(ctx context.Context, cmd *exec.Cmd) error {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("start the lab's process: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "worker"), os.NewFile(uintptr(ends[1]), "supervisor")
	defer ours.Close()
	cmd.ExtraFiles = []*os.File{theirs}
	// A session of its own: it outlives the terminal, whose signals come to us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return fmt.Errorf("start the lab's process: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()

	var stays kept
	if json.NewDecoder(ours).Decode(&stays) == nil {
		answer := byte(agreed)
		if ctx.Err() != nil {
			answer = refused
		}
		if _, err := ours.Write([]byte{answer}); err == nil && answer == agreed {
			_ = cmd.Process.Release()
			return statusError(stays.Exit)
		}
	}
	err = cmd.Wait()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return &killedError{status.Signal()}
		}
		return statusError(ended.ExitCode())
	}
	return err
}

func statusError(status int) error {
	if status == exitOK {
		return nil
	}
	return exitStatus(status)
}

// supervisor is a worker's end of the socket.
type supervisor struct {
	socket *os.File
	log    string // where output goes when nobody reads it any more
	answer chan bool
}

// attach makes this process a worker. When the supervisor is gone, it sends itself
// SIGTERM, which ends suites and waits alike.
func attach(fd int, log string) *supervisor {
	syscall.CloseOnExec(fd)
	// The terminal, or whoever read our output, may be gone: that ends nothing.
	signal.Ignore(syscall.SIGPIPE)
	s := &supervisor{socket: os.NewFile(uintptr(fd), "supervisor"), log: log, answer: make(chan bool, 1)}
	go func() {
		var answer [1]byte
		n, _ := s.socket.Read(answer[:])
		s.answer <- n == 1 && answer[0] == agreed
		if n == 0 {
			_ = redirectOutput(s.log)
			_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		}
	}()
	return s
}

// errNotKept: the lab is not to stay up after all.
var errNotKept = errors.New("whoever started the lab ended before it was up")

// keep lets the supervisor end, with a status, and the lab stay. After an error
// the lab is to be taken down.
func (s *supervisor) keep(ctx context.Context, status int) error {
	if err := json.NewEncoder(s.socket).Encode(kept{status}); err != nil {
		return fmt.Errorf("%w: %w", errNotKept, err)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case yes := <-s.answer:
		if !yes {
			return errNotKept
		}
	}
	s.socket.Close()
	return redirectOutput(s.log)
}

// redirectOutput makes a file the standard output and error.
func redirectOutput(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("write a log of the lab that stays up: %w", err)
	}
	defer f.Close()
	return errors.Join(syscall.Dup3(int(f.Fd()), 1, 0), syscall.Dup3(int(f.Fd()), 2, 0))
}
