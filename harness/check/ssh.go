package check

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// builder is the builder under test: the first one the laptop knows, or the one it
// should know.
func (p *Proof) builder(ctx context.Context) Builder {
	s := NixSettings{}
	if got, ok := p.NixConfig(ctx, nixos.Laptop); ok {
		s = got
	}
	text := s.Text("builders")
	if file, isFile := strings.CutPrefix(strings.TrimSpace(text), "@"); isFile {
		text = p.Quiet(ctx, nixos.Laptop, "cat", file)
	}
	if builders, _ := ParseBuilders(text); len(builders) > 0 {
		return builders[0]
	}
	return Builder{Scheme: "ssh", User: p.BuilderUser(), Host: p.DesktopAddr.String(), Key: p.BuilderKeyPath()}
}

// login runs a command on the desktop as the laptop's daemon would: as root, with
// the builder's own options (what Nix passes to ssh: libstore/ssh.cc).
func (p *Proof) login(ctx context.Context, b Builder, command ...string) (provider.Result, bool) {
	argv := []string{"timeout", "45", "env", "-u", "SSH_AUTH_SOCK", "HOME=/root", "ssh", "-v", "-x", "-a",
		"-o", "PermitLocalCommand=no", "-o", "NumberOfPasswordPrompts=0"}
	if b.Key != "" {
		argv = append(argv, "-i", b.Key)
	}
	to := b.Host
	if b.User != "" {
		to = b.User + "@" + b.Host
	}
	return p.Exec(ctx, nixos.Laptop, append(append(argv, to, "--"), command...)...)
}

// Login proves that root on the laptop, who is the daemon, logs in as the builder.
func Login() Check {
	return Check{"SR.login", "root on the laptop logs in on the desktop as the builder user", "laptop", func(ctx context.Context, p *Proof) {
		b := p.builder(ctx)
		if p.done() {
			return
		}
		nonce := newNonce()
		res, ok := p.login(ctx, b, "echo", nonce)
		if !ok {
			return
		}
		if res.OK() && strings.Contains(string(res.Stdout), nonce) {
			return
		}
		p.Broken(p.whyNoLogin(ctx, b, res))
	}}
}

// whyNoLogin finds the cause of a login that failed, from what ssh says, what the
// desktop's sshd says, and the files of both.
func (p *Proof) whyNoLogin(ctx context.Context, b Builder, res provider.Result) report.Diagnosis {
	out := string(res.Stderr) + string(res.Stdout)
	has := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(out, t) })
	}
	switch {
	case has("Connection timed out", "Operation timed out") && !has("Connection established"):
		if p.Port(ctx, 22) == Unreachable {
			return report.Diagnosis{Code: "network.unreachable", Sentence: fmt.Sprintf("the laptop does not reach %s", b.Host)}
		}
		return report.Diagnosis{Code: "ssh.port-filtered", Sentence: fmt.Sprintf("nothing answers the laptop at %s port 22: packets are dropped", b.Host), Effective: "filtered", Expected: "open"}
	case has("No route to host"):
		return report.Diagnosis{Code: "network.unreachable", Sentence: fmt.Sprintf("the laptop does not reach %s", b.Host)}
	case has("Connection refused"):
		return report.Diagnosis{Code: "ssh.port-refused", Sentence: fmt.Sprintf("%s refuses connections to port 22", b.Host), Effective: "refused", Expected: "open"}
	case has("banner exchange", "timed out during banner"):
		return report.Diagnosis{Code: "ssh.banner-timeout", Sentence: "the desktop accepts the connection and its sshd says nothing"}
	case has("Could not resolve hostname"):
		return report.Diagnosis{Code: "network.wrong-desktop-address", Sentence: fmt.Sprintf("the builder's host %q has no address", b.Host), Effective: b.Host, Expected: p.DesktopAddr.String()}
	case has("REMOTE HOST IDENTIFICATION HAS CHANGED"):
		return report.Diagnosis{Code: "ssh.host-key-changed", Sentence: "the desktop's host key is not the one the laptop knows: ssh refuses", Effective: "changed"}
	case has("Host key verification failed", "No ED25519 host key is known", "No RSA host key is known"):
		return report.Diagnosis{Code: "ssh.host-key-unknown", Sentence: "root on the laptop does not know the desktop's host key, and nobody is there to be asked", Effective: "unknown"}
	case has("This account is currently not available"):
		return report.Diagnosis{Code: "ssh.no-shell", Sentence: fmt.Sprintf("the login succeeds and %s has no shell", b.User)}
	case has("unix_listener: cannot bind to path", "ControlPath too long", "ControlSocket"):
		return report.Diagnosis{Code: "ssh.control-path", Sentence: "ssh cannot make its control socket: the folder of ControlPath does not exist for root"}
	}
	if d, found := p.localKey(ctx, b, out); found {
		return d
	}
	if has("Permission denied") {
		return p.whyDenied(ctx, b)
	}
	return report.Diagnosis{Code: "ssh.login-failed", Sentence: fmt.Sprintf("the login as %s fails: %s", b.User, lastLine(out))}
}

// localKey looks at the laptop's half: the key file, its mode, passphrase, pair.
func (p *Proof) localKey(ctx context.Context, b Builder, out string) (report.Diagnosis, bool) {
	key := p.keyInUse(ctx, b)
	mode := p.Quiet(ctx, nixos.Laptop, "stat", "-L", "-c", "%a %U", key)
	if mode == "" {
		d := report.Diagnosis{Code: "keys.missing", Sentence: fmt.Sprintf("the key the laptop logs in with, %s, does not exist", key), Effective: key, Expected: p.BuilderKeyPath()}
		return d, true
	}
	if strings.Contains(out, "UNPROTECTED PRIVATE KEY FILE") || strings.Contains(out, "bad permissions") {
		return report.Diagnosis{Code: "keys.permissions", Sentence: fmt.Sprintf("ssh ignores the laptop's key %s: its mode is %s, others can read it", key, mode), Effective: mode, Expected: "600 root"}, true
	}
	public, err := p.machine(nixos.Laptop).Exec(ctx, provider.Cmd("ssh-keygen", "-y", "-P", "", "-f", key))
	if err == nil && !public.OK() && strings.Contains(string(public.Stderr), "passphrase") {
		return report.Diagnosis{Code: "keys.passphrase", Sentence: fmt.Sprintf("the laptop's key %s has a passphrase: nobody is there to type it for the daemon", key), Effective: "encrypted", Expected: "no passphrase"}, true
	}
	return report.Diagnosis{}, false
}

// keyInUse is the private key ssh offers: the builder's own, else ssh's first.
func (p *Proof) keyInUse(ctx context.Context, b Builder) string {
	if b.Key != "" {
		return b.Key
	}
	host := b.Host
	if b.User != "" {
		host = b.User + "@" + host
	}
	for line := range strings.Lines(p.Quiet(ctx, nixos.Laptop, "env", "HOME=/root", "ssh", "-G", host)) {
		if file, ok := strings.CutPrefix(strings.TrimSpace(line), "identityfile "); ok {
			return strings.Replace(file, "~", "/root", 1)
		}
	}
	return p.BuilderKeyPath()
}

// whyDenied asks the desktop's sshd and authorized_keys.
func (p *Proof) whyDenied(ctx context.Context, b Builder) report.Diagnosis {
	user := b.User
	if user == "" {
		user = p.BuilderUser()
	}
	if out := p.Quiet(ctx, nixos.Desktop, "id", user); out == "" {
		return report.Diagnosis{Code: "builder.user-unknown", Sentence: fmt.Sprintf("the laptop logs in as %q, a user the desktop does not have", user), Effective: user, Expected: p.BuilderUser()}
	}
	log := p.journal(ctx, nixos.Desktop, "sshd.service")
	if log == "" {
		log = p.Quiet(ctx, nixos.Desktop, "journalctl", "--no-pager", "--boot", "--lines=30", "--output=short-iso", "--identifier=sshd", "--identifier=sshd-session")
		p.Evidence("log", nixos.Desktop, "journal of sshd", log)
	}
	file := path.Join(p.BuilderHome(), ".ssh/authorized_keys")
	mode := p.Quiet(ctx, nixos.Desktop, "stat", "-c", "%a %U", file)
	if i := strings.LastIndex(log, "bad ownership or modes for"); i >= 0 {
		what := strings.TrimSpace(strings.SplitN(log[i+len("bad ownership or modes for"):], "\n", 2)[0])
		return report.Diagnosis{Code: "ssh.strict-modes", Sentence: fmt.Sprintf("the desktop's sshd rejects the keys of %s: bad ownership or modes of %s (authorized_keys is %s)", user, what, mode), Effective: mode, Expected: "600 " + user}
	}
	authorized := p.Quiet(ctx, nixos.Desktop, "cat", file)
	p.Evidence("file", nixos.Desktop, file, authorized)
	key := p.keyInUse(ctx, b)
	public := p.Quiet(ctx, nixos.Laptop, "ssh-keygen", "-y", "-P", "", "-f", key)
	file2 := p.Quiet(ctx, nixos.Laptop, "cat", key+".pub")
	if !sameKey(public, file2) && file2 != "" {
		return report.Diagnosis{Code: "keys.pair-mismatch", Sentence: fmt.Sprintf("the laptop's %s.pub is not the public half of %s: what was handed over authorizes another key", key, key), Effective: fingerprint(file2), Expected: fingerprint(public)}
	}
	if authorized == "" && mode == "" {
		return report.Diagnosis{Code: "ssh.no-authorized-keys", Sentence: fmt.Sprintf("the desktop has no %s: no key can log in as %s", file, user), Effective: "missing", Expected: fingerprint(public)}
	}
	for line := range strings.Lines(authorized) {
		if sameKey(line, public) {
			return report.Diagnosis{Code: "ssh.login-failed", Sentence: fmt.Sprintf("the desktop has the laptop's key in %s and denies it all the same", file)}
		}
	}
	sentence := fmt.Sprintf("the key root's daemon on the laptop uses (%s, %s) is not in the desktop's %s", key, fingerprint(public), file)
	if n := len(strings.Fields(authorized)); n > 0 {
		sentence += "; another key is"
	}
	return report.Diagnosis{Code: "ssh.key-unauthorized", Sentence: sentence, Effective: fingerprint(public), Expected: "a line of authorized_keys"}
}

// sameKey compares two lines of authorized_keys or .pub files, comments aside.
func sameKey(a, b string) bool {
	fa, fb := fingerprint(a), fingerprint(b)
	return fa != "" && fa == fb
}

func fingerprint(line string) string {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return ""
	}
	return ssh.FingerprintSHA256(key)
}

func lastLine(text string) string {
	last := ""
	for line := range strings.Lines(text) {
		if t := strings.TrimSpace(line); t != "" && !strings.HasPrefix(t, "debug") {
			last = t
		}
	}
	return last
}

// LoginDenied proves that before the keys are exchanged nobody can log in.
func LoginDenied() Check {
	return Check{"SR.denied-before-exchange", "before the exchange of keys the desktop denies the laptop's login", "laptop", func(ctx context.Context, p *Proof) {
		b := p.builder(ctx)
		if p.done() {
			return
		}
		res, ok := p.login(ctx, b, "true")
		if ok && res.OK() {
			p.Broken(report.Diagnosis{Code: "ssh.key-too-early", Sentence: fmt.Sprintf("the laptop logs in as %s before its key was handed over", b.User), Effective: "accepted", Expected: "denied"})
		}
	}}
}

// BuilderKey proves that the laptop's key pair is one, is root's, and is protected.
func BuilderKey() Check {
	return Check{"SR.builder-key", "the laptop's builder key is root's alone, and its two halves match", "laptop", func(ctx context.Context, p *Proof) {
		key := p.BuilderKeyPath()
		mode, ok := p.Exec(ctx, nixos.Laptop, "stat", "-L", "-c", "%a %U", key)
		if !ok {
			return
		}
		if !mode.OK() {
			p.Broken(report.Diagnosis{Code: "keys.missing", Sentence: fmt.Sprintf("the laptop has no key %s", key)})
			return
		}
		if mode.Text() != "600 root" && mode.Text() != "400 root" {
			p.Broken(report.Diagnosis{Code: "keys.permissions", Sentence: fmt.Sprintf("the laptop's key %s is %s: ssh ignores a key that others can read", key, mode.Text()), Effective: mode.Text(), Expected: "600 root"})
			return
		}
		derived, ok := p.Exec(ctx, nixos.Laptop, "ssh-keygen", "-y", "-P", "", "-f", key)
		if !ok {
			return
		}
		if !derived.OK() {
			p.Broken(report.Diagnosis{Code: "keys.passphrase", Sentence: fmt.Sprintf("the laptop's key %s cannot be used without a passphrase", key)})
			return
		}
		public := p.Quiet(ctx, nixos.Laptop, "cat", key+".pub")
		if !sameKey(derived.Text(), public) {
			p.Broken(report.Diagnosis{Code: "keys.pair-mismatch", Sentence: fmt.Sprintf("%s.pub is not the public half of %s", key, key), Effective: fingerprint(public), Expected: fingerprint(derived.Text())})
		}
	}}
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
			p.Broken(report.Diagnosis{Code: "ssh.no-authorized-keys", Sentence: fmt.Sprintf("the desktop has no folder %s: there is no place for the laptop's key", dir), Effective: "missing", Expected: want})
		} else if res.Text() != want {
			p.Broken(report.Diagnosis{Code: "ssh.strict-modes", Sentence: fmt.Sprintf("%s is %s: sshd wants it %s", dir, res.Text(), want), Effective: res.Text(), Expected: want})
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
			p.Broken(report.Diagnosis{Code: "ssh.no-authorized-keys", Sentence: fmt.Sprintf("the desktop has no %s", file)})
			return
		}
		text, ok := p.Exec(ctx, nixos.Desktop, "cat", file)
		if !ok {
			return
		}
		if mode.Text() != "600 "+user {
			p.Broken(report.Diagnosis{Code: "ssh.strict-modes", Sentence: fmt.Sprintf("%s is %s: sshd rejects a file that others may write, and nobody else needs to read it", file, mode.Text()), Effective: mode.Text(), Expected: "600 " + user})
			return
		}
		public := p.Quiet(ctx, nixos.Laptop, "cat", p.BuilderKeyPath()+".pub")
		body := string(text.Stdout)
		if !slices.Contains(strings.Split(body, "\n"), public) {
			p.Broken(report.Diagnosis{Code: "ssh.line-differs", Sentence: fmt.Sprintf("no line of %s equals the laptop's %s.pub", file, p.BuilderKeyPath()), Effective: clip(body), Expected: public})
		} else if !strings.HasSuffix(body, "\n") {
			p.Broken(report.Diagnosis{Code: "ssh.line-differs", Sentence: fmt.Sprintf("%s does not end in a newline: the next key appended would join the last line", file), Effective: "no newline"})
		}
	}}
}

// NixOnPath proves that the builder's login finds what a remote build needs.
func NixOnPath() Check {
	return Check{"SR.nix-on-path", "the builder's login finds Nix", "laptop", func(ctx context.Context, p *Proof) {
		b := p.builder(ctx)
		if p.done() {
			return
		}
		res, ok := p.login(ctx, b, "nix-store", "--version")
		if !ok || res.OK() {
			return
		}
		if res.ExitStatus == 127 || strings.Contains(string(res.Stderr), "not found") {
			p.Broken(report.Diagnosis{Code: "ssh.no-nix", Sentence: fmt.Sprintf("the login as %s works and finds no nix-store on its PATH", b.User)})
			return
		}
		p.Broken(p.whyNoLogin(ctx, b, res))
	}}
}
