package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"offload-e2e/harness/check"
	"offload-e2e/harness/internal/machinetest"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
	"offload-e2e/harness/scenario"
)

// evaluated lets a machine answer what its configuration alone decides: its Nix is a
// real one that reads the nix.conf and the machines that were evaluated.
func (s stage) evaluated(t *testing.T, m *machinetest.Machine, c *nixos.Configuration) {
	t.Helper()
	etc := t.TempDir()
	if conf := c.Etc["nix/nix.conf"]; conf.Text != nil {
		must(t, os.WriteFile(filepath.Join(etc, "nix.conf"), []byte(*conf.Text), 0o644))
	} else {
		t.Fatalf("%s: the configuration has no nix.conf: %+v", m.Name(), conf)
	}
	m.Does("nix --extra-experimental-features nix-command config show --json", func(argv []string) provider.Result {
		cmd := exec.CommandContext(t.Context(), filepath.Join(s.nix, "nix"), argv[1:]...)
		cmd.Env = append(os.Environ(), "NIX_CONF_DIR="+etc, "NIX_USER_CONF_FILES=/dev/null", "NIX_CONFIG=")
		out, err := cmd.Output()
		must(t, err)
		return machinetest.Out(strings.ReplaceAll(string(out), etc+"/", "/etc/nix/"))
	})
	machines := ""
	if c.Machines != nil {
		machines = *c.Machines
	}
	m.On("cat /etc/nix/machines", machinetest.Out(machines))
	m.On("cat "+check.CachePublicKeyPath, machinetest.Out(newKey))
	m.On("date *", machinetest.Out(""))
	m.On("id *", machinetest.Said(1, "no such user\n"))
	m.On("id -Gn *", machinetest.Out("nix-builder\n"))
	for name := range c.Users {
		m.On("id "+name, machinetest.Out(name))
	}
	m.On("test -s *", machinetest.Said(1, ""))
	m.On("test -s /etc/nix/builder_key", machinetest.Out(""))
	m.On("curl *", machinetest.Said(7, "no answer\n"))
	m.Does("env HOME=/root ssh -G *", func(argv []string) provider.Result {
		_, host, _ := strings.Cut(argv[len(argv)-1], "@")
		return machinetest.Out("hostname " + host + "\n")
	})
}

// settled are the checks that the configuration alone decides.
func settled() []check.Check {
	return []check.Check{check.ServerEnabled(), check.BuilderTrusted(), check.DesktopSandbox(), check.BuildersConfigured(), check.BuilderUserExists(),
		check.BuilderKeyExists(), check.Addresses(), check.TrustedKeys(), check.Substituters(), check.OfflineSettings(), check.BootSafe()}
}

// What is wrong in the configuration is found by evaluating it, with nothing booted.
func TestBrokenConfigurations(t *testing.T) {
	s := newStage(t)
	s.evaluates(t, "{ }")
	var err error
	s.Configurations[nixos.Desktop], err = s.Evaluator.Evaluate(t.Context(), s.Repository.Hosts[nixos.Desktop])
	must(t, err)
	must(t, s.Reevaluate(t.Context(), nixos.Laptop, `{ nix.settings.trusted-public-keys = [ `+nixos.Quote(newKey)+` ]; }`))
	causes := func(ctx context.Context, t *testing.T, r *Run) []report.RootCause {
		s.evaluated(t, s.desktop, r.Configurations[nixos.Desktop])
		s.evaluated(t, s.laptop, r.Configurations[nixos.Laptop])
		var found []report.Finding
		for _, c := range settled() {
			f := r.Bench().Run(ctx, c)
			if f.State == report.Errored {
				t.Errorf("%s: %s", f.Check, f.Reason)
			}
			found = append(found, f)
		}
		return report.Rank(found)
	}
	t.Run("the reference", func(t *testing.T) {
		if found := causes(t.Context(), t, s.Run); len(found) > 0 {
			t.Errorf("something is wrong with it: %+v", found)
		}
	})
	for _, file := range []string{
		"network/wrong-desktop-address", "keys/wrong-builder-key", "cache/C3-doubled-prefix", "cache/C4-https", "cache/C9-priority",
		"nix/X1-distributed-builds-off", "nix/X2-machines-shadowed", "nix/X4-no-local-jobs", "nix/X5-fallback-off", "nix/X6-connect-timeout",
		"nix/X10-other-system", "nix/X11-no-sandbox", "ssh/S3-builder-not-trusted", "ssh/S10-builder-user",
	} {
		t.Run(file, func(t *testing.T) {
			broken, err := scenario.Load(filepath.Join("../../fixtures/scenarios", file+".yaml"))
			must(t, err)
			r, err := s.Broken(t.Context(), broken)
			must(t, err)
			defer r.Discard()
			found := causes(t.Context(), t, r)
			if len(found) == 0 || found[0].Code != broken.Then.Diagnosis {
				t.Fatalf("the root causes are %+v, and not %s", found, broken.Then.Diagnosis)
			}
		})
	}
}
