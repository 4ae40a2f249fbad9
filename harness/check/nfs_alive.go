package check

import (
	"context"
	"fmt"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// noThreads reports whether the desktop's NFS server has no thread to answer with,
// although its unit runs (nfsd(7), rpc.nfsd(8)).
func (p *Proof) noThreads(ctx context.Context) bool {
	return p.Quiet(ctx, nixos.Desktop, "cat", "/proc/fs/nfsd/threads") == "0"
}

func noThreads(unit string) report.Diagnosis {
	return report.Diagnosis{Code: "nfs.no-threads", Effective: "0 threads", Expected: "8 threads",
		Sentence: fmt.Sprintf("the desktop's NFS server has 0 threads, not 8 threads, although nfs-server.service is %s: nobody answers, and what is mounted hangs", unit)}
}

// automountDead is the diagnosis of an automount that systemd has given up, or that
// never was started: nothing mounts when the desktop returns. Nil where it waits.
func (p *Proof) automountDead(ctx context.Context, s Share) *report.Diagnosis {
	unit := strings.TrimSuffix(unitName(s.Mount), ".mount") + ".automount"
	state := properties(p.Quiet(ctx, nixos.Laptop, "systemctl", "show", unit, "--property=LoadState,ActiveState,Result"))
	if state["LoadState"] != "loaded" || state["ActiveState"] == "active" {
		return nil
	}
	effective := state["ActiveState"] + "/" + state["Result"]
	p.journal(ctx, nixos.Laptop, unit)
	return &report.Diagnosis{Code: "nfs.automount-dead", Effective: effective, Expected: "active",
		Sentence: fmt.Sprintf("nothing mounts %s at first use any more: the laptop's %s is %s, not active", s.Mount, unit, effective)}
}

// mountTimedOut is the diagnosis of a mount that the way to the desktop is too poor for:
// it was not done in the time it is given (x-systemd.mount-timeout, systemd.mount(5)).
// Nil where it ended otherwise, or the way is fit.
func (p *Proof) mountTimedOut(ctx context.Context, s Share) *report.Diagnosis {
	unit := unitName(s.Mount)
	state := properties(p.Quiet(ctx, nixos.Laptop, "systemctl", "show", unit, "--property=Result,TimeoutUSec"))
	if state["Result"] != "timeout" {
		return nil
	}
	way := p.way(ctx).unfit()
	if way == "" {
		return nil
	}
	p.Evidence("command", nixos.Laptop, "systemctl show "+unit, "Result=timeout, TimeoutUSec="+state["TimeoutUSec"])
	return &report.Diagnosis{Code: "nfs.mount-timeout", Effective: "over " + state["TimeoutUSec"], Expected: "mounted",
		Sentence: fmt.Sprintf("%s is not mounted: that took over %s, which is all the time it is given: %s", s.Mount, state["TimeoutUSec"], way)}
}

func staleHandle(what string) report.Diagnosis {
	return report.Diagnosis{Code: "nfs.stale-handle", Effective: "Stale file handle", Expected: "its content",
		Sentence: fmt.Sprintf("what the laptop has open of the desktop is no longer there (%s: Stale file handle, not its content): it was deleted on the desktop, by garbage collection or by hand", what)}
}

// openFiles reads a byte of every file that a program has open below a folder.
const openFiles = `find /proc/[0-9]*/fd -lname "$1/*" 2>/dev/null | while read -r fd; do
  pid=${fd#/proc/}; pid=${pid%%/*}
  said=$(timeout 10 dd if="$fd" bs=1 count=1 of=/dev/null status=none 2>&1) ||
    echo "$(readlink "$fd"): process $pid ($(cat "/proc/$pid/comm")): ${said##*: }"
done`

// OpenFiles proves that what programs of the laptop have open on a share can still be
// read.
func OpenFiles(s Share) Check {
	return Check{"NF.open-" + s.Name, "what programs have open below " + s.Mount + " can still be read", "laptop", func(ctx context.Context, p *Proof) {
		res, ok := p.Exec(ctx, nixos.Laptop, "bash", "-c", openFiles, "open", s.Mount)
		if first, _, _ := strings.Cut(res.Text(), "\n"); ok && words(first).has("Stale file handle") {
			p.Broken(staleHandle(first))
		}
	}}
}

// ShareEnds proves that who looks into a share gets an answer, or an error, in time:
// a shell's prompt, df and every status command look.
func ShareEnds(s Share) Check {
	return Check{"HG.share-" + s.Name, "looking into " + s.Mount + " ends, whether the desktop answers or not", "laptop", func(ctx context.Context, p *Proof) {
		limit := p.stretch(30 * time.Second)
		res, ok := p.Exec(ctx, nixos.Laptop, "timeout", "--kill-after=2", fmt.Sprintf("%.0f", limit.Seconds()), "ls", "-A", s.Mount+"/.")
		if !ok || !timedOut(res) {
			return
		}
		options := "not mounted"
		if m, is := p.mounted(ctx, s.Mount); is {
			options = m.Super
		}
		hard := "its options are " + options
		if strings.Contains(","+options+",", ",hard,") {
			hard = "it is mounted hard: each access waits for the desktop without an end"
		}
		const want = "soft,timeo=50,retrans=2"
		p.Broken(p.blame(ctx, nixos.Laptop, "fileSystems."+s.Mount, report.Diagnosis{Code: "nfs.waits-forever", Effective: fmt.Sprintf("over %.0f s", limit.Seconds()), Expected: want,
			Sentence: fmt.Sprintf("looking into %s takes over %.0f s without an answer or an error: %s (better %s)", s.Mount, limit.Seconds(), hard, want)}))
	}}
}
