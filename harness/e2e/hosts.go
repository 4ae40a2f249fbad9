package e2e

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"strings"

	"offload-e2e/harness/check"
	"offload-e2e/harness/document"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/provider/hosts"
	"offload-e2e/harness/report"
)

// HostsFile is where a configuration names its real machines.
const HostsFile = "e2e/hosts.yaml"

// Hosts are somebody's own machines, and what may be done to them.
type Hosts struct {
	Desktop hosts.Host     `yaml:"desktop" need:"yes" doc:"the desktop, 192.168.15.7 on its network"`
	Laptop  hosts.Host     `yaml:"laptop" need:"yes" doc:"the laptop, 192.168.15.9 on its network"`
	Allow   []check.Change `yaml:"allow" doc:"what may be done besides looking: build (small store paths on both), mount (the shares; a file made and removed)"`
}

// NoHostsError is a file of hosts that is not there, or cannot be understood.
type NoHostsError struct {
	File string
	Err  error
}

func (e *NoHostsError) Error() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return "there is no " + e.File
	}
	return e.Err.Error()
}

func (e *NoHostsError) Unwrap() error { return e.Err }

// reachable makes of a lab's options one of somebody's own machines: nothing is made
// or booted, and what is done is what their file allows.
func (r *Run) reachable(ctx context.Context, o Options, up *lab.Options) error {
	var file Hosts
	if err := document.Load(o.Hosts, &file); err != nil {
		return &NoHostsError{o.Hosts, err}
	}
	up.Hosts = map[string]hosts.Host{string(nixos.Desktop): file.Desktop, string(nixos.Laptop): file.Laptop}
	// What is not allowed is refused, also where nothing is.
	r.allowed = append(check.Allowed{}, file.Allow...)
	// Keys are handed over by whoever owns the machines.
	r.Exchange = false
	return r.step("evaluate the configuration", func(say func(string, ...any)) error {
		bin, err := o.NixBin(ctx, say)
		if err != nil {
			return err
		}
		r.Evaluator = &nixos.Evaluator{Embedded: o.Embedded, Base: []string{o.Base}, StateDir: o.Eval, NixBin: bin}
		return r.evaluate(ctx)
	})
}

// versionsOf are the versions of what the machines run, as the desktop says.
func (r *Run) versionsOf(ctx context.Context) map[string]string {
	const script = `echo "nix $(nix --version)"; echo "systemd $(systemctl --version | head -n 1)"; echo "linux $(uname -r)"; echo "openssh $(ssh -V 2>&1)"`
	versions := map[string]string{}
	res, err := r.Lab.Desktop.Exec(ctx, provider.Cmd("bash", "-c", script))
	if err != nil {
		return versions
	}
	for line := range strings.Lines(res.Text()) {
		name, words, _ := strings.Cut(strings.TrimSpace(line), " ")
		versions[name] = cmp.Or(versionIn(words), words)
	}
	return versions
}

// versionIn is the first word that begins with a digit, as programs tell theirs.
func versionIn(text string) string {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,()_", r) }) {
		if word[0] >= '0' && word[0] <= '9' {
			return word
		}
	}
	return ""
}

// untouched stands for a step on machines that whoever owns them takes.
func untouched(context.Context) error {
	return &provider.MissingError{Provider: lab.Hosts, Ability: "leave to change your machines"}
}

// describeOwn tells the report what somebody's own machines are.
func (r *Run) describeOwn(ctx context.Context) {
	if !r.Lab.Theirs() {
		return
	}
	versions := r.versionsOf(ctx)
	r.Recorder.EditRun(func(run *report.Run) {
		run.Guest = report.Guest{Kind: report.Own, Reason: "they run, and are looked at as they are", Versions: versions}
	})
}
