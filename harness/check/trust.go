package check

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/nix-community/go-nix/pkg/narinfo"
	"github.com/nix-community/go-nix/pkg/narinfo/signature"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// TrustedKeys proves that the laptop's trusted keys parse and hold the desktop's.
func TrustedKeys() Check {
	return Check{"EV.trusted-keys", "the laptop trusts the desktop's cache key, to the byte", "laptop", func(ctx context.Context, p *Proof) {
		s, ok := p.NixConfig(ctx, nixos.Laptop)
		if !ok {
			return
		}
		p.setting(nixos.Laptop, s, "trusted-public-keys")
		keys, malformed := p.trusted(ctx, s)
		if malformed != nil {
			p.Broken(*malformed)
			return
		}
		text := p.file(ctx, nixos.Desktop, CachePublicKeyPath)
		want, err := ParsePublicKey(text)
		if err != nil {
			p.Skip("the desktop has no sound public key to compare with")
			return
		}
		p.Evidence("file", nixos.Desktop, CachePublicKeyPath, text)
		// Nix takes the first key of a name, and passes over the others of that name.
		first := slices.IndexFunc(keys, func(k PublicKey) bool { return k.Name == want.Name })
		switch {
		case !slices.Contains(keys, want):
			p.Broken(p.notTrusted(ctx, keys, want))
		case keys[first] != want:
			p.Broken(p.blame(ctx, nixos.Laptop, "nix.settings.trusted-public-keys", report.Diagnosis{Code: "cache.key-shadowed", Effective: keys[first].String(), Expected: want.String(),
				Sentence: fmt.Sprintf("the laptop trusts the desktop's key %s, and before it another of the same name, %s: Nix takes the first", want, keys[first])}))
		default:
			p.strangers(s, keys, want)
		}
	}}
}

// trusted reads the keys the laptop trusts. One that is malformed breaks them all.
func (p *Proof) trusted(ctx context.Context, s NixSettings) ([]PublicKey, *report.Diagnosis) {
	const form = "name:base64 of 32 bytes"
	var keys []PublicKey
	for _, text := range s.List("trusted-public-keys") {
		k, err := ParsePublicKey(text)
		if err != nil {
			d := p.blame(ctx, nixos.Laptop, "nix.settings.trusted-public-keys", report.Diagnosis{Code: "cache.key-malformed",
				Sentence:  fmt.Sprintf("an entry of the laptop's trusted-public-keys is not %s, and breaks every signature check: %v", form, err),
				Effective: text, Expected: form})
			return nil, &d
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// keysWrittenRemedy is for a run in which nobody hands over the key of a desktop
// that is new.
const keysWrittenRemedy = "KEYS=config trusts only keys that the configuration has: write down the desktop's public key (nix.settings.trusted-public-keys on the laptop), " +
	"and give this run's desktop the private key that belongs to it (e2e/desktop.nix); or let the run hand over the new key, with KEYS=exchange"

// notTrusted says in what the keys the laptop trusts differ from the desktop's.
func (p *Proof) notTrusted(ctx context.Context, keys []PublicKey, want PublicKey) report.Diagnosis {
	var names []string
	for _, k := range keys {
		names = append(names, k.Name)
	}
	d := report.Diagnosis{Code: "cache.key-untrusted", Effective: strings.Join(names, " "), Expected: want.String()}
	d.Sentence = fmt.Sprintf("the laptop trusts the keys %s, and not the desktop's, %s", d.Effective, want)
	for _, k := range keys {
		switch {
		case k.Material == want.Material:
			d.Code, d.Effective, d.Expected = "cache.key-name", k.Name, want.Name
			d.Sentence = fmt.Sprintf("the laptop trusts the desktop's key under the name %q, the desktop signs as %q: signatures are looked up by name, so none verifies", k.Name, want.Name)
		case k.Name == want.Name && d.Code != "cache.key-name":
			if p.signsWith(ctx, k) {
				return staleKey(k.String(), want.String())
			}
			d.Effective = k.String()
			d.Sentence = fmt.Sprintf("the laptop trusts another key of the name %s than the desktop's: %s, not %s", k.Name, k, want)
		}
	}
	if p.KeysWritten && d.Code == "cache.key-untrusted" {
		d.Remedy = keysWrittenRemedy
	}
	return p.blame(ctx, nixos.Laptop, "nix.settings.trusted-public-keys", d)
}

// signsWith reports whether the desktop's cache signs with a key, whatever its files
// say.
func (p *Proof) signsWith(ctx context.Context, k PublicKey) bool {
	public, err := signature.ParsePublicKey(k.String())
	if err != nil {
		return false
	}
	path := p.Quiet(ctx, nixos.Desktop, "readlink", "-f", "/run/current-system")
	status, body, ok := p.get(ctx, "/"+hashPart(path)+".narinfo")
	ni, err := narinfo.Parse(strings.NewReader(body))
	if path == "" || !ok || status != http.StatusOK || err != nil {
		return false
	}
	return slices.ContainsFunc(ni.Signatures, func(s signature.Signature) bool {
		return s.Name == k.Name && public.Verify(ni.Fingerprint(), s)
	})
}

// strangers warns of configured keys that no configured cache signs with.
func (p *Proof) strangers(s NixSettings, keys []PublicKey, desktop PublicKey) {
	for _, k := range keys {
		if k == desktop || strings.HasPrefix(k.Name, "cache.nixos.org-") {
			continue
		}
		served := false
		for _, sub := range ParseSubstituters(append(s.List("substituters"), s.List("trusted-substituters")...)) {
			// nix-community.cachix.org-1 signs for nix-community.cachix.org.
			name, _, _ := cutLast(k.Name, "-")
			served = served || sub.Hostname() == name || sub.Hostname() == k.Name
		}
		if !served {
			p.Warn(report.Diagnosis{Code: "cache.key-unused", Sentence: fmt.Sprintf("the laptop trusts the key %s, with which no cache it reaches signs", k), Effective: k.String()})
			return
		}
	}
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Substituters proves that the laptop asks the desktop's cache, first, and in a
// language it speaks.
func Substituters() Check {
	return Check{"EV.substituters", "the laptop asks the desktop's cache before the internet", "laptop", func(ctx context.Context, p *Proof) {
		s, ok := p.NixConfig(ctx, nixos.Laptop)
		if !ok {
			return
		}
		p.setting(nixos.Laptop, s, "substituters")
		d := p.unaskable(ctx, s)
		if d == nil {
			d = p.askedLater(ctx, s)
		}
		if d != nil {
			p.Broken(p.blame(ctx, nixos.Laptop, "nix.settings.substituters", *d))
		}
	}}
}

// unaskable says why the laptop's substituters cannot get anything from the
// desktop's cache, nil where they can.
func (p *Proof) unaskable(ctx context.Context, s NixSettings) *report.Diagnosis {
	subs, i := p.desktopCache(s)
	if i < 0 {
		raw := s.Text("substituters")
		return &report.Diagnosis{Code: "cache.not-configured", Effective: raw, Expected: p.cacheURL(),
			Sentence: fmt.Sprintf("the laptop's substituters are %q, without the desktop's cache %s", raw, p.cacheURL())}
	}
	// An entry that cannot work is a defect also where another one does: each query
	// waits for it.
	for _, sub := range subs {
		if !sub.Local(p.lan()) {
			continue
		}
		d := report.Diagnosis{Effective: sub.Raw, Expected: p.cacheURL()}
		switch {
		case sub.Scheme == "https" && !p.speaksTLS(ctx):
			d.Code = "cache.scheme"
			d.Sentence = fmt.Sprintf("the laptop speaks TLS (%s) to the desktop's cache, which speaks plain HTTP (%s)", sub.Raw, p.cacheURL())
			return &d
		case sub.Scheme == "http" && sub.port() != fmt.Sprint(p.CachePort()):
			d.Code = "cache.wrong-port"
			d.Sentence = fmt.Sprintf("the laptop looks for the desktop's cache at %s, it listens at %s", sub.Raw, p.cacheURL())
			return &d
		}
	}
	return nil
}

// desktopCache finds the desktop's cache among the laptop's substituters, -1 where
// it is not.
func (p *Proof) desktopCache(s NixSettings) ([]Substituter, int) {
	subs := ParseSubstituters(s.List("substituters"))
	return subs, slices.IndexFunc(subs, func(s Substituter) bool { return s.Local(p.lan()) })
}

// speaksTLS reports whether the desktop has something that answers TLS at port 443,
// as a proxy before the cache would.
func (p *Proof) speaksTLS(ctx context.Context) bool {
	for _, c := range p.Server.Firewall.AllowedTCPPorts {
		if c == 443 {
			return strings.Contains(p.Quiet(ctx, nixos.Laptop, "curl", "-sk", "--noproxy", "*", "--max-time", "8",
				"https://"+p.DesktopAddr.String()+"/nix-cache-info"), "StoreDir:")
		}
	}
	return false
}

// askedLater says which cache is asked before the desktop's, nil where none is.
func (p *Proof) askedLater(ctx context.Context, s NixSettings) *report.Diagnosis {
	subs, i := p.desktopCache(s)
	if i < 0 {
		return nil
	}
	first, its, own, found := p.before(ctx, subs, i)
	if !found {
		return nil
	}
	effective, expected := fmt.Sprintf("priority %d", own), fmt.Sprintf("less than %d", its)
	return &report.Diagnosis{Code: "cache.order", Effective: effective, Expected: expected,
		Sentence: fmt.Sprintf("the laptop asks %s before the desktop's cache: %s has %s, and comes first only with %s", first.Raw, subs[i].Raw, effective, expected)}
}
