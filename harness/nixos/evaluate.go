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
	"strings"
	"syscall"
	"time"
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

// Explain tells of options ("nix.settings.builders") how they came by their value.
func (e *Evaluator) Explain(ctx context.Context, h Host, options ...string) (map[string]Option, error) {
	var list strings.Builder
	for _, o := range options {
		fmt.Fprintf(&list, "%s = host.explain [", Quote(o))
		for _, part := range strings.Split(o, ".") {
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

func (e *Evaluator) eval(ctx context.Context, h Host, result string) ([]byte, error) {
	var expr strings.Builder
	fmt.Fprintf(&expr, "let host = import %s { modules = [\n", Quote(e.Embedded))
	for _, m := range append(append([]string{}, e.Base...), h.Modules...) {
		fmt.Fprintf(&expr, "  (/. + %s)\n", Quote(m))
	}
	for i, s := range h.Settings {
		fmt.Fprintf(&expr, "  ({ lib, options, ... }: { _file = \"offload-e2e, settings of the %s (%d)\"; config = %s; })\n", h.Role, i+1, s)
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
	cmd := exec.CommandContext(ctx, program, "--eval", "--strict", "--json", "--read-write-mode",
		"--store", store, "--option", "restrict-eval", "false", "-E", expr.String())
	// Nothing of the host's own Nix takes part: no nix.conf, no NIX_PATH.
	cmd.Env = append(os.Environ(), "NIX_PATH=", "NIX_CONFIG=", "NIX_USER_CONF_FILES=/dev/null",
		"NIX_CONF_DIR="+filepath.Join(store, "etc"), "NIX_REMOTE=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.As(err, &exit):
		return nil, &EvaluationError{h.Role, cleanMessage(stderr.String())}
	case err != nil:
		return nil, fmt.Errorf("run %s: %w", program, err)
	}
	return stdout.Bytes(), nil
}

// cleanMessage is Nix's error without traces and warnings of no concern.
func cleanMessage(stderr string) string {
	if i := strings.LastIndex(stderr, "\nerror:"); i >= 0 {
		stderr = stderr[i+1:]
	} else if i := strings.Index(stderr, "error:"); i >= 0 {
		stderr = stderr[i:]
	}
	var out []string
	trace := false
	for line := range strings.Lines(stderr) {
		line = strings.TrimRight(line, "\n")
		switch text := strings.TrimSpace(line); {
		case strings.HasPrefix(text, "… "):
			trace = true
			continue
		case strings.HasPrefix(text, "error:"):
			trace = false
			line = strings.TrimLeft(line, " ")
		case text == "(stack trace truncated; use '--show-trace' to show the full, detailed trace)":
			continue
		}
		if !trace {
			out = append(out, line)
		}
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
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
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			body, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			c.StoreFiles[p+strings.TrimPrefix(path, root)] = Text{Text: string(body), Executable: info.Mode()&0o111 != 0}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read %s from the evaluation's store: %w", p, err)
		}
	}
	return nil
}
