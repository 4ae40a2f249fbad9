package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"offload-e2e/harness/provider/qemu/qmp"
)

const (
	// startTimeout bounds the start of a QEMU until its monitor answers: some
	// 200 ms, on a host with far too few processors seconds.
	startTimeout = time.Minute
	// killTimeout bounds the end of a process after SIGKILL.
	killTimeout = 20 * time.Second
	// lastEvents bounds the wait for what a process reported before its end.
	lastEvents = 2 * time.Second
)

// process is one running QEMU, from start to death. A machine that is switched
// off and on has one after the other.
type process struct {
	machine string
	cmd     *exec.Cmd
	qmp     *qmp.Client
	logPath string

	// done is closed when the process has been reaped.
	done chan struct{}

	mu sync.Mutex
	// killed: we ended it. guestEnded: the guest switched itself off.
	killed, guestEnded bool
	// diskFault is set while QEMU has stopped the guest over its disk.
	diskFault string
	waitErr   error
}

// startSpec is what startProcess needs to know.
type startSpec struct {
	machine, binary string
	args            []string
	dir             string // the machine's folder: log and pid file
	cables          Cables
	// incoming, where set, is what QEMU reads the machine's state from. It is
	// closed in this process in any case.
	incoming *os.File
}

// startProcess starts a QEMU and waits until its monitor answers. On error
// nothing is left running.
func startProcess(ctx context.Context, l *launcher, spec startSpec) (*process, error) {
	// A cable nobody listens at is our error here; to QEMU, were it to connect
	// by itself, only a cable without a carrier.
	inherited, err := dialCables(ctx, spec.cables)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.machine, err)
	}
	ours, theirs, err := socketPair()
	if err != nil {
		closeAll(inherited)
		return nil, fmt.Errorf("start %s: %w", spec.machine, err)
	}
	inherited = append([]*os.File{theirs}, inherited...) // qmpFD, lanFD, mgmtFD
	if spec.incoming != nil {
		inherited = append(inherited, spec.incoming) // incomingFD, closed here too
	}
	p := &process{machine: spec.machine, logPath: filepath.Join(spec.dir, "qemu.log"), done: make(chan struct{})}
	err = p.launch(l, spec, inherited)
	// Once QEMU's are the only ones, its end closes them.
	closeAll(inherited)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", spec.machine, err), ours.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err = writePidfile(filepath.Join(spec.dir, pidfileName), spec.machine, p.cmd.Process.Pid)
	if err == nil {
		p.qmp, err = qmp.New(ctx, ours, p.event)
	} else {
		_ = ours.Close()
	}
	if err != nil {
		err = errors.Join(err, p.kill(), removeIfThere(filepath.Join(spec.dir, pidfileName)))
		return nil, fmt.Errorf("start %s: %w%s", spec.machine, err, quote("QEMU says", tail(p.logPath, 6)))
	}
	return p, nil
}

// launch forks.
func (p *process) launch(l *launcher, spec startSpec, inherited []*os.File) (err error) {
	log, err := os.OpenFile(p.logPath, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	p.cmd = exec.Command(spec.binary, spec.args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.ExtraFiles = inherited
	p.cmd.SysProcAttr = parentDeathSignal()
	if err := l.start(p.cmd); err != nil {
		return err
	}
	go func() {
		err := p.cmd.Wait()
		p.mu.Lock()
		p.waitErr = err
		p.mu.Unlock()
		close(p.done)
	}()
	return nil
}

// event notes what QEMU reports (QAPI, "run-state" and "block-core").
func (p *process) event(e qmp.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Name {
	case "SHUTDOWN":
		var data struct {
			Guest bool `json:"guest"`
		}
		if json.Unmarshal(e.Data, &data) == nil && data.Guest {
			p.guestEnded = true
		}
	case "BLOCK_IO_ERROR":
		var data struct {
			Action  string `json:"action"`
			NoSpace bool   `json:"nospace"`
			Reason  string `json:"reason"`
		}
		if json.Unmarshal(e.Data, &data) == nil && data.Action == "stop" {
			p.diskFault = "QEMU stopped the guest over its disk: " + data.Reason
			if data.NoSpace {
				p.diskFault += " (make room where the lab's state is, or put it elsewhere: OFFLOAD_E2E_STATE)"
			}
		}
	case "RESUME":
		p.diskFault = ""
	}
}

// alive reports whether the process has not ended.
func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the process as pulling the plug does, and waits for its end. A
// process that has ended already is no error.
func (p *process) kill() error {
	p.mu.Lock()
	if p.alive() {
		p.killed = true
	}
	p.mu.Unlock()
	var err error
	if p.cmd.Process != nil {
		if err = p.cmd.Process.Kill(); errors.Is(err, os.ErrProcessDone) {
			err = nil
		}
	}
	timer := time.NewTimer(killTimeout)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		err = errors.Join(err, fmt.Errorf("QEMU of %s, process %d, outlives SIGKILL by %s", p.machine, p.cmd.Process.Pid, killTimeout))
	}
	if p.qmp != nil {
		err = errors.Join(err, p.qmp.Close())
	}
	return err
}

// ending tells how a process that is no longer alive has ended.
func (p *process) ending() (how string, unexpected bool) {
	if p.qmp != nil {
		// Its last events may still be on their way; the connection's own end, which
		// the process's brings, stands behind them.
		select {
		case <-p.qmp.Done():
		case <-time.After(lastEvents):
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.guestEnded:
		return "the guest switched itself off", false
	case p.killed:
		return "it was switched off", false
	case p.waitErr != nil:
		return "QEMU died: " + p.waitErr.Error(), true
	default:
		return "QEMU ended by itself", true
	}
}

// disk is why QEMU has stopped the guest, or "".
func (p *process) disk() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.diskFault
}

// dialCables connects to where a machine's cables end: lan0's, mgmt0's.
func dialCables(ctx context.Context, c Cables) (ends []*os.File, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, cable := range []struct{ name, path string }{{CableLAN, c.LAN}, {CableMgmt, c.Mgmt}} {
		var d net.Dialer
		conn, dialErr := d.DialContext(ctx, "unix", cable.path)
		if dialErr != nil {
			err = fmt.Errorf("cable %s: %w (is the network up?)", cable.name, dialErr)
			break
		}
		end, fileErr := conn.(*net.UnixConn).File() // duplicates
		if err = errors.Join(fileErr, conn.Close()); fileErr == nil {
			ends = append(ends, end)
		}
		if err != nil {
			break
		}
	}
	if err != nil {
		closeAll(ends)
		return nil, err
	}
	return ends, nil
}

// socketPair is a connected pair of unix sockets: ours to talk QMP, theirs for
// QEMU to inherit. Unlike a path it has no length limit, nobody else can
// connect, and its end is QEMU's end.
func socketPair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	local, remote := os.NewFile(uintptr(fds[0]), "qmp"), os.NewFile(uintptr(fds[1]), "qmp-remote")
	conn, err := net.FileConn(local) // duplicates
	if err = errors.Join(err, local.Close()); err != nil {
		return nil, nil, errors.Join(err, remote.Close())
	}
	return conn.(*net.UnixConn), remote, nil
}

// quote appends evidence to an error's sentence.
func quote(what, text string) string {
	if text == "" {
		return ""
	}
	return "\n" + what + ":\n" + text
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// removeIfThere is os.Remove to which a missing file is no error.
func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
