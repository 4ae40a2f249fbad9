package nixos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// emptyHost is the host that every case is evaluated with, and compared to.
const emptyHost = `({ lib, ... }: {
  boot.loader.systemd-boot.enable = true;
  fileSystems."/" = lib.mkDefault { device = "/dev/disk/by-label/nixos"; fsType = "ext4"; };
  system.stateVersion = "26.05";
  nixpkgs.hostPlatform = "x86_64-linux";
  documentation.enable = lib.mkDefault false;
})`

// batch is how many cases one Nix process evaluates: enough that reading the
// library counts for little, few enough that a failure costs little.
const batch = 8

// TestParity renders each case of the parity suite and compares it with what
// real NixOS renders: those of the suite, and more that say something of every option
// of the modules that a guest has. PARITY_CASES is another folder of cases, NIX_BIN
// the folder of nix-instantiate.
func TestParity(t *testing.T) {
	folders := []string{os.Getenv("PARITY_CASES")}
	if folders[0] == "" {
		folders = []string{filepath.Join("testdata", "parity", "cases"), filepath.Join("testdata", "parity", "more")}
	}
	nix := newNix(t)
	for _, folder := range folders {
		folder, err := filepath.Abs(folder)
		if err != nil {
			t.Fatal(err)
		}
		testFolder(t, nix, folder)
	}
}

func testFolder(t *testing.T, nix nix, folder string) {
	t.Helper()
	want := readCases(t, folder)
	// One Nix makes the store: two that make it at once leave it broken.
	if _, err := nix.evaluate("{ }"); err != nil {
		t.Fatal(err)
	}

	var good, bad []string
	for name, w := range want {
		if _, fails := w["error"]; fails {
			bad = append(bad, name)
		} else {
			good = append(good, name)
		}
	}
	slices.Sort(good)
	slices.Sort(bad)
	hosts := nix.configurations(t, folder, append([]string{""}, good...))
	empty, ok := hosts[""]
	if !ok || empty.value == nil {
		t.Fatalf("the empty host does not evaluate: %v", empty.err)
	}
	p := parity{folder: folder, store: nix.store, empty: empty.value}

	for _, name := range good {
		t.Run(name, func(t *testing.T) {
			host := hosts[name]
			if host.err != nil {
				t.Fatalf("does not evaluate, and NixOS does:\n%s", p.neutralText(host.err.Error()))
			}
			report(t, p.compare(want[name], host.value))
		})
	}
	for _, name := range bad {
		t.Run(name, func(t *testing.T) {
			_, err := nix.evaluate(nix.expression(folder, []string{name}))
			if err == nil {
				t.Fatal("evaluates, and NixOS refuses it")
			}
			report(t, compareFailure(want[name]["error"].(object), p.neutralText(err.Error())))
		})
	}
}

func readCases(t *testing.T, folder string) map[string]object {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: set PARITY_CASES to a folder of <name>.nix and <name>.json", folder)
	}
	cases := map[string]object{}
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var o object
		if err := json.Unmarshal(body, &o); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		cases[strings.TrimSuffix(filepath.Base(f), ".json")] = o
	}
	return cases
}

func report(t *testing.T, lines []string) {
	t.Helper()
	for _, line := range lines {
		t.Error(line)
	}
}

// nix evaluates in a store of its own.
type nix struct {
	program, store, embedded string
}

func newNix(t testing.TB) nix {
	t.Helper()
	program := "nix-instantiate"
	if bin := os.Getenv("NIX_BIN"); bin != "" {
		program = filepath.Join(bin, program)
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("no nix-instantiate: set NIX_BIN to the folder that holds it, or put it on PATH (%v)", err)
	}
	embedded, err := filepath.Abs(filepath.Join("..", "..", "vmconfigs", "embedded"))
	if err != nil {
		t.Fatal(err)
	}
	// A store is read-only below; the test's own folder could not be removed.
	store, err := os.MkdirTemp("", "parity-store-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeStore(store); err != nil {
			t.Errorf("remove the evaluation's store: %v", err)
		}
	})
	return nix{path, store, embedded}
}

func removeStore(root string) error {
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(root))
}

type rendered struct {
	value object
	err   error
}

// configurations renders cases, some to a process; "" is the empty host.
func (n nix) configurations(t *testing.T, folder string, names []string) map[string]rendered {
	t.Helper()
	out := map[string]rendered{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	for chunk := range slices.Chunk(names, batch) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			for name, r := range n.chunk(folder, chunk) {
				mu.Lock()
				out[name] = r
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	return out
}

// chunk evaluates cases together, or one by one where one of them fails.
func (n nix) chunk(folder string, names []string) map[string]rendered {
	out := map[string]rendered{}
	all, err := n.evaluate(n.expression(folder, names))
	for _, name := range names {
		one := all
		if err != nil && len(names) > 1 {
			var own error
			one, own = n.evaluate(n.expression(folder, []string{name}))
			if own != nil {
				out[name] = rendered{err: own}
				continue
			}
		} else if err != nil {
			out[name] = rendered{err: err}
			continue
		}
		value, _ := one["host "+name].(object)
		out[name] = rendered{value: value}
	}
	return out
}

func (n nix) expression(folder string, names []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "let evaluate = import %s; empty = %s; in {\n", Quote(n.embedded), emptyHost)
	for _, name := range names {
		module := ""
		if name != "" {
			module = "(/. + " + Quote(filepath.Join(folder, name+".nix")) + ")"
		}
		fmt.Fprintf(&b, "%s = (evaluate { modules = [ empty %s ]; }).configuration;\n", Quote("host "+name), module)
	}
	return b.String() + "}"
}

func (n nix) evaluate(expr string) (object, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, n.program, "--eval", "--strict", "--json", "--read-write-mode",
		"--store", n.store, "-E", expr)
	cmd.Env = append(os.Environ(), "NIX_PATH=", "NIX_CONFIG=", "NIX_REMOTE=", "NIX_USER_CONF_FILES=/dev/null")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if stderr.Len() == 0 || ctx.Err() != nil {
			return nil, fmt.Errorf("run %s: %w", n.program, errors.Join(err, ctx.Err()))
		}
		return nil, errors.New(failureText(stderr.String()))
	}
	var value object
	if err := json.Unmarshal(stdout.Bytes(), &value); err != nil {
		return nil, fmt.Errorf("%s printed no JSON: %w", n.program, err)
	}
	return value, nil
}

// failureText is Nix's message without its trace and indentation.
func failureText(stderr string) string {
	if i := strings.LastIndex(stderr, "error: "); i >= 0 {
		stderr = stderr[i+len("error: "):]
	}
	var out []string
	for line := range strings.Lines(stderr) {
		out = append(out, strings.TrimSpace(line))
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
}

// failures tell the kinds of errors apart by their words; the group is the
// option or the name.
var failures = []struct {
	kind string
	re   *regexp.Regexp
}{
	{"undefined-option", regexp.MustCompile("The option `([^']*)' does not exist")},
	{"wrong-type", regexp.MustCompile("A definition for option `(.*?)' is not of type")},
	{"conflict", regexp.MustCompile("The option `(.*?)' has conflicting definition values")},
	{"read-only", regexp.MustCompile("The option `(.*?)' is read-only")},
	{"no-value", regexp.MustCompile("The option `(.*?)' was accessed but has no value defined")},
	{"duplicate-declaration", regexp.MustCompile("The option `(.*?)' in .* is already declared")},
	{"unsupported-attribute", regexp.MustCompile("Module `(.*?)' has an unsupported attribute")},
	{"removed-option", regexp.MustCompile("The option definition `(.*?)' in .* no longer has any effect")},
	{"infinite-recursion", regexp.MustCompile("infinite recursion encountered()")},
	{"undefined-variable", regexp.MustCompile("undefined variable '(.*?)'")},
	{"missing-attribute", regexp.MustCompile("attribute '(.*?)' missing")},
	{"missing-argument", regexp.MustCompile("called without required argument '(.*?)'")},
	{"missing-file", regexp.MustCompile("path '(.*?)' does not exist")},
	{"syntax", regexp.MustCompile("syntax error()")},
	{"abort", regexp.MustCompile("evaluation aborted with the following error message: '(.*?)'")},
}

// compareFailure says where an error is not NixOS's.
func compareFailure(want object, message string) []string {
	kind, subject := "throw", ""
	for _, f := range failures {
		if m := f.re.FindStringSubmatch(message); m != nil {
			kind, subject = f.kind, m[1]
			break
		}
	}
	var out []string
	if kind != want["kind"] {
		out = append(out, fmt.Sprintf("error.kind: NixOS %v, here %s", want["kind"], kind))
	}
	if option, ok := want["option"].(string); ok && option != subject {
		out = append(out, fmt.Sprintf("error.option: NixOS %s, here %s", option, subject))
	}
	for _, text := range list(want["contains"]) {
		if !strings.Contains(message, fmt.Sprint(text)) {
			out = append(out, fmt.Sprintf("error.contains: %v is missing", text))
		}
	}
	if len(out) > 0 {
		out = append(out, "the message here:\n"+message)
	}
	return out
}
