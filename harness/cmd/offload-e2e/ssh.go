package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"offload-e2e/harness/machine"
)

func newSSHCommand(p *paths) *cobra.Command {
	var tty bool
	c := &cobra.Command{
		Use:   "ssh <machine> [-- command…]",
		Short: "Enter a machine of the lab that is up",
		Long: `ssh enters a machine as root, over a cable of the harness's own: also while the
LAN is cut, or the machine's own sshd is broken. As with ssh(1), the words of a
command are joined by spaces and read by a shell on the machine, and its exit
status is this one's.`,
		Example: "  .bin/offload-e2e ssh laptop\n  .bin/offload-e2e ssh desktop -- journalctl -u nix-serve\n  .bin/offload-e2e ssh laptop <script.sh",
		Args: func(c *cobra.Command, args []string) error {
			return machineArgument(c, args[:min(len(args), 1)])
		},
		RunE: func(c *cobra.Command, args []string) error {
			command := args[1:]
			if len(command) > 0 && command[0] == "--" {
				command = command[1:]
			}
			return p.enter(c.Context(), args[0], command, tty, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	// What comes after the machine is the command's.
	c.Flags().SetInterspersed(false)
	c.Flags().BoolVarP(&tty, "tty", "t", false, "give the command a terminal")
	return c
}

// enter runs a login shell, or a command in one, on a machine.
func (p *paths) enter(ctx context.Context, name string, command []string, tty bool, stdout, stderr io.Writer) error {
	l, err := p.findLab()
	if err != nil {
		return err
	}
	s := session{machine: name, dial: func(ctx context.Context) (net.Conn, error) { return p.dial(ctx, name) },
		stdin: os.Stdin, stdout: stdout, stderr: stderr}
	if s.signer, s.hostKey, err = l.keys(); err != nil {
		return err
	}
	if term.IsTerminal(int(os.Stdin.Fd())) && (tty || len(command) == 0) {
		s.terminal, s.term = os.Stdin, cmp.Or(os.Getenv("TERM"), "dumb")
	}
	s.line = loginLine(command, s.term)
	status, err := s.run(ctx)
	var gone *goneError
	switch {
	case errors.As(err, &gone):
		if _, err := p.findLab(); err != nil {
			return &userError{Heading: "The lab is gone", Sentence: "It was taken down, or its process was killed.", WayOut: "Bring another up: " + p.command("up"), Cause: gone}
		}
		return &userError{Heading: "The " + name + " cannot be reached", Sentence: gone.Error(),
			WayOut: "It may be off or booting; its console is in " + l.Report + ".\nTake the lab down and bring another up: " + p.command("down") + " && " + p.command("up"), Cause: err}
	case err != nil:
		return err
	}
	return statusError(status)
}

// keys are those of the lab's machines.
func (l *labFile) keys() (ssh.Signer, ssh.PublicKey, error) {
	private, err := os.ReadFile(l.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("read the guest image's key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("read the guest image's key %s: %w", l.Key, err)
	}
	public, err := os.ReadFile(l.HostKey)
	if err != nil {
		return nil, nil, fmt.Errorf("read the guest image's host key: %w", err)
	}
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey(public)
	if err != nil {
		return nil, nil, fmt.Errorf("read the guest image's host key %s: %w", l.HostKey, err)
	}
	return signer, hostKey, nil
}

// loginShell is where NixOS has root's; its profile makes the environment a login has.
const loginShell = "/run/current-system/sw/bin/bash"

// loginLine is what sshd's shell is to run: a login shell in an environment that
// holds nothing of sshd's.
func loginLine(command []string, term string) string {
	argv := []string{"env", "-i", "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=" + loginShell, "PATH=/run/current-system/sw/bin"}
	if term != "" {
		argv = append(argv, "TERM="+term)
	}
	argv = append(argv, loginShell, "-l")
	if len(command) > 0 {
		argv = append(argv, "-c", strings.Join(command, " "))
	}
	return "cd /root && exec " + machine.QuoteAll(argv)
}
