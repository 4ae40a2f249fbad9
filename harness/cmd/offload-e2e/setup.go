package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"offload-e2e/harness/lab"
)

func newSetupCommand(p *paths) *cobra.Command {
	var image, test, key bool
	var provider string
	c := &cobra.Command{
		Use:   "setup",
		Short: "Install what this machine lacks",
		Long: `Install the programs a run needs, by apt-get, as root or through sudo. What is
there already is left alone; where nothing is missing this does nothing.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if key {
				return p.imageKey(c.OutOrStdout())
			}
			if err := choice("provider", provider, providerWords...); err != nil {
				return usageError(c.CommandPath(), err)
			}
			purposes := []purpose{forRun, forImage}
			if provider == lab.Hosts {
				purposes[0] = forHosts
				if _, _, ok := installedNix(c.Context()); ok {
					purposes = purposes[:1]
				}
			}
			if test {
				purposes = append(purposes, forTest)
			}
			say := sayTo(c.OutOrStdout())
			i := installer{system: thisSystem(), say: say, interactive: term.IsTerminal(int(os.Stdin.Fd()))}
			if err := i.install(c.Context(), missing(i.system, purposes...)); err != nil {
				return err
			}
			if test {
				i.tryInstall(c.Context(), missing(i.system, forPages))
			}
			if !image {
				return nil
			}
			img, err := p.image(c.Context(), say)
			if err == nil {
				say("guest image %s is ready", img.ID)
			}
			return err
		},
	}
	c.Flags().BoolVar(&image, "image", false, "also build the guest image, if it is not there yet (about a minute)")
	c.Flags().BoolVar(&key, "image-key", false, "install nothing, and print the hash of the guest image's recipe: the key of a cache that keeps the image")
	c.Flags().StringVar(&provider, "provider", "auto", "what is to run the machines: auto, qemu, docker, hosts")
	c.Flags().BoolVar(&test, "test", false, "also install what the harness's own tests use")
	return c
}

// installer installs packages by apt-get(8).
type installer struct {
	system
	say         func(format string, args ...any)
	interactive bool // there is somebody to type a password
}

func (i installer) install(ctx context.Context, missing []need) error {
	if len(missing) == 0 {
		i.say("nothing to install: all programs are there")
		return nil
	}
	if i.os != "linux" || i.arch != "amd64" {
		return unsupported(i.system)
	}
	packages := packagesOf(missing)
	byHand := "apt-get install --no-install-recommends " + strings.Join(packages, " ")
	if !i.isDebian() || i.program("apt-get") == "" {
		return i.noPackages(missing)
	}
	prefix, err := i.asRoot(i.interactive)
	if err != nil {
		return &userError{Heading: "Programs are missing, and only root can install them",
			Sentence: strings.Join(namesOf(missing), ", ") + " not found; there is no sudo here.",
			WayOut:   "Run this as root: " + byHand, Cause: err}
	}
	if len(prefix) > 0 && !i.interactive {
		if out, err := exec.CommandContext(ctx, "sudo", "-n", "true").CombinedOutput(); err != nil {
			return &userError{Heading: "Programs are missing, and only root can install them",
				Sentence: fmt.Sprintf("%s not found; sudo says: %s", strings.Join(namesOf(missing), ", "), strings.TrimSpace(string(out))),
				WayOut:   "Run this: sudo " + byHand, Cause: err}
		}
	}
	i.say("installing %s", strings.Join(packages, " "))
	// A foreign source that fails must not keep Debian's packages from us.
	updateErr := i.apt(ctx, prefix, "update", "-q")
	installErr := i.apt(ctx, prefix, append([]string{"install", "-q", "-y", "--no-install-recommends"}, packages...)...)
	if installErr != nil {
		return &userError{Heading: "The packages could not be installed", Sentence: errors.Join(installErr, updateErr).Error(),
			WayOut: "Mend what apt-get complains of, then run make setup again. By hand: " + byHand, Cause: errors.Join(installErr, updateErr)}
	}
	if still := stillMissing(i.system, missing); len(still) > 0 {
		return &userError{Heading: "A program is missing even so",
			Sentence: fmt.Sprintf("apt-get installed %s, but %s cannot be found.", strings.Join(packages, " "), strings.Join(namesOf(still), ", ")),
			WayOut:   "See that its folder is on PATH."}
	}
	i.say("installed")
	return nil
}

// tryInstall installs what tests do without: not every distribution has it.
func (i installer) tryInstall(ctx context.Context, missing []need) {
	if len(missing) == 0 {
		return
	}
	if err := i.install(ctx, missing); err != nil {
		i.say("%s cannot be had here, tests that use it are skipped: %v", strings.Join(namesOf(missing), ", "), err)
	}
}

func stillMissing(s system, list []need) []need {
	var out []need
	for _, n := range list {
		if !n.there(s) {
			out = append(out, n)
		}
	}
	return out
}

// noPackages is for a machine whose packages we do not know how to install.
func (i installer) noPackages(missing []need) error {
	e := &userError{Heading: "Programs are missing",
		Sentence: "Not found: " + strings.Join(namesOf(missing), ", ") + ". They are installed by apt-get, on Debian and Ubuntu; this is " + i.describe() + "."}
	switch {
	case i.isNixOS():
		e.WayOut = "Start a shell that has QEMU: nix shell nixpkgs#qemu nixpkgs#go nixpkgs#gnumake\n" +
			"The guest image is built by mmdebstrap, which nixpkgs has not: build it on a Debian (make setup) and copy\n" +
			"~/.cache/offload-e2e/images from there."
	default:
		e.WayOut = "Install the programs with your package manager. On Debian the packages are called " + strings.Join(packagesOf(missing), " ") + "."
	}
	return e
}

func (s system) describe() string {
	if s.Name != "" {
		return s.Name
	}
	return "an unknown " + s.os
}

func unsupported(s system) error {
	return &userError{Heading: "This machine is not supported",
		Sentence: fmt.Sprintf("The guests are x86_64 Linux machines, run by QEMU on x86_64 Linux; this is %s/%s.", s.os, s.arch),
		WayOut:   "Run it on an x86_64 Debian or Ubuntu; a virtual machine without KVM is enough."}
}

// apt runs apt-get, showing how far it is. An error has its last lines.
func (i installer) apt(ctx context.Context, prefix []string, args ...string) error {
	argv := append(prefix, "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8",
		// Another apt-get at work is waited for.
		"apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Options::=--force-confold")
	argv = append(argv, args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = os.Stdin
	if !i.interactive {
		cmd.Stdin = nil
	}
	// dpkg is not to be torn away in the middle: asked first.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	pr, pw := io.Pipe()
	cmd.Stdout, cmd.Stderr = pw, pw
	tail := make(chan string, 1)
	go func() { tail <- i.follow(pr) }()
	err := cmd.Run()
	_ = pw.Close()
	last := <-tail
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("apt-get %s: %w; it says:\n%s", args[0], err, last)
	}
	return nil
}

// follow shows what matters of apt-get's output, and returns its complaints, or
// its last lines where it has none.
func (i installer) follow(r io.Reader) string {
	var last, complaints []string
	unpacked := 0
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := strings.TrimSpace(sc.Text())
		switch {
		case line == "":
			continue
		case strings.HasPrefix(line, "E: "), strings.HasPrefix(line, "Err:"):
			complaints = append(complaints, line)
		case strings.HasSuffix(line, "not upgraded."), strings.HasPrefix(line, "Need to get "), strings.HasPrefix(line, "Fetched "):
			i.say("  %s", line)
		case strings.HasPrefix(line, "Unpacking "):
			if unpacked++; unpacked%20 == 0 {
				i.say("  %d packages unpacked", unpacked)
			}
		}
		if last = append(last, line); len(last) > 10 {
			last = last[1:]
		}
	}
	_, _ = io.Copy(io.Discard, r)
	if len(complaints) > 0 {
		return strings.Join(complaints, "\n")
	}
	return strings.Join(last, "\n")
}
