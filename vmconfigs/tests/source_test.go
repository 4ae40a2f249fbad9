package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func commands() []string {
	var all []string
	for _, r := range roles() {
		all = append(all, r.commands...)
	}
	slices.Sort(all)
	return all
}

// Every file is a library or a command of some role.
func TestNoCommandIsForgotten(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(commandsDir, "*.sh"))
	if err != nil {
		t.Fatal(err)
	}
	known := append(commands(), "lib", "laptop", "desktop")
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".sh"); !slices.Contains(known, name) {
			t.Errorf("%s belongs to no role of program_test.go", file)
		}
	}
	if len(files) != len(known) {
		t.Errorf("%d files, want %d: %v", len(files), len(known), known)
	}
}

// As nixpkgs' writeShellApplication checks the whole program, with the checks
// that command.nix excludes.
func TestShellcheck(t *testing.T) {
	t.Parallel()
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("shellcheck is not installed")
	}
	for _, command := range commands() {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), command)
			if err := os.WriteFile(file, []byte(compose(t, command)), 0o644); err != nil {
				t.Fatal(err)
			}
			if output, err := exec.Command(shellcheck, "--exclude", "SC2317,SC2329", file).CombinedOutput(); err != nil {
				t.Errorf("%v:\n%s", err, output)
			}
		})
	}
	files, err := filepath.Glob(filepath.Join(commandsDir, "*.sh"))
	if err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command(shellcheck, files...).CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, output)
	}
}

// The modules whose settings and packages the commands of a role get.
func moduleOf(role string) string {
	return map[string]string{
		"laptop":  "../modules/services/offload/client.nix",
		"desktop": "../modules/services/offload-server.nix",
		"both":    "../modules/system/binary-cache.nix",
	}[role]
}

// The stand-ins are all that a command finds on its PATH here, so what the
// module lists must bring each of them.
func TestModulesListThePackagesCommandsUse(t *testing.T) {
	t.Parallel()
	for name, r := range roles() {
		data, err := os.ReadFile(moduleOf(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, program := range r.programs {
			line := regexp.MustCompile(`(?m)^\s*(config\.nix\.package|` + regexp.QuoteMeta(packageOf(program)) + `)$`)
			found := line.FindAllString(string(data), -1)
			if packageOf(program) != "nix" {
				found = slices.DeleteFunc(found, func(s string) bool { return strings.Contains(s, "config.nix") })
			}
			if len(found) == 0 {
				t.Errorf("%s uses %s; %s does not list %s", name, program, moduleOf(name), packageOf(program))
			}
		}
	}
}

// A variable that a command reads is one that its module sets: with
// `set -o nounset` the command would end there otherwise.
func TestModulesGiveTheSettingsCommandsRead(t *testing.T) {
	t.Parallel()
	// Set by the commands themselves, or optional.
	own := strings.Fields(`CACHE_INFO CACHE_PROBLEM SCRATCH BASH BASH_REMATCH RANDOM SECONDS USAGE COMMENT
		MOUNTINFO FIB_TRIE BOOT_ID PASSWD NFSD_THREADS`)
	variable := regexp.MustCompile(`\$\{?([A-Z][A-Z_]+)`)
	for name, r := range roles() {
		data, err := os.ReadFile(moduleOf(name))
		if err != nil {
			t.Fatal(err)
		}
		parts := append(slices.Clone(r.commands), "lib")
		if r.library != "" {
			parts = append(parts, r.library)
		}
		for _, part := range parts {
			script, err := os.ReadFile(filepath.Join(commandsDir, part+".sh"))
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range variable.FindAllStringSubmatch(string(script), -1) {
				if slices.Contains(own, match[1]) {
					continue
				}
				if !regexp.MustCompile(`(?m)^\s*` + match[1] + ` = `).Match(data) {
					t.Errorf("%s.sh reads %s, which %s does not set", part, match[1], moduleOf(name))
				}
			}
		}
	}
}

// Nothing may wave a changed or unknown host key through.
func TestHostKeysAreChecked(t *testing.T) {
	t.Parallel()
	blind := regexp.MustCompile(`(?i)StrictHostKeyChecking[ =]*(no|off)\b|UserKnownHostsFile[ =]*/dev/null`)
	err := filepath.WalkDir("../modules", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if found := blind.Find(data); found != nil {
			t.Errorf("%s: %s", path, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
