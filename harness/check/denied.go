package check

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// sameKey compares two lines of authorized_keys or .pub files, comments aside.
func sameKey(a, b string) bool {
	fa, fb := fingerprint(a), fingerprint(b)
	return fa != "" && fa == fb
}

// fingerprint is that of a public key's line, "" where there is none.
func fingerprint(line string) string {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return ""
	}
	return ssh.FingerprintSHA256(key)
}

// named is a public key's fingerprint with its comment, as people know it.
func named(line string) string {
	_, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return "no key"
	case comment == "":
		return fingerprint(line)
	}
	return fingerprint(line) + " (" + comment + ")"
}

// keyInUse is the private key ssh offers: the builder's own, else the first of
// ssh's that there is.
func (p *Proof) keyInUse(ctx context.Context, b Builder) string {
	if b.Key != "" {
		return b.Key
	}
	var files []string
	for file := range strings.Lines(p.sshConfig(ctx, b)["identityfile"]) {
		file = strings.TrimSpace(file)
		if rest, ok := strings.CutPrefix(file, "~/"); ok {
			file = "/root/" + rest
		}
		if p.Quiet(ctx, nixos.Laptop, "stat", "-L", "-c", "%a %U", file) != "" {
			return file
		}
		files = append(files, file)
	}
	if len(files) > 0 {
		return files[0]
	}
	return p.BuilderKeyPath()
}

// account is the builder's user as the desktop has it (passwd(5)).
type account struct{ user, home, shell string }

func (p *Proof) account(ctx context.Context, user string) (account, bool) {
	f := strings.Split(p.Quiet(ctx, nixos.Desktop, "getent", "passwd", user), ":")
	if len(f) < 7 {
		return account{}, false
	}
	return account{user, f[5], f[6]}, true
}

// whyDenied asks the desktop why its sshd let nobody in: the user, what sshd itself
// says since then, the files' modes, and the keys in them.
func (p *Proof) whyDenied(ctx context.Context, b Builder, since string) report.Diagnosis {
	user := b.User
	if user == "" {
		user = "root"
	}
	a, exists := p.account(ctx, user)
	if !exists {
		return p.userUnknown(user)
	}
	log := words(p.sshdJournal(ctx, since))
	if log.has("not allowed because") {
		why := log.after("not allowed because")
		return report.Diagnosis{Code: "ssh.sshd-refuses", Effective: why, Expected: "allowed",
			Sentence: fmt.Sprintf("the desktop's sshd lets no one in as %s, who should be allowed: %s", user, why)}
	}
	file := path.Join(a.home, ".ssh/authorized_keys")
	if d, found := p.looseModes(ctx, a, log.after("bad ownership or modes for")); found {
		return d
	}
	public := p.Quiet(ctx, nixos.Laptop, "ssh-keygen", "-y", "-P", "", "-f", p.keyInUse(ctx, b))
	if p.Quiet(ctx, nixos.Desktop, "stat", "-c", "%a", file) == "" {
		return report.Diagnosis{Code: "ssh.no-authorized-keys", Effective: "missing", Expected: fingerprint(public),
			Sentence: fmt.Sprintf("the desktop's %s is missing: no key can log in as %s, and %s should", file, user, fingerprint(public))}
	}
	authorized := p.Quiet(ctx, nixos.Desktop, "cat", file)
	p.Evidence("file", nixos.Desktop, file, authorized)
	for line := range strings.Lines(authorized) {
		if sameKey(line, public) {
			return p.ignoredKeys(ctx, a, file)
		}
	}
	return p.unauthorized(ctx, p.keyInUse(ctx, b), public, file, authorized)
}

// sshdJournal is what the desktop's sshd said since a time ("@" and seconds).
func (p *Proof) sshdJournal(ctx context.Context, since string) string {
	// OpenSSH 9.8 and 10 split sshd into programs, each with a name of its own.
	argv := []string{"journalctl", "--no-pager", "--boot", "--lines=40", "--output=short-iso",
		"--identifier=sshd", "--identifier=sshd-session", "--identifier=sshd-auth"}
	if since != "" {
		argv = append(argv, "--since="+since)
	}
	text := p.Quiet(ctx, nixos.Desktop, argv...)
	p.Evidence("log", nixos.Desktop, "journal of sshd", text)
	return text
}

// looseModes finds what sshd's StrictModes rejects: a file or folder on the way to
// authorized_keys that others than its user and root own, or may write
// (sshd_config(5)). Complaint is sshd's own, if it made one.
func (p *Proof) looseModes(ctx context.Context, a account, complaint string) (report.Diagnosis, bool) {
	ssh := path.Join(a.home, ".ssh")
	text := p.Quiet(ctx, nixos.Desktop, "stat", "-c", "%a %U %n", a.home, ssh, path.Join(ssh, "authorized_keys"))
	p.Evidence("command", nixos.Desktop, "stat "+a.home+" …", text)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		mode, err := strconv.ParseUint(f[0], 8, 32)
		if err == nil && mode&0o022 == 0 && (f[1] == "root" || f[1] == a.user) {
			continue
		}
		return strictModes(f[2], f[0]+" "+f[1], a.user), true
	}
	if complaint == "" {
		return report.Diagnosis{}, false
	}
	// Above the home, or gone by now.
	const has, want = "bad ownership or modes", "owned by root and writable by it alone"
	return report.Diagnosis{Code: "ssh.strict-modes", Effective: has, Expected: want,
		Sentence: fmt.Sprintf("the desktop's sshd rejects the keys of %s: %s has %s, it should be %s", a.user, complaint, has, want)}, true
}

// strictModes is the diagnosis of a file or folder that sshd rejects.
func strictModes(name, has, user string) report.Diagnosis {
	want := "700 " + user
	if path.Base(name) == "authorized_keys" {
		want = "600 " + user
	}
	return report.Diagnosis{Code: "ssh.strict-modes", Effective: has, Expected: want,
		Sentence: fmt.Sprintf("the desktop's sshd rejects the keys of %s: %s is %s, it should be %s", user, name, has, want)}
}

// ignoredKeys says why a key is denied that is in authorized_keys.
func (p *Proof) ignoredKeys(ctx context.Context, a account, file string) report.Diagnosis {
	config := p.sshdSettings(ctx, a.user)
	read := config["authorizedkeysfile"]
	switch {
	case config["pubkeyauthentication"] == "no":
		return report.Diagnosis{Code: "ssh.sshd-refuses", Effective: "pubkeyauthentication no", Expected: "pubkeyauthentication yes",
			Sentence: fmt.Sprintf("the desktop's sshd takes no keys for %s: pubkeyauthentication no, not pubkeyauthentication yes", a.user)}
	case read != "" && !strings.Contains(read, ".ssh/authorized_keys"):
		return report.Diagnosis{Code: "ssh.sshd-refuses", Effective: read, Expected: file,
			Sentence: fmt.Sprintf("the desktop's sshd reads the keys of %s in %s, the laptop's is in %s", a.user, read, file)}
	}
	return report.Diagnosis{Code: "ssh.login-failed", Effective: "denied", Expected: "accepted",
		Sentence: fmt.Sprintf("the laptop's key is in the desktop's %s, should be accepted, and is denied", file)}
}

// unauthorized is the diagnosis of a key of the laptop that the desktop's file does
// not have: it says whose keys are in it.
func (p *Proof) unauthorized(ctx context.Context, key, public, file, authorized string) report.Diagnosis {
	d := report.Diagnosis{Code: "ssh.key-unauthorized", Effective: "no key", Expected: fingerprint(public)}
	var others []string
	for line := range strings.Lines(authorized) {
		if fingerprint(line) != "" {
			others = append(others, named(line))
		}
	}
	if len(others) > 0 {
		d.Effective = strings.Join(others, ", ")
	}
	d.Sentence = fmt.Sprintf("the key of root's daemon on the laptop (%s, %s) is not in the desktop's %s, which has %s", key, d.Expected, file, d.Effective)
	// file:line, of everybody's own keys on the laptop.
	for line := range strings.Lines(p.Quiet(ctx, nixos.Laptop, "sh", "-c", "grep -Hs . /home/*/.ssh/*.pub /root/.ssh/*.pub")) {
		where, its, ok := strings.Cut(strings.TrimSpace(line), ":")
		for l := range strings.Lines(authorized) {
			if ok && where != key+".pub" && sameKey(l, its) {
				d.Sentence += fmt.Sprintf(": that is a user's own key (%s), with which the daemon does not log in", where)
				return d
			}
		}
	}
	return d
}
