package nixguest

import (
	"context"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"offload-e2e/harness/machine"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixos/activate"
	"offload-e2e/harness/provider"
)

const systemProfile = "/nix/var/nix/profiles/system"

// local makes a guest's Nix go past its daemon, which the configuration under test
// may have broken.
var local = map[string]string{"NIX_REMOTE": "local"}

// Switcher switches NixOS guests: the system is built here, its closure copied in,
// and NixOS's own program does the rest.
type Switcher struct {
	*Nix
	// Sockets is a folder for sockets; its path must be short (unix(7)).
	Sockets string
}

// Switch implements the lab's Switcher. The system also becomes that of the next
// boot, as with an embedded guest; boot loader, kernel and initrd stay.
func (s *Switcher) Switch(ctx context.Context, m *machine.Machine, c *nixos.Configuration, log io.Writer) (result activate.Result, _ error) {
	if log == nil {
		log = io.Discard
	}
	say := func(format string, args ...any) { fmt.Fprintf(log, format+"\n", args...) }
	system, err := s.BuildSystem(ctx, c, say)
	if err != nil {
		return result, err
	}
	result.Toplevel = system
	if err := s.bring(ctx, m, system, say); err != nil {
		return result, err
	}
	before, err := failedUnits(ctx, m)
	if err != nil {
		return result, err
	}
	if err := s.succeed(ctx, m, "nix-env", "--profile", systemProfile, "--set", system); err != nil {
		return result, err
	}
	if link, err := m.Succeed(ctx, "readlink", systemProfile); err == nil {
		result.Generation = generation(link)
	}
	res, err := m.Exec(ctx, provider.Command{Argv: []string{path.Join(system, "bin/switch-to-configuration"), "test"}, Stdout: log, Stderr: log})
	if err != nil {
		return result, err
	}
	said := string(res.Stdout) + string(res.Stderr)
	result.Changes = changes(said)
	result.Warnings = c.Warnings
	// 4: all was done, and units failed.
	if !res.OK() && res.ExitStatus != 4 {
		return result, &machine.CommandError{Machine: m.Name(), Result: res}
	}
	after, err := failedUnits(ctx, m)
	if err != nil {
		return result, err
	}
	for unit, state := range after {
		if before[unit] == "" {
			journal, _ := m.Succeed(ctx, "journalctl", "--no-pager", "--output=cat", "--lines=15", "--unit="+unit)
			result.Failed = append(result.Failed, activate.FailedUnit{Unit: unit, State: state, Journal: journal})
		}
	}
	slices.SortFunc(result.Failed, func(a, b activate.FailedUnit) int { return strings.Compare(a.Unit, b.Unit) })
	return result, nil
}

func (s *Switcher) succeed(ctx context.Context, m *machine.Machine, argv ...string) error {
	res, err := m.Exec(ctx, provider.Command{Argv: argv, Env: local})
	if err != nil || res.OK() {
		return err
	}
	return &machine.CommandError{Machine: m.Name(), Result: res}
}

// bring copies what the guest lacks of a system's closure.
func (s *Switcher) bring(ctx context.Context, m *machine.Machine, system string, say func(format string, args ...any)) error {
	if s.succeed(ctx, m, "nix-store", "--check-validity", system) == nil {
		return nil
	}
	started := time.Now()
	if err := s.Copy(ctx, m, system, say); err != nil {
		return fmt.Errorf("%s: copy the system: %w", m.Name(), err)
	}
	say("copied %s in %.0f s", path.Base(system), time.Since(started).Seconds())
	return nil
}

// failedUnits are units that are failed, or start again and again, with their state.
func failedUnits(ctx context.Context, m *machine.Machine) (map[string]string, error) {
	out, err := m.Succeed(ctx, "systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "--full", "--state=failed,auto-restart")
	if err != nil {
		return nil, err
	}
	units := map[string]string{}
	for line := range strings.Lines(out) {
		// UNIT LOAD ACTIVE SUB DESCRIPTION
		if f := strings.Fields(line); len(f) >= 4 {
			units[f[0]] = f[3]
		}
	}
	return units, nil
}

var (
	changeRE     = regexp.MustCompile(`(?m)^(stopping|reloading|restarting|starting) the following units: (.*)$`)
	generationRE = regexp.MustCompile(`system-(\d+)-link`)
	actions      = map[string]string{"stopping": "stopped", "reloading": "reloaded", "restarting": "restarted", "starting": "started"}
)

// changes are what switch-to-configuration says that it does to units.
func changes(said string) []activate.Change {
	var all []activate.Change
	for _, m := range changeRE.FindAllStringSubmatch(said, -1) {
		for _, unit := range strings.Split(m[2], ", ") {
			all = append(all, activate.Change{Kind: "unit", Name: strings.TrimSpace(unit), Action: actions[m[1]]})
		}
	}
	return all
}

// generation is the number in the link of a profile.
func generation(link string) int {
	if m := generationRE.FindStringSubmatch(link); m != nil {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	return 0
}
