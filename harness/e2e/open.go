package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/known"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/provider/qemu"
	"offload-e2e/harness/report"
)

// Options are what a run is opened with. All folders are absolute.
type Options struct {
	// Config is the repository under test, Name how the user wrote it.
	Config, ConfigName string
	Exchange           bool
	// Known are defects on record; nil is none.
	Known *known.List
	// Provider runs the machines.
	Provider string
	// Hosts is the file that names somebody's own machines, and NixBin finds the Nix by
	// which their configuration is evaluated; of the provider hosts alone.
	Hosts  string
	NixBin func(ctx context.Context, say func(format string, args ...any)) (string, error)
	// Guest is the kind of guest: embedded, nixos, or auto. Prepared names a file with
	// NixOS guests that were built before, and Vmconfigs the folder of the flake.
	Guest, Prepared, Vmconfigs string
	// Recipe, Embedded, Base, Nixpkgs and Programs are parts of this repository.
	Recipe, Embedded, Base, Nixpkgs, Programs, Container string
	// Images, Cache and Eval are kept between runs; State is this run's own.
	Images, Cache, Eval, State string
	// Mirror is the Debian mirror of the guest image, empty for the usual one.
	Mirror string
	// Artifacts receives logs and the capture.
	Artifacts string
	Recorder  *report.Recorder
	Progress  *report.Progress
}

// Open gets the guest image, evaluates the configuration, and brings the lab up.
// A configuration that does not evaluate is found before anything boots.
func Open(ctx context.Context, o Options) (*Run, error) {
	r := &Run{Recorder: o.Recorder, Progress: o.Progress, Exchange: o.Exchange, Slow: 1, known: o.Known, provider: o.Provider,
		Configurations: map[nixos.Role]*nixos.Configuration{}}
	var err error
	if r.Repository, err = nixos.OpenRepository(o.Config, lab.DesktopAddr.String()); err != nil {
		return nil, err
	}
	r.Recorder.EditRun(func(run *report.Run) {
		run.Imports = map[string][]string{}
		for role, h := range r.Repository.Hosts {
			run.Imports[string(role)] = h.Imports()
		}
	})
	up := lab.Options{Provider: o.Provider, StateDir: o.State, ArtifactsDir: o.Artifacts, CacheDir: o.Cache,
		Programs: o.Programs, Container: o.Container, Nixpkgs: o.Nixpkgs}
	prepare, title := r.bootable, "bring the machines up"
	if o.Provider == lab.Hosts {
		prepare, title = r.reachable, "reach the machines"
	}
	if err := prepare(ctx, o, &up); err != nil {
		return nil, err
	}
	inputs, err := inputsOf(r.Recorder.Report().Run.Guest.Image, r.Configurations)
	if err != nil {
		return nil, err
	}
	r.Recorder.EditRun(func(run *report.Run) {
		run.Inputs = inputs
		run.Machines = map[string]string{"desktop": lab.DesktopAddr.String(), "laptop": lab.LaptopAddr.String()}
	})
	if err := r.step(title, func(say func(string, ...any)) error {
		up.Say = say
		r.Lab, err = lab.Up(ctx, up)
		return err
	}); err != nil {
		return nil, err
	}
	r.Recorder.EditRun(func(run *report.Run) {
		run.Accelerator, run.Restored = string(up.Accelerator), r.Lab.Restored
		run.Engine, run.Grants = r.Lab.Granted()
	})
	r.describeOwn(ctx)
	if err := r.unsandboxed(ctx); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return nil, errors.Join(err, r.Lab.Close(closing))
	}
	return r, nil
}

// unsandboxed sets both machines' Nix to build without a sandbox where it can make
// none: nothing would be built there, whatever the configuration.
func (r *Run) unsandboxed(ctx context.Context) error {
	if r.Lab.NoSandbox == "" {
		return nil
	}
	r.Recorder.EditRun(func(run *report.Run) { run.NoSandbox = r.Lab.NoSandbox })
	return r.step("set Nix to build without a sandbox", func(say func(string, ...any)) error {
		say("%s", r.Lab.NoSandbox)
		for _, role := range roles {
			if err := r.Reevaluate(ctx, role, `{ nix.settings.sandbox = lib.mkOverride 0 false; }`); err != nil {
				return err
			}
		}
		return nil
	})
}

// bootable makes the guests of a lab, and finds out what runs them.
func (r *Run) bootable(ctx context.Context, o Options, up *lab.Options) error {
	made, err := r.makeGuests(ctx, o)
	if err != nil {
		return err
	}
	up.Images, up.Switcher, up.Base = made.images, made.switcher, made.base
	if o.Provider == lab.QEMU {
		up.Accelerator, err = r.accelerator(ctx, made.images[nixos.Desktop], filepath.Join(o.Cache, "accelerator.json"))
	}
	return err
}

// accelerator finds out what QEMU runs with, and how slow that is.
func (r *Run) accelerator(ctx context.Context, img *guest.Image, file string) (found qemu.Accelerator, _ error) {
	err := r.step("accelerator", func(say func(string, ...any)) (err error) {
		var why string
		found, why, err = accelerator(ctx, img, file)
		say("%s: %s", found, why)
		return err
	})
	if found == qemu.TCG {
		r.Slow = 1.5
	}
	return found, err
}

// step is a stretch of setting up: shown, and on the time line.
func (r *Run) step(name string, f func(say func(format string, args ...any)) error) error {
	end := r.Recorder.Span(name, "setup", "")
	defer end()
	shown := r.Progress.Start(name)
	err := f(func(format string, args ...any) { r.Progress.Note("  " + fmt.Sprintf(format, args...)) })
	if err != nil {
		shown.End(report.Errored, "")
		return err
	}
	shown.End(report.Holds, "")
	return nil
}

// inputsOf is a hash of what a run is made from: of two with the same, one that
// finds something else is flaky.
func inputsOf(image string, configurations map[nixos.Role]*nixos.Configuration) (string, error) {
	text, err := json.Marshal(configurations)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(append(text, image...)))[:16], nil
}

// accelerator probes once an image and machine, and keeps the answer.
func accelerator(ctx context.Context, img *guest.Image, file string) (qemu.Accelerator, string, error) {
	type answer struct {
		Image, Host string
		Accelerator qemu.Accelerator
		Reason      string
	}
	host := "no /dev/kvm"
	if info, err := os.Stat("/dev/kvm"); err == nil {
		host = info.Mode().String()
	}
	if boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		host += " " + string(boot)
	}
	var kept answer
	text, err := os.ReadFile(file)
	if err == nil && json.Unmarshal(text, &kept) == nil && kept.Image == img.ID && kept.Host == host {
		return kept.Accelerator, kept.Reason, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	a, reason, err := qemu.ProbeAccelerator(ctx, lab.Bundle(img))
	if err != nil {
		return "", "", err
	}
	text, err = json.Marshal(answer{img.ID, host, a, reason})
	if err != nil {
		return "", "", err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", "", err
	}
	return a, reason, os.WriteFile(file, text, 0o644)
}

// Close keeps what the machines have to tell, and takes the lab down.
func (r *Run) Close(ctx context.Context, dir string) error {
	r.cutAhead()
	return errors.Join(r.keepFiles(ctx, dir), r.Lab.Close(ctx))
}

// keepFiles copies effective settings and access logs beside the report.
func (r *Run) keepFiles(ctx context.Context, dir string) error {
	var errs []error
	for _, m := range r.Lab.Machines() {
		if !m.Running() {
			continue
		}
		for name, argv := range map[string][]string{
			"nix.conf":   {"nix", "--extra-experimental-features", "nix-command", "config", "show"},
			"machines":   {"cat", "/etc/nix/machines"},
			"access.log": {"journalctl", "--no-pager", "--output=cat", "--unit=nix-serve.service"},
			"exports":    {"exportfs", "-s"},
			"mounts":     {"cat", "/proc/self/mountinfo"},
			"units":      {"systemctl", "list-units", "--all", "--no-pager", "--plain"},
		} {
			// A machine that cannot say has its journal; its absence is no failure.
			limited, cancel := context.WithTimeout(ctx, 10*time.Second)
			res, err := m.Exec(limited, provider.Cmd(argv...))
			cancel()
			if err != nil || !res.OK() || len(res.Stdout) == 0 {
				continue
			}
			errs = append(errs, os.WriteFile(filepath.Join(dir, m.Name()+"-"+name), res.Stdout, 0o644))
		}
	}
	if r.Lab.Internet == nil {
		return errors.Join(errs...)
	}
	var internet strings.Builder
	for _, a := range r.Lab.Internet.Accesses() {
		fmt.Fprintln(&internet, a)
	}
	errs = append(errs, os.WriteFile(filepath.Join(dir, "internet-access.log"), []byte(internet.String()), 0o644))
	return errors.Join(errs...)
}
