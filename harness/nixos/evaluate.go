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
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// Evaluator evaluates a host's modules on this machine, without nixpkgs, by
// vmconfigs/embedded and any Nix from 2.18 on.
type Evaluator struct {
	// NixBin is the folder of nix-instantiate; empty is PATH.
	NixBin string
	// Embedded is the folder vmconfigs/embedded.
	Embedded string
	// Base are module files that every host gets: what the harness needs.
	Base []string
	// StateDir holds the evaluation's own Nix store; created where missing.
	StateDir string
}

// EvaluationError is an evaluation that failed, in Nix's own words.
type EvaluationError struct {
	Role    Role
	Message string // Nix's, without traces
}

func (e *EvaluationError) Error() string {
	return fmt.Sprintf("the %s's configuration does not evaluate:\n%s", e.Role, e.Message)
}

// AssertionError is a configuration that NixOS refuses to build.
type AssertionError struct {
	Role     Role
	Messages []string
}

func (e *AssertionError) Error() string {
	return fmt.Sprintf("the %s's configuration has failed assertions:\n- %s", e.Role, strings.Join(e.Messages, "\n- "))
}

// Evaluate renders a host. Errors are *EvaluationError and *AssertionError where
// the configuration is to blame.
func (e *Evaluator) Evaluate(ctx context.Context, h Host) (*Configuration, error) {
	out, err := e.eval(ctx, h, "host.configuration")
	if err != nil {
		return nil, err
	}
	c := &Configuration{}
	if err := json.Unmarshal(out, c); err != nil {
		return nil, fmt.Errorf("evaluate the %s: vmconfigs/embedded rendered something else than a Configuration: %w", h.Role, err)
	}
	if len(c.Assertions) > 0 {
		return nil, &AssertionError{h.Role, c.Assertions}
	}
	for _, option := range c.WithoutEffect {
		c.Warnings = append(c.Warnings, fmt.Sprintf("The option `%s' is set, and has no effect on an embedded guest.", option))
	}
	return c, e.adopt(c)
}

// Option is all that is known of one option: its value, and every definition.
type Option struct {
	Path        []string        `json:"path"`
	Type        string          `json:"type"`
	Value       json.RawMessage `json:"value"`
	Priority    int             `json:"priority"`
	Definitions []Definition    `json:"definitions"`
}

// Definition is one place that defines an option. The lower the priority, the
// stronger: mkForce is 50, a plain definition 100, mkDefault 1000, the option's own
// default 1500.
type Definition struct {
	File     string          `json:"file"`
	Line     *int            `json:"line"`
	Column   *int            `json:"column"`
	Priority int             `json:"priority"`
	Value    json.RawMessage `json:"value"`
	Wins     bool            `json:"wins"`
}

// Position is file:line, as far as it is known.
func (d Definition) Position() string {
	if d.Line == nil {
		return d.File
	}
	return fmt.Sprintf("%s:%d", d.File, *d.Line)
}

// Explain tells of options how they came by their value. They are written as in
// Nix: nix.settings.builders, environment.etc."nix/nix.conf".text.
func (e *Evaluator) Explain(ctx context.Context, h Host, options ...string) (map[string]Option, error) {
	var list strings.Builder
	for _, o := range options {
		fmt.Fprintf(&list, "%s = host.explain [", Quote(o))
		for _, part := range splitOption(o) {
			list.WriteString(" " + Quote(part))
		}
		list.WriteString(" ];\n")
	}
	out, err := e.eval(ctx, h, "{ "+list.String()+" }")
	if err != nil {
		return nil, err
	}
	found := map[string]Option{}
	return found, json.Unmarshal(out, &found)
}

// splitOption takes the path of an option apart at the dots outside quotes.
func splitOption(option string) []string {
	parts, quoted := []string{""}, false
	for _, r := range option {
		switch last := len(parts) - 1; {
		case r == '"':
			quoted = !quoted
		case r == '.' && !quoted:
			parts = append(parts, "")
		default:
			parts[last] += string(r)
		}
	}
	return parts
}

// SettingModule writes the i-th of a host's settings as a module.
func SettingModule(role Role, i int, setting string) string {
	return fmt.Sprintf(`({ lib, options, ... }: { _file = "offload-e2e, settings of the %s (%d)"; config = %s; })`, role, i+1, setting)
}

func (e *Evaluator) eval(ctx context.Context, h Host, result string) ([]byte, error) {
	var expr strings.Builder
	fmt.Fprintf(&expr, "let host = import %s { modules = [\n", Quote(e.Embedded))
	for _, m := range append(append([]string{}, e.Base...), h.Modules...) {
		fmt.Fprintf(&expr, "  (/. + %s)\n", Quote(m))
	}
	for i, s := range h.Settings {
		fmt.Fprintf(&expr, "  %s\n", SettingModule(h.Role, i, s))
	}
	fmt.Fprintf(&expr, "]; }; in %s", result)
	program := "nix-instantiate"
	if e.NixBin != "" {
		program = filepath.Join(e.NixBin, program)
	}
	store, err := filepath.Abs(filepath.Join(e.StateDir, "eval-store"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(store, 0o755); err != nil {
		return nil, fmt.Errorf("make the evaluation's store: %w", err)
	}
	// Nix wants no symbolic link on the way to its store; a user's cache may be one.
	if store, err = filepath.EvalSymlinks(store); err != nil {
		return nil, fmt.Errorf("make the evaluation's store: %w", err)
	}
	// Traces say where in the user's files an error comes from. Nothing is built here:
	// a module that reads the output of a build is told so. A download that a module
	// asks for has to begin soon or fail.
	release, err := prepareStore(ctx, store)
	if err != nil {
		return nil, err
	}
	out, stderr, err := run(ctx, program, store, expr.String())
	var exit *exec.ExitError
	release(err == nil || errors.As(err, &exit) && exit.Exited())
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case exit != nil && strings.Contains(stderr, "error:") && !strings.Contains(stderr, "error: SQLite database '"):
		message := CleanMessage(stderr, e.Embedded)
		if place := namedIn(message, h.Modules); place != "" {
			message += "\n" + place
		}
		if m := undefinedRE.FindStringSubmatch(message); m != nil {
			message += e.nearest(ctx, program, store, m[1])
		}
		return nil, &EvaluationError{h.Role, message}
	}
	// Not the configuration is to blame: Nix cannot be run, was killed, or its store
	// cannot be used.
	return nil, fmt.Errorf("evaluate the %s: run %s: %w: %s", h.Role, program, err, strings.TrimSpace(stderr))
}

// undefinedRE is what Nix says of a name that no `with` brings either.
var undefinedRE = regexp.MustCompile(`undefined variable '([^']+)'`)

// nearest are the names that look like one that is not known: Nix has suggestions
// for attributes, and none for what comes by `with pkgs`.
func (e *Evaluator) nearest(ctx context.Context, program, store, name string) string {
	out, _, err := run(ctx, program, store, fmt.Sprintf("(import %s { modules = [ ]; }).nearest %s", Quote(e.Embedded), Quote(name)))
	var names []string
	if err != nil || json.Unmarshal(out, &names) != nil || len(names) == 0 {
		return "" // the error itself is what counts
	}
	return fmt.Sprintf("\nDid you mean %s?", strings.Join(names, " or "))
}

// run evaluates an expression in a store.
func run(ctx context.Context, program, store, expr string) (out []byte, messages string, err error) {
	cmd := exec.CommandContext(ctx, program, "--eval", "--strict", "--json", "--read-write-mode", "--show-trace",
		"--store", store, "--option", "restrict-eval", "false", "--option", "allow-import-from-derivation", "false",
		"--option", "connect-timeout", "10", "--option", "download-attempts", "1", "-E", expr)
	// Nothing of the host's own Nix takes part: no nix.conf, no NIX_PATH.
	cmd.Env = append(os.Environ(), "NIX_PATH=", "NIX_CONFIG=", "NIX_USER_CONF_FILES=/dev/null",
		"NIX_CONF_DIR="+filepath.Join(store, "etc"), "NIX_REMOTE=")
	// A terminal's Ctrl-C is for who asked, and reaches Nix by ctx: what Nix says of a
	// signal of its own would be taken for an error in the configuration.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.Bytes(), stderr.String(), err
}

// adopt takes into the configuration the files of the user's repository that it
// speaks of ("${./file}"), which the evaluation copied into its own store.
func (e *Evaluator) adopt(c *Configuration) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if c.StoreFiles == nil {
		c.StoreFiles = map[string]Text{}
	}
	known := map[string]bool{}
	for f := range c.StoreFiles {
		known[storePathRE.FindString(f)] = true
	}
	for _, p := range storePathRE.FindAllString(string(text), -1) {
		if _, isPackage := c.Packages[p]; known[p] || isPackage {
			continue
		}
		known[p] = true
		root := filepath.Join(e.StateDir, "eval-store", p)
		if _, err := os.Lstat(root); err != nil {
			continue // the switch says so, if it is needed
		}
		err := c.adoptTree(p, root)
		if err != nil {
			return fmt.Errorf("read %s from the evaluation's store: %w", p, err)
		}
	}
	return nil
}

// adoptTree takes the files and links below root, which is the store path p.
func (c *Configuration) adoptTree(p, root string) error {
	return filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := p + strings.TrimPrefix(path, root)
		if d.Type()&os.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if c.StoreLinks == nil {
				c.StoreLinks = map[string]string{}
			}
			c.StoreLinks[name] = target
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file := Text{Executable: info.Mode()&0o111 != 0}
		if utf8.Valid(body) {
			file.Text = string(body)
		} else {
			// JSON would not keep it.
			file.Binary = body
		}
		c.StoreFiles[name] = file
		return nil
	})
}
