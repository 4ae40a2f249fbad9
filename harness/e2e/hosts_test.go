package e2e

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offload-e2e/harness/check"
	"offload-e2e/harness/document"
	"offload-e2e/harness/internal/machinetest"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// A file of hosts says how both are reached, and what is allowed; where it says
// nothing of that, nothing is.
func TestHostsFile(t *testing.T) {
	s := newStage(t)
	s.evaluates(t, "{ }")
	o := Options{Hosts: filepath.Join(t.TempDir(), "hosts.yaml"), NixBin: func(context.Context, func(string, ...any)) (string, error) { return s.nix, nil }}
	o.Embedded, o.Base, o.Eval = s.Evaluator.(*nixos.Evaluator).Embedded, s.Evaluator.(*nixos.Evaluator).Base[0], s.Evaluator.(*nixos.Evaluator).StateDir
	var no *NoHostsError
	if err := s.reachable(t.Context(), o, &lab.Options{}); !errors.As(err, &no) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), o.Hosts) {
		t.Errorf("a file that is not there: %v", err)
	}
	must(t, os.WriteFile(o.Hosts, []byte("desktop: { ssh: a }\nlaptop: { shs: b }\n"), 0o600))
	var problem *document.Problem
	if err := s.reachable(t.Context(), o, &lab.Options{}); !errors.As(err, &problem) || problem.Line != 2 {
		t.Errorf("a file with a mistake: %v", err)
	}
	must(t, os.WriteFile(o.Hosts, []byte("desktop: { ssh: a }\nlaptop: { ssh: b, identity: k }\n"), 0o600))
	var up lab.Options
	must(t, s.reachable(t.Context(), o, &up))
	if up.Hosts["desktop"].SSH != "a" || up.Hosts["laptop"].SSH != "b" || up.Hosts["laptop"].Identity != "k" {
		t.Errorf("they are reached by %+v", up.Hosts)
	}
	if allowed := s.Bench().Allowed; allowed == nil || len(allowed) != 0 || !s.Bench().KeysWritten {
		t.Errorf("allowed is %#v, keys are handed over: %t", allowed, !s.Bench().KeysWritten)
	}
	if f := s.Check(t.Context(), check.RemoteBuild()); f.State != report.Skipped {
		t.Errorf("a build is %s without leave", f.State)
	}
}

// The versions of what runs are told as their programs tell them.
func TestVersionsOf(t *testing.T) {
	s := newStage(t)
	s.desktop.On("bash -c *", machinetest.Out("nix nix (Nix) 2.28.3\nsystemd systemd 257 (257.6)\nlinux 6.12.41\nopenssh OpenSSH_10.0p2, OpenSSL 3.4.1 11 Feb 2025\nother none\n"))
	want := map[string]string{"nix": "2.28.3", "systemd": "257", "linux": "6.12.41", "openssh": "10.0p2", "other": "none"}
	got := s.versionsOf(t.Context())
	for name, version := range want {
		if got[name] != version {
			t.Errorf("%s is %q, not %q", name, got[name], version)
		}
	}
}
