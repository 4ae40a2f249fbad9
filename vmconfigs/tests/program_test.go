package tests

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const commandsDir = "../modules/services/offload/commands"

// A role is a machine's part in offloading: which functions its commands
// share, and which programs its packages bring (command.nix, client.nix and
// offload-server.nix list the packages).
type role struct {
	library  string
	commands []string
	programs []string
}

// common are the programs of the packages every command gets: coreutils,
// gnugrep, gnused, gawk.
var common = strings.Fields(`[ basename cat chmod cut date df dirname head id ln mkdir mktemp mv
	readlink rm sleep sort stat tail tee timeout touch tr true grep sed awk`)

func roles() map[string]role {
	return map[string]role{
		"laptop": {
			library:  "laptop",
			commands: []string{"offload-status", "offload-test-build", "offload-setup", "offload-mount", "offload-unmount"},
			programs: strings.Fields("nix nix-build nix-store curl find ping ssh ssh-keygen systemctl systemd-escape journalctl umount"),
		},
		"desktop": {
			library:  "desktop",
			commands: []string{"offload-server-status", "offload-server-test", "offload-generate-cache-keys"},
			programs: strings.Fields("nix nix-build nix-store curl exportfs systemctl mount umount setpriv find"),
		},
		"both": {
			commands: []string{"cache-status"},
			programs: strings.Fields("nix curl"),
		},
	}
}

func roleOf(command string) (role, bool) {
	for _, r := range roles() {
		if slices.Contains(r.commands, command) {
			return r, true
		}
	}
	return role{}, false
}

// compose is the program as command.nix and writeShellApplication put it
// together, less the PATH.
func compose(t *testing.T, command string) string {
	t.Helper()
	r, known := roleOf(command)
	if !known {
		t.Fatalf("no role has a command %s", command)
	}
	parts := []string{"lib"}
	if r.library != "" {
		parts = append(parts, r.library)
	}
	var text strings.Builder
	text.WriteString("#!/usr/bin/env bash\nset -o errexit\nset -o nounset\nset -o pipefail\n")
	for _, part := range append(parts, command) {
		data, err := os.ReadFile(filepath.Join(commandsDir, part+".sh"))
		if err != nil {
			t.Fatal(err)
		}
		text.Write(data)
	}
	return text.String()
}

// packageOf says which package of nixpkgs brings a program.
func packageOf(program string) string {
	switch program {
	case "nix", "nix-build", "nix-store":
		return "nix"
	case "find":
		return "pkgs.findutils"
	case "ping":
		return "pkgs.iputils"
	case "exportfs":
		return "pkgs.nfs-utils"
	case "ssh", "ssh-keygen":
		return "pkgs.openssh"
	case "systemctl", "systemd-escape", "journalctl":
		return "pkgs.systemd"
	case "mount", "umount", "setpriv":
		return "pkgs.util-linux"
	default:
		return "pkgs." + program
	}
}

// A world is what a command sees: a PATH of stand-ins and nothing else, files
// in a directory of its own, an environment.
type world struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), env: map[string]string{}}
	w.mkdir("bin")
	w.env["FAKE"] = w.dir
	for _, name := range common {
		real, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("this test needs %s: %v", name, err)
		}
		if err := os.Symlink(real, w.path("bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	w.program("id", "echo 0")
	w.program("df", `case "$*" in *-h*) echo "1G 9G" ;; *) echo "9000 5000 45% 100000 90000" ;; esac`)
	return w
}

func (w *world) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

func (w *world) mkdir(parts ...string) string {
	w.t.Helper()
	path := w.path(parts...)
	if err := os.MkdirAll(path, 0o755); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) write(text string, mode os.FileMode, parts ...string) string {
	w.t.Helper()
	path := w.path(parts...)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) read(parts ...string) string {
	w.t.Helper()
	data, err := os.ReadFile(w.path(parts...))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

// program puts a stand-in on the PATH. It records how it was called in the file
// calls, and may use any program of the real machine.
func (w *world) program(name, body string) {
	w.t.Helper()
	path := w.path("bin", name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	text := "#!/bin/sh\nPATH=/usr/bin:/bin\nprintf '%s\\n' \"" + name + " $*\" >>\"$FAKE/calls\"\n" + body + "\n"
	w.write(text, 0o755, "bin", name)
}

// impatient makes every deadline one second.
func (w *world) impatient() {
	w.t.Helper()
	w.program("timeout", `shift 2; PATH=$FAKE/bin exec /usr/bin/timeout --kill-after=1 1 "$@"`)
}

// An outcome is what came of a command.
type outcome struct {
	status int
	output string
	took   time.Duration
}

// run runs a command; it has half a minute, far more than any case needs.
func (w *world) run(command, stdin string, arguments ...string) outcome {
	w.t.Helper()
	program := w.write(compose(w.t, command), 0o755, command)
	return w.runFile(program, stdin, arguments...)
}

func (w *world) runFile(program, stdin string, arguments ...string) outcome {
	w.t.Helper()
	shell, err := exec.LookPath("bash")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell, append([]string{program}, arguments...)...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = 2 * time.Second
	cmd.Env = []string{"PATH=" + w.path("bin"), "HOME=" + w.dir, "TMPDIR=" + w.dir}
	for _, name := range slices.Sorted(maps.Keys(w.env)) {
		cmd.Env = append(cmd.Env, name+"="+w.env[name])
	}
	started := time.Now()
	output, err := cmd.CombinedOutput()
	result := outcome{output: string(output), took: time.Since(started)}
	if ctx.Err() != nil {
		w.t.Fatalf("%s hangs; it printed:\n%s", filepath.Base(program), output)
	}
	if err != nil {
		exit := &exec.ExitError{}
		if !errors.As(err, &exit) {
			w.t.Fatalf("cannot run %s: %v", program, err)
		}
		result.status = exit.ExitCode()
	}
	return result
}

// hangs is the body of a stand-in that never answers.
const hangs = "exec sleep 600"

// expect checks the exit status, lines that must be there and texts that must
// not.
func (o outcome) expect(t *testing.T, status int, lines, absent []string) {
	t.Helper()
	var wrong []string
	if o.status != status {
		wrong = append(wrong, fmt.Sprintf("exit status %d, want %d", o.status, status))
	}
	printed := strings.Split(o.output, "\n")
	for _, line := range lines {
		if !slices.ContainsFunc(printed, func(p string) bool { return strings.HasPrefix(p, line) }) {
			wrong = append(wrong, fmt.Sprintf("no line starts with %q", line))
		}
	}
	for _, text := range absent {
		if strings.Contains(o.output, text) {
			wrong = append(wrong, fmt.Sprintf("it says %q", text))
		}
	}
	if strings.Contains(o.output, "command not found") || strings.Contains(o.output, "unbound variable") {
		wrong = append(wrong, "a program or a setting is missing")
	}
	if wrong != nil {
		t.Errorf("%s\nit printed:\n%s", strings.Join(wrong, "\n"), o.output)
	}
}
