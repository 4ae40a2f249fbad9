package fault

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"offload-e2e/harness/network"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
)

// Addresses of the machines (contract: fixed points).
var addresses = map[nixos.Role]netip.Addr{
	nixos.Desktop: netip.MustParseAddr("192.168.15.7"),
	nixos.Laptop:  netip.MustParseAddr("192.168.15.9"),
}

// exec runs a command on a machine of the world.
func exec(ctx context.Context, w World, role nixos.Role, argv ...string) (provider.Result, error) {
	return w.Machine(role).Exec(ctx, provider.Cmd(argv...))
}

// succeed is exec of a command that has to succeed.
func succeed(ctx context.Context, w World, role nixos.Role, argv ...string) (string, error) {
	res, err := exec(ctx, w, role, argv...)
	if err == nil {
		err = res.Err()
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", role, err)
	}
	return res.Text(), nil
}

// ends are who talks to whom within a scope: a machine that can be told to, and an
// address.
func (s Scope) ends(w World) (client nixos.Role, server string) {
	client, server = nixos.Laptop, s.To
	if role := nixos.Role(s.From); role == nixos.Desktop || role == nixos.Laptop {
		client = role
	} else if s.To == string(nixos.Laptop) {
		client = nixos.Desktop
	}
	switch {
	case server == network.Internet:
		return client, network.CacheAddr().String()
	case server == network.Gateway:
		return client, w.LAN().GatewayAddr().String()
	case addresses[nixos.Role(server)].IsValid():
		return client, addresses[nixos.Role(server)].String()
	}
	if addr, err := netip.ParseAddr(server); err == nil {
		return client, addr.String()
	}
	for role, addr := range addresses {
		if role != client {
			server = addr.String()
		}
	}
	return client, server
}

// ping sends pings of a size within a scope, and counts the answers.
func ping(ctx context.Context, w World, s Scope, count, size int) (answers int, seen string, err error) {
	client, server := s.ends(w)
	argv := []string{"ping", "-n", "-q", "-c", strconv.Itoa(count), "-i", "0.05", "-W", "1"}
	if size > 0 {
		argv = append(argv, "-M", "do", "-s", strconv.Itoa(size))
	}
	res, err := exec(ctx, w, client, append(argv, server)...)
	if err != nil {
		return 0, "", err
	}
	for line := range strings.Lines(string(res.Stdout)) {
		if _, e := fmt.Sscanf(line, "%d packets transmitted, %d received", new(int), &answers); e == nil {
			seen = strings.TrimSpace(line)
		}
	}
	return answers, fmt.Sprintf("ping from the %s to %s: %s", client, server, seen), nil
}

// connect opens a TCP connection within a scope, sends so many bytes, and closes it.
// Whether that succeeds is not asked: it makes packets.
func connect(ctx context.Context, w World, s Scope, bytes int) error {
	client, server := s.ends(w)
	port := s.Port
	if port == 0 {
		port = 22
		if s.To == network.Internet {
			port = 443
		}
	}
	kind := "tcp"
	if s.Proto == "udp" {
		kind = "udp"
	}
	const script = `exec 3<>"/dev/$3/$1/$2" && { [ "$4" = 0 ] || printf "%0$4d" 0 >&3; read -r -N 1 -t 1 <&3; }`
	_, err := exec(ctx, w, client, "timeout", "2", "bash", "-c", script, "probe", server, strconv.Itoa(int(port)), kind, strconv.Itoa(bytes))
	return err
}

// touches makes packets within a scope, and reports whether the fault concerned any.
func (f *wire) touches(ctx context.Context, w World, s Scope) (bool, string, error) {
	return f.watch(ctx, w, s, func() error {
		if s.Proto == "icmp" {
			_, _, err := ping(ctx, w, s, 20, 0)
			return err
		}
		if s.Proto == "" && s.Port == 0 {
			if _, _, err := ping(ctx, w, s, 20, 0); err != nil {
				return err
			}
		}
		return connect(ctx, w, s, 0)
	})
}

// touchesLarge is touches with packets as large as the LAN carries.
func (f *wire) touchesLarge(ctx context.Context, w World, s Scope) (bool, string, error) {
	return f.watch(ctx, w, s, func() error {
		if s.Port == 0 && (s.Proto == "" || s.Proto == "icmp") {
			_, _, err := ping(ctx, w, s, 2, 1472)
			return err
		}
		return connect(ctx, w, s, 6000)
	})
}

// watch counts what the fault does to packets while they are made. A fault is in
// force where it touches some; it is gone where the LAN knows it no longer, and what
// was made arrives.
func (f *wire) watch(ctx context.Context, w World, s Scope, stimulate func() error) (bool, string, error) {
	fault, inForce := f.state()
	if fault == nil {
		return false, "it was not applied", nil
	}
	counted, _ := fault.(network.Counted)
	before, err := w.LAN().Traffic(s.Match())
	if err != nil {
		return false, "", err
	}
	hits := uint64(0)
	if counted != nil {
		hits = counted.Hits()
	}
	if err := stimulate(); err != nil {
		return false, "", err
	}
	after, err := w.LAN().Traffic(s.Match())
	if err != nil {
		return false, "", err
	}
	since := after.Since(before)
	if counted != nil {
		hits = counted.Hits() - hits
	}
	seen := fmt.Sprintf("of %d packets (%s) it touched %d, %d did not arrive", since.Frames, s.Match(), hits, since.Stopped)
	if inForce {
		return hits > 0, seen, nil
	}
	known := slices.Contains(w.LAN().Faults(), fault.String())
	return known || hits > 0, seen, nil
}
