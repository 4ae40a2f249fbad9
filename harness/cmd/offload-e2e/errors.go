package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"

	"offload-e2e/harness/e2e"
	"offload-e2e/harness/guest"
	"offload-e2e/harness/nixguest"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider/hosts"
)

// userError is an error as a person is told it.
type userError struct {
	Heading  string // what went wrong, in a few words
	Sentence string // what is the case
	WayOut   string // what to do
	Exit     int    // the command's exit status; 0 is exitInfra
	Cause    error
}

func (e *userError) Error() string {
	return fmt.Sprintf("%s: %s", strings.ToLower(e.Heading), e.Sentence)
}

func (e *userError) Unwrap() error { return e.Cause }

// Text is what is printed: heading, sentence, way out.
func (e *userError) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", e.Heading)
	for _, part := range []string{e.Sentence, e.WayOut} {
		if part = strings.TrimSpace(part); part != "" {
			fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(part, "\n", "\n  "))
		}
	}
	return b.String()
}

// exitStatus ends the command with a status and no word: everything was said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// hostsExample is the shortest file of hosts there is.
const hostsExample = `  desktop: { ssh: root@192.168.15.7 }
  laptop:  { ssh: root@192.168.15.9 }
  allow:   [build, mount]   # what may be done besides looking; [] is nothing
`

// explain finds the words and the exit status for an error.
func explain(err error) *userError {
	var (
		known      *userError
		shape      *nixos.NotARepositoryError
		evaluation *nixos.EvaluationError
		assertion  *nixos.AssertionError
		build      *guest.BuildError
		noNixOS    *nixguest.UnavailableError
		nixBuild   *nixguest.BuildError
		noHosts    *e2e.NoHostsError
		noAccess   *hosts.AccessError
	)
	switch {
	case errors.As(err, &known):
		e := *known
		e.Exit = cmp.Or(e.Exit, exitInfra)
		return &e
	case errors.As(err, &shape):
		return &userError{
			Heading:  "This is no configuration to test",
			Sentence: shape.Error(),
			WayOut: "Name a folder of the shape of /etc/nixos: CONFIG=<dir> with make, --config <dir> without.\n" +
				"README.md says which files it needs; vmconfigs/ is an example.",
			Exit: exitUsage, Cause: err,
		}
	case errors.As(err, &assertion):
		return &userError{
			Heading:  "NixOS refuses this configuration",
			Sentence: assertion.Error(),
			WayOut:   "Mend the options the messages name, or override them in e2e/" + string(assertion.Role) + ".nix of the configuration.",
			Exit:     exitUsage, Cause: err,
		}
	case errors.As(err, &evaluation):
		return &userError{
			Heading:  "The configuration does not evaluate",
			Sentence: evaluation.Error(),
			WayOut:   fmt.Sprintf("Mend the place that is named, then try it alone: .bin/offload-e2e eval %s --config <dir>", evaluation.Role),
			Exit:     exitUsage, Cause: err,
		}
	case errors.As(err, &noNixOS):
		return &userError{Heading: "There are no NixOS guests here", Sentence: noNixOS.Reason + ".",
			WayOut: noNixOS.WayOut + "\nOr take the embedded guest, which needs no Nix: GUEST=embedded (--guest embedded).", Exit: exitInfra, Cause: err}
	case errors.As(err, &nixBuild):
		return &userError{Heading: "Nix could not build it", Sentence: nixBuild.Error(),
			WayOut: "Mend what the lines name. A build of NixOS needs its binary cache, cache.nixos.org, and some GB in the store.\n" +
				"Or take the embedded guest, which builds nothing: GUEST=embedded (--guest embedded).", Exit: exitInfra, Cause: err}
	case errors.As(err, &noHosts):
		return &userError{Heading: "Your machines are not named", Sentence: noHosts.Error(),
			WayOut: "Say how ssh reaches them, for instance:\n\n" + hostsExample + "\nin that file, or in another: HOSTS=<file> with make, --hosts <file> without.", Exit: exitUsage, Cause: err}
	case errors.As(err, &noAccess):
		return &userError{Heading: "The " + noAccess.Machine + " cannot be entered", Sentence: noAccess.Error() + ".", WayOut: noAccess.WayOut, Exit: exitInfra, Cause: err}
	case errors.Is(err, context.Canceled):
		return &userError{Heading: "Interrupted", Sentence: "It was ended before it was done; nothing was left behind.",
			WayOut: "Start it again when you like.", Exit: exitInfra, Cause: err}
	case errors.Is(err, syscall.ENOSPC):
		return &userError{Heading: "The disk is full", Sentence: err.Error(),
			WayOut: "Make room, or put the files elsewhere: OFFLOAD_E2E_CACHE for guest images, OFFLOAD_E2E_STATE for running machines, REPORT for the report.",
			Exit:   exitInfra, Cause: err}
	case errors.Is(err, exec.ErrNotFound):
		return &userError{Heading: "A program is missing", Sentence: err.Error(),
			WayOut: "Install what is missing: make setup. See what else is: .bin/offload-e2e doctor", Exit: exitInfra, Cause: err}
	case errors.As(err, &build):
		return &userError{Heading: "The guest image does not build", Sentence: build.Err.Error(),
			WayOut: "Where packages cannot be had, " + mirrorVariable + "=<url> names another Debian mirror; in a container, mounting must be allowed (--privileged).\n" +
				"What else this machine lacks: .bin/offload-e2e doctor", Exit: exitInfra, Cause: err}
	}
	return &userError{Heading: "It did not work", Sentence: err.Error(),
		WayOut: "See what this machine lacks: .bin/offload-e2e doctor", Exit: exitInfra, Cause: err}
}

// usageError is a wrong use of a verb.
func usageError(verb string, err error) error {
	return &userError{Heading: "Wrong usage", Sentence: err.Error(), WayOut: "See: " + verb + " --help", Exit: exitUsage, Cause: err}
}
