package fault

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"offload-e2e/harness/nixos"
)

// ManyBuilds starts builds on a machine that all run at the same time, and take
// their time: they are offloaded where the machine does that.
type ManyBuilds struct {
	Machine nixos.Role    `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"who asks for them"`
	Count   uint          `yaml:"count" doc:"how many"`
	Take    time.Duration `yaml:"take" doc:"how long each takes"`
}

func (f *ManyBuilds) String() string {
	return fmt.Sprintf("%d builds of %s at once from the %s", f.Count, f.Take, f.Machine)
}

// lasting is a list of derivations, new ones each time, that take their time and need
// nothing: the builder's shell reads the clock until it is over.
func lasting(count uint, take time.Duration) string {
	script := fmt.Sprintf("read -r now rest < /proc/uptime; end=$((${now%%.*} + %d)); while [ ${now%%.*} -lt $end ]; do read -r now rest < /proc/uptime; done; echo ok > $out", int(take.Seconds()))
	return fmt.Sprintf(`builtins.genList (i: derivation { name = "offload-e2e-many-%d-${toString i}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" %s ]; }) %d`,
		time.Now().UnixNano(), nixos.Quote(script), count)
}

const buildsUnit = "offload-e2e-builds"

func (f *ManyBuilds) Apply(ctx context.Context, w World) (Undo, error) {
	expression := lasting(f.Count, f.Take)
	back := func(ctx context.Context) error {
		_, err := bash(ctx, w, f.Machine, `systemctl stop "$1" 2>/dev/null || :; systemctl reset-failed "$1" 2>/dev/null || :`, buildsUnit)
		return err
	}
	_, err := succeed(ctx, w, f.Machine, "systemd-run", "--quiet", "--collect", "--unit="+buildsUnit, "--setenv=NIX_REMOTE=daemon", "--setenv=HOME=/root", "--setenv=PATH=/run/current-system/sw/bin:/usr/bin:/bin",
		"nix-build", "--no-out-link", "--max-jobs", strconv.Itoa(int(f.Count)), "--expr", expression)
	return back, err
}

func (f *ManyBuilds) Probe(ctx context.Context, w World) (bool, string, error) {
	res, err := exec(ctx, w, f.Machine, "systemctl", "is-active", buildsUnit)
	return res.Text() == "active", buildsUnit + " is " + res.Text(), err
}
