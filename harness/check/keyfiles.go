package check

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// BuilderKey proves that the laptop's key pair is one, is root's, and is protected.
func BuilderKey() Check {
	return Check{"SR.builder-key", "the laptop's builder key is root's alone, and its two halves match", "laptop", func(ctx context.Context, p *Proof) {
		key := p.BuilderKeyPath()
		mode, ok := p.Exec(ctx, nixos.Laptop, "stat", "-L", "-c", "%a %U", key)
		if !ok {
			return
		}
		if mode.OK() && mode.Text() != "600 root" && mode.Text() != "400 root" {
			p.Broken(keyPermissions(key, mode.Text()))
			return
		}
		if d, found := p.keyPair(ctx, key, mode.Text()); found {
			p.Broken(d)
		}
	}}
}

// localKey looks at the laptop's half of a login that failed: the key file, its
// mode, passphrase, pair.
func (p *Proof) localKey(ctx context.Context, b Builder, said words) (report.Diagnosis, bool) {
	key := p.keyInUse(ctx, b)
	mode := p.Quiet(ctx, nixos.Laptop, "stat", "-L", "-c", "%a %U", key)
	if unprotected(said) {
		return keyPermissions(key, mode), true
	}
	return p.keyPair(ctx, key, mode)
}

// unprotected reports whether ssh or ssh-keygen did not read a key that others can.
func unprotected(said words) bool {
	return said.has("UNPROTECTED PRIVATE KEY FILE", "bad permissions")
}

func keyPermissions(key, mode string) report.Diagnosis {
	return report.Diagnosis{Code: "keys.permissions", Effective: mode, Expected: "600 root",
		Sentence: fmt.Sprintf("the laptop's key %s is %s, not 600 root: ssh ignores a key that others can read", key, mode)}
}

// keyPair looks for what is wrong with a private key and its public half. Mode is
// "" where there is no such file.
func (p *Proof) keyPair(ctx context.Context, key, mode string) (report.Diagnosis, bool) {
	if mode == "" {
		d := report.Diagnosis{Code: "keys.missing", Effective: "missing", Expected: key, Sentence: fmt.Sprintf("the laptop's key %s is missing", key)}
		if want := p.BuilderKeyPath(); want != key {
			d.Effective, d.Expected = key, want
			d.Sentence = fmt.Sprintf("the laptop logs in with the key %s, which is missing: its key is %s", key, want)
		}
		return d, true
	}
	derived, err := p.machine(nixos.Laptop).Exec(ctx, provider.Cmd("ssh-keygen", "-y", "-P", "", "-f", key))
	if err != nil {
		return report.Diagnosis{}, false
	}
	if said := words(derived.Stderr); !derived.OK() {
		if unprotected(said) {
			return keyPermissions(key, mode), true
		}
		return unusableKey(key, said), true
	}
	public := p.file(ctx, nixos.Laptop, key+".pub")
	p.Evidence("file", nixos.Laptop, key+".pub", public)
	if sameKey(derived.Text(), public) {
		return report.Diagnosis{}, false
	}
	d := report.Diagnosis{Code: "keys.pair-mismatch", Effective: named(public), Expected: fingerprint(derived.Text())}
	d.Sentence = fmt.Sprintf("the laptop's %s.pub is %s, not the public half of %s, which is %s: what was handed over authorizes another key", key, d.Effective, key, d.Expected)
	return d, true
}

// unusableKey reads why ssh-keygen cannot use a private key.
func unusableKey(key string, said words) report.Diagnosis {
	if said.has("passphrase") {
		return report.Diagnosis{Code: "keys.passphrase", Effective: "encrypted", Expected: "no passphrase",
			Sentence: fmt.Sprintf("the laptop's key %s is encrypted, it should have no passphrase: nobody is there to type it for the daemon", key)}
	}
	why := lastLine(string(said))
	return report.Diagnosis{Code: "keys.invalid", Effective: why, Expected: "a private key",
		Sentence: fmt.Sprintf("the laptop's %s is not a private key that ssh can use: %s", key, why)}
}

// BuilderHomeModes proves what sshd asks of the builder's .ssh (StrictModes,
// sshd_config(5)).
func BuilderHomeModes() Check {
	return Check{"SR.builder-home", "the builder's .ssh is its own alone", "desktop", func(ctx context.Context, p *Proof) {
		dir := path.Join(p.BuilderHome(), ".ssh")
		user := p.BuilderUser()
		res, ok := p.Exec(ctx, nixos.Desktop, "stat", "-c", "%a %U", dir)
		if !ok {
			return
		}
		want := "700 " + user
		if !res.OK() {
			p.Broken(report.Diagnosis{Code: "ssh.no-authorized-keys", Effective: "missing", Expected: want,
				Sentence: fmt.Sprintf("the desktop's folder %s is missing, it should be %s: there is no place for the laptop's key", dir, want)})
		} else if res.Text() != want {
			p.Broken(strictModes(dir, res.Text(), user))
		}
	}}
}

// AuthorizedKey proves that the laptop's key arrived in authorized_keys as it is.
func AuthorizedKey() Check {
	return Check{"SR.authorized-key", "the desktop authorizes exactly the laptop's key", "desktop", func(ctx context.Context, p *Proof) {
		file := path.Join(p.BuilderHome(), ".ssh/authorized_keys")
		user := p.BuilderUser()
		mode, ok := p.Exec(ctx, nixos.Desktop, "stat", "-c", "%a %U", file)
		if !ok {
			return
		}
		if !mode.OK() {
			p.Broken(report.Diagnosis{Code: "ssh.no-authorized-keys", Effective: "missing", Expected: "600 " + user,
				Sentence: fmt.Sprintf("the desktop's %s is missing, it should be 600 %s with the laptop's key in it", file, user)})
			return
		}
		text, ok := p.Exec(ctx, nixos.Desktop, "cat", file)
		if !ok {
			return
		}
		if mode.Text() != "600 "+user {
			p.Broken(strictModes(file, mode.Text(), user))
			return
		}
		key := p.BuilderKeyPath()
		res, ok := p.Exec(ctx, nixos.Laptop, "cat", key+".pub")
		if !ok {
			return
		}
		public := res.Text()
		if public == "" {
			p.Broken(report.Diagnosis{Code: "keys.missing", Effective: "missing", Expected: key + ".pub",
				Sentence: fmt.Sprintf("the laptop's %s.pub is missing: there is nothing to compare the desktop's %s with", key, file)})
			return
		}
		if d, wrong := p.lineDiffers(ctx, file, string(text.Stdout), public); wrong {
			p.Broken(d)
		}
	}}
}

// lineDiffers looks for the laptop's public key in authorized_keys, and says in what
// its line is not what was handed over.
func (p *Proof) lineDiffers(ctx context.Context, file, body, public string) (report.Diagnosis, bool) {
	lines := strings.Split(body, "\n")
	d := report.Diagnosis{Code: "ssh.line-differs", Expected: public}
	switch i := slices.IndexFunc(lines, func(l string) bool { return sameKey(l, public) }); {
	case slices.Contains(lines, public):
		if strings.HasSuffix(body, "\n") {
			return d, false
		}
		d.Effective, d.Expected = "no newline", "a newline"
		d.Sentence = fmt.Sprintf("the desktop's %s has no newline at its end, it needs a newline: the next key appended would join the last line", file)
	case i >= 0:
		d.Effective = strings.TrimSpace(lines[i])
		d.Sentence = fmt.Sprintf("the laptop's key is in the desktop's %s as %q, and not as it was handed over: %q", file, d.Effective, public)
	default:
		if f := strings.Fields(public); len(f) > 1 && strings.Contains(body, f[1]) {
			d.Effective = "a part of another line"
			d.Sentence = fmt.Sprintf("the laptop's key is in the desktop's %s as a part of another line, and not as a line of its own: %q", file, public)
			return d, true
		}
		return p.unauthorized(ctx, p.BuilderKeyPath(), public, file, body), true
	}
	return d, true
}
