package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"offload-e2e/harness/nixos"
)

var update = flag.Bool("update", false, "write the golden files of this package anew")

// evalPaths are those of this clone, with an empty cache: the Nix that evaluates
// is the one of NIX_BIN, or of PATH.
func evalPaths(t *testing.T) *paths {
	t.Helper()
	if bin := os.Getenv("NIX_BIN"); bin != "" {
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	}
	if _, version, ok := installedNix(t.Context()); !ok {
		t.Fatalf("no Nix from %d.%d on (found %q): set NIX_BIN to the folder of its programs, or run this by \"make test\"",
			oldestNixMajor, oldestNixMinor, version)
	}
	root, err := filepath.Abs("../../..")
	must(t, err)
	// Nix's stores are read-only, which the test's own folder could not remove.
	cache, err := os.MkdirTemp("", "eval-")
	must(t, err)
	t.Cleanup(func() {
		_ = filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(path, 0o755)
			}
			return nil
		})
		must(t, os.RemoveAll(cache))
	})
	return &paths{Root: root, Cache: cache, State: filepath.Join(cache, "state")}
}

// offload runs the command and returns what it prints, and its exit status.
func offload(t *testing.T, p *paths, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	root := newRoot(p)
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	exit := tell(&out, root.ExecuteContext(t.Context()))
	return out.String(), exit
}

// neutral is output without what changes with every NixOS: versions, and how much
// it has of its own.
func neutral(s string) string {
	s = regexp.MustCompile(`(/nix/store/…-[a-z-]*[a-z])-[0-9][0-9a-z.]*`).ReplaceAllString(s, "$1-VERSION")
	s = regexp.MustCompile(`(?m)^(. [a-z-]+ )[0-9][0-9.]*:`).ReplaceAllString(s, "${1}VERSION:")
	return regexp.MustCompile(`and [0-9]+ that every`).ReplaceAllString(s, "and N that every")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = neutral(got)
	file := filepath.Join("testdata", "eval", name)
	if *update {
		write(t, file, got)
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", file, strings.Join(diffLines(splitLines(string(want)), splitLines(got)), "\n"))
	}
}

func TestEval(t *testing.T) {
	p := evalPaths(t)
	config, err := filepath.Abs("testdata/config")
	must(t, err)
	for _, test := range []struct {
		golden string
		args   []string
	}{
		{"desktop.txt", []string{"desktop"}},
		{"laptop.txt", []string{"laptop"}},
		{"max-jobs.txt", []string{"laptop", "--option", "nix.settings.max-jobs"}},
		{"distributed.txt", []string{"laptop", "--option", "nix.distributedBuilds"}},
		{"machines.txt", []string{"laptop", "--option", "nix.buildMachines"}},
		{"undefined.txt", []string{"desktop", "--option", "services.offload-server.cachePort"}},
		{"unset.txt", []string{"laptop", "--option", "nix.settings.netrc-file"}},
	} {
		t.Run(test.golden, func(t *testing.T) {
			out, exit := offload(t, p, append([]string{"eval", "--config", config}, test.args...)...)
			if exit != exitOK {
				t.Fatalf("exit %d: %s", exit, out)
			}
			golden(t, test.golden, out)
		})
	}
	t.Run("JSON is the whole configuration", func(t *testing.T) {
		out, exit := offload(t, p, "eval", "desktop", "--config", config, "--json")
		var c nixos.Configuration
		must(t, json.Unmarshal([]byte(out), &c))
		if exit != exitOK || c.HostName != "desktop" || c.NixConf["trusted-users"] != "root nix-builder" || c.UnitFiles["greet.service"].Text == "" {
			t.Errorf("exit %d: %.2000s", exit, out)
		}
	})
	t.Run("an option as JSON", func(t *testing.T) {
		out, exit := offload(t, p, "eval", "laptop", "--config", config, "--option", "nix.settings.max-jobs", "--json")
		var o nixos.Option
		must(t, json.Unmarshal([]byte(out), &o))
		if exit != exitOK || string(o.Value) != "0" || !o.Definitions[0].Wins || o.Definitions[0].Priority != 50 {
			t.Errorf("exit %d: %s", exit, out)
		}
	})
	t.Run("everything a NixOS has", func(t *testing.T) {
		out, _ := offload(t, p, "eval", "laptop", "--config", config, "--all")
		contains(t, out, "\n  nix-daemon.service", "\n  /etc/bashrc", "\n  root: ")
	})
}

func TestEvalDiff(t *testing.T) {
	p := evalPaths(t)
	other := t.TempDir()
	must(t, os.CopyFS(other, os.DirFS("testdata/config")))
	file := filepath.Join(other, "modules/services/offload-server.nix")
	text, err := os.ReadFile(file)
	must(t, err)
	write(t, file, strings.NewReplacer("default = 5000", "default = 5001", "echo hello", "echo bye", "echo fine", "echo broken", "greeting", "salute").Replace(string(text)))

	out, exit := offload(t, p, "eval", "desktop", "--config", "testdata/config", "--diff", other)
	if exit != exitOK {
		t.Fatalf("exit %d: %s", exit, out)
	}
	golden(t, "diff.txt", strings.ReplaceAll(out, other, "OTHER"))

	out, exit = offload(t, p, "eval", "laptop", "--config", "testdata/config", "--diff", other)
	if want := "laptop: no difference between testdata/config and " + other + "\n"; out != want || exit != exitOK {
		t.Errorf("exit %d: %s", exit, out)
	}
}

func TestEvalOfWhatIsWrong(t *testing.T) {
	p := evalPaths(t)
	const server, client = "modules/services/offload-server.nix", "modules/services/laptop-offload-client.nix"
	for _, test := range []struct {
		name, file, text string
		args             []string
		says             []string
	}{
		{"a syntax error", client, "{ lib, ... }:\n{ nix.settings = { max-jobs = 1 }; }", []string{"laptop"},
			[]string{"The configuration does not evaluate", "syntax error", client + ":2:"}},
		{"an unknown option", client, "{ nix.settingz.max-jobs = 1; }", []string{"laptop"}, []string{"`nix.settingz' does not exist", client}},
		{"a wrong type", client, `{ networking.firewall.enable = "yes"; }`, []string{"laptop"}, []string{"networking.firewall.enable", "is not of type `boolean'"}},
		{"infinite recursion", client, `{ config, ... }: { networking.hostName = config.networking.hostName + "x"; }`, []string{"laptop"}, []string{"infinite recursion"}},
		{"an undefined variable", client, `{ networking.hostName = desktopIP; }`, []string{"laptop"}, []string{"undefined variable 'desktopIP'", client + ":1:"}},
		{"a failed assertion", client, `{ assertions = [ { assertion = false; message = "no builder key"; } ]; }`, []string{"laptop"},
			[]string{"NixOS refuses this configuration", "- no builder key", "e2e/laptop.nix"}},
		{"an option nobody declares", client, "{ }", []string{"laptop", "--option", "services.offload-server.enable"}, []string{"There is no such option", "on the laptop"}},
		{"the other configuration is wrong", server, "{", []string{"desktop", "--config", "testdata/config", "--diff", "HERE"}, []string{"does not evaluate", "syntax error"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.CopyFS(dir, os.DirFS("testdata/config")))
			write(t, filepath.Join(dir, test.file), test.text)
			args := append([]string{"eval", "--config", dir}, test.args...)
			for i := range args {
				args[i] = strings.Replace(args[i], "HERE", dir, 1)
			}
			out, exit := offload(t, p, args...)
			if exit != exitUsage {
				t.Errorf("exit %d", exit)
			}
			contains(t, out, test.says...)
		})
	}
}

// The reference configuration, as far as contract and README promise it.
func TestEvalOfTheReference(t *testing.T) {
	p := evalPaths(t)
	for role, wanted := range map[string][]string{
		"desktop": {"/nix/store 192.168.15.0/24(ro,", "/var/lib/nix-offload 192.168.15.0/24(rw,", "trusted-users = root nix-builder", "nix-serve.service", "5000",
			"+ offload-server-status\n", "+ offload-server-test\n", "+ offload-generate-cache-keys\n", "+ cache-status\n"},
		"laptop": {"substituters = http://192.168.15.7:5000 https://cache.nixos.org", "nix-builder@192.168.15.7 x86_64-linux /etc/nix/builder_key", "fallback = true",
			"192.168.15.7:/nix/store on /nix/store-remote", "+ offload-status\n", "+ offload-test-build\n", "+ offload-mount\n", "+ offload-unmount\n", "+ offload-setup\n"},
	} {
		t.Run(role, func(t *testing.T) {
			out, exit := offload(t, p, "eval", role)
			if exit != exitOK {
				t.Errorf("exit %d", exit)
			}
			contains(t, out, append(wanted, "by vmconfigs\n")...)
		})
	}
}

// A configuration as people write them evaluates as it is, and shows what it comes to:
// the list of builders lost to NixOS's own null.
func TestEvalOfAFieldConfiguration(t *testing.T) {
	p := evalPaths(t)
	field := filepath.Join(p.Root, "fixtures/configurations/field")
	for _, test := range []struct {
		args   []string
		wanted []string
	}{
		{[]string{"desktop"}, []string{"trusted-users", "/nix/store 192.168.15.0/24(ro,", "+ offload-server-status\n", "+ offload-generate-cache-keys\n"}},
		{[]string{"laptop"}, []string{"192.168.15.7:/nix/store on /nix/store-remote", "hard", "+ offload-status\n", "+ offload-setup\n"}},
		{[]string{"laptop", "--option", "nix.settings.builders"}, []string{"nix.settings.builders = null", "loses 1000 (mkDefault) modules/services/laptop-offload-client.nix:13"}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			out, exit := offload(t, p, append([]string{"eval", "--config", field}, test.args...)...)
			if exit != exitOK {
				t.Errorf("exit %d", exit)
			}
			contains(t, out, test.wanted...)
		})
	}
}
