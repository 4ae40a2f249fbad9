// Package lib_test runs the tests of the Nix library in this folder.
package lib_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// evaluate runs nix-instantiate --eval in the folder tests; see
// nix-instantiate(1). It returns both outputs.
func evaluate(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	watch(t)
	program, err := exec.LookPath("nix-instantiate")
	if err != nil {
		t.Skip("no nix-instantiate in PATH: install Nix to run the tests of vmconfigs/embedded/lib")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"--eval", "--strict", "--json"}, args...)...)
	cmd.Dir = "tests"
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = cmd.Run()
	return out.String(), problems.String(), err
}

// watch opens every Nix file here, so that go test does not give a cached
// result after one of them changed: it cannot see what nix-instantiate reads.
func watch(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".nix" {
			return err
		}
		_, err = os.Stat(path)
		return err
	})
	if err != nil {
		t.Fatalf("look at the files of the library: %v", err)
	}
}

func TestValues(t *testing.T) {
	stdout, stderr, err := evaluate(t, "default.nix")
	if err != nil {
		t.Fatalf("evaluate tests/default.nix: %v\n%s", err, stderr)
	}
	var failures []struct {
		Test             string
		Expected, Result json.RawMessage
	}
	if err := json.Unmarshal([]byte(stdout), &failures); err != nil {
		t.Fatalf("read the list of failures: %v", err)
	}
	for _, f := range failures {
		t.Errorf("%s\nexpected %s\nresult   %s", f.Test, f.Expected, f.Result)
	}
}

func TestErrors(t *testing.T) {
	stdout, stderr, err := evaluate(t, "-E", "builtins.mapAttrs (_: e: e.message) (import ./errors.nix)")
	if err != nil {
		t.Fatalf("evaluate tests/errors.nix: %v\n%s", err, stderr)
	}
	var messages map[string]string
	if err := json.Unmarshal([]byte(stdout), &messages); err != nil {
		t.Fatalf("read the list of errors: %v", err)
	}
	for name, message := range messages {
		t.Run(name, func(t *testing.T) {
			_, stderr, err := evaluate(t, "errors.nix", "-A", name+".fails")
			if err == nil {
				t.Fatalf("no error; expected %q", message)
			}
			// Nix indents the text of an error below "error:".
			if !strings.Contains(unindented(stderr), unindented(message)) {
				t.Errorf("expected %q in\n%s", message, stderr)
			}
		})
	}
}

func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for n, line := range lines {
		lines[n] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}
