package check

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// builder is the builder under test: the first one the laptop knows, or the one it
// should know.
func (p *Proof) builder(ctx context.Context) Builder {
	if s, ok := p.NixConfig(ctx, nixos.Laptop); ok {
		builders, _, _ := p.readBuilders(ctx, s)
		for _, b := range builders {
			if b.Host != "" {
				return b
			}
		}
	}
	return Builder{Scheme: "ssh", User: p.BuilderUser(), Host: p.DesktopAddr.String(), Key: p.BuilderKeyPath()}
}

// hostKeyFile is where a builder's own host key is put for ssh, as Nix does with a
// file of its own.
const hostKeyFile = "/run/offload-e2e-known-hosts"

// sshOptions are what Nix gives ssh for a builder (libstore/ssh.cc), and what keeps
// it from asking.
func (b Builder) sshOptions() []string {
	options := []string{"-x", "-a", "-o", "PermitLocalCommand=no", "-o", "NumberOfPasswordPrompts=0"}
	if b.Key != "" {
		options = append(options, "-i", b.Key)
	}
	if b.HostKey != "" {
		options = append(options, "-o", "UserKnownHostsFile="+hostKeyFile)
	}
	return options
}

// login runs a command on the desktop as the laptop's daemon would: as root, with
// the builder's own options. One that succeeded is not repeated in the same moment.
func (p *Proof) login(ctx context.Context, b Builder, command ...string) (provider.Result, bool) {
	if b.HostKey != "" {
		key, _ := base64.StdEncoding.DecodeString(b.HostKey)
		line := strings.NewReader(b.Host + " " + strings.TrimSpace(string(key)) + "\n")
		if err := p.Laptop.CopyTo(ctx, line, hostKeyFile, 0o600); err != nil {
			p.Error(err)
			return provider.Result{}, false
		}
	}
	argv := append([]string{"timeout", "45", "env", "-u", "SSH_AUTH_SOCK", "HOME=/root", "ssh", "-v"}, b.sshOptions()...)
	cmd := provider.Cmd(append(append(argv, b.Destination(), "--"), command...)...)
	res, err := p.read(ctx, nixos.Laptop, cmd)
	return p.keep(nixos.Laptop, cmd, res, err)
}

// greet logs in to say a nonce, and which Nix is there.
func (p *Proof) greet(ctx context.Context, b Builder) (res provider.Result, nonce string, ok bool) {
	nonce = nonceOf(ctx)
	res, ok = p.login(ctx, b, "echo", nonce, "&&", "nix-store", "--version")
	return res, nonce, ok
}

// sshConfig is ssh's configuration of root on the laptop for a builder, by lower
// case keyword (ssh -G, ssh(1)). Keys that may be given more than once are parted by
// newlines.
func (p *Proof) sshConfig(ctx context.Context, b Builder) map[string]string {
	argv := append([]string{"env", "HOME=/root", "ssh", "-G"}, b.sshOptions()...)
	config := map[string]string{}
	res, _ := p.read(ctx, nixos.Laptop, provider.Cmd(append(argv, b.Destination())...))
	for line := range strings.Lines(string(res.Stdout)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if had, has := config[key]; has {
			value = had + "\n" + value
		}
		config[key] = value
	}
	return config
}

// Login proves that root on the laptop, who is the daemon, logs in as the builder,
// on a desktop whose host key it knows.
func Login() Check {
	return Check{"SR.login", "root on the laptop logs in on the desktop as the builder user", "laptop", func(ctx context.Context, p *Proof) {
		b := p.builder(ctx)
		if p.done() {
			return
		}
		since := p.now(ctx)
		res, nonce, ok := p.greet(ctx, b)
		if !ok {
			return
		}
		if !strings.Contains(string(res.Stdout), nonce) {
			p.Broken(p.whyNoLogin(ctx, b, res, since))
			return
		}
		p.hostKeyKnown(ctx, b, string(res.Stderr))
	}}
}

// hostKeyKnown judges a login that succeeded by whether it would notice another
// machine in the desktop's place. Said is what ssh said.
func (p *Proof) hostKeyKnown(ctx context.Context, b Builder, said string) {
	if strings.Contains(said, "REMOTE HOST IDENTIFICATION HAS CHANGED") {
		p.Broken(p.hostKeyChanged(ctx, said, "and logs in all the same"))
		return
	}
	config := p.sshConfig(ctx, b)
	strict, files := config["stricthostkeychecking"], config["userknownhostsfile"]
	blind := slices.Contains([]string{"false", "no", "off"}, strict)
	forgets := files != "" && !slices.ContainsFunc(strings.Fields(files), func(f string) bool { return f != "/dev/null" && f != "none" }) &&
		(strict == "accept-new" || blind)
	if !blind && !forgets {
		return
	}
	effective := "StrictHostKeyChecking " + strict + ", UserKnownHostsFile " + files
	p.Warn(report.Diagnosis{Code: "ssh.host-key-unverified", Effective: effective, Expected: "StrictHostKeyChecking yes",
		Sentence: fmt.Sprintf("the laptop would send its builds to whoever answers at %s: %s, better StrictHostKeyChecking yes with the desktop's key known", b.Host, effective)})
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
			p.Broken(report.Diagnosis{Code: "ssh.key-too-early", Effective: "accepted", Expected: "denied",
				Sentence: fmt.Sprintf("the laptop's login as %s is accepted before its key was handed over, it should be denied", b.User)})
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
		since := p.now(ctx)
		res, _, ok := p.greet(ctx, b)
		if !ok || res.OK() {
			return
		}
		if res.ExitStatus == 127 || strings.Contains(string(res.Stderr), "not found") && strings.Contains(string(res.Stderr), "nix-store") {
			path, _ := p.login(ctx, b, "echo", "$PATH")
			p.Broken(report.Diagnosis{Code: "ssh.no-nix", Effective: path.Text(), Expected: "nix-store",
				Sentence: fmt.Sprintf("the login as %s works and finds no nix-store on its PATH, %s", b.User, path.Text())})
			return
		}
		p.Broken(p.whyNoLogin(ctx, b, res, since))
	}}
}
