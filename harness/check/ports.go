package check

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
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
	case strings.Contains(out, "No route to host"), strings.Contains(out, "Network is unreachable"), strings.Contains(out, "Host is unreachable"):
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

// Port probes a TCP port of the desktop from the laptop, and keeps the evidence. ""
// is for not known.
func (p *Proof) Port(ctx context.Context, port int) PortState {
	res, ok := p.Exec(ctx, nixos.Laptop, probe(p.DesktopAddr, port)...)
	if !ok {
		return ""
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
		if !p.done() && state != Open {
			p.Broken(p.whyClosed(ctx, svc, state))
		}
	}}
}

// whyClosed says why a service does not answer the laptop: the way there, the
// service itself, where it listens, or a firewall.
func (p *Proof) whyClosed(ctx context.Context, svc Service, state PortState) report.Diagnosis {
	if state != Refused {
		if d, found := p.wayThere(ctx, state); found {
			return d
		}
	}
	d := report.Diagnosis{Code: svc.Codes[state], Effective: string(state), Expected: "open"}
	listening := p.listeners(ctx, svc.Port)
	unit := p.Quiet(ctx, nixos.Desktop, "systemctl", "show", svc.Unit, "--property=ActiveState,SubState,Result", "--value")
	unit = strings.Join(strings.Fields(unit), "/")
	p.Evidence("command", nixos.Desktop, "systemctl show "+svc.Unit, unit)
	switch {
	case len(listening) == 0 && unit == "" && state != Refused:
		// Nobody can ask the desktop.
		return p.unreachable()
	case len(listening) == 0 && unit == "":
		d.Sentence = fmt.Sprintf("the desktop's port %d is %s for the laptop, not open", svc.Port, state)
	case len(listening) == 0 && svc.Name == "nfs" && p.noThreads(ctx):
		return noThreads(unit)
	case len(listening) == 0 && strings.HasPrefix(unit, "active"):
		d.Code, d.Effective, d.Expected = svc.Codes[Refused], "no listener", svc.Unit
		d.Sentence = fmt.Sprintf("the desktop's port %d has no listener, although %s is %s", svc.Port, svc.Unit, unit)
		p.journal(ctx, nixos.Desktop, svc.Unit)
	case len(listening) == 0:
		d.Code, d.Effective = svc.Codes[Refused], unit
		d.Expected = "active"
		d.Sentence = fmt.Sprintf("nothing listens on the desktop's port %d: %s is %s, not active", svc.Port, svc.Unit, unit)
		p.journal(ctx, nixos.Desktop, svc.Unit)
	case onlyLoopback(listening):
		d.Effective, d.Expected = strings.Join(listening, ", "), "0.0.0.0"
		d.Sentence = fmt.Sprintf("the desktop's %s listens on %s only, not on 0.0.0.0: it answers the desktop itself and nobody else", svc.Name, d.Effective)
		if svc.Name == "cache" {
			d.Code = "cache.bind-address"
			d = p.blame(ctx, nixos.Desktop, "services.nix-serve.bindAddress", d)
		}
	default:
		if limit := p.rateLimit(ctx, svc); limit != nil {
			return *limit
		}
		// Also where it refuses: the service itself would not.
		d.Code = svc.Codes[Filtered]
		d.Sentence = fmt.Sprintf("the desktop's %s listens on port %d, which is %s for the laptop and not open: a firewall is between them", svc.Name, svc.Port, state)
		if fw := p.Server.Firewall; fw.Enable && !slices.Contains(fw.AllowedTCPPorts, svc.Port) {
			d.Sentence += fmt.Sprintf(" (the desktop's allows TCP %s)", strings.Trim(fmt.Sprint(fw.AllowedTCPPorts), "[]"))
			d = p.blame(ctx, nixos.Desktop, "networking.firewall.allowedTCPPorts", d)
		}
	}
	return d
}

// portClosed is whyClosed for a check of what stands behind a port.
func (p *Proof) portClosed(ctx context.Context, name string, state PortState) report.Diagnosis {
	for _, svc := range p.Services() {
		if svc.Name == name {
			return p.whyClosed(ctx, svc, state)
		}
	}
	return p.unreachable()
}

// wayThere finds what keeps packets from the desktop as a whole: it has another
// address than everybody thinks, or none, or it is not there.
func (p *Proof) wayThere(ctx context.Context, state PortState) (report.Diagnosis, bool) {
	text := p.Quiet(ctx, nixos.Desktop, "ip", "-o", "-4", "addr", "show", "scope", "global")
	var addrs []string
	for line := range strings.Lines(text) {
		// 2: lan0    inet 192.168.15.7/24 brd 192.168.15.255 scope global lan0
		f := strings.Fields(line)
		if len(f) < 4 || f[2] != "inet" {
			continue
		}
		if prefix, err := netip.ParsePrefix(f[3]); err == nil && p.lan().Contains(prefix.Addr()) {
			addrs = append(addrs, prefix.Addr().String())
		}
	}
	switch {
	case slices.Contains(addrs, p.DesktopAddr.String()), text == "":
		// It is where it should be, or nobody can ask it.
		return p.absence(ctx, state)
	case len(addrs) == 0:
		p.Evidence("command", nixos.Desktop, "ip -o -4 addr show", text)
		d := p.unreachable()
		d.Sentence += "; it has no address on the LAN (its cable, or its network configuration)"
		return d, true
	}
	p.Evidence("command", nixos.Desktop, "ip -o -4 addr show", text)
	return report.Diagnosis{Code: "network.wrong-desktop-address", Effective: p.DesktopAddr.String(), Expected: strings.Join(addrs, ", "),
		Sentence: fmt.Sprintf("the laptop looks for the desktop at %s, and it is at %s", p.DesktopAddr, strings.Join(addrs, ", "))}, true
}

// unreachable is the diagnosis of a desktop that is not there.
func (p *Proof) unreachable() report.Diagnosis {
	return report.Diagnosis{Code: "network.unreachable", Effective: "unreachable", Expected: "open",
		Sentence: fmt.Sprintf("the laptop does not reach the desktop at %s: it is unreachable, no port of it is open", p.DesktopAddr)}
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
