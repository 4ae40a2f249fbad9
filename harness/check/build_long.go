package check

import (
	"context"
	"fmt"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// lasts is the beginning of a script that says nothing for so many seconds. It waits by
// the kernel's clock (proc_uptime(5)), with what sh has built in, and leaves in $end
// when that was.
func lasts(seconds int) string {
	return fmt.Sprintf("read -r now rest < /proc/uptime; end=$((${now%%.*} + %d)); while [ ${now%%.*} -lt $end ]; do read -r now rest < /proc/uptime; done; ", seconds)
}

// lasting is how long the build of LongBuild takes: longer than a firewall that is too
// eager remembers, and than it takes to pull a plug.
const lasting = 20

// LongBuild proves that a build which the desktop has accepted, and which says nothing
// for a while, comes to its end there.
func LongBuild() Check {
	return Check{"RB.long-build", fmt.Sprintf("a silent build of %d seconds comes to its end on the desktop", lasting), "laptop", func(ctx context.Context, p *Proof) {
		p.buildRemotely(ctx, daemonBuild(derivation(newNonce(), lasts(lasting)+tellPlace), "--max-jobs", "0"))
	}}
}

// lost is the diagnosis of a connection that ended while the desktop was building, nil
// where that is not what happened: Nix does not try again elsewhere.
func lost(said words) *report.Diagnosis {
	if !said.has(" on 'ssh://", " on 'ssh-ng://") {
		return nil
	}
	for line := range strings.Lines(string(said)) {
		if !words(line).has("unexpected end-of-file", "Nix daemon disconnected", "Broken pipe", "Connection reset by peer", "not responding", "Connection closed by", "client_loop:") {
			continue
		}
		why := strings.TrimSpace(line)
		return &report.Diagnosis{Code: "builder.lost", Effective: why, Expected: "a finished build",
			Sentence: fmt.Sprintf("the desktop had accepted the build, and was lost before its end; a finished build was to come, and Nix does not try again on the laptop: %s", why)}
	}
	return nil
}

// BuildEnds proves that a build which has to run on the desktop ends, with success or
// without, and does not wait for somebody else's.
func BuildEnds() Check {
	return Check{"HG.build", "a build that has to run on the desktop ends, whatever else is going on", "laptop", func(ctx context.Context, p *Proof) {
		limit := p.stretch(30 * time.Second)
		cmd := daemonBuild(nonceExpression(newNonce()), "--max-jobs", "0")
		cmd.Argv[2] = fmt.Sprintf("%.0f", limit.Seconds())
		res, ok := p.ExecCommand(ctx, nixos.Laptop, cmd)
		if !ok || !timedOut(res) {
			return
		}
		if d := p.waits(ctx, words(res.Stderr)); d != nil {
			p.Broken(*d)
			return
		}
		last := lastLine(string(res.Stderr))
		p.Broken(report.Diagnosis{Code: "builder.hangs", Effective: last, Expected: "an end",
			Sentence: fmt.Sprintf("a build that has to run on the desktop has not come to an end in %.0f s; its last words: %s", limit.Seconds(), last)})
	}}
}

// holders finds who holds locks on files of a folder (proc_locks(5)).
const holders = `for f in "$1"/*; do
  i=$(stat -c %i "$f" 2>/dev/null) || continue
  while read -r _ _ _ _ pid place _; do
    [ "${place##*:}" = "$i" ] && echo "$f held by process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null))"
  done </proc/locks
done; true`

// waits names what a build that does not end waits for, nil where that is not known.
// Of the upload lock Nix speaks at a verbosity that nobody has.
func (p *Proof) waits(ctx context.Context, said words) *report.Diagnosis {
	if said.has("waiting for lock on", "waiting for a lock on") {
		path := strings.Trim(said.after("lock on "), "'")
		return &report.Diagnosis{Code: "builder.output-locked", Effective: path, Expected: "one build of it at a time",
			Sentence: fmt.Sprintf("the build waits for somebody else who is making %s: there is one build of it at a time", path)}
	}
	res, ok := p.Exec(ctx, nixos.Laptop, "bash", "-c", holders, "holders", "/nix/var/nix/current-load")
	for holder := range strings.Lines(string(res.Stdout)) {
		if holder = strings.TrimSpace(holder); ok && strings.Contains(holder, "upload-lock held by") {
			return &report.Diagnosis{Code: "builder.upload-locked", Effective: holder, Expected: "a free upload lock",
				Sentence: fmt.Sprintf("the build waits on the laptop for the lock under which it may upload to the desktop, up to 15 minutes; a free upload lock is expected, and it is %s", holder)}
		}
	}
	return nil
}

// TwoClients proves that a build which the desktop is doing already, for somebody else,
// is waited for and then taken.
func TwoClients() Check {
	return Check{"RB.two-clients", "a build that the desktop is doing for somebody else already is taken from there", "laptop", func(ctx context.Context, p *Proof) {
		expression := derivation(newNonce(), lasts(5)+tellPlace)
		const background = `setsid "$@" >/dev/null 2>&1 </dev/null & echo started`
		other := desktopBuild(expression)
		if res, ok := p.ExecCommand(ctx, nixos.Desktop, provider.Command{Argv: append([]string{"bash", "-c", background, "background"}, other.Argv...), Env: other.Env}); !ok || !res.OK() {
			return
		}
		p.buildRemotely(ctx, daemonBuild(expression, "--max-jobs", "0"))
	}}
}
