package check

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"offload-e2e/harness/machine"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// PortState is what a connection attempt meets.
type PortState string

const (
	Open        PortState = "open"
	Refused     PortState = "refused"
	Filtered    PortState = "filtered"    // no answer
	Unreachable PortState = "unreachable" // no such host on the network
)

// probe opens a TCP connection with bash's /dev/tcp (bash(1), REDIRECTION).
func probe(addr netip.Addr, port int) []string {
	return []string{"timeout", "5", "bash", "-c", `exec 3<>"/dev/tcp/$1/$2"`, "probe", addr.String(), fmt.Sprint(port)}
}

// portState reads what a probe met.
func portState(res provider.Result) PortState {
	switch out := string(res.Stderr); {
	case res.OK():
		return Open
	case strings.Contains(out, "Connection refused"):
		return Refused
	case strings.Contains(out, "No route to host"), strings.Contains(out, "Network is unreachable"):
		return Unreachable
	}
	return Filtered
}

// Probe tries a TCP port from a machine.
func Probe(ctx context.Context, from *machine.Machine, addr netip.Addr, port int) (PortState, error) {
	res, err := from.Exec(ctx, provider.Cmd(probe(addr, port)...))
	if err != nil {
		return "", err
	}
	return portState(res), nil
}

// Port probes a TCP port of the desktop from the laptop, and keeps the evidence.
func (p *Proof) Port(ctx context.Context, port int) PortState {
	res, ok := p.Exec(ctx, nixos.Laptop, probe(p.DesktopAddr, port)...)
	if !ok {
		return Filtered
	}
	return portState(res)
}

// Service is a port of the desktop with the unit behind it.
type Service struct {
	Name  string // "ssh", "cache", "nfs", "rpcbind"
	Port  int
	Unit  string
	Codes map[PortState]string
}

// Services are the desktop's ports of the contract.
func (b *Bench) Services() []Service {
	return []Service{
		{"ssh", 22, "sshd.service", map[PortState]string{Refused: "ssh.port-refused", Filtered: "ssh.port-filtered"}},
		{"cache", b.CachePort(), "nix-serve.service", map[PortState]string{Refused: "cache.port-refused", Filtered: "cache.port-filtered"}},
		{"nfs", 2049, "nfs-server.service", map[PortState]string{Refused: "nfs.port-refused", Filtered: "nfs.port-filtered"}},
		{"rpcbind", 111, "rpcbind.service", map[PortState]string{Refused: "nfs.rpcbind-closed", Filtered: "nfs.rpcbind-closed"}},
	}
}

// PortOpen proves that a service of the desktop answers the laptop.
func PortOpen(svc Service) Check {
	return Check{"PT." + svc.Name, fmt.Sprintf("the desktop's %s port (%d) answers the laptop", svc.Name, svc.Port), "laptop", func(ctx context.Context, p *Proof) {
		state := p.Port(ctx, svc.Port)
		if p.done() || state == Open {
			return
		}
		d := report.Diagnosis{Code: svc.Codes[state], Effective: string(state), Expected: "open"}
		listening := p.listeners(ctx, svc.Port)
		unit := p.Quiet(ctx, nixos.Desktop, "systemctl", "show", svc.Unit, "--property=ActiveState,SubState,Result", "--value")
		unit = strings.Join(strings.Fields(unit), "/")
		p.Evidence("command", nixos.Desktop, "systemctl show "+svc.Unit, unit)
		switch {
		case state == Unreachable:
			d.Code = "network.unreachable"
			d.Sentence = fmt.Sprintf("the laptop does not reach the desktop (%s) at all", p.DesktopAddr)
		case len(listening) == 0:
			d.Sentence = fmt.Sprintf("nothing listens on the desktop's port %d: %s is %s", svc.Port, svc.Unit, unit)
			d.Code = svc.Codes[Refused]
			p.journal(ctx, nixos.Desktop, svc.Unit)
		case onlyLoopback(listening):
			d.Sentence = fmt.Sprintf("%s listens on %s only: it answers the desktop itself and nobody else", svc.Name, strings.Join(listening, ", "))
			d.Effective, d.Expected = strings.Join(listening, ", "), "0.0.0.0"
			if svc.Name == "cache" {
				d.Code = "cache.bind-address"
			}
		default:
			d.Sentence = fmt.Sprintf("the desktop's %s listens on port %d, and the laptop's connection is %s: a firewall is between them", svc.Name, svc.Port, state)
			if !contains(p.Server.Firewall.AllowedTCPPorts, svc.Port) && p.Server.Firewall.Enable {
				d.Sentence += fmt.Sprintf(" (the desktop's allows TCP %s)", strings.Trim(fmt.Sprint(p.Server.Firewall.AllowedTCPPorts), "[]"))
				d = p.blame(ctx, nixos.Desktop, "networking.firewall.allowedTCPPorts", d)
			}
		}
		p.Broken(d)
	}}
}

func contains(list []int, n int) bool {
	for _, v := range list {
		if v == n {
			return true
		}
	}
	return false
}

// listeners are the addresses on which the desktop listens for a TCP port (ss(8)).
func (p *Proof) listeners(ctx context.Context, port int) []string {
	var out []string
	text := p.Quiet(ctx, nixos.Desktop, "ss", "-Hltn", fmt.Sprintf("sport = :%d", port))
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 4 {
			out = append(out, f[3])
		}
	}
	p.Evidence("command", nixos.Desktop, fmt.Sprintf("ss -ltn sport = :%d", port), text)
	return out
}

func onlyLoopback(addrs []string) bool {
	for _, a := range addrs {
		if !strings.HasPrefix(a, "127.") && !strings.HasPrefix(a, "[::1]") {
			return false
		}
	}
	return len(addrs) > 0
}

// journal keeps a unit's last words as evidence and returns them.
func (p *Proof) journal(ctx context.Context, role nixos.Role, unit string) string {
	text := p.Quiet(ctx, role, "journalctl", "--no-pager", "--boot", "--lines=20", "--output=short-iso", "--unit="+unit)
	p.Evidence("log", role, "journal of "+unit, text)
	return text
}

// Ping proves that the desktop answers ICMP, as some commands ask first.
func Ping() Check {
	return Check{"PT.ping", "the desktop answers a ping", "laptop", func(ctx context.Context, p *Proof) {
		res, ok := p.Exec(ctx, nixos.Laptop, "ping", "-n", "-c", "2", "-W", "3", p.DesktopAddr.String())
		if !ok || res.OK() {
			return
		}
		if p.Port(ctx, 22) == Open || p.Port(ctx, p.CachePort()) == Open {
			p.Broken(report.Diagnosis{Code: "network.icmp-blocked", Sentence: "the desktop does not answer pings, and TCP works: a command that pings first calls it unreachable without cause", Effective: "no echo", Expected: "echo reply"})
			return
		}
		p.Broken(report.Diagnosis{Code: "network.unreachable", Sentence: fmt.Sprintf("the laptop does not reach the desktop at %s", p.DesktopAddr)})
	}}
}
