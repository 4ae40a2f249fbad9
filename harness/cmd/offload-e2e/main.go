// Command offload-e2e boots a desktop and a laptop in a private LAN, applies a
// user's NixOS modules to them, and proves what they promise: remote builds, a
// binary cache, a store over NFS, and builds that go on without the desktop.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses of the command.
const (
	exitOK     = 0 // all holds
	exitBroken = 1 // the configuration is broken
	exitUsage  = 2 // wrong usage, or the configuration does not evaluate
	exitInfra  = 3 // this machine, or the harness itself, is in the way
)

func main() {
	// The first signal asks for an orderly end; a second one ends at once.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute runs the command and returns its exit status.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p, err := findPaths()
	if err != nil {
		return tell(stderr, err)
	}
	root := newRoot(p)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return tell(stderr, root.ExecuteContext(ctx))
}

// tell writes what a person has to know of an error, and returns the exit status.
func tell(w io.Writer, err error) int {
	var status exitStatus
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		return int(status)
	}
	problem := explain(err)
	fmt.Fprint(w, problem.Text())
	return problem.Exit
}
