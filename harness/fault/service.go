package fault

import (
	"context"
	"fmt"
	"strings"

	"offload-e2e/harness/nixos"
)

// Service does to a systemd unit what goes wrong with units: it is stopped, killed
// for good, or started again.
type Service struct {
	Machine nixos.Role `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"which machine"`
	Unit    string     `yaml:"unit" need:"yes" doc:"the unit, as nix-serve.service"`
	Do      string     `yaml:"do" need:"yes" enum:"stop,kill,restart" doc:"stop: an orderly end; kill: its processes die and it is not started again; restart: it starts anew"`

	before string
}

func (f *Service) String() string { return f.Do + " " + f.Unit + " on the " + string(f.Machine) }

func (f *Service) Apply(ctx context.Context, w World) (Undo, error) {
	var err error
	if f.before, err = f.pid(ctx, w); err != nil {
		return nil, err
	}
	back := func(ctx context.Context) error {
		_, err := bash(ctx, w, f.Machine, `rm -f "`+dropIn+`"; systemctl daemon-reload; systemctl reset-failed "$1" 2>/dev/null || :; systemctl start "$1"`, f.Unit)
		return err
	}
	switch f.Do {
	case "restart":
		_, err = bash(ctx, w, f.Machine, `systemctl restart "$1"`, f.Unit)
		return nil, err
	case "kill":
		// A mask in /run is hidden by a unit in /etc.
		_, err = bash(ctx, w, f.Machine, `printf '[Service]\nRestart=no\n' | install -D -m 644 /dev/stdin "`+dropIn+`"; systemctl daemon-reload; systemctl kill --signal=KILL "$1"`, f.Unit)
	default:
		_, err = bash(ctx, w, f.Machine, `systemctl stop "$1"`, f.Unit)
	}
	return back, err
}

func (f *Service) pid(ctx context.Context, w World) (string, error) {
	return succeed(ctx, w, f.Machine, "systemctl", "show", "--property=InvocationID", "--value", f.Unit)
}

func (f *Service) Probe(ctx context.Context, w World) (bool, string, error) {
	if f.Do == "restart" {
		now, err := f.pid(ctx, w)
		return now != f.before, "invocation " + now, err
	}
	res, err := exec(ctx, w, f.Machine, "systemctl", "is-active", f.Unit)
	return res.Text() != "active" && res.Text() != "activating", f.Unit + " is " + res.Text(), err
}

// Over reports that a unit which was started anew stays so.
func (f *Service) Over() bool { return f.Do == "restart" }

// Restrict gives a unit settings that keep it from its work, as a hardening that goes
// too far does, and starts it again.
type Restrict struct {
	Machine  nixos.Role        `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"which machine"`
	Unit     string            `yaml:"unit" need:"yes" doc:"the unit, as nix-serve.service"`
	Settings map[string]string `yaml:"settings" need:"yes" doc:"settings of its [Service] section (systemd.exec(5)), as RestrictAddressFamilies: AF_INET"`
}

func (f *Restrict) String() string {
	return fmt.Sprintf("%s on the %s restricted by %s", f.Unit, f.Machine, strings.Join(f.lines(), " "))
}

func (f *Restrict) lines() (lines []string) {
	for _, k := range sortedKeys(f.Settings) {
		lines = append(lines, k+"="+f.Settings[k])
	}
	return lines
}

// dropIn is the drop-in of the unit in $1.
const dropIn = `/run/systemd/system/$1.d/50-offload-e2e-fault.conf`

func (f *Restrict) Apply(ctx context.Context, w World) (Undo, error) {
	text := "[Service]\n"
	for _, line := range f.lines() {
		key, _, _ := strings.Cut(line, "=")
		text += key + "=\n" + line + "\n" // a list starts anew
	}
	back := func(ctx context.Context) error {
		_, err := bash(ctx, w, f.Machine, `rm -f "`+dropIn+`"; systemctl daemon-reload; systemctl restart "$1"`, f.Unit)
		return err
	}
	_, err := bash(ctx, w, f.Machine, `install -D -m 644 /dev/stdin "`+dropIn+`" <<<"$2"; systemctl daemon-reload; systemctl restart "$1" || :`, f.Unit, text)
	return back, err
}

func (f *Restrict) Probe(ctx context.Context, w World) (bool, string, error) {
	res, err := exec(ctx, w, f.Machine, "systemctl", "show", "--property=DropInPaths", "--value", f.Unit)
	return strings.Contains(res.Text(), "50-offload-e2e-fault"), "drop-ins: " + res.Text(), err
}
