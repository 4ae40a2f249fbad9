package check

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// What is slow, and why it is called so.
const (
	// slowRoundTrip: a remote build makes some thirty round trips before it begins
	// (TCP, ssh's key exchange and login, Nix's handshake and queries). From 50 ms on
	// they cost more than the 1.5 s that starting a small build takes anyway.
	slowRoundTrip = 50 * time.Millisecond
	// slowLoss: TCP takes each lost packet for congestion; at 2 % a LAN's throughput
	// falls below that of a home's internet.
	slowLoss = 2.0
	// slowStart: what sending a build away may cost beside the build. Most of a
	// system's rebuild are builds of a few seconds.
	slowStart = 12 * time.Second
	// smallBlocks: below 64 KiB a read of NFS costs more in round trips than in bytes.
	// The kernel negotiates up to 1 MiB by itself (nfs(5), rsize).
	smallBlocks = 64 << 10
	// slowShare, bytes a second: an internet line of 16 Mbit/s gives as much.
	slowShare = 2e6
	// fewAtOnce: what a rebuild starts at once is eight builds or more. A desktop that
	// takes fewer than four makes the laptop wait, or build itself.
	fewAtOnce = 4
)

var (
	pingLoss  = regexp.MustCompile(`([0-9.]+)% packet loss`)
	pingTimes = regexp.MustCompile(`= ([0-9.]+)/([0-9.]+)/([0-9.]+)`)
)

// way is what packets from the laptop to the desktop meet.
type way struct {
	rtt  time.Duration // mean
	loss float64       // percent
}

// way measures with ping(8); all is lost where it says nothing.
func (p *Proof) way(ctx context.Context) way {
	ping, _ := p.Exec(ctx, nixos.Laptop, "ping", "-n", "-c", "20", "-i", "0.1", "-W", "2", p.DesktopAddr.String())
	return pinged(string(ping.Stdout))
}

// pinged reads what ping(8) says.
func pinged(said string) way {
	w := way{loss: 100}
	if m := pingLoss.FindStringSubmatch(said); m != nil {
		w.loss, _ = strconv.ParseFloat(m[1], 64)
	}
	if m := pingTimes.FindStringSubmatch(said); m != nil {
		ms, _ := strconv.ParseFloat(m[2], 64)
		w.rtt = time.Duration(ms * float64(time.Millisecond))
	}
	return w
}

// unfit says why offloading over the way is slow, "" where it is fit. Where nothing
// comes back the way is not known: ping may be forbidden.
func (w way) unfit() string {
	if w.loss == 100 || w.rtt <= slowRoundTrip && w.loss <= slowLoss {
		return ""
	}
	return fmt.Sprintf("the way to the desktop has a round trip of %d ms and loses %.0f %% of the packets (up to %d ms and %.0f %% are fit for it)",
		w.rtt.Milliseconds(), w.loss, slowRoundTrip.Milliseconds(), slowLoss)
}

// BuildOverhead proves that to send a build to the desktop does not cost more than
// most builds.
func BuildOverhead() Check {
	return Check{"PF.overhead", "sending a build to the desktop costs less than most builds", "laptop", func(ctx context.Context, p *Proof) {
		way := p.way(ctx)
		if p.done() {
			return
		}
		here, ok1 := p.ExecCommand(ctx, nixos.Laptop, daemonBuild(nonceExpression(newNonce()), "--max-jobs", "1", "--option", "builders", "", "--option", "substitute", "false"))
		there, ok2 := p.ExecCommand(ctx, nixos.Laptop, daemonBuild(nonceExpression(newNonce()), "--max-jobs", "0"))
		if !ok1 || !ok2 {
			return
		}
		if !here.OK() || !there.OK() {
			p.Skip("there is nothing to compare: one of the two builds failed")
			return
		}
		cost, limit := there.Duration-here.Duration, p.stretch(slowStart)
		costs := fmt.Sprintf("%.1f s", cost.Seconds())
		p.Evidence("probe", nixos.Laptop, "cost of sending a build away", fmt.Sprintf("here %.1f s, there %.1f s: a build has to last %s on the laptop before it gains (round trip %s, loss %.0f %%)",
			here.Duration.Seconds(), there.Duration.Seconds(), costs, way.rtt, way.loss))
		unfit := way.unfit()
		if unfit == "" && cost <= limit {
			return
		}
		if unfit != "" {
			unfit = ": " + unfit
		}
		p.Broken(report.Diagnosis{Code: "builder.slower-than-local", Effective: costs, Expected: fmt.Sprintf("%.0f s", limit.Seconds()),
			Sentence: fmt.Sprintf("a small build takes %.1f s on the laptop and %s more on the desktop, where %.0f s are the limit%s: all but long builds are slower for being offloaded",
				here.Duration.Seconds(), costs, limit.Seconds(), unfit)})
	}}
}

// ShareSpeed proves that a share is read in blocks, and at a speed, that are worth it.
func ShareSpeed(s Share) Check {
	return Check{"PF.share-" + s.Name, s.Mount + " is read faster than the internet", "laptop", func(ctx context.Context, p *Proof) {
		if _, ok := p.look(ctx, s); !ok {
			return
		}
		m, is := p.mounted(ctx, s.Mount)
		if !is {
			p.Skip("%s is not mounted", s.Mount)
			return
		}
		name := ".offload-e2e-" + newNonce()
		made, ok := p.Exec(ctx, nixos.Desktop, "dd", "if=/dev/zero", "of="+s.Export+"/"+name, "bs=1M", "count=8", "status=none")
		if !ok {
			return
		}
		defer p.Quiet(context.WithoutCancel(ctx), nixos.Desktop, "rm", "-f", s.Export+"/"+name)
		if !made.OK() {
			p.Skip("the desktop cannot write a file to read into %s", s.Export)
			return
		}
		read, ok := p.Exec(ctx, nixos.Laptop, "timeout", "60", "dd", "if="+s.Mount+"/"+name, "of=/dev/null", "bs=1M", "status=none")
		if !ok {
			return
		}
		speed := 8 * (1 << 20) / max(read.Duration.Seconds(), 0.001)
		measured := fmt.Sprintf("%.1f MB/s", speed/1e6)
		p.Evidence("probe", nixos.Laptop, "read 8 MiB through "+s.Mount, measured+", options "+m.Super)
		rsize := number(mountOption(m.Super, "rsize"))
		switch {
		case rsize > 0 && rsize < smallBlocks:
			d := report.Diagnosis{Code: "nfs.small-blocks", Effective: fmt.Sprintf("rsize=%d", rsize), Expected: fmt.Sprintf("rsize=%d", p.largestBlock(ctx))}
			d.Sentence = fmt.Sprintf("the laptop reads %s with %s (measured %s); left to themselves laptop and desktop agree on %s", s.Mount, d.Effective, measured, d.Expected)
			p.Broken(p.blame(ctx, nixos.Laptop, "fileSystems."+s.Mount, d))
		case !read.OK() || speed < slowShare/max(p.Slow, 1):
			p.Broken(report.Diagnosis{Code: "nfs.slow", Effective: measured, Expected: fmt.Sprintf("%.1f MB/s", slowShare/max(p.Slow, 1)/1e6),
				Sentence: fmt.Sprintf("8 MiB come through %s at %s, an internet line gives %.1f MB/s", s.Mount, measured, slowShare/max(p.Slow, 1)/1e6)})
		}
	}}
}

// largestBlock is what the desktop's NFS server would serve at once (nfsd(7)).
func (p *Proof) largestBlock(ctx context.Context) int {
	if n := number(p.Quiet(ctx, nixos.Desktop, "cat", "/proc/fs/nfsd/max_block_size")); n > 0 {
		return n
	}
	return 1 << 20
}

// mountOption is the value of an option of mount(8), "" where it is not set.
func mountOption(options, name string) string {
	for o := range strings.SplitSeq(options, ",") {
		if key, value, ok := strings.Cut(o, "="); ok && key == name {
			return value
		}
	}
	return ""
}

// manyBuilds is how many builds are started at once, eachLasts for how many seconds.
const manyBuilds, eachLasts = 8, 6

// Slots proves that of many builds at once the desktop does as many as it should.
func Slots() Check {
	return Check{"PF.slots", fmt.Sprintf("of %d builds at once the desktop does at least %d together", manyBuilds, fewAtOnce), "laptop", func(ctx context.Context, p *Proof) {
		list := "["
		for range manyBuilds {
			list += " (" + derivation(newNonce(), lasts(eachLasts)+`echo "$end" > $out`) + ")"
		}
		res, ok := p.ExecCommand(ctx, nixos.Laptop, daemonBuild(list+" ]", "--max-jobs", "0"))
		if !ok {
			return
		}
		if !res.OK() {
			p.Skip("there is nothing to count: the builds failed: %s", nixError(words(res.Stderr)))
			return
		}
		text := p.Quiet(ctx, nixos.Laptop, append([]string{"cat"}, strings.Fields(res.Text())...)...)
		p.Evidence("file", nixos.Laptop, "when each build ended, by the desktop's clock", text)
		together := mostTogether(text)
		if together >= fewAtOnce {
			return
		}
		slots := 0
		if s, err := p.nixSettings(ctx, nixos.Laptop); err == nil {
			builders, _, _ := p.readBuilders(ctx, s)
			for _, b := range builders {
				slots += b.MaxJobs
			}
		}
		expected := fmt.Sprintf("%d together", fewAtOnce)
		p.Broken(p.blame(ctx, nixos.Laptop, "nix.buildMachines", report.Diagnosis{Code: "builder.few-slots", Effective: fmt.Sprintf("%d together", together), Expected: expected,
			Sentence: fmt.Sprintf("of %d builds at once the desktop did %d together, %s are expected: the laptop's builders have %d slots, and the rest waited (measured %.0f s in all)",
				manyBuilds, together, expected, slots, res.Duration.Seconds())}))
	}}
}

// mostTogether is the largest number of builds that ran at one time. Each line is the
// second in which a build was to end; it lasted eachLasts before.
func mostTogether(text string) int {
	var ends []int
	for line := range strings.Lines(text) {
		if end := number(line); end > 0 {
			ends = append(ends, end)
		}
	}
	most := 0
	for _, at := range ends {
		n := 0
		for _, end := range ends {
			// Running when the one at hand was about to end.
			if end >= at && end-eachLasts < at {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}
