package provider

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

// Machine is one machine of a lab, reached on a path that no fault touches.
type Machine interface {
	Name() string
	// Exec runs a command to its end. A command that ran and failed is a
	// Result with an exit status, not an error; an error means that it is not
	// known whether, or how, the command ended.
	Exec(ctx context.Context, cmd Command) (Result, error)
	// CopyTo writes content to an absolute path, creating parents, atomically.
	CopyTo(ctx context.Context, content io.Reader, path string, mode fs.FileMode) error
	// CopyFrom streams the file at an absolute path to w.
	CopyFrom(ctx context.Context, path string, w io.Writer) error
	// Logs returns what the machine has printed on its console so far.
	Logs(ctx context.Context) (io.ReadCloser, error)
}

// Command is a program with its arguments; no shell comes between.
type Command struct {
	Argv  []string
	Stdin io.Reader
	// Env is added to the login environment of the machine's root user.
	Env map[string]string
	// Stdout and Stderr, where set, receive the output as it comes, besides Result.
	Stdout, Stderr io.Writer
}

// Cmd is shorthand for a Command of arguments only.
func Cmd(argv ...string) Command { return Command{Argv: argv} }

// String shows the command as one would type it.
func (c Command) String() string { return strings.Join(c.Argv, " ") }

// Result is how a command ended.
type Result struct {
	Argv           []string
	Stdout, Stderr []byte
	// ExitStatus is that of exit(3), or -1 when Signal ended the command.
	ExitStatus int
	// Signal is the name of the signal that ended it without "SIG", else "".
	Signal   string
	Duration time.Duration
}

// OK reports whether the command exited with status 0.
func (r Result) OK() bool { return r.ExitStatus == 0 && r.Signal == "" }

// Err is nil when the command succeeded, else an error that quotes the last
// lines of its standard error.
func (r Result) Err() error {
	if r.OK() {
		return nil
	}
	how := fmt.Sprintf("exit status %d", r.ExitStatus)
	if r.Signal != "" {
		how = "killed by SIG" + r.Signal
	}
	out := strings.TrimSpace(string(r.Stderr))
	if out == "" {
		out = strings.TrimSpace(string(r.Stdout))
	}
	if lines := strings.Split(out, "\n"); len(lines) > 12 {
		out = "…\n" + strings.Join(lines[len(lines)-12:], "\n")
	}
	if out == "" {
		return fmt.Errorf("%s: %s", strings.Join(r.Argv, " "), how)
	}
	return fmt.Errorf("%s: %s: %s", strings.Join(r.Argv, " "), how, out)
}

// Text is standard output without surrounding white space.
func (r Result) Text() string { return strings.TrimSpace(string(r.Stdout)) }
