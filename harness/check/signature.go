package check

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nix-community/go-nix/pkg/narinfo"
	"github.com/nix-community/go-nix/pkg/narinfo/signature"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// freshPath builds, on the desktop alone, something nobody has. Checks of one moment
// look at the same.
func (p *Proof) freshPath(ctx context.Context) (string, bool) {
	build := desktopBuild(nonceExpression(nonceOf(ctx)))
	res, err := p.read(ctx, nixos.Desktop, build)
	return p.built(ctx, build, res, err)
}

// buildOnDesktop makes a path on the desktop; where it cannot, it is not known
// whether the claim holds.
func (p *Proof) buildOnDesktop(ctx context.Context, build provider.Command) (string, bool) {
	res, err := p.machine(nixos.Desktop).Exec(ctx, build)
	return p.built(ctx, build, res, err)
}

// built is the path that a build on the desktop made.
func (p *Proof) built(ctx context.Context, build provider.Command, res provider.Result, err error) (string, bool) {
	if _, ok := p.keep(nixos.Desktop, build, res, err); !ok {
		return "", false
	}
	if res.OK() && res.Text() != "" {
		return res.Text(), true
	}
	if said := words(res.Stderr); said.has("No space left on device", "database or disk is full") {
		p.Broken(p.full(ctx, said))
		return "", false
	}
	p.Error(fmt.Errorf("desktop: make a path to look for: %w", res.Err()))
	return "", false
}

func desktopBuild(expression string) provider.Command {
	return daemonBuild(expression, "--option", "builders", "", "--option", "substitute", "false")
}

// hashPart is the part of a store path's name that caches know it by.
func hashPart(storePath string) string {
	hash, _, _ := strings.Cut(filepath.Base(storePath), "-")
	return hash
}

// CacheSignature proves that what the desktop serves is signed with exactly the
// public key it hands over.
func CacheSignature() Check {
	return Check{"CH.signature", "what the desktop's cache serves is signed with the key it hands over", "laptop", func(ctx context.Context, p *Proof) {
		path, ok := p.freshPath(ctx)
		if !ok {
			return
		}
		if d := p.signature(ctx, path); d != nil {
			p.Broken(*d)
		}
	}}
}

// signature says what is wrong with the signature of one path's narinfo, nil where
// nothing is.
func (p *Proof) signature(ctx context.Context, path string) *report.Diagnosis {
	status, body, ok := p.get(ctx, "/"+hashPart(path)+".narinfo")
	if !ok {
		return nil
	}
	if status != http.StatusOK {
		d := p.whyNoNarinfo(ctx, path, status, body)
		return &d
	}
	ni, err := narinfo.Parse(strings.NewReader(body))
	if err != nil {
		return &report.Diagnosis{Code: "cache.http-error", Sentence: "the desktop's cache serves a narinfo that does not parse: " + err.Error()}
	}
	text := p.file(ctx, nixos.Desktop, CachePublicKeyPath)
	public, err := signature.ParsePublicKey(text)
	if err != nil {
		d := noPublicKey(text, err)
		return &d
	}
	if len(ni.Signatures) == 0 {
		d := p.blame(ctx, nixos.Desktop, "services.nix-serve.secretKeyFile", report.Diagnosis{Code: "cache.unsigned", Effective: "no Sig", Expected: public.Name,
			Sentence: fmt.Sprintf("the desktop's cache serves its own builds with no Sig of %s: the laptop ignores them, and only paths signed by others pass", public.Name)})
		return &d
	}
	return p.verify(ctx, ni, public, text)
}

// verify compares a narinfo's signatures with the public key on file.
func (p *Proof) verify(ctx context.Context, ni *narinfo.NarInfo, public signature.PublicKey, text string) *report.Diagnosis {
	var names []string
	for _, sig := range ni.Signatures {
		if sig.Name == public.Name && public.Verify(ni.Fingerprint(), sig) {
			return nil
		}
		names = append(names, sig.Name)
	}
	// The same material under another name.
	for _, sig := range ni.Signatures {
		renamed := signature.PublicKey{Name: sig.Name, Data: public.Data}
		if sig.Name != public.Name && renamed.Verify(ni.Fingerprint(), sig) {
			return &report.Diagnosis{Code: "cache.key-name", Effective: public.Name, Expected: sig.Name,
				Sentence: fmt.Sprintf("the desktop hands over its key as %q and signs with it as %q: signatures are looked up by name", public.Name, sig.Name)}
		}
	}
	d := report.Diagnosis{Code: "cache.signature", Effective: strings.Join(names, ", "), Expected: text}
	d.Sentence = fmt.Sprintf("the signatures (%s) of what the desktop's cache serves do not verify with the key on file, %s", d.Effective, text)
	name, material, err := secretKeyHalf(p.Quiet(ctx, nixos.Desktop, "cat", p.CacheKeyPath()))
	if err == nil && text == name+":"+material && slices.Contains(names, name) {
		d = staleKey(d.Effective, text)
	}
	return &d
}

// staleKey is the diagnosis of a server that signs with a key from before the one on
// file.
func staleKey(signs, file string) report.Diagnosis {
	return report.Diagnosis{Code: "cache.stale-key", Effective: signs, Expected: file,
		Sentence: fmt.Sprintf("nix-serve still signs as %s with an earlier key than the one on file, %s: the key was changed and the server not restarted", signs, file)}
}
