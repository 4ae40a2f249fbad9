package fault

import (
	"context"
	"fmt"
	"strings"

	"offload-e2e/harness/nixos"
)

// Run is a user's own hand: a script on a machine, as root, and the one that takes
// it back.
type Run struct {
	Machine nixos.Role `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"which machine"`
	Script  string     `yaml:"script" need:"yes" doc:"what bash runs, as root, with errexit"`
	Proof   string     `yaml:"proof" doc:"a script that succeeds while the fault is in force, and only then"`
	Undo    string     `yaml:"undo" doc:"the script that takes it back"`
	Says    string     `yaml:"says" doc:"what it does, in a few words, for the report"`

	applied, undone bool
}

func (f *Run) String() string {
	if f.Says != "" {
		return f.Says
	}
	line, _, _ := strings.Cut(strings.TrimSpace(f.Script), "\n")
	return "on the " + string(f.Machine) + ": " + line
}

func (f *Run) Apply(ctx context.Context, w World) (Undo, error) {
	_, err := f.bash(ctx, w, f.Script)
	f.applied = err == nil
	return func(ctx context.Context) error {
		if f.Undo == "" {
			return fmt.Errorf("the fault %q has no undo: give it one, or let the scenario say `undo: restore`", f)
		}
		_, err := f.bash(ctx, w, f.Undo)
		f.undone = err == nil
		return err
	}, err
}

func (f *Run) bash(ctx context.Context, w World, script string) (string, error) {
	return succeed(ctx, w, f.Machine, "bash", "-e", "-o", "pipefail", "-c", script)
}

// Probe asks the proof; without one, that the script succeeded is all there is.
func (f *Run) Probe(ctx context.Context, w World) (bool, string, error) {
	if f.Proof == "" {
		return f.applied && !f.undone, "its script has run", nil
	}
	res, err := exec(ctx, w, f.Machine, "bash", "-e", "-o", "pipefail", "-c", f.Proof)
	return res.OK(), strings.TrimSpace(string(res.Stdout) + string(res.Stderr)), err
}
