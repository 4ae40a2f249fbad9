package machine

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"offload-e2e/harness/provider"
)

// Listeners are the addresses TCP sockets listen on, as the kernel has them:
// no tool is needed on the machine.
func (m *Machine) Listeners(ctx context.Context) ([]netip.AddrPort, error) {
	// tcp6 is missing where IPv6 is off, so cat's status says nothing.
	res, err := m.Exec(ctx, provider.Cmd("cat", "/proc/net/tcp", "/proc/net/tcp6"))
	if err != nil {
		return nil, err
	}
	found, err := parseListeners(string(res.Stdout))
	if err != nil {
		return nil, fmt.Errorf("%s: read /proc/net/tcp: %w", m.Name(), err)
	}
	return found, nil
}

// parseListeners reads the tables of proc_pid_net(5): addresses are 32-bit
// words in the byte order of the machine, which we take to be little-endian.
func parseListeners(tables string) ([]netip.AddrPort, error) {
	const listen = "0A"
	var found []netip.AddrPort
	seen := false
	for line := range strings.Lines(tables) {
		f := strings.Fields(line)
		if len(f) > 0 && f[0] == "sl" {
			seen = true
			continue
		}
		if len(f) < 4 || f[3] != listen {
			continue
		}
		host, port, ok := strings.Cut(f[1], ":")
		raw, err := hex.DecodeString(host)
		if !ok || err != nil || len(raw) != 4 && len(raw) != 16 {
			return nil, fmt.Errorf("local address %q is of no known form", f[1])
		}
		for w := 0; w < len(raw); w += 4 {
			binary.BigEndian.PutUint32(raw[w:], binary.LittleEndian.Uint32(raw[w:]))
		}
		n, err := strconv.ParseUint(port, 16, 16)
		if err != nil {
			return nil, fmt.Errorf("local port %q is no number: %w", port, err)
		}
		addr, _ := netip.AddrFromSlice(raw)
		found = append(found, netip.AddrPortFrom(addr.Unmap(), uint16(n)))
	}
	if !seen {
		return nil, fmt.Errorf("no table in %q", tables)
	}
	return found, nil
}
