package check

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// anyAnswer asks a machine for anything at all, at once: a ping and TCP ports, which
// may as well refuse.
const anyAnswer = `addr=$1; shift
for port; do
  { out=$(timeout 4 bash -c 'exec 3<>"/dev/tcp/$1/$2"' probe "$addr" "$port" 2>&1)
    case "$? $out" in "0 "* | *refused*) echo "$port answers" ;; esac; } &
done
ping -n -c 1 -W 3 "$addr" >/dev/null && echo "ping answers"
wait`

// answers reports whether anything of the desktop answers the laptop: a ping, or a
// port that is open or refused.
func (p *Proof) answers(ctx context.Context) bool {
	argv := []string{"bash", "-c", anyAnswer, "answers", p.DesktopAddr.String()}
	for _, svc := range p.Services() {
		argv = append(argv, strconv.Itoa(svc.Port))
	}
	res, ok := p.Exec(ctx, nixos.Laptop, argv...)
	return ok && strings.Contains(string(res.Stdout), "answers")
}

// remembered is how long it is known that the desktop is away, and in which way: what a
// dozen checks meet within seconds, one of them finds out.
const remembered = 20 * time.Second

// absence says in which way the desktop is away; found is false where it is not, and
// only a port does not answer. State is what the port was.
func (p *Proof) absence(ctx context.Context, state PortState) (d report.Diagnosis, found bool) {
	p.away.Lock()
	defer p.away.Unlock()
	if p.away.state == state && time.Since(p.away.since) < remembered {
		return p.away.diagnosis, true
	}
	if state != Unreachable && p.answers(ctx) {
		return report.Diagnosis{}, false
	}
	d = p.wayOfBeingAway(ctx, state)
	if ctx.Err() == nil {
		p.away.state, p.away.since, p.away.diagnosis = state, time.Now(), d
	}
	return d, true
}

// neighbour asks anew for a machine's hardware address: a machine on the same network
// answers ARP whatever its firewall does (arp(7), ip-neighbour(8)).
const neighbour = `ip neigh flush to "$1"; ping -n -c 1 -W 2 "$1" >/dev/null; ip neigh show to "$1"`

// wayOfBeingAway tells a desktop that is not there from one whose firewall drops what
// comes, and from one that rejects it: to ssh and Nix they cost very different times.
func (p *Proof) wayOfBeingAway(ctx context.Context, state PortState) report.Diagnosis {
	res, ok := p.Exec(ctx, nixos.Laptop, "sh", "-c", neighbour, "neighbour", p.DesktopAddr.String())
	there := ok && strings.Contains(string(res.Stdout), "lladdr")
	d := report.Diagnosis{Expected: "open"}
	switch {
	case !there:
		return p.unreachable()
	case state == Unreachable:
		d.Code, d.Effective = "network.rejected", "rejected"
		d.Sentence = fmt.Sprintf("the desktop is there (it answers ARP at %s) and no port of it is open: its firewall says that every connection is rejected, which costs the laptop next to nothing", p.DesktopAddr)
	default:
		d.Code, d.Effective = "network.dropped", "dropped"
		d.Sentence = fmt.Sprintf("the desktop is there (it answers ARP at %s) and no port of it is open: everything is dropped without a word, and each attempt costs the laptop its whole timeout", p.DesktopAddr)
	}
	return d
}

// Ping proves that the desktop answers ICMP, as some commands ask first.
func Ping() Check {
	return Check{"PT.ping", "the desktop answers a ping", "laptop", func(ctx context.Context, p *Proof) {
		res, ok := p.Exec(ctx, nixos.Laptop, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "3", p.DesktopAddr.String())
		if !ok || res.OK() {
			return
		}
		state := p.Port(ctx, 22)
		if state == Open || p.Port(ctx, p.CachePort()) == Open {
			p.Broken(report.Diagnosis{Code: "network.icmp-blocked", Effective: "no answer", Expected: "echo reply",
				Sentence: "a ping of the desktop has no answer, an echo reply is expected, and TCP works: a command that pings first calls it unreachable without cause"})
			return
		}
		if d, found := p.wayThere(ctx, state); found {
			p.Broken(d)
			return
		}
		p.Broken(p.unreachable())
	}}
}

// fullPackets pings with packets as large as the laptop's interface takes, not to be
// fragmented (ping(8), ip(7)), and where none returns looks for a size that does. 28
// bytes are the headers of IP and ICMP.
const fullPackets = `dev=$(ip -o route get "$1" | sed -n 's/.* dev \([^ ]*\).*/\1/p')
mtu=$(cat "/sys/class/net/$dev/mtu") || exit 2
echo "mtu $mtu"
ping -n -c 2 -i 0.2 -W 2 -M do -s $((mtu - 28)) "$1" && exit 0
for size in 1450 1400 1280 1000 576 84; do
  [ "$size" -lt "$mtu" ] && ping -n -c 2 -i 0.2 -W 1 -M do -s $((size - 28)) "$1" >/dev/null && echo "passes $size" && exit 1
done
exit 3`

// PathMTU proves that packets of full size pass: what is small, a ping or a login's
// first words, says nothing of a NAR.
func PathMTU() Check {
	return Check{"PT.mtu", "packets of full size pass between the laptop and the desktop", "laptop", func(ctx context.Context, p *Proof) {
		res, ok := p.Exec(ctx, nixos.Laptop, "bash", "-c", fullPackets, "mtu", p.DesktopAddr.String())
		said := words(string(res.Stdout) + string(res.Stderr))
		switch {
		case !ok || res.OK():
		case res.ExitStatus == 3:
			p.Skip("the desktop answers no ping, of whatever size")
		case res.ExitStatus != 1 || said.has("message too long", "Message too long", "Frag needed"):
			// The path says what it takes, and TCP heeds it (RFC 1191).
		default:
			size, mtu := said.after("passes "), firstWord(said.after("mtu "))
			p.Broken(report.Diagnosis{Code: "network.mtu-blackhole", Effective: size, Expected: mtu,
				Sentence: fmt.Sprintf("packets of %s bytes between the laptop and the desktop vanish without a word, those of %s pass: pings and small answers work, and whatever is large stalls", mtu, size)})
		}
	}}
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return word
}

// Repeated proves that the desktop takes the logins that a few builds make one after
// the other, and not only the first.
func Repeated() Check {
	return Check{"PT.ssh-repeated", "the desktop takes several logins in a row", "laptop", func(ctx context.Context, p *Proof) {
		const attempts = `for i in 1 2 3 4 5; do timeout 3 bash -c 'exec 3<>"/dev/tcp/$1/22"' probe "$1" || { echo "$i"; exit 1; }; done`
		res, ok := p.Exec(ctx, nixos.Laptop, "bash", "-c", attempts, "attempts", p.DesktopAddr.String())
		if !ok || res.OK() {
			return
		}
		ssh := p.Services()[0]
		if n := lastLine(string(res.Stdout)); n != "1" {
			if limit := p.rateLimit(ctx, ssh); limit != nil {
				p.Broken(*limit)
				return
			}
			p.Broken(report.Diagnosis{Code: "ssh.rate-limited", Effective: n, Expected: "5 connections",
				Sentence: fmt.Sprintf("of 5 connections in a row to the desktop's port 22 the %s. fails, all 5 connections should be taken: each build makes one of its own", n)})
			return
		}
		p.Broken(p.whyClosed(ctx, ssh, Filtered))
	}}
}

// rateLimit finds a rule of the desktop's firewall that counts connections to a
// service (iptables-extensions(8): recent, hashlimit, limit, connlimit), nil where
// there is none.
func (p *Proof) rateLimit(ctx context.Context, svc Service) *report.Diagnosis {
	if svc.Name != "ssh" {
		return nil
	}
	rules := p.Quiet(ctx, nixos.Desktop, "iptables", "-S")
	for rule := range strings.Lines(rules) {
		rule = strings.TrimSpace(rule)
		w := words(rule)
		if !w.has("--dport 22 ", "--dports 22 ", "--dport ssh ") || !w.has("-m recent", "-m hashlimit", "-m limit", "-m connlimit") || !w.has("DROP", "REJECT", "refuse") {
			continue
		}
		p.Evidence("command", nixos.Desktop, "iptables -S", rules)
		d := p.blame(ctx, nixos.Desktop, "networking.firewall.extraCommands", report.Diagnosis{Code: "ssh.rate-limited", Effective: rule, Expected: "no limit for the LAN",
			Sentence: fmt.Sprintf("the desktop's firewall limits connections to port 22, no limit for the LAN is expected (%s): each build makes a connection of its own, and those too many hang", rule)})
		return &d
	}
	return nil
}
