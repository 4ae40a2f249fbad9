package sshd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// session is a channel on which one command runs (RFC 4254, 6).
type session struct {
	ssh.Channel
	server *Server

	mu       sync.Mutex
	env      []string
	terminal *os.File // our end of the command's terminal, where it has one
	tty      *os.File // the command's
	process  *os.Process
	ours     []io.Closer // our ends of what the command has open
}

// serve answers requests until the peer closes the channel. A command that runs on then
// has nothing left to read, and nobody to write to.
func (s *session) serve(requests <-chan *ssh.Request) {
	for req := range requests {
		err := s.request(req)
		if err != nil {
			s.server.say("%s: %v", req.Type, err)
		}
		if req.WantReply {
			// An error here is that of the connection.
			_ = req.Reply(err == nil, nil)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.ours {
		_ = c.Close()
	}
}

func (s *session) request(req *ssh.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch req.Type {
	case "env":
		var m struct{ Name, Value string }
		if err := ssh.Unmarshal(req.Payload, &m); err != nil {
			return err
		}
		s.env = append(s.env, m.Name+"="+m.Value)
		return nil
	case "pty-req":
		return s.open(req.Payload)
	case "window-change":
		var m struct{ Columns, Rows, Width, Height uint32 }
		if err := ssh.Unmarshal(req.Payload, &m); err != nil {
			return err
		}
		if s.terminal == nil {
			return errors.New("there is no terminal")
		}
		return pty.Setsize(s.terminal, &pty.Winsize{Cols: uint16(m.Columns), Rows: uint16(m.Rows)})
	case "exec":
		var m struct{ Line string }
		if err := ssh.Unmarshal(req.Payload, &m); err != nil {
			return err
		}
		return s.start(m.Line)
	case "signal":
		var m struct{ Name string }
		if err := ssh.Unmarshal(req.Payload, &m); err != nil {
			return err
		}
		if s.process == nil {
			return errors.New("there is no command")
		}
		return syscall.Kill(-s.process.Pid, unix.SignalNum("SIG"+m.Name))
	}
	return errors.New("there are no such requests here")
}

// open makes a terminal for the command.
func (s *session) open(payload []byte) error {
	var m struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	err := ssh.Unmarshal(payload, &m)
	if err != nil {
		return err
	}
	if s.terminal != nil || s.process != nil {
		return errors.New("it is too late for a terminal")
	}
	if s.terminal, s.tty, err = pty.Open(); err != nil {
		return err
	}
	s.ours = append(s.ours, s.terminal, s.tty)
	s.env = append(s.env, "TERM="+m.Term)
	return pty.Setsize(s.terminal, &pty.Winsize{Cols: uint16(m.Columns), Rows: uint16(m.Rows)})
}

// start runs a line by the shell, in a session of its own (setsid(2)). How the command
// ended is told as soon as it has; the channel is closed when its output is through.
func (s *session) start(line string) error {
	if s.process != nil {
		return errors.New("one command a session")
	}
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Dir, cmd.Env = s.server.Dir, append(append([]string{}, s.server.Environment...), s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: s.tty != nil}
	var input io.WriteCloser
	var output, complaints io.Reader
	var theirs []*os.File
	if s.tty != nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = s.tty, s.tty, s.tty
		input, output, complaints, theirs = s.terminal, s.terminal, strings.NewReader(""), []*os.File{s.tty}
	} else {
		var ends [6]*os.File
		for i := 0; i < len(ends); i += 2 {
			var err error
			if ends[i], ends[i+1], err = os.Pipe(); err != nil {
				return err
			}
			s.ours = append(s.ours, ends[i], ends[i+1])
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = ends[0], ends[3], ends[5]
		input, output, complaints, theirs = ends[1], ends[2], ends[4], []*os.File{ends[0], ends[3], ends[5]}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for _, f := range theirs {
		_ = f.Close()
	}
	s.process = cmd.Process
	// What must outlive a lack of memory is this server, not what it runs (proc(5)).
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid), []byte("0"), 0)
	go func() {
		_, _ = io.Copy(input, s)
		if s.tty == nil {
			_ = input.Close()
		}
	}()
	var outputs sync.WaitGroup
	outputs.Go(func() { _, _ = io.Copy(s, output) })
	outputs.Go(func() { _, _ = io.Copy(s.Stderr(), complaints) })
	go func() {
		s.tell(cmd.Wait(), cmd.ProcessState)
		outputs.Wait()
		_ = s.Close()
	}()
	return nil
}

// tell sends how the command ended (RFC 4254, 6.10).
func (s *session) tell(err error, state *os.ProcessState) {
	if state == nil {
		s.server.say("wait for a command: %v", err)
		return
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		_, _ = s.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal          string
			CoreDumped      bool
			Words, Language string
		}{strings.TrimPrefix(unix.SignalName(status.Signal()), "SIG"), status.CoreDump(), "", ""}))
		return
	}
	_, _ = s.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(state.ExitCode())}))
}
