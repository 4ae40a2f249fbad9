package check

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// CacheKeyFiles proves that the desktop has a sound key pair for its cache.
func CacheKeyFiles() Check {
	return Check{"CH.key-files", "the desktop's cache key is root's alone, and its public half matches", "desktop", func(ctx context.Context, p *Proof) {
		private := p.CacheKeyPath()
		mode, ok := p.Exec(ctx, nixos.Desktop, "stat", "-c", "%a %s", private)
		if !ok {
			return
		}
		if !mode.OK() {
			p.Broken(report.Diagnosis{Code: "cache.key-file", Effective: "missing", Expected: private,
				Sentence: fmt.Sprintf("the desktop's signing key %s is missing", private)})
			return
		}
		if bits, _, _ := strings.Cut(mode.Text(), " "); bits != "600" && bits != "400" {
			p.Broken(report.Diagnosis{Code: "cache.key-permissions", Effective: bits, Expected: "600",
				Sentence: fmt.Sprintf("the desktop's signing key %s has mode %s, not 600: others can sign as the desktop", private, bits)})
			return
		}
		if d, wrong := p.keyHalves(ctx, private); wrong {
			p.Broken(d)
		}
	}}
}

// keyHalves compares the two files of the desktop's cache key.
func (p *Proof) keyHalves(ctx context.Context, private string) (report.Diagnosis, bool) {
	text := p.file(ctx, nixos.Desktop, CachePublicKeyPath)
	p.Evidence("file", nixos.Desktop, CachePublicKeyPath, text)
	public, err := ParsePublicKey(text)
	if err != nil {
		return noPublicKey(text, err), true
	}
	name, material, err := secretKeyHalf(p.Quiet(ctx, nixos.Desktop, "cat", private))
	switch {
	case err != nil:
		return report.Diagnosis{Code: "cache.key-file", Sentence: fmt.Sprintf("%s on the desktop holds no signing key: %v", private, err)}, true
	case material != public.Material:
		its := PublicKey{name, material}.String()
		return report.Diagnosis{Code: "cache.key-file", Effective: public.String(), Expected: its,
			Sentence: fmt.Sprintf("the desktop's %s has %s, and is not the public half of %s: that is %s", CachePublicKeyPath, public, private, its)}, true
	case name != public.Name:
		return report.Diagnosis{Code: "cache.key-name", Effective: public.Name, Expected: name,
			Sentence: fmt.Sprintf("the desktop hands over its key as %q and signs as %q: signatures are looked up by name", public.Name, name)}, true
	case name != CacheKeyName:
		return report.Diagnosis{Code: "cache.key-name", Effective: name, Expected: CacheKeyName,
			Sentence: fmt.Sprintf("the desktop's cache key is named %q, clients are told to trust %q", name, CacheKeyName)}, true
	}
	return report.Diagnosis{}, false
}

func noPublicKey(text string, err error) report.Diagnosis {
	return report.Diagnosis{Code: "cache.key-file", Effective: text, Expected: CacheKeyName + ":",
		Sentence: fmt.Sprintf("%s on the desktop holds no public key (%s:…): %v", CachePublicKeyPath, CacheKeyName, err)}
}

// get fetches a path of the desktop's cache, from the laptop: status and body. A
// status of 0 means that there was no answer.
func (p *Proof) get(ctx context.Context, path string) (status int, body string, ok bool) {
	res, ok := p.Exec(ctx, nixos.Laptop, "curl", "-sS", "--noproxy", "*", "--connect-timeout", "8", "--max-time", "20", "-w", "\n%{http_code}", p.cacheURL()+path)
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
		if !ok || status == http.StatusOK && strings.Contains(body, "StoreDir: /nix/store") {
			return
		}
		p.Broken(p.whyNoHTTP(ctx, status, body))
	}}
}

// whyNoHTTP says why the cache did not answer as it should: its port, or itself.
func (p *Proof) whyNoHTTP(ctx context.Context, status int, body string) report.Diagnosis {
	d := report.Diagnosis{Code: "cache.http-error", Effective: fmt.Sprint(status), Expected: "200"}
	switch {
	case status == http.StatusOK:
		d.Effective, d.Expected = clip(oneLine(body)), "StoreDir: /nix/store"
		d.Sentence = fmt.Sprintf("what answers at %s is no cache of Nix's store: it says %q, not %q", p.cacheURL(), d.Effective, d.Expected)
		return d
	case status != 0:
		p.journal(ctx, nixos.Desktop, "nix-serve.service")
		d.Sentence = fmt.Sprintf("the desktop's cache answers with HTTP %d, not 200: %s", status, clip(oneLine(body)))
		return d
	}
	if state := p.Port(ctx, p.CachePort()); state != Open && state != "" {
		return p.portClosed(ctx, "cache", state)
	}
	p.journal(ctx, nixos.Desktop, "nix-serve.service")
	d.Effective = "silence"
	d.Sentence = "the desktop's cache accepts the connection, and then there is silence: no HTTP 200"
	return d
}

// whyNoNarinfo tells a cache that does not reach its daemon from a path that the
// desktop had, and has no more.
func (p *Proof) whyNoNarinfo(ctx context.Context, path string, status int, body string) report.Diagnosis {
	if status == 0 {
		return p.whyNoHTTP(ctx, status, body)
	}
	if status == http.StatusNotFound && p.collected(ctx, path) {
		return report.Diagnosis{Code: "cache.collected", Effective: "404", Expected: path,
			Sentence: fmt.Sprintf("the desktop had %s and has collected it as garbage: its cache answers 404, and the laptop builds again what was built", path)}
	}
	info, _, _ := p.get(ctx, "/nix-cache-info")
	log := p.journal(ctx, nixos.Desktop, "nix-serve.service")
	if status >= 500 && info == http.StatusOK {
		return p.whyNoDaemon(ctx, status, lastLine(log))
	}
	return report.Diagnosis{Code: "cache.http-error", Effective: fmt.Sprint(status), Expected: "200",
		Sentence: fmt.Sprintf("the desktop's cache answers HTTP %d, not 200, for a path its store has", status)}
}

// whyNoDaemon says what is between nix-serve and its Nix daemon: the daemon refuses
// its user, the unit's sandbox takes away its socket, or the daemon is gone.
func (p *Proof) whyNoDaemon(ctx context.Context, status int, last string) report.Diagnosis {
	symptom := fmt.Sprintf("the desktop's cache answers, and fails (HTTP %d) for every path: ", status)
	unit := properties(p.Quiet(ctx, nixos.Desktop, "systemctl", "show", "nix-serve.service", "--property=User,RestrictAddressFamilies"))
	user := unit["User"]
	if user == "" {
		user = "root"
	}
	if s, err := p.nixSettings(ctx, nixos.Desktop); err == nil {
		groups := p.groups(ctx, user)
		if !nixUsers(s.List("allowed-users"), user, groups) && !nixUsers(s.List("trusted-users"), user, groups) {
			allowed := p.setting(nixos.Desktop, s, "allowed-users")
			return p.blame(ctx, nixos.Desktop, "nix.settings.allowed-users", report.Diagnosis{Code: "cache.daemon-refuses", Effective: allowed, Expected: user,
				Sentence: fmt.Sprintf("%sthe Nix daemon refuses nix-serve: allowed-users is %q, without %s", symptom, allowed, user)})
		}
	}
	families := unit["RestrictAddressFamilies"]
	denied, isDenyList := strings.CutPrefix(families, "~")
	if families != "" && slices.Contains(strings.Fields(denied), "AF_UNIX") == isDenyList {
		return p.blame(ctx, nixos.Desktop, "systemd.services.nix-serve.serviceConfig", report.Diagnosis{Code: "cache.daemon-unreachable", Effective: families, Expected: "AF_UNIX",
			Sentence: fmt.Sprintf("%snix-serve may not open the Nix daemon's socket: its RestrictAddressFamilies is %q, and does not allow AF_UNIX", symptom, families)})
	}
	if state := p.Quiet(ctx, nixos.Desktop, "systemctl", "is-active", "nix-daemon.socket"); state != "active" && state != "" {
		return report.Diagnosis{Code: "nix.daemon-dead", Effective: state, Expected: "active",
			Sentence: fmt.Sprintf("%sthe desktop's nix-daemon.socket is %s, not active", symptom, state)}
	}
	return report.Diagnosis{Code: "cache.daemon-unreachable", Effective: fmt.Sprint(status), Expected: "200",
		Sentence: fmt.Sprintf("%sit does not reach its Nix daemon, or it would be 200 (%s)", symptom, last)}
}

// properties reads the lines of systemctl show.
func properties(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			out[name] = value
		}
	}
	return out
}
