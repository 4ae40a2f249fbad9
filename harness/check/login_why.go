package check

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// words are what a program said.
type words string

// has reports whether any of the texts was said.
func (w words) has(texts ...string) bool {
	for _, t := range texts {
		if strings.Contains(string(w), t) {
			return true
		}
	}
	return false
}

// after is the rest of the last line that holds a text, behind it.
func (w words) after(text string) string {
	i := strings.LastIndex(string(w), text)
	if i < 0 {
		return ""
	}
	rest, _, _ := strings.Cut(string(w)[i+len(text):], "\n")
	return strings.TrimSpace(rest)
}

// whyNoLogin finds the cause of a login that failed, from what ssh says, what the
// desktop's sshd says since then, and the files of both. The causes are looked for
// in the order in which a login comes by them.
func (p *Proof) whyNoLogin(ctx context.Context, b Builder, res provider.Result, since string) report.Diagnosis {
	said := words(string(res.Stderr) + string(res.Stdout))
	if d, found := p.whyNoConnection(ctx, b, res, said); found {
		return d
	}
	switch {
	case said.has("REMOTE HOST IDENTIFICATION HAS CHANGED"):
		return p.hostKeyChanged(ctx, string(said), "and refuses")
	case said.has("Host key verification failed", "No ED25519 host key is known", "No RSA host key is known"):
		return p.hostKeyUnknown(ctx, b)
	case said.has("unix_listener: cannot bind to path", "ControlPath too long", "ControlSocket"):
		path := p.sshConfig(ctx, b)["controlpath"]
		return report.Diagnosis{Code: "ssh.control-path", Effective: path, Expected: "a folder root has",
			Sentence: fmt.Sprintf("ssh cannot make its control socket: ControlPath is %s, and that is not in a folder root has", path)}
	}
	if said.has("Authenticated to ") || res.ExitStatus != 255 && !said.has("Permission denied") {
		return p.whyNoSession(ctx, b, res, said)
	}
	if d, found := p.localKey(ctx, b, said); found {
		return d
	}
	if said.has("Permission denied", "Too many authentication failures") {
		return p.whyDenied(ctx, b, since)
	}
	return p.loginFailed(b, said)
}

func (p *Proof) loginFailed(b Builder, said words) report.Diagnosis {
	last := lastLine(string(said))
	return report.Diagnosis{Code: "ssh.login-failed", Effective: last,
		Sentence: fmt.Sprintf("the login as %s at %s fails: %s", b.User, b.Host, last)}
}

// whyNoConnection tells what keeps ssh from talking to the desktop's sshd.
func (p *Proof) whyNoConnection(ctx context.Context, b Builder, res provider.Result, said words) (report.Diagnosis, bool) {
	connected := said.has("Connection established")
	silent := timedOut(res)
	switch {
	case said.has("Could not resolve hostname"):
		return p.staleAddress("the laptop's builder", b.Host), true
	case said.has("No route to host", "Network is unreachable"), said.has("Connection refused"),
		!connected && (silent || said.has("Connection timed out", "Operation timed out")):
		return p.notReached(ctx, b, said), true
	case said.has("during banner exchange", "timed out during banner"), silent && !said.has("Remote protocol version"):
		return report.Diagnosis{Code: "ssh.banner-timeout", Effective: "silence", Expected: "SSH-2.0",
			Sentence: "the desktop accepts the connection to port 22, and then there is silence: its sshd does not say SSH-2.0"}, true
	}
	return report.Diagnosis{}, false
}

// notReached tells a wrong address from a closed port from a desktop that is away.
func (p *Proof) notReached(ctx context.Context, b Builder, said words) report.Diagnosis {
	host := p.sshHostName(ctx, b)
	if host != p.DesktopAddr.String() && strings.Count(host, ".") == 3 {
		return p.blame(ctx, nixos.Laptop, "nix.buildMachines", p.staleAddress("the laptop's builder", host))
	}
	switch state := p.Port(ctx, 22); {
	case state == Open && said.has("Connection refused"), state == Refused:
		return p.portClosed(ctx, "ssh", Refused)
	case state == Unreachable, state == "":
		if d, found := p.wayThere(ctx, Unreachable); found {
			return d
		}
		return p.unreachable()
	case state == Filtered:
		return p.portClosed(ctx, "ssh", Filtered)
	}
	return p.loginFailed(b, said)
}

var (
	sentKey  = regexp.MustCompile(`(?m)^(SHA256:\S+?)\.?\r?$`)
	offender = regexp.MustCompile(`Offending \S+ key in (\S+):(\d+)`)
)

// hostKeyChanged compares the key that ssh was shown with the known one, and with
// the desktop's own: a new key of the desktop, or another machine in its place.
func (p *Proof) hostKeyChanged(ctx context.Context, said, what string) report.Diagnosis {
	d := report.Diagnosis{Code: "ssh.host-key-changed", Effective: "another key", Expected: "the known key"}
	if m := sentKey.FindStringSubmatch(said); m != nil {
		d.Effective = m[1]
	}
	if m := offender.FindStringSubmatch(said); m != nil {
		known := p.Quiet(ctx, nixos.Laptop, "sed", "-n", m[2]+"p", m[1])
		if _, key, ok := strings.Cut(known, " "); ok && fingerprint(key) != "" {
			d.Expected = fingerprint(key)
		}
	}
	whose := "it is not the desktop's own: another machine answers in its place"
	for _, own := range p.hostKeys(ctx) {
		if fingerprint(own) == d.Effective {
			whose = "it is the desktop's own, made anew"
		}
	}
	d.Sentence = fmt.Sprintf("the laptop is shown the host key %s, not %s which it knows, %s; %s", d.Effective, d.Expected, what, whose)
	return d
}

// hostKeys are the desktop's own public host keys.
func (p *Proof) hostKeys(ctx context.Context) []string {
	text := p.Quiet(ctx, nixos.Desktop, "sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub")
	p.Evidence("file", nixos.Desktop, "/etc/ssh/ssh_host_*_key.pub", text)
	return strings.Split(text, "\n")
}

func (p *Proof) hostKeyUnknown(ctx context.Context, b Builder) report.Diagnosis {
	d := report.Diagnosis{Code: "ssh.host-key-unknown", Effective: "unknown", Expected: "the desktop's host key"}
	for _, own := range p.hostKeys(ctx) {
		if strings.HasPrefix(own, "ssh-ed25519 ") {
			d.Expected = fingerprint(own)
		}
	}
	d.Sentence = fmt.Sprintf("the host key of %s is unknown to root on the laptop, it should know %s, and nobody is there to be asked", b.Host, d.Expected)
	return d
}

// whyNoSession tells why a login that was let in does not run a command.
func (p *Proof) whyNoSession(ctx context.Context, b Builder, res provider.Result, said words) report.Diagnosis {
	passwd := p.Quiet(ctx, nixos.Desktop, "getent", "passwd", b.User)
	_, shell, _ := cutLast(passwd, ":")
	p.Evidence("command", nixos.Desktop, "getent passwd "+b.User, passwd)
	none := said.has("This account is currently not available") ||
		strings.HasSuffix(shell, "/nologin") || strings.HasSuffix(shell, "/false") || strings.HasSuffix(shell, "/true")
	if none {
		return p.blame(ctx, nixos.Desktop, "users.users."+b.User+".shell", report.Diagnosis{Code: "ssh.no-shell",
			Sentence:  fmt.Sprintf("the desktop lets %s in, whose shell is %s and not bash: every command ends at once (exit status %d)", b.User, shell, res.ExitStatus),
			Effective: shell, Expected: "bash"})
	}
	return p.loginFailed(b, said)
}

// lastLine is the last line that says something; what ssh -v tells of itself does
// not.
func lastLine(text string) string {
	last := ""
	for line := range strings.Lines(text) {
		t := strings.TrimSpace(line)
		chatter := false
		for _, prefix := range []string{"debug", "OpenSSH_", "Authenticated to ", "Transferred: ", "Bytes per second: "} {
			chatter = chatter || strings.HasPrefix(t, prefix)
		}
		if t != "" && !chatter {
			last = t
		}
	}
	return last
}

// nixError is what Nix says went wrong, on one line: its last "error:", up to the
// first empty line.
func nixError(said words) string {
	i := strings.LastIndex(string(said), "error:")
	if i < 0 {
		return lastLine(string(said))
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(said)[i+len("error:"):]), "\n\n")
	return oneLine(text)
}
