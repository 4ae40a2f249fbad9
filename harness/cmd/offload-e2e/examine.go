package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"offload-e2e/harness/e2e"
	"offload-e2e/harness/guest"
	"offload-e2e/harness/provider/qemu"
)

// What a run needs, in MiB: room for the image and the machines kept booted, and
// for the disks and snapshots of those that run.
const (
	runMachines  = 2
	imageDiskMiB = 2500
	cacheDiskMiB = 1500
	stateDiskMiB = 2500
)

const mirrorTimeout = 8 * time.Second

// examination is what doctor looks at.
type examination struct {
	system
	paths   *paths
	machine qemu.Preflight
	mirror  string // "" where mmdebstrap chooses
	// image is the guest image, or nil, and imageErr why.
	image    *guest.Image
	imageErr error
	suite    string
	client   *http.Client
}

func newExamination(p *paths, s system) *examination {
	e := &examination{system: s, paths: p, machine: p.preflight(), mirror: os.Getenv(mirrorVariable), client: &http.Client{Timeout: mirrorTimeout}}
	recipe, err := guest.LoadRecipe(p.recipe())
	if err != nil {
		e.imageErr = err
		return e
	}
	e.suite = recipe.Suite
	e.image, e.imageErr = p.imageStore(nil).Find(recipe)
	return e
}

func (e *examination) questions() []func(context.Context) []condition {
	return []func(context.Context) []condition{
		e.platform, e.goToolchain, e.hypervisor, e.accelerator, e.resources, e.guestImage, e.builders, e.debianMirror,
		e.rootRights, e.bootedMachines, e.runningLab, e.nix, e.guests, e.docker, e.provider, e.testTools,
	}
}

func one(name, state, found, wayOut string) []condition {
	return []condition{{name, state, found, wayOut}}
}

func (e *examination) platform(context.Context) []condition {
	found := fmt.Sprintf("%s, %s/%s", e.describe(), e.os, e.arch)
	if e.os != "linux" || e.arch != "amd64" {
		return one("system", stateMissing, found, "The guests are x86_64: use an x86_64 Linux; one without KVM is enough.")
	}
	return one("system", stateOK, found, "")
}

func (e *examination) goToolchain(ctx context.Context) []condition {
	// The places where harness/setup/go.sh looks.
	places, _ := filepath.Glob(filepath.Join(e.root, "/usr/lib/go-*/bin/go"))
	for _, program := range append([]string{"go", filepath.Join(e.root, "/usr/local/go/bin/go")}, places...) {
		if out, err := output(ctx, program, "version"); err == nil {
			return one("Go", stateOK, strings.TrimPrefix(out, "go version "), "")
		}
	}
	return one("Go", stateWarn, "not found; it is needed to build, not to run", "make setup installs it, or see https://go.dev/dl")
}

func (e *examination) hypervisor(ctx context.Context) []condition {
	if lack := missing(e.system, forRun); len(lack) > 0 {
		return one("QEMU", stateMissing, "not found: "+strings.Join(namesOf(lack), ", "), "make setup")
	}
	return e.ask(ctx, "QEMU", "QEMU stream networking", "qemu-img")
}

func (e *examination) resources(ctx context.Context) []condition { return e.room(ctx, e.image == nil) }

// room looks for memory and disk; a guest image that is yet to be built takes some.
func (e *examination) room(ctx context.Context, imageToo bool) []condition {
	cache := cacheDiskMiB
	if imageToo {
		cache += imageDiskMiB
	}
	return append(e.ask(ctx, "memory", "disk space"), e.roomIn(ctx, "cache space", e.paths.Cache, cache, "Put the cache elsewhere: "+cacheVariable+"=<dir>")...)
}

// roomIn looks for room in one more folder.
func (e *examination) roomIn(ctx context.Context, name, dir string, mib int, wayOut string) []condition {
	there := e.machine
	there.StateDir, there.DiskMiB = dir, mib
	for _, c := range there.Checks() {
		if c.Name == "disk space" {
			return []condition{verdict(ctx, name, c, wayOut)}
		}
	}
	return nil
}

// ask puts questions of the provider's own preflight.
func (e *examination) ask(ctx context.Context, names ...string) []condition {
	ways := map[string]string{"QEMU": "make setup", "QEMU stream networking": "make setup", "qemu-img": "make setup",
		"memory": "End other programs; two machines of 1 GiB run at the same time.", "disk space": "Make room, or set " + stateVariable + "=<dir>"}
	var out []condition
	for _, name := range names {
		for _, c := range e.machine.Checks() {
			if c.Name == name {
				out = append(out, verdict(ctx, name, c, ways[name]))
			}
		}
	}
	return out
}

func verdict(ctx context.Context, name string, c qemu.Check, wayOut string) condition {
	found, err := c.Run(ctx)
	if err != nil {
		return condition{name, stateMissing, err.Error(), wayOut}
	}
	return condition{name, stateOK, found, ""}
}

// accelerator says whether KVM works, which only a real boot can tell.
func (e *examination) accelerator(ctx context.Context) []condition {
	const slow = "Without KVM all works, several times slower."
	if !e.hasFile("/dev/kvm") {
		return one("KVM", stateWarn, "no /dev/kvm: the machines are emulated", slow)
	}
	if e.image == nil || e.program(qemu.DefaultBinary) == "" {
		return one("KVM", stateOK, "/dev/kvm is there; the first run tries whether it boots a kernel", "")
	}
	accelerator, why, err := qemu.ProbeAccelerator(ctx, qemu.Bundle{Kernel: e.image.Path(guest.KernelName)})
	switch {
	case err != nil:
		return one("KVM", stateWarn, err.Error(), slow)
	case accelerator != qemu.KVM:
		return one("KVM", stateWarn, why, slow)
	}
	return one("KVM", stateOK, why, "")
}

func (e *examination) guestImage(context.Context) []condition {
	switch {
	case e.image != nil:
		v := e.image.Versions
		return one("guest image", stateOK, fmt.Sprintf("%s %s: Nix %s, Linux %s, systemd %s, built %s", e.image.Kind, e.image.ID,
			v["nix"], v["linux"], v["systemd"], e.image.Built.Local().Format("2006-01-02 15:04")), "")
	case e.suite == "":
		return one("guest image", stateMissing, e.imageErr.Error(), "The clone is incomplete: git status says what is missing.")
	case errors.Is(e.imageErr, fs.ErrNotExist):
		return one("guest image", stateWarn, "not built yet; the first run builds it, in about a minute", "To build it now: make setup")
	}
	return one("guest image", stateWarn, "damaged, the next run builds it again: "+e.imageErr.Error(), "To build it now: make setup")
}

// builders are what builds the guest image; not needed where it is there.
func (e *examination) builders(ctx context.Context) []condition {
	state := stateMissing
	if e.image != nil {
		state = stateWarn
	}
	if lack := missing(e.system, forImage); len(lack) > 0 {
		return one("image tools", state, "not found: "+strings.Join(namesOf(lack), ", "), "make setup")
	}
	if e.uid != 0 && e.image == nil && !e.hasLineFor("/etc/subuid") {
		return one("image tools", state, fmt.Sprintf("user %s has no line in /etc/subuid, so mmdebstrap cannot work without root", e.user),
			"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "+e.user)
	}
	if e.image == nil {
		if _, err := output(ctx, "unshare", e.unshareFlags()...); err != nil {
			return one("image tools", state, "this machine lets us mount nothing, as in a container without privileges: "+err.Error(),
				"Start a container with --privileged; on Ubuntu, as a user: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0")
		}
	}
	return one("image tools", stateOK, "mmdebstrap, mke2fs", "")
}

func (e *examination) unshareFlags() []string {
	if e.uid == 0 {
		return []string{"--mount", "true"}
	}
	return []string{"--user", "--map-root-user", "--mount", "true"}
}

func (e *examination) debianMirror(ctx context.Context) []condition {
	if e.image != nil {
		return one("Debian mirror", stateOK, "not needed: the guest image is built", "")
	}
	if e.mirror == "" {
		return one("Debian mirror", stateOK, "mmdebstrap's own; "+mirrorVariable+" names another", "")
	}
	url := strings.TrimSuffix(e.mirror, "/") + "/dists/" + e.suite + "/InRelease"
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err == nil {
		var answer *http.Response
		if answer, err = e.client.Do(request); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				err = fmt.Errorf("%s: %s", url, answer.Status)
			}
		}
	}
	if err != nil {
		return one("Debian mirror", stateWarn, err.Error(), "The guest image is built from there: set "+mirrorVariable+"=<url> to a mirror this machine reaches.")
	}
	return one("Debian mirror", stateOK, e.mirror, "")
}

func (e *examination) rootRights(ctx context.Context) []condition {
	switch {
	case e.uid == 0:
		return one("packages", stateOK, "root may install them", "")
	case e.program("sudo") == "":
		return one("packages", stateWarn, "no sudo: make setup cannot install packages", "Not needed where all programs are there.")
	}
	if _, err := output(ctx, "sudo", "-n", "true"); err != nil {
		return one("packages", stateOK, "sudo may install them, after a password", "")
	}
	return one("packages", stateOK, "sudo may install them", "")
}

func (e *examination) bootedMachines(context.Context) []condition {
	kept, _ := filepath.Glob(filepath.Join(e.paths.booted(), "*", "*"))
	if len(kept) == 0 {
		return one("booted machines", stateOK, "none kept: the next run boots them, later ones restore them", "")
	}
	return one("booted machines", stateOK, "kept in "+e.paths.booted()+": runs that fit restore them", "")
}

// runningLab looks for machines that run now.
func (e *examination) runningLab(context.Context) []condition {
	running := runningMachines(e.paths.State)
	if len(running) == 0 {
		return one("running lab", stateOK, "none", "")
	}
	return one("running lab", stateWarn, strings.Join(running, ", ")+" in "+e.paths.State,
		"Enter one: .bin/offload-e2e ssh <machine>. End it: .bin/offload-e2e down")
}

// runningMachines reads the pid files that the provider leaves below the state folder.
func runningMachines(state string) []string {
	var out []string
	_ = filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "qemu.pid" {
			return nil //nolint:nilerr // what cannot be read is not ours
		}
		text, err := os.ReadFile(path)
		var pid struct {
			PID     int
			Machine string
		}
		if err != nil || json.Unmarshal(text, &pid) != nil {
			return nil
		}
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid.PID))
		if err == nil && strings.HasPrefix(string(comm), "qemu") {
			out = append(out, pid.Machine)
		}
		return nil
	})
	return out
}

func (e *examination) nix(ctx context.Context) []condition {
	_, version, ok := installedNix(ctx)
	switch {
	case ok:
		return one("Nix", stateOK, version+" is installed; configurations are evaluated by the guest image's own where that is built", "")
	case version != "":
		return one("Nix", stateOK, version+" is installed, too old to use; the guest image brings its own", "")
	}
	return one("Nix", stateOK, "not installed, not needed: the guest image brings its own", "")
}

// guests says which guest GUEST=auto takes, by the question that a run asks.
func (e *examination) guests(ctx context.Context) []condition {
	c, err := e2e.ChooseGuest(ctx, e2e.Auto, e2e.NixOptions(e.paths.config(), e.paths.Cache))
	switch {
	case err != nil:
		return one("guests", stateWarn, err.Error(), "")
	case c.Kind == guest.NixOS:
		return one("guests", stateOK, "nixos: "+c.Reason+"\nThe first run builds them from cache.nixos.org's packages, which takes minutes and some GB of the store.",
			"The embedded guest instead: GUEST=embedded")
	}
	return one("guests", stateOK, "embedded: "+c.Reason, c.WayOut)
}

func (e *examination) docker(ctx context.Context) []condition {
	return one("containers", stateOK, "PROVIDER=docker: "+dockerOutlook(ctx).why, "")
}

// provider says what PROVIDER=auto comes to.
func (e *examination) provider(ctx context.Context) []condition {
	name, why := automatic(providers(ctx))
	return one("provider", stateOK, "auto is "+name+": "+why, "")
}

func (e *examination) testTools(context.Context) []condition {
	if lack := missing(e.system, forTest); len(lack) > 0 {
		return one("test tools", stateWarn, "not found: "+strings.Join(namesOf(lack), ", ")+"; only make test and make lint use them",
			".bin/offload-e2e setup --test")
	}
	return one("test tools", stateOK, "ssh-keygen, tshark, shellcheck", "")
}

// output runs a small program and returns its first line.
func output(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, line)
	}
	return line, nil
}
