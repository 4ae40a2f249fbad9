package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/nixos"
)

func TestExplain(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("outer: %w", err) }
	for _, test := range []struct {
		name    string
		err     error
		heading string
		exit    int
		text    string
	}{
		{"not a configuration", wrapped(&nixos.NotARepositoryError{Dir: "x", Reason: "no such directory"}), "This is no configuration to test", exitUsage, "CONFIG=<dir>"},
		{"does not evaluate", wrapped(&nixos.EvaluationError{Role: nixos.Laptop, Message: "error: undefined variable 'x'\n  at a.nix:3:5"}),
			"The configuration does not evaluate", exitUsage, "eval laptop"},
		{"failed assertion", wrapped(&nixos.AssertionError{Role: nixos.Desktop, Messages: []string{"no key"}}), "NixOS refuses this configuration", exitUsage, "- no key"},
		{"interrupted", wrapped(context.Canceled), "Interrupted", exitInfra, "nothing was left behind"},
		{"full disk", wrapped(syscall.ENOSPC), "The disk is full", exitInfra, "OFFLOAD_E2E_CACHE"},
		{"missing program", wrapped(&exec.Error{Name: "qemu", Err: exec.ErrNotFound}), "A program is missing", exitInfra, "make setup"},
		{"ours, with no status", wrapped(&userError{Heading: "H", Sentence: "S"}), "H", exitInfra, "S"},
		{"guest image", wrapped(&guest.BuildError{Err: errors.New("no mirror")}), "The guest image does not build", exitInfra, mirrorVariable},
		{"guest image, and no room for it", wrapped(&guest.BuildError{Err: wrapped(syscall.ENOSPC)}), "The disk is full", exitInfra, cacheVariable},
		{"anything else", errors.New("bang"), "It did not work", exitInfra, "doctor"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := explain(test.err)
			if e.Heading != test.heading || e.Exit != test.exit {
				t.Errorf("got %q, exit %d", e.Heading, e.Exit)
			}
			contains(t, e.Text(), test.text)
		})
	}
}

func TestTextIndentsAllLines(t *testing.T) {
	e := &userError{Heading: "H", Sentence: "one\ntwo\n", WayOut: "three"}
	if got, want := e.Text(), "\nH\n  one\n  two\n  three\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTell(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		exit int
		says bool
	}{
		{"all is well", nil, exitOK, false},
		{"everything was said", fmt.Errorf("x: %w", exitStatus(exitBroken)), exitBroken, false},
		{"an error", errors.New("x"), exitInfra, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if exit := tell(&out, test.err); exit != test.exit || (out.Len() > 0) != test.says {
				t.Errorf("exit %d, said %q", exit, out.String())
			}
		})
	}
}

func TestUsage(t *testing.T) {
	p := &paths{Root: clone(t), Cache: t.TempDir(), State: "/nowhere"}
	for _, test := range []struct {
		args []string
		exit int
		says string
	}{
		{nil, exitOK, "Available Commands"},
		{[]string{"--help"}, exitOK, "Available Commands"},
		{[]string{"eval", "--help"}, exitOK, "--option"},
		{[]string{"evla"}, exitUsage, `there is no verb "evla"; did you mean eval?`},
		{[]string{"--nonsense"}, exitUsage, "unknown flag: --nonsense"},
		{[]string{"eval"}, exitUsage, "say which machine: desktop or laptop"},
		{[]string{"eval", "phone"}, exitUsage, `there is no machine "phone"`},
		{[]string{"eval", "desktop", "laptop"}, exitUsage, "one machine at a time"},
		{[]string{"eval", "desktop", "--diff", "a", "--json"}, exitUsage, "[diff json]"},
		{[]string{"eval", "desktop", "--config", "/nowhere"}, exitUsage, "/nowhere: no such directory"},
		{[]string{"eval", "desktop", "--config", p.Root}, exitUsage, "it has no modules/services/offload-server.nix"},
		{[]string{"doctor", "now"}, exitUsage, "unknown command"},
		{[]string{"report", "none"}, exitUsage, "There is no such report"},
		{[]string{"report"}, exitUsage, "make e2e"},
		{[]string{"report", "--list"}, exitOK, ""},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			var out, errs bytes.Buffer
			root := newRoot(p)
			root.SetArgs(test.args)
			if test.args == nil {
				root.SetArgs([]string{})
			}
			root.SetOut(&out)
			root.SetErr(&errs)
			exit := tell(&errs, root.ExecuteContext(t.Context()))
			if exit != test.exit {
				t.Errorf("exit %d, want %d", exit, test.exit)
			}
			contains(t, out.String()+errs.String(), test.says)
		})
	}
}
