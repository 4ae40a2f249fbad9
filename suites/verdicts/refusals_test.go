package verdicts

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A configuration that cannot be evaluated is refused before anything boots.
func TestConfigurationsThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		name, file, text string
		says             []string
	}{
		{"it is missing", "", "", []string{"This is no configuration to test", "no such directory", "CONFIG=<dir>"}},
		{"it has another shape", server, "", []string{"This is no configuration to test", "it has no " + server, "README.md"}},
		{"a syntax error", client, "{ lib, ... }:\n{ nix.settings = { max-jobs = 1 }; }", []string{"does not evaluate", "syntax error", client + ":2:", "eval laptop"}},
		{"an unknown option", client, "{ nix.settingz.max-jobs = 1; }", []string{"does not evaluate", "`nix.settingz' does not exist", client}},
		{"a wrong type", client, `{ networking.firewall.enable = "yes"; }`, []string{"does not evaluate", "networking.firewall.enable", "is not of type `boolean'", client}},
		{"a failed assertion", client, `{ assertions = [ { assertion = false; message = "no builder key"; } ]; }`,
			[]string{"NixOS refuses this configuration", "- no builder key", "e2e/laptop.nix"}},
		{"infinite recursion", client, `{ config, ... }: { networking.hostName = config.networking.hostName + "x"; }`, []string{"does not evaluate", "infinite recursion"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			config := reference(t)
			switch {
			case test.file == "":
				config = filepath.Join(config, "nowhere")
			case test.text == "":
				must(t, os.Remove(filepath.Join(config, test.file)))
			default:
				write(t, filepath.Join(config, test.file), test.text)
			}
			o := p.run("--config", config)
			o.is(exitUsage, test.says...)
			if o.report == nil || len(o.report.Errors) != 1 || o.report.Errors[0].WayOut == "" {
				t.Errorf("the report does not say what was wrong: %+v", o.report)
			}
			if strings.Contains(o.output, "bring the machines up") {
				t.Errorf("machines were started:\n%s", o.output)
			}
		})
	}
}

// fakes are a folder with stand-ins for programs, before the real ones on PATH, or
// instead of them.
func (p *place) fakes(alone bool, programs map[string]string) {
	p.t.Helper()
	bin := p.t.TempDir()
	for name, script := range programs {
		write(p.t, filepath.Join(bin, name), "#!/bin/sh\n"+script+"\n")
		must(p.t, os.Chmod(filepath.Join(bin, name), 0o755))
	}
	path := bin
	if !alone {
		path += ":" + os.Getenv("PATH")
	}
	p.env = append(p.env, "PATH="+path)
}

// A machine that cannot run a lab, or cannot build the guest image, is told what it
// lacks, and how to get it.
func TestMachinesThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(p *place)
		args    []string
		says    []string
	}{
		{"no QEMU", func(p *place) { p.fakes(true, nil) }, []string{"run"},
			[]string{"A lab cannot run on this machine", "qemu-system-x86_64", "make setup", "doctor"}},
		{"QEMU is too old", func(p *place) {
			p.fakes(false, map[string]string{"qemu-system-x86_64": "echo QEMU emulator version 6.2.0"})
		}, []string{"run"}, []string{"A lab cannot run on this machine", "6.2.0, at least 7.2 is needed"}},
		{"no QEMU, and no way to install it", func(p *place) { p.fakes(true, nil) }, []string{"setup"},
			[]string{"Programs are missing", "qemu-system-x86"}},
		{"packages cannot be had", func(p *place) {
			p.fakes(true, map[string]string{"apt-get": "echo E: no route to the mirror >&2; exit 100", "env": `exec /usr/bin/env "$@"`, "sudo": `exec "$@"`})
		}, []string{"setup"}, []string{"The packages could not be installed", "E: no route to the mirror", "make setup again"}},
		{"the mirror is away", func(p *place) {
			p.fakes(false, map[string]string{"mmdebstrap": "echo E: no route to the mirror >&2; exit 25"})
		}, []string{"run"}, []string{"The guest image does not build", "E: no route to the mirror", "OFFLOAD_E2E_MIRROR"}},
		{"no room for the guest image while it is built", func(p *place) {
			p.fakes(false, map[string]string{"mmdebstrap": "echo E: write: No space left on device >&2; exit 25"})
		}, []string{"run"}, []string{"The disk is full", "No space left on device", "OFFLOAD_E2E_CACHE"}},
		{"the reports' folder is a file", func(p *place) { write(p.t, p.reports, "") }, []string{"run"}, []string{"not a directory", "REPORT"}},
		{"the state folder is a file", func(p *place) {
			must(p.t, os.Remove(p.state))
			write(p.t, p.state, "")
		}, []string{"run"}, []string{"The state folder cannot be used", "is no folder", "OFFLOAD_E2E_STATE"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPlaceIn(t, filepath.Join(t.TempDir(), "cache"))
			test.prepare(p)
			args := test.args
			if args[0] == "run" {
				args = append(args, "--guest", "embedded", "--report", p.reports)
			}
			p.start(args...).end().is(exitInfra, test.says...)
			p.nothingLeft()
			if left, _ := filepath.Glob(filepath.Join(p.cache, "images", "*")); len(left) > 1 {
				t.Errorf("the guest image's builder leaves %q", left)
			}
		})
	}
}

// An image that is damaged is built again, with a word why; where that is not
// possible either, both are said.
func TestADamagedImageIsBuiltAgain(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	bundle := os.Getenv(bundleVariable)
	p.cache = filepath.Join(t.TempDir(), "cache")
	copied := filepath.Join(p.cache, "images", filepath.Base(bundle))
	must(t, os.MkdirAll(copied, 0o755))
	must(t, os.CopyFS(filepath.Join(copied, "nix"), os.DirFS(filepath.Join(bundle, "nix"))))
	entries, err := os.ReadDir(bundle)
	must(t, err)
	for _, e := range entries {
		if e.Type().IsRegular() && e.Name() != "initrd.img" && e.Name() != "disk.qcow2" {
			text, err := os.ReadFile(filepath.Join(bundle, e.Name()))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(copied, e.Name()), text, 0o600))
		}
	}
	must(t, os.Symlink(filepath.Join(bundle, "disk.qcow2"), filepath.Join(copied, "disk.qcow2")))
	write(t, filepath.Join(copied, "initrd.img"), "half of it")
	p.fakes(false, map[string]string{"mmdebstrap": "echo E: no route to the mirror >&2; exit 25"})
	p.run().is(exitInfra, "is built again: initrd.img is damaged", "The guest image does not build", "E: no route to the mirror")
	if exists(copied) {
		t.Error("the damaged image is still there")
	}
}

// smallDisk mounts a file system of a size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "oe-small-")
	must(t, err)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		must(t, os.Remove(dir))
		t.Skipf("this machine lets us mount nothing: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("something still uses the small disk: %v", err)
			_ = syscall.Unmount(dir, syscall.MNT_DETACH)
		}
		must(t, os.Remove(dir))
	})
	return dir
}

// Disks that are too small are refused.
func TestFullDisks(t *testing.T) {
	t.Run("for machines", func(t *testing.T) {
		p := newPlace(t)
		p.state = filepath.Join(smallDisk(t, "100m"), "state")
		p.run().is(exitInfra, "A lab cannot run on this machine", "MiB of room", "OFFLOAD_E2E_STATE")
	})
	t.Run("for the guest image", func(t *testing.T) {
		p := newPlaceIn(t, filepath.Join(smallDisk(t, "100m"), "cache"))
		p.run().is(exitInfra, "A lab cannot run on this machine", "MiB of room", "OFFLOAD_E2E_CACHE")
	})
	t.Run("for the report", func(t *testing.T) {
		p := newPlace(t)
		p.reports = filepath.Join(smallDisk(t, "1m"), "reports")
		p.run().is(exitInfra, "A lab cannot run on this machine", "report space", "REPORT=<dir>")
	})
}
