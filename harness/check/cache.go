package check

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nix-community/go-nix/pkg/narinfo"
	"github.com/nix-community/go-nix/pkg/narinfo/signature"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixserve"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// CacheKeyName is the name of the desktop's cache key (the contract's).
const CacheKeyName = "cache.local"

// CacheKeyFiles proves that the desktop has a sound key pair for its cache.
func CacheKeyFiles() Check {
	return Check{"CH.key-files", "the desktop's cache key is root's alone, and its public half matches", "desktop", func(ctx context.Context, p *Proof) {
		private := p.CacheKeyPath()
		mode, ok := p.Exec(ctx, nixos.Desktop, "stat", "-c", "%a %s", private)
		if !ok {
			return
		}
		if !mode.OK() {
			p.Broken(report.Diagnosis{Code: "cache.key-file", Sentence: fmt.Sprintf("the desktop has no signing key %s", private), Effective: "missing"})
			return
		}
		if bits, _, _ := strings.Cut(mode.Text(), " "); bits != "600" && bits != "400" {
			p.Broken(report.Diagnosis{Code: "cache.key-permissions", Sentence: fmt.Sprintf("the desktop's signing key %s has mode %s: others can sign as the desktop", private, bits), Effective: bits, Expected: "600"})
			return
		}
		text, ok := p.Exec(ctx, nixos.Desktop, "cat", CachePublicKeyPath)
		if !ok {
			return
		}
		public, err := ParsePublicKey(text.Text())
		if err != nil {
			p.Broken(report.Diagnosis{Code: "cache.key-file", Sentence: fmt.Sprintf("%s on the desktop holds no public key: %v", CachePublicKeyPath, err), Effective: text.Text(), Expected: CacheKeyName + ":…"})
			return
		}
		name, material, err := secretKeyHalf(p.Quiet(ctx, nixos.Desktop, "cat", private))
		switch {
		case err != nil:
			p.Broken(report.Diagnosis{Code: "cache.key-file", Sentence: fmt.Sprintf("%s on the desktop holds no signing key: %v", private, err)})
		case material != public.Material:
			p.Broken(report.Diagnosis{Code: "cache.key-file", Sentence: fmt.Sprintf("%s is not the public half of %s", CachePublicKeyPath, private), Effective: public.String(), Expected: name + ":" + material})
		case name != public.Name:
			p.Broken(report.Diagnosis{Code: "cache.key-name", Sentence: fmt.Sprintf("the desktop signs as %q and hands over its key as %q: signatures are looked up by name", name, public.Name), Effective: name, Expected: public.Name})
		case name != CacheKeyName:
			p.Broken(report.Diagnosis{Code: "cache.key-name", Sentence: fmt.Sprintf("the desktop's cache key is named %q, clients are told to trust %q", name, CacheKeyName), Effective: name, Expected: CacheKeyName})
		}
	}}
}

// secretKeyHalf reads a signing key, name:base64 of seed and public key, and
// returns its name and public half; the secret is not kept.
func secretKeyHalf(text string) (name, public string, err error) {
	name, material, ok := strings.Cut(strings.TrimSpace(text), ":")
	raw, err := base64.StdEncoding.DecodeString(material)
	if !ok || err != nil || len(raw) != 64 {
		return "", "", errors.New("not of the form name:base64 of 64 bytes")
	}
	return name, base64.StdEncoding.EncodeToString(raw[32:]), nil
}

// get fetches a path of the desktop's cache, from the laptop: status and body. A
// status of 0 means that there was no answer.
func (p *Proof) get(ctx context.Context, path string) (status int, body string, ok bool) {
	url := fmt.Sprintf("http://%s:%d%s", p.DesktopAddr, p.CachePort(), path)
	res, ok := p.Exec(ctx, nixos.Laptop, "curl", "-sS", "--noproxy", "*", "--max-time", "20", "-w", "\n%{http_code}", url)
	if !ok {
		return 0, "", false
	}
	body, code, _ := cutLast(string(res.Stdout), "\n")
	_, _ = fmt.Sscan(code, &status)
	return status, body, true
}

// CacheInfo proves that the desktop's cache speaks the protocol.
func CacheInfo() Check {
	return Check{"CH.info", "the desktop's cache answers the laptop", "laptop", func(ctx context.Context, p *Proof) {
		status, body, ok := p.get(ctx, "/nix-cache-info")
		if !ok || status == 200 && strings.Contains(body, "StoreDir: /nix/store") {
			return
		}
		p.Broken(p.whyNoHTTP(ctx, status, body))
	}}
}

func (p *Proof) whyNoHTTP(ctx context.Context, status int, body string) report.Diagnosis {
	if status != 0 {
		p.journal(ctx, nixos.Desktop, "nix-serve.service")
		return report.Diagnosis{Code: "cache.http-error", Sentence: fmt.Sprintf("the desktop's cache answers with HTTP %d", status), Effective: fmt.Sprint(status) + " " + clip(body), Expected: "200"}
	}
	state := p.Port(ctx, p.CachePort())
	switch state {
	case Refused:
		p.journal(ctx, nixos.Desktop, "nix-serve.service")
		return report.Diagnosis{Code: "cache.port-refused", Sentence: fmt.Sprintf("nothing answers at the desktop's cache port %d: connection refused", p.CachePort()), Effective: "refused", Expected: "open"}
	case Unreachable:
		return report.Diagnosis{Code: "network.unreachable", Sentence: "the laptop does not reach the desktop at " + p.DesktopAddr.String()}
	case Filtered:
		return p.blame(ctx, nixos.Desktop, "networking.firewall.allowedTCPPorts", report.Diagnosis{Code: "cache.port-filtered",
			Sentence: fmt.Sprintf("packets to the desktop's cache port %d are dropped", p.CachePort()), Effective: "filtered", Expected: "open"})
	}
	return report.Diagnosis{Code: "cache.http-error", Sentence: "the desktop's cache accepts the connection and does not answer HTTP"}
}

// freshPath builds, on the desktop alone, something nobody has.
func (p *Proof) freshPath(ctx context.Context) (string, bool) {
	res, ok := p.ExecCommand(ctx, nixos.Desktop, desktopBuild())
	if !ok {
		return "", false
	}
	if !res.OK() {
		p.Error(fmt.Errorf("desktop: make a path to look for: %w", res.Err()))
		return "", false
	}
	return res.Text(), true
}

func desktopBuild() provider.Command {
	return daemonBuild(nonceExpression(newNonce()), "--option", "builders", "", "--option", "substitute", "false")
}

// CacheSignature proves that what the desktop serves is signed with exactly the
// public key it hands over.
func CacheSignature() Check {
	return Check{"CH.signature", "what the desktop's cache serves is signed with the key it hands over", "laptop", func(ctx context.Context, p *Proof) {
		path, ok := p.freshPath(ctx)
		if ok {
			p.signature(ctx, path)
		}
	}}
}

// signature proves the signature of one path's narinfo.
func (p *Proof) signature(ctx context.Context, path string) {
	hash, _, _ := strings.Cut(filepath.Base(path), "-")
	status, body, ok := p.get(ctx, "/"+hash+".narinfo")
	if !ok {
		return
	}
	if status != 200 {
		p.Broken(p.whyNoNarinfo(ctx, status, body))
		return
	}
	ni, err := narinfo.Parse(strings.NewReader(body))
	if err != nil {
		p.Broken(report.Diagnosis{Code: "cache.http-error", Sentence: "the desktop's cache serves a narinfo that does not parse: " + err.Error()})
		return
	}
	text := p.Quiet(ctx, nixos.Desktop, "cat", CachePublicKeyPath)
	public, err := signature.ParsePublicKey(text)
	if err != nil {
		p.Broken(report.Diagnosis{Code: "cache.key-file", Sentence: fmt.Sprintf("%s on the desktop holds no public key", CachePublicKeyPath), Effective: text})
		return
	}
	if len(ni.Signatures) == 0 {
		p.Broken(p.blame(ctx, nixos.Desktop, "services.nix-serve.secretKeyFile", report.Diagnosis{Code: "cache.unsigned",
			Sentence: "the desktop's cache serves its own builds without a signature: the laptop ignores them, and only paths signed by others pass", Effective: "no Sig", Expected: public.Name + ":…"}))
		return
	}
	var names []string
	for _, sig := range ni.Signatures {
		if sig.Name == public.Name && public.Verify(ni.Fingerprint(), sig) {
			return
		}
		names = append(names, sig.Name)
	}
	d := report.Diagnosis{Code: "cache.signature", Sentence: fmt.Sprintf("the signature of the desktop's cache does not verify with %s", text), Effective: strings.Join(names, ", "), Expected: public.Name}
	_, material, _ := secretKeyHalf(p.Quiet(ctx, nixos.Desktop, "cat", p.CacheKeyPath()))
	renamed := signature.PublicKey{Name: names[0], Data: public.Data}
	switch {
	case !slices.Contains(names, public.Name) && slices.ContainsFunc(ni.Signatures, func(s signature.Signature) bool { return renamed.Verify(ni.Fingerprint(), s) }):
		d.Code = "cache.key-name"
		d.Sentence = fmt.Sprintf("the desktop signs as %q and hands over the same key as %q: signatures are looked up by name", names[0], public.Name)
	case text == public.Name+":"+material:
		d.Code = "cache.stale-key"
		d.Sentence = "nix-serve still signs with an earlier key: the key on file was changed and the server not restarted"
	}
	p.Broken(d)
}

// whyNoNarinfo tells a dead daemon behind the cache from a path it does not have.
func (p *Proof) whyNoNarinfo(ctx context.Context, status int, body string) report.Diagnosis {
	if status == 0 {
		return p.whyNoHTTP(ctx, status, body)
	}
	info, _, _ := p.get(ctx, "/nix-cache-info")
	log := p.journal(ctx, nixos.Desktop, "nix-serve.service")
	if status >= 500 && info == 200 {
		return report.Diagnosis{Code: "cache.daemon-unreachable", Sentence: fmt.Sprintf("the desktop's cache answers, and fails (HTTP %d) for every path: it does not reach its Nix daemon (%s)", status, lastLine(log)), Effective: fmt.Sprint(status), Expected: "200"}
	}
	return report.Diagnosis{Code: "cache.http-error", Sentence: fmt.Sprintf("the desktop's cache answers HTTP %d for a path its store has", status), Effective: fmt.Sprint(status), Expected: "200"}
}

// CacheHit proves that a path only the desktop has arrives on the laptop as a NAR
// from the desktop's cache, signed, and that nobody built it.
func CacheHit() Check {
	return Check{"CH.hit", "a path only the desktop has arrives from its cache, signed", "laptop", func(ctx context.Context, p *Proof) {
		path, ok := p.freshPath(ctx)
		if !ok {
			return
		}
		since := p.Quiet(ctx, nixos.Desktop, "date", "+@%s")
		res, ok := p.ExecCommand(ctx, nixos.Laptop, provider.Command{
			Argv: []string{"timeout", "--kill-after=5", "120", "nix-store", "--realise", path},
			Env:  map[string]string{"NIX_REMOTE": "daemon", "HOME": "/root"}})
		if !ok {
			return
		}
		log := p.Quiet(ctx, nixos.Desktop, "journalctl", "--no-pager", "--output=cat", "--unit=nix-serve.service", "--since", since)
		p.Evidence("log", nixos.Desktop, "journal of nix-serve.service", log)
		if !res.OK() {
			p.Broken(p.whyNoHit(ctx, path, res, log))
			return
		}
		hash, _, _ := strings.Cut(filepath.Base(path), "-")
		accesses, _ := nixserve.ParseAccessLog(strings.NewReader(log))
		if !slices.ContainsFunc(accesses, func(a nixserve.Access) bool {
			what, of := a.Resource()
			return what == nixserve.NAR && of == hash && a.Status == 200 && a.Client == p.LaptopAddr.String()
		}) {
			p.Broken(report.Diagnosis{Code: "cache.not-used", Sentence: "the path arrived on the laptop, and the desktop's cache served no NAR of it"})
			return
		}
		p.signature(ctx, path)
	}}
}

func (p *Proof) whyNoHit(ctx context.Context, path string, res provider.Result, log string) report.Diagnosis {
	out := string(res.Stderr)
	has := func(t string) bool { return strings.Contains(out, t) }
	s, known := p.NixConfig(ctx, nixos.Laptop)
	if !known {
		return *p.finding.Diagnosis
	}
	lan := netip.PrefixFrom(p.DesktopAddr, 24).Masked()
	subs := ParseSubstituters(s.List("substituters"))
	i := slices.IndexFunc(subs, func(s Substituter) bool { return s.Local(lan) })
	switch {
	case i < 0:
		return p.blame(ctx, nixos.Laptop, "nix.settings.substituters", report.Diagnosis{Code: "cache.not-configured",
			Sentence: "the desktop's cache is not among the laptop's substituters", Effective: s.Text("substituters"), Expected: fmt.Sprintf("http://%s:%d", p.DesktopAddr, p.CachePort())})
	case subs[i].Scheme == "https" || has("SSL") || has("TLS"):
		return p.blame(ctx, nixos.Laptop, "nix.settings.substituters", report.Diagnosis{Code: "cache.scheme",
			Sentence:  fmt.Sprintf("the laptop speaks TLS (%s) to the desktop's cache, which speaks plain HTTP", subs[i].Raw),
			Effective: subs[i].Raw, Expected: "http://" + subs[i].Host})
	case has("not signed by any of the keys") || has("lacks a signature") || has("lacks a valid signature"):
		sub := *p
		sub.finding = report.Finding{State: report.Holds}
		if TrustedKeys().Run(ctx, &sub); sub.finding.State == report.Broken {
			return *sub.finding.Diagnosis
		}
		sub.finding = report.Finding{State: report.Holds}
		if sub.signature(ctx, path); sub.finding.State == report.Broken {
			return *sub.finding.Diagnosis
		}
		return report.Diagnosis{Code: "cache.key-untrusted", Sentence: "the laptop does not trust the signature of the desktop's cache"}
	case has("hash mismatch"):
		return report.Diagnosis{Code: "cache.nar-corrupt", Sentence: "the NAR the desktop serves is not what its narinfo promises: its store is damaged"}
	}
	hash, _, _ := strings.Cut(filepath.Base(path), "-")
	accesses, _ := nixserve.ParseAccessLog(strings.NewReader(log))
	for _, a := range accesses {
		if what, of := a.Resource(); of == hash && what == nixserve.NarInfo && a.Status >= 400 {
			return p.whyNoNarinfo(ctx, a.Status, "")
		}
	}
	status, body, _ := p.get(ctx, "/"+hash+".narinfo")
	if status != 200 {
		return p.whyNoNarinfo(ctx, status, body)
	}
	if subs[i].Hostname() != p.DesktopAddr.String() {
		return report.Diagnosis{Code: "network.wrong-desktop-address", Sentence: fmt.Sprintf("the laptop looks for the cache at %s, the desktop is at %s", subs[i].Host, p.DesktopAddr), Effective: subs[i].Host, Expected: p.DesktopAddr.String()}
	}
	if len(accesses) == 0 {
		return report.Diagnosis{Code: "cache.negative-cached", Sentence: "the laptop did not ask the desktop's cache at all: it remembers that the path, or the cache, was missing", Effective: "no request", Expected: "GET /" + hash + ".narinfo"}
	}
	return report.Diagnosis{Code: "cache.not-used", Sentence: "the path did not come from the desktop's cache: " + lastLine(out)}
}
