package fault

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
)

// bash runs a script of ours on a machine, as root, that has to succeed. Its
// arguments are $1, $2 …; the last one is its standard input as well.
func bash(ctx context.Context, w World, role nixos.Role, script string, args ...string) (string, error) {
	cmd := provider.Cmd(append([]string{"bash", "-e", "-o", "pipefail", "-c", script, "fault"}, args...)...)
	if len(args) > 0 {
		cmd.Stdin = strings.NewReader(args[len(args)-1])
	}
	res, err := w.Machine(role).Exec(ctx, cmd)
	if err == nil {
		err = res.Err()
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", role, err)
	}
	return res.Text(), nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
