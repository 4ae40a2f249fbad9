package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixserve"
	"offload-e2e/harness/report"
)

// Origin is the cache of the internet, as far as it can be filled and asked.
type Origin interface {
	// AddText serves a text under the store path that builtins.toFile gives it.
	AddText(name, content string, references ...string) (string, error)
	// Fetched are the store paths whose NARs were served, once for each time.
	Fetched() []string
}

// promise keeps what was measured, and judges it.
func (p *Proof) promise(m report.Promise) bool {
	m.Check, m.State = p.finding.Check, report.Holds
	if !m.Kept() {
		m.State = report.Warns
	}
	p.finding.Promise = &m
	return m.Kept()
}

// What was promised (contract, "Promises to measure").
const (
	leastSpeedUp = 2.0
	leastShare   = 90.0 // percent of NARs
)

// slowLaptop is the part of a processor that the laptop's builds get while builds are
// compared, in percent: machines of one host are equally fast, and a laptop is slower
// than the desktop it offloads to (systemd.resource-control(5), CPUQuota).
const slowLaptop = 25

// quota limits the laptop's builds to a part of a processor, or no more. Where the unit's
// cgroup has no cpu controller, as in many containers, systemd says nothing and limits
// nothing: slowDown looks (cgroups(7), cpu.max; cpu.cfs_quota_us of version 1).
const (
	quota    = `systemctl set-property --runtime nix-daemon.service CPUQuota="$1"`
	slowDown = quota + ` && systemctl start nix-daemon.service && at=$(systemctl show --property=ControlGroup --value nix-daemon.service) && {
  cat "/sys/fs/cgroup$at/cpu.max" "/sys/fs/cgroup/cpu,cpuacct$at/cpu.cfs_quota_us" 2>/dev/null | grep -q "^[0-9]" ||
    { echo "no cpu controller limits units there" >&2; exit 1; }; }`
)

// pairs is how often a build is made here and there; medians are compared.
const pairs = 3

// SpeedUp measures how much sooner a build of some length is done on the desktop than
// on the laptop, and how long a build has to be for the desktop to gain.
func SpeedUp() Check {
	return Check{"PF.speed-up", "builds are done sooner on the desktop than on a slower laptop", "laptop", func(ctx context.Context, p *Proof) {
		defer p.Quiet(context.WithoutCancel(ctx), nixos.Laptop, "sh", "-c", quota, "quota", "")
		if res, ok := p.Exec(ctx, nixos.Laptop, "sh", "-c", slowDown, "quota", fmt.Sprintf("%d%%", slowLaptop)); !ok || !res.OK() {
			if ok {
				p.Skip("the laptop's builds cannot be slowed down: %s", lastLine(string(res.Stderr)))
			}
			return
		}
		perSecond, ok := p.workPerSecond(ctx)
		if !ok {
			return
		}
		here, there := report.Series{Name: "laptop"}, report.Series{Name: "desktop"}
		// In seconds of the desktop's processor.
		for _, size := range []float64{2, 6} {
			local, remote, ok := p.compare(ctx, int(size*perSecond))
			if !ok {
				return
			}
			here.Points = append(here.Points, report.Point{X: local.Seconds(), Y: local.Seconds()})
			there.Points = append(there.Points, report.Point{X: local.Seconds(), Y: remote.Seconds()})
		}
		p.judgeSpeedUp(here, there)
	}}
}

// judgeSpeedUp compares two lines of two points each: how long builds take, over how
// long they take on the laptop.
func (p *Proof) judgeSpeedUp(here, there report.Series) {
	large := here.Points[1].Y / there.Points[1].Y
	said := fmt.Sprintf("a build of %.0f s on the laptop takes %.0f s on the desktop: %.1f times faster", here.Points[1].Y, there.Points[1].Y, large)
	chart := report.Chart{Kind: "lines", X: "the build, s on the laptop", Y: "it takes, s", Series: []report.Series{here, there}}
	slope := (there.Points[1].Y - there.Points[0].Y) / (here.Points[1].Y - here.Points[0].Y)
	if slope < 1 {
		even := max(0, (there.Points[0].Y-slope*here.Points[0].X)/(1-slope))
		said += fmt.Sprintf("; the desktop gains from builds of %.1f s on", even)
		chart.Marks = []report.Mark{{Axis: "x", At: even, Label: fmt.Sprintf("break-even %.1f s", even)}}
	}
	p.Evidence("probe", nixos.Laptop, fmt.Sprintf("medians of %d pairs, the laptop's builds with %d %% of a processor", pairs, slowLaptop), said)
	least := leastSpeedUp
	if !p.promise(report.Promise{ID: "speed-up", Claim: fmt.Sprintf("Builds are 2 to 5 times faster (laptop with %d %% of the desktop's processor)", slowLaptop), Measured: said,
		Value: large, Unit: "times", Least: &least, Chart: &chart}) {
		p.Warn(report.Diagnosis{Code: "builder.slower-than-local", Effective: fmt.Sprintf("%.1f times", large), Expected: fmt.Sprintf("%.0f times", least),
			Sentence: fmt.Sprintf("the desktop was to build at least %.0f times faster than the laptop, and it is %.1f times: %s", least, large, said)})
	}
}

// busy is a build that keeps a processor busy, and tells where it was.
func busy(turns int) string {
	return derivation(newNonce(), fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); done; ", turns)+tellPlace)
}

// workPerSecond is how many turns of busy the desktop does in a second.
func (p *Proof) workPerSecond(ctx context.Context) (float64, bool) {
	const turns = 50_000
	var took [2]time.Duration
	for i, n := range []int{0, turns} {
		res, ok := p.ExecCommand(ctx, nixos.Desktop, desktopBuild(busy(n)))
		if !ok {
			return 0, false
		}
		if !res.OK() {
			p.Error(fmt.Errorf("desktop: measure how fast it builds: %w", res.Err()))
			return 0, false
		}
		took[i] = res.Duration
	}
	return turns / max(took[1]-took[0], 10*time.Millisecond).Seconds(), true
}

// compare makes pairs of builds, one of each pair on the laptop and one on the desktop.
func (p *Proof) compare(ctx context.Context, turns int) (local, remote time.Duration, ok bool) {
	var here, there []time.Duration
	for range pairs {
		a, ok1 := p.ExecCommand(ctx, nixos.Laptop, daemonBuild(busy(turns), "--max-jobs", "1", "--option", "builders", "", "--option", "substitute", "false"))
		if !ok1 {
			return 0, 0, false
		}
		since := p.now(ctx)
		b, ok2 := p.ExecCommand(ctx, nixos.Laptop, daemonBuild(busy(turns), "--max-jobs", "0"))
		if !ok2 {
			return 0, 0, false
		}
		if !a.OK() {
			p.Error(fmt.Errorf("laptop: build by itself: %w", a.Err()))
			return 0, 0, false
		}
		if !b.OK() {
			if d, broken := p.whyNoBuild(ctx, b, since); broken {
				p.Broken(d)
			} else {
				p.Skip("%s", d.Sentence)
			}
			return 0, 0, false
		}
		if p.provePlace(ctx, b); p.done() {
			return 0, 0, false
		}
		here, there = append(here, a.Duration), append(there, b.Duration)
	}
	slices.Sort(here)
	slices.Sort(there)
	return here[pairs/2], there[pairs/2], true
}

// sharePaths is how many paths CacheShare has fetched.
const sharePaths = 20

// CacheShare measures which part of what the laptop downloads comes from the desktop,
// of what both the desktop and the internet have: at first, after the laptop collected
// its garbage, and when the desktop has collected its own.
func CacheShare() Check {
	return Check{"PF.cache-hits", "what desktop and internet both have comes from the desktop", "laptop", func(ctx context.Context, p *Proof) {
		if p.Origin == nil {
			p.Skip("there is no internet here that can be filled")
			return
		}
		paths, ok := p.fillBoth(ctx)
		if !ok {
			return
		}
		bars := report.Series{Name: "of the NARs"}
		var cold float64
		for i, moment := range []string{"cold", "laptop collected", "desktop collected"} {
			if i > 0 && !p.forget(ctx, nixos.Laptop, paths) || i == 2 && !p.forget(ctx, nixos.Desktop, paths) {
				return
			}
			lan, all, ok := p.fetch(ctx, paths)
			if !ok {
				return
			}
			percent := 100 * float64(lan) / float64(max(all, 1))
			p.Evidence("probe", nixos.Laptop, moment, fmt.Sprintf("%d NARs of %d came from the desktop", lan, all))
			bars.Points = append(bars.Points, report.Point{Label: moment, Y: percent})
			if i == 0 {
				cold = percent
			}
		}
		said := fmt.Sprintf("%.0f %% of %d paths that both have came from the desktop, %.0f %% once more, and %.0f %% when it had lost them", cold, sharePaths, bars.Points[1].Y, bars.Points[2].Y)
		least := leastShare
		if !p.promise(report.Promise{ID: "cache-hits", Claim: "90 % of downloads come from the desktop's cache, before the internet", Measured: said, Value: cold, Unit: "%", Least: &least,
			Chart: &report.Chart{Kind: "bars", Y: "% from the desktop", Series: []report.Series{bars}, Marks: []report.Mark{{Axis: "y", At: least, Label: "at least 90"}}}}) {
			p.Broken(report.Diagnosis{Code: "cache.order", Effective: fmt.Sprintf("%.0f %%", cold), Expected: fmt.Sprintf("%.0f %%", least),
				Sentence: fmt.Sprintf("%.0f %% of what both have came from the desktop, at least %.0f %% was to: the laptop asks the internet first, or does not take what the desktop offers", cold, least)})
		}
	}}
}

// fillBoth gives the desktop and the internet the same paths, which nobody else has.
func (p *Proof) fillBoth(ctx context.Context) ([]string, bool) {
	nonce := newNonce()
	var paths []string
	for i := range sharePaths {
		path, err := p.Origin.AddText(fmt.Sprintf("offload-e2e-share-%d", i), fmt.Sprintf("%s %d\n", nonce, i))
		if err != nil {
			p.Error(err)
			return nil, false
		}
		paths = append(paths, path)
	}
	expression := fmt.Sprintf(`builtins.genList (i: builtins.unsafeDiscardStringContext (builtins.toFile "offload-e2e-share-${toString i}" "%s ${toString i}\n")) %d`, nonce, sharePaths)
	res, ok := p.Exec(ctx, nixos.Desktop, "env", "NIX_REMOTE=daemon", "nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode", "--expr", expression)
	if !ok {
		return nil, false
	}
	var made []string
	if err := errors.Join(res.Err(), json.Unmarshal(res.Stdout, &made)); err != nil || !slices.Equal(made, paths) {
		p.Error(fmt.Errorf("desktop: make the paths that the internet has: %q, not %q: %w", made, paths, err))
		return nil, false
	}
	return paths, true
}

// forget deletes paths from a machine's store.
func (p *Proof) forget(ctx context.Context, role nixos.Role, paths []string) bool {
	res, ok := p.Exec(ctx, role, append([]string{"env", "NIX_REMOTE=daemon", "nix-store", "--delete"}, paths...)...)
	if ok && !res.OK() {
		p.Error(fmt.Errorf("%s: delete paths: %w", role, res.Err()))
	}
	return ok && res.OK()
}

// fetch has the laptop get paths, and counts what NARs of them came from the desktop,
// and in all.
func (p *Proof) fetch(ctx context.Context, paths []string) (lan, all int, ok bool) {
	before := len(p.Origin.Fetched())
	since := p.now(ctx)
	cmd := realise(paths[0])
	// What was in no cache a while ago may be in one now (nix.conf(5)).
	cmd.Argv = append(append(cmd.Argv[:len(cmd.Argv)-1], "--option", "narinfo-cache-negative-ttl", "0", "--option", "narinfo-cache-positive-ttl", "0"), paths...)
	res, ok := p.ExecCommand(ctx, nixos.Laptop, cmd)
	if !ok {
		return 0, 0, false
	}
	if !res.OK() {
		p.Broken(p.whyNoHit(ctx, paths[0], words(res.Stderr), nil))
		return 0, 0, false
	}
	log := p.Quiet(ctx, nixos.Desktop, "journalctl", "--no-pager", "--output=cat", "--unit=nix-serve.service", "--since", since)
	for _, path := range paths {
		lan += len(slices.DeleteFunc(p.asked(log, path), func(a nixserve.Access) bool {
			what, _ := a.Resource()
			return what != nixserve.NAR || a.Status != http.StatusOK
		}))
	}
	for _, path := range p.Origin.Fetched()[before:] {
		if slices.Contains(paths, path) {
			all++
		}
	}
	return lan, all + lan, true
}
