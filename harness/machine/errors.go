package machine

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"offload-e2e/harness/provider"
)

var (
	// ErrHostKey is in the chain of an error when a machine showed another
	// host key than the pinned one. Dialling again does not help.
	ErrHostKey = errors.New("the machine's host key is not the one it was made with; " +
		"something else answers on its address, or its image was rebuilt: take the lab down and bring it up again")
	// ErrReset is why commands in flight end when a connection is given up
	// because the machine was restored.
	ErrReset = errors.New("the connection was given up because the machine was restored")
	// ErrClosed is why commands end after Close.
	ErrClosed = errors.New("the connection to the machine is closed")
)

// Stage is how far the way to a machine went before it ended.
type Stage string

const (
	StageDial           Stage = "dial"
	StageBanner         Stage = "banner" // connected, and no byte came back
	StageKeyExchange    Stage = "key exchange"
	StageAuthentication Stage = "authentication"
	StageKeepalive      Stage = "keepalive"  // a connected peer fell silent
	StageConnection     Stage = "connection" // a connection ended under us
)

// UnreachableError says that a machine cannot be talked to, and where on the
// way there it ended.
type UnreachableError struct {
	Machine string
	Stage   Stage
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s is unreachable: %s: %v", e.Machine, e.Stage, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// ExecError says that it is not known whether, or how, a command ended.
type ExecError struct {
	Machine string
	Argv    []string
	// Step is what was being done: "opening a session", "waiting for output".
	Step string
	// Started tells that the command is known to have begun.
	Started bool
	// MayRun tells that the command may still be running on the machine.
	MayRun bool
	Err    error
}

func (e *ExecError) Error() string {
	end := ""
	if e.MayRun {
		end = " (it may still be running there)"
	}
	return fmt.Sprintf("%s: %s: %s: %v%s", e.Machine, shown(e.Argv), e.Step, e.Err, end)
}

func (e *ExecError) Unwrap() error { return e.Err }

// CommandError is a command that ended otherwise than was asked of it.
type CommandError struct {
	Machine string
	Result  provider.Result
}

func (e *CommandError) Error() string {
	if err := e.Result.Err(); err != nil {
		return fmt.Sprintf("%s: %v", e.Machine, err)
	}
	out := strings.TrimSpace(string(e.Result.Stdout))
	if lines := strings.Split(out, "\n"); len(lines) > 12 {
		out = "…\n" + strings.Join(lines[len(lines)-12:], "\n")
	}
	if out != "" {
		out = ": " + out
	}
	return fmt.Sprintf("%s: %s: succeeded, but was to fail%s", e.Machine, shown(e.Result.Argv), out)
}

// WaitError says that a wait ended without what was waited for.
type WaitError struct {
	Machine string
	For     string // what was waited for, as Wait.String tells it
	Waited  time.Duration
	// TimedOut is false when waiting longer could not help.
	TimedOut bool
	// Last is why it was not so when last looked at.
	Last error
	// Journal holds the last lines of the unit concerned, where there is one.
	Journal string
}

func (e *WaitError) Error() string {
	how := "gave up waiting"
	if e.TimedOut {
		how = "timed out waiting"
	}
	msg := fmt.Sprintf("%s: %s for %s after %s", e.Machine, how, e.For, e.Waited.Round(10*time.Millisecond))
	if e.Last != nil {
		msg += fmt.Sprintf(": %v", e.Last)
	}
	if e.Journal != "" {
		msg += "\nlast lines of its journal:\n  " + strings.ReplaceAll(strings.TrimSpace(e.Journal), "\n", "\n  ")
	}
	return msg
}

func (e *WaitError) Unwrap() error { return e.Last }

// shown is argv for an error message: long scripts are cut.
func shown(argv []string) string {
	s := strings.Join(strings.Fields(strings.Join(argv, " ")), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return s
}
