package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/provider"
)

// Exec runs a command to its end, as [provider.Machine] says. Its Result keeps
// Config.OutputLimit bytes of each output, the first and the last half.
//
// When ctx ends, the command's process group is sent SIGTERM, then SIGKILL, and
// the error tells whether that is known to have worked. Processes that left
// the group on purpose (setsid, daemons) live on. Processes that only keep the
// command's output open do not hold Exec up (Config.OutputDelay).
//
// Errors are an [*ExecError], with an [*UnreachableError] in its chain when the
// machine cannot be talked to. Stdin is read by a goroutine that a blocked
// Read keeps alive after Exec; Stdout and Stderr get no write after it.
func (s *SSH) Exec(ctx context.Context, cmd provider.Command) (provider.Result, error) {
	out := newCapture(s.cfg.OutputLimit)
	res, err := s.exec(ctx, cmd, out, cmd.Stdout)
	res.Stdout = out.Bytes()
	return res, err
}

// run is one command on its way.
type run struct {
	conn *conn
	session
	pid    chan int // gets the process id once it is known
	exited chan struct{}
	status *exitStatus // how it ended, once exited is closed; nil: not told
	closed chan struct{}
	whole  bool   // once closed is closed: by the server, not by a lost connection
	done   func() // gives the session back
}

func newRun(c *conn, s session, done func()) *run {
	return &run{conn: c, session: s, done: done, pid: make(chan int, 1),
		exited: make(chan struct{}), closed: make(chan struct{})}
}

type exitStatus struct {
	code   int
	signal string
}

// exec runs cmd with its standard output going to the writers given.
func (s *SSH) exec(parent context.Context, cmd provider.Command, stdout ...io.Writer) (provider.Result, error) {
	began := time.Now()
	res := provider.Result{Argv: cmd.Argv, ExitStatus: -1}
	failed := &ExecError{Machine: s.cfg.Name, Argv: cmd.Argv, Step: "starting it"}
	fail := func(err error) (provider.Result, error) {
		res.Duration = time.Since(began)
		failed.Err = err
		return res, failed
	}
	line, err := commandLine(cmd, s.cfg.Profile)
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)

	failed.Step = "opening a session"
	r, err := s.openRun(ctx)
	if err != nil {
		return fail(err)
	}
	errOut := newCapture(s.cfg.OutputLimit)
	sinkOut, sinkErr := newSink(cancel, stdout...), newSink(cancel, errOut, cmd.Stderr)
	copied := r.copy(sinkOut, sinkErr)
	stop := func() {
		sinkOut.close()
		sinkErr.close()
		res.Stderr = errOut.Bytes()
	}
	failed.Step = "asking to run it"
	if err := r.conn.request(ctx, r.session, "exec", true, struct{ Line string }{line}); err != nil {
		failed.MayRun = !r.end()
		failed.Started = r.started()
		stop()
		return fail(err)
	}
	r.feed(cmd.Stdin, cancel)

	failed.Step = "waiting for it to end"
	select {
	case <-r.exited:
	case <-ctx.Done():
		failed.MayRun = !r.end()
		failed.Started = r.started()
		stop()
		return fail(context.Cause(ctx))
	}
	if r.status == nil {
		// What it printed before the end tells whether it had started.
		err := s.drain(ctx, r, copied, sinkOut, sinkErr)
		if err == nil {
			err = r.cut()
		}
		failed.Started, failed.MayRun = r.started(), true
		stop()
		r.leave()
		return fail(cmp.Or(err, errors.New("sshd ended the session without an exit status")))
	}
	failed.Started = true
	failed.Step = "reading its output"
	err = s.drain(ctx, r, copied, sinkOut, sinkErr)
	stop()
	r.leave()
	if err != nil {
		return fail(err)
	}
	res.ExitStatus, res.Signal = r.status.code, r.status.signal
	res.Duration = time.Since(began)
	return res, nil
}

// openRun opens a session, on a new connection where the present one turns out
// to be lost or to take no more sessions: nothing has been run yet.
func (s *SSH) openRun(ctx context.Context) (*run, error) {
	var last error
	for range 2 {
		c, err := s.connection(ctx)
		if err != nil {
			return nil, err
		}
		if err = c.acquire(ctx); err == nil {
			var open session
			if open, err = c.open(ctx, c.release); err == nil {
				r := newRun(c, open, c.release)
				go r.listen()
				return r, nil
			}
		}
		if ctx.Err() != nil {
			return nil, err
		}
		last = err
		// sshd counts a session until its process is gone; one stuck in the
		// kernel, as on a dead NFS server, may hold it for ever.
		if refused := new(ssh.OpenChannelError); errors.As(err, &refused) {
			s.retire(c)
		}
	}
	return nil, last
}

// listen takes the requests of the server until the channel is closed.
func (r *run) listen() {
	var once sync.Once
	exited := func() { once.Do(func() { close(r.exited) }) }
	for req := range r.requests {
		switch req.Type {
		case "exit-status":
			var m struct{ Status uint32 }
			if ssh.Unmarshal(req.Payload, &m) == nil && r.status == nil {
				r.status = &exitStatus{code: int(m.Status)}
				exited()
			}
		case "exit-signal":
			var m struct {
				Signal     string
				CoreDumped bool
				Error      string
				Lang       string
			}
			if ssh.Unmarshal(req.Payload, &m) == nil && r.status == nil {
				r.status = &exitStatus{code: -1, signal: m.Signal}
				exited()
			}
		}
		if req.WantReply {
			// An error here is that of the connection, told elsewhere.
			_ = req.Reply(false, nil)
		}
	}
	r.whole = !r.conn.net.ended.Load()
	close(r.closed)
	exited()
	r.done()
}

// feed gives the command its standard input.
func (r *run) feed(stdin io.Reader, cancel func(error)) {
	go func() {
		if stdin != nil {
			if err := pump(r, stdin); err != nil {
				// No end of file: the command must not take half for the whole.
				cancel(fmt.Errorf("read its standard input: %w", err))
				return
			}
		}
		// Fails when the command has ended already, which is told elsewhere.
		_ = r.CloseWrite()
	}()
}

// copy moves the outputs; the channel it gives is closed at the end of both.
func (r *run) copy(out, errOut io.Writer) <-chan struct{} {
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(&pidFilter{to: out, found: func(pid int) { r.pid <- pid }}, r)
	})
	both.Go(func() { _, _ = io.Copy(errOut, r.Stderr()) })
	copied := make(chan struct{})
	go func() {
		both.Wait()
		close(copied)
	}()
	return copied
}

// pump copies stdin to the command, and gives only errors of stdin's own: a
// command may end, or close its input, without reading it all.
func pump(to io.Writer, stdin io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := stdin.Read(buf)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// drain waits for the end of the output of a command that has ended, or until
// nothing more came for a while: what it left running may keep it open.
func (s *SSH) drain(ctx context.Context, r *run, copied <-chan struct{}, sinks ...*sink) error {
	quiet := time.NewTimer(s.cfg.OutputDelay)
	defer quiet.Stop()
	for {
		select {
		case <-copied:
			if err := r.cut(); err != nil {
				return err
			}
			// A writer may have failed with the last bytes.
			return context.Cause(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-sinks[0].wrote:
		case <-sinks[1].wrote:
		case <-quiet.C:
			return nil
		}
		quiet.Reset(s.cfg.OutputDelay)
	}
}

// cut tells of outputs that ended because the connection did.
func (r *run) cut() error {
	if r.conn.net.ended.Load() {
		<-r.closed
	}
	select {
	case <-r.closed:
		if !r.whole {
			<-r.conn.lost
			return r.conn.cause
		}
	default:
	}
	return nil
}

func (r *run) started() bool { return len(r.pid) > 0 }

// end ends the command and its process group, within Config.KillTimeout, and
// reports whether that is known to have worked.
func (r *run) end() bool {
	ctx, cancel := context.WithTimeout(context.Background(), r.conn.cfg.KillTimeout)
	defer cancel()
	ended := r.killGroup(ctx)
	if !ended {
		// sshd does this only for users other than root, and only to the
		// group's leader; it is all that is left (RFC 4254 6.9).
		_ = r.conn.request(ctx, r.session, "signal", false, struct{ Name string }{"KILL"})
	}
	r.leave()
	return ended
}

// leave closes the channel without waiting for a peer that reads no more.
func (r *run) leave() { go r.Close() }

func (r *run) killGroup(ctx context.Context) bool {
	var pid int
	select {
	case pid = <-r.pid:
		r.pid <- pid
	case <-r.closed:
		// It ended by itself, or the connection did.
		return r.conn.alive()
	case <-ctx.Done():
		return false
	}
	if pid <= 1 {
		return false
	}
	s, err := r.conn.open(ctx, func() {})
	if err != nil {
		return false
	}
	k := newRun(r.conn, s, func() {})
	go k.listen()
	defer k.leave()
	if r.conn.request(ctx, s, "exec", true, struct{ Line string }{killLine(pid)}) != nil {
		return false
	}
	select {
	case <-k.exited:
		return k.status != nil && k.status.code == 0
	case <-ctx.Done():
		return false
	}
}
