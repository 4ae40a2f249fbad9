package check

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// LoginEnds proves that a login of the daemon's ends by its deadline, with success or
// without: a build waits for it.
func LoginEnds() Check {
	return Check{"HG.login", "a login of the laptop's daemon ends, whether the desktop answers or not", "laptop", func(ctx context.Context, p *Proof) {
		b := p.builder(ctx)
		if p.done() {
			return
		}
		limit := p.stretch(20 * time.Second)
		argv := append([]string{"timeout", "--kill-after=5", fmt.Sprintf("%.0f", limit.Seconds()), "env", "-u", "SSH_AUTH_SOCK", "HOME=/root", "ssh"}, b.sshOptions()...)
		res, ok := p.Exec(ctx, nixos.Laptop, append(argv, b.Destination(), "--", "true")...)
		if !ok || !timedOut(res) {
			return
		}
		config := p.sshConfig(ctx, b)
		deadline := fmt.Sprintf("%.0f s", limit.Seconds())
		if path := config["controlpath"]; multiplexed(config) {
			master := append([]string{"timeout", "5", "env", "HOME=/root", "ssh", "-O", "check"}, b.sshOptions()...)
			if alive, ok := p.Exec(ctx, nixos.Laptop, append(master, b.Destination())...); ok && alive.OK() {
				p.Broken(p.blame(ctx, nixos.Laptop, "programs.ssh.extraConfig", report.Diagnosis{Code: "ssh.stale-master", Effective: path, Expected: "ControlMaster no",
					Sentence: fmt.Sprintf("a login of root on the laptop has no end in %s: it waits in a connection that another ssh keeps open (ControlPath %s) and whose far end is silent; with ControlMaster no it would have ended by its own timeout", deadline, path)}))
				return
			}
		}
		timeout := config["connecttimeout"]
		p.Broken(p.blame(ctx, nixos.Laptop, "programs.ssh.extraConfig", report.Diagnosis{Code: "ssh.no-timeout", Effective: "ConnectTimeout " + timeout, Expected: "ConnectTimeout 5",
			Sentence: fmt.Sprintf("a login of root on the laptop has no end in %s: its ssh has ConnectTimeout %s, not ConnectTimeout 5, and every build waits for it", deadline, timeout)}))
	}}
}

// multiplexed reports whether logins share one connection (ssh_config(5),
// ControlMaster).
func multiplexed(config map[string]string) bool {
	path := config["controlpath"]
	switch config["controlmaster"] {
	case "", "no", "false":
		return false
	}
	return path != "" && path != "none"
}

// Sessions proves that where logins share one connection the desktop's sshd lets as
// many of them in as the laptop sends builds (sshd_config(5), MaxSessions).
func Sessions() Check {
	return Check{"SR.sessions", "the desktop's sshd takes as many sessions of one connection as the laptop opens", "laptop", func(ctx context.Context, p *Proof) {
		b := p.builder(ctx)
		if p.done() {
			return
		}
		config := p.sshConfig(ctx, b)
		p.Evidence("command", nixos.Laptop, "ssh -G "+b.Destination(), "controlmaster "+config["controlmaster"]+"\ncontrolpath "+config["controlpath"])
		if !multiplexed(config) {
			return
		}
		sessions, err := strconv.Atoi(p.sshdSettings(ctx, b.User)["maxsessions"])
		if err != nil || sessions >= b.MaxJobs {
			return
		}
		p.Broken(report.Diagnosis{Code: "ssh.few-sessions", Effective: fmt.Sprintf("MaxSessions %d", sessions), Expected: fmt.Sprintf("%d or more", b.MaxJobs),
			Sentence: fmt.Sprintf("the desktop's sshd has MaxSessions %d, %d or more are needed: the laptop sends %d builds at once through one connection, and what is refused there opens a new one each time, without a word",
				sessions, b.MaxJobs, b.MaxJobs)})
	}}
}

// sshdSettings are the settings of the desktop's sshd for a user's login from the
// laptop (sshd(8), -T), by lower case keyword.
func (p *Proof) sshdSettings(ctx context.Context, user string) map[string]string {
	res, _ := p.read(ctx, nixos.Desktop, provider.Cmd("sshd", "-T", "-C", "user="+user+",host=laptop,addr="+p.LaptopAddr.String()))
	config := map[string]string{}
	for line := range strings.Lines(string(res.Stdout)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		config[key] = value
	}
	return config
}

// trackingTimeouts are, of a machine's firewall, the seconds after which it forgets a
// silent connection, and of its TCP those after which it probes one
// (nf_conntrack-sysctl, tcp(7)).
const trackingTimeouts = `for f in netfilter/nf_conntrack_tcp_timeout_established ipv4/tcp_keepalive_time; do
  [ -r "/proc/sys/net/$f" ] && echo "${f#*/} $(cat "/proc/sys/net/$f")"; done; true`

// Keepalive proves that a build which says nothing for minutes keeps its connection:
// ssh's own keepalive comes before a firewall forgets it, and notices a desktop that
// is gone.
func Keepalive() Check {
	return Check{"SR.keepalive", "a silent build's connection is kept alive, and a dead one noticed", "laptop", func(ctx context.Context, p *Proof) {
		b := p.builder(ctx)
		if p.done() {
			return
		}
		every, what := p.keepaliveOf(ctx, b)
		expected := "ServerAliveInterval 30"
		for _, role := range []nixos.Role{nixos.Laptop, nixos.Desktop} {
			res, ok := p.Exec(ctx, role, "sh", "-c", trackingTimeouts)
			if !ok {
				return
			}
			forgets := number(words(res.Stdout).after("nf_conntrack_tcp_timeout_established "))
			if keepalive := every; keepalive == 0 {
				every = number(words(res.Stdout).after("tcp_keepalive_time "))
				what = fmt.Sprintf("%s; TCP itself asks after %d s", what, every)
			}
			if forgets == 0 || every > 0 && every < forgets {
				continue
			}
			p.Broken(p.blame(ctx, nixos.Laptop, "programs.ssh.extraConfig", report.Diagnosis{Code: "ssh.no-keepalive", Effective: what, Expected: expected,
				Sentence: fmt.Sprintf("the %s's firewall forgets a connection that is silent for %d s, and the builder's ssh has %s: a build that says nothing for so long is cut off (better %s)", role, forgets, what, expected)}))
			return
		}
		if strings.HasPrefix(what, "no keepalive") {
			p.Warn(report.Diagnosis{Code: "ssh.no-keepalive", Effective: what, Expected: expected,
				Sentence: fmt.Sprintf("the builder's ssh has %s: a build on a desktop that freezes waits for hours (better %s)", what, expected)})
		}
	}}
}

// keepaliveOf are the seconds after which ssh of the laptop, or sshd of the desktop,
// asks a silent peer, 0 for never, with the setting in words.
func (p *Proof) keepaliveOf(ctx context.Context, b Builder) (int, string) {
	client := number(p.sshConfig(ctx, b)["serveraliveinterval"])
	server := number(p.sshdSettings(ctx, b.User)["clientaliveinterval"])
	switch {
	case client > 0 && (server == 0 || client <= server):
		return client, fmt.Sprintf("ServerAliveInterval %d", client)
	case server > 0:
		return server, fmt.Sprintf("ClientAliveInterval %d", server)
	}
	return 0, "no keepalive (ServerAliveInterval 0)"
}

func number(text string) int {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0
	}
	return n
}
