package check

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixserve"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// Interference is what happens to a path on its way from the desktop to the laptop.
type Interference struct {
	// Name completes "although …".
	Name string
	// Before, where set, is done before the desktop has the path; After when it
	// has, before the laptop asks for it.
	Before, After func(ctx context.Context, path string) error
}

// CacheHit proves that a path only the desktop has arrives on the laptop as a NAR
// from the desktop's cache, signed, and that nobody built it.
func CacheHit() Check {
	return Check{"CH.hit", "a path only the desktop has arrives from its cache, signed", "laptop", func(ctx context.Context, p *Proof) {
		p.hit(ctx, Interference{})
	}}
}

// CacheHitDespite is CacheHit with an interference: the laptop has asked for the
// path before, its garbage was collected, a byte of it was flipped.
func CacheHitDespite(i Interference) Check {
	return Check{"CH.hit-" + slug(i.Name), "a path only the desktop has arrives from its cache, although " + i.Name, "laptop", func(ctx context.Context, p *Proof) {
		p.hit(ctx, i)
	}}
}

// CacheHitAfterMiss is CacheHit for a path that the laptop has asked for before the
// desktop had it, as who tests a cache does.
func CacheHitAfterMiss() Check {
	return Check{"CH.after-miss", "a path that the laptop asked for too early arrives once the desktop has it", "laptop", func(ctx context.Context, p *Proof) {
		p.hit(ctx, Interference{Before: func(ctx context.Context, path string) error {
			_, err := p.machine(nixos.Laptop).Exec(ctx, realise(path))
			return err
		}})
	}}
}

// realise makes a path valid on the laptop through its daemon.
func realise(path string) provider.Command {
	return provider.Command{Argv: []string{"timeout", "--kill-after=5", "120", "nix-store", "--realise", path},
		Env: map[string]string{"NIX_REMOTE": "daemon", "HOME": "/root"}}
}

func (p *Proof) hit(ctx context.Context, i Interference) {
	path, ok := p.path(ctx, i)
	if !ok {
		return
	}
	since := p.now(ctx)
	res, ok := p.ExecCommand(ctx, nixos.Laptop, realise(path))
	if !ok {
		return
	}
	var log string
	var asked []nixserve.Access
	read := func(ctx context.Context) bool {
		log = p.Quiet(ctx, nixos.Desktop, "journalctl", "--no-pager", "--output=cat", "--unit=nix-serve.service", "--since", since)
		asked = p.asked(log, path)
		return slices.ContainsFunc(asked, servesNAR)
	}
	served := read(ctx)
	silent := !served && res.OK() && len(asked) == 0 && p.keepsNoLog(ctx)
	if !served && !silent && res.OK() {
		served = p.soon(ctx, read)
	}
	p.Evidence("log", nixos.Desktop, "journal of nix-serve.service", log)
	switch {
	case !res.OK():
		p.Broken(p.whyNoHit(ctx, path, words(res.Stderr), asked))
	case silent:
		p.signedOnTheWay(ctx, path)
	case !served:
		p.Broken(report.Diagnosis{Code: "cache.not-used", Effective: "no NAR", Expected: "GET of a NAR",
			Sentence: "the path arrived on the laptop, and the desktop's cache served no NAR of it: a GET of a NAR is expected in its log"})
	default:
		if d := p.signature(ctx, path); d != nil {
			p.Broken(*d)
		}
	}
}

// servesNAR reports whether a request got a NAR.
func servesNAR(a nixserve.Access) bool {
	what, _ := a.Resource()
	return what == nixserve.NAR && a.Status == http.StatusOK
}

// journalDelay is within which time a line that a service has written is in the journal,
// however busy its machine is.
const journalDelay = 5 * time.Second

// soon reports whether something of the journal is there, now or within its delay.
func (p *Proof) soon(ctx context.Context, is func(context.Context) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, p.stretch(journalDelay))
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		if is(ctx) {
			return true
		}
	}
}

// keepsNoLog reports whether the desktop's cache answers and has logged no request
// since its boot, as NixOS's own nix-serve does. That this one is not in the journal yet
// would say nothing.
func (p *Proof) keepsNoLog(ctx context.Context) bool {
	if status, _, _ := p.get(ctx, "/nix-cache-info"); status != http.StatusOK {
		return false
	}
	said, ok := p.Exec(ctx, nixos.Desktop, "journalctl", "--no-pager", "--output=cat", "--boot", "--lines=1000", "--unit=nix-serve.service")
	logged, _ := nixserve.ParseAccessLog(strings.NewReader(string(said.Stdout)))
	return ok && said.OK() && len(logged) == 0
}

// untrusted is the exit status of nix3-store-verify(1) where a path lacks signatures,
// and nothing else is wrong with it.
const untrusted = 2

// signedOnTheWay proves where a path came from that no log tells of: on the laptop it
// carries a signature of the cache's key, and on the desktop it has none. Nothing but
// the cache signs it in between.
func (p *Proof) signedOnTheWay(ctx context.Context, path string) {
	if d := p.signature(ctx, path); d != nil {
		p.Broken(*d)
		return
	}
	key := p.file(ctx, nixos.Desktop, CachePublicKeyPath)
	verify := nixCommand("store", "verify", "--no-contents", "--sigs-needed", "1", "--option", "trusted-public-keys", key, path)
	here, ok1 := p.ExecCommand(ctx, nixos.Laptop, verify)
	there, ok2 := p.ExecCommand(ctx, nixos.Desktop, verify)
	switch {
	case !ok1 || !ok2:
	case there.OK():
		p.Skip("the desktop's cache logs no requests, and the desktop signs what it builds besides: where a path came from cannot be told")
	case there.ExitStatus != untrusted:
		p.Error(there.Err())
	case here.ExitStatus == untrusted:
		p.Broken(report.Diagnosis{Code: "cache.not-used", Effective: "no signature", Expected: key,
			Sentence: fmt.Sprintf("the path arrived on the laptop, and not from the desktop's cache: it has no signature of %s", key)})
	case !here.OK():
		p.Error(here.Err())
	}
}

// samplePath is where a scenario leaves, on the desktop, the store path that the next
// hit is to be about: what it does to a path between the desktop's build and the
// laptop's wish, it does by itself.
const samplePath = "/run/offload-e2e-sample"

// path makes a path that only the desktop has, with what interferes; or takes the one
// that a scenario has prepared.
func (p *Proof) path(ctx context.Context, i Interference) (string, bool) {
	if sample := p.Quiet(ctx, nixos.Desktop, "sh", "-c", `cat "$1" 2>/dev/null && rm "$1"`, "sample", samplePath); sample != "" {
		p.Evidence("file", nixos.Desktop, samplePath, sample)
		return sample, true
	}
	if i.Before == nil && i.After == nil && firstHit(ctx) {
		return p.freshPath(ctx)
	}
	expression := nonceExpression(newNonce())
	if i.Before != nil {
		const outputs = `nix-store --query --outputs "$(nix-instantiate --expr "$1" 2>/dev/null)"`
		path, ok := p.buildOnDesktop(ctx, provider.Cmd("bash", "-c", outputs, "outputs", expression))
		if !ok {
			return "", false
		}
		if err := i.Before(ctx, path); err != nil {
			p.Error(err)
			return "", false
		}
	}
	path, ok := p.buildOnDesktop(ctx, desktopBuild(expression))
	if ok && i.After != nil {
		if err := i.After(ctx, path); err != nil {
			p.Error(err)
			return "", false
		}
	}
	return path, ok
}

// asked are the laptop's requests for a path in the cache's log.
func (p *Proof) asked(log, path string) []nixserve.Access {
	accesses, _ := nixserve.ParseAccessLog(strings.NewReader(log))
	return slices.DeleteFunc(accesses, func(a nixserve.Access) bool {
		_, of := a.Resource()
		return of != hashPart(path) || a.Client != p.LaptopAddr.String()
	})
}

// whyNoHit says why a path of the desktop did not arrive, from what Nix 2.26 says,
// the laptop's settings, and what it asked the cache for.
func (p *Proof) whyNoHit(ctx context.Context, path string, said words, asked []nixserve.Access) report.Diagnosis {
	s, err := p.nixSettings(ctx, nixos.Laptop)
	if err == nil {
		if d := p.unaskable(ctx, s); d != nil {
			return p.blame(ctx, nixos.Laptop, "nix.settings.substituters", *d)
		}
		if _, d := p.trusted(ctx, s); d != nil {
			return *d
		}
	}
	switch {
	case said.has("not signed by any of the keys", "lacks a signature", "lacks a valid signature"):
		return p.whyNotTrusted(ctx, path)
	case said.has("hash mismatch", "size mismatch"):
		got, want := said.after("got:"), said.after("specified:")
		return report.Diagnosis{Code: "cache.nar-corrupt", Effective: got, Expected: want,
			Sentence: fmt.Sprintf("the NAR the desktop serves has the hash %s, its narinfo promises %s: the desktop's store is damaged", got, want)}
	case said.has("No space left on device", "database or disk is full"):
		return p.laptopFull(ctx, said)
	}
	return p.whyNotServed(ctx, s, path, said, asked)
}

// collected reports whether the desktop's store no longer has a path.
func (p *Proof) collected(ctx context.Context, path string) bool {
	res, ok := p.Exec(ctx, nixos.Desktop, "nix-store", "--check-validity", path)
	return ok && !res.OK()
}

// whyNotTrusted says why the laptop does not take the signature of a path.
func (p *Proof) whyNotTrusted(ctx context.Context, path string) report.Diagnosis {
	trial := &Proof{Bench: p.Bench, finding: report.Finding{State: report.Holds}}
	TrustedKeys().Run(ctx, trial)
	p.finding.Evidence = append(p.finding.Evidence, trial.finding.Evidence...)
	if trial.finding.State == report.Broken {
		return *trial.finding.Diagnosis
	}
	if d := p.signature(ctx, path); d != nil {
		return *d
	}
	return report.Diagnosis{Code: "cache.key-untrusted", Sentence: "the laptop does not trust the signature of the desktop's cache"}
}

// whyNotServed says why the cache did not give what it was, or was not, asked for.
func (p *Proof) whyNotServed(ctx context.Context, s NixSettings, path string, said words, asked []nixserve.Access) report.Diagnosis {
	for _, a := range asked {
		switch what, _ := a.Resource(); {
		case what == nixserve.NarInfo && a.Status >= http.StatusInternalServerError:
			return p.whyNoNarinfo(ctx, path, a.Status, "")
		case what == nixserve.NAR && a.Status == http.StatusNotFound:
			return report.Diagnosis{Code: "cache.nar-gone", Effective: "404", Expected: "200",
				Sentence: "the desktop's cache answers 404, not 200, for a NAR that the laptop knows of: the desktop has collected its garbage since"}
		}
	}
	if subs, i := p.desktopCache(s); i >= 0 && subs[i].Hostname() != p.DesktopAddr.String() && strings.Count(subs[i].Hostname(), ".") == 3 {
		return p.blame(ctx, nixos.Laptop, "nix.settings.substituters", p.staleAddress("the laptop's substituter "+subs[i].Raw, subs[i].Hostname()))
	}
	narinfo := "/" + hashPart(path) + ".narinfo"
	if status, body, _ := p.get(ctx, narinfo); status != http.StatusOK {
		return p.whyNoNarinfo(ctx, path, status, body)
	}
	if len(asked) == 0 && !p.keepsNoLog(ctx) {
		return report.Diagnosis{Code: "cache.negative-cached", Effective: "no request", Expected: "GET " + narinfo,
			Sentence: "the desktop's cache has the path, and had no request for it, GET " + narinfo + ": the laptop remembers that it was missing (narinfo-cache-negative-ttl)"}
	}
	last := nixError(said)
	return report.Diagnosis{Code: "cache.not-used", Effective: last, Sentence: "the path did not come from the desktop's cache: " + last}
}
