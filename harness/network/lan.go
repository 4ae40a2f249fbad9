package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// gatewayMAC is a locally administered address in QEMU's range.
var gatewayMAC = hardwareAddr{0x52, 0x54, 0x00, 0x0f, 0x00, 0x01}

// cutTimeout bounds each of the two waits of Cut for frames under way.
const cutTimeout = 2 * time.Second

// Config describes a LAN.
type Config struct {
	// Subnet is the LAN's IPv4 prefix; the zero value is 192.168.15.0/24.
	Subnet netip.Prefix
	// Gateway is the gateway's address; the zero value is the subnet's first.
	Gateway  netip.Addr
	Machines []Machine
	// Records are names and addresses DNS knows beside the machines'; no entry
	// for "cache.nixos.org" means that it is 203.0.113.10 ([CacheAddr]).
	Records map[string][]netip.Addr
	// Capture is the path of the pcapng file of all frames; "" keeps none.
	Capture string
	// CaptureFull is up to how many bytes of file whole frames are kept, zero
	// for 64 MiB; beyond it only their headers are, up to CaptureMax bytes of
	// file, zero for 512 MiB.
	CaptureFull, CaptureMax int64
	// Log receives events; nil discards them.
	Log *slog.Logger
}

// CacheName is the public binary cache, and CacheAddr the address it has here,
// from a block that is reserved for documentation (RFC 5737).
const CacheName = "cache.nixos.org"

// CacheAddr is where cache.nixos.org is, unless Config.Records says otherwise.
func CacheAddr() netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, 10}) }

// Machine is a machine on the LAN.
type Machine struct {
	// Name is the machine's role, "desktop", and its name in DNS.
	Name string
	// Hostnames are further names DNS knows it by.
	Hostnames []string
	Addr      netip.Addr
	// MAC is the hardware address of lan0: "52:54:00:0f:00:07".
	MAC string
}

// LAN is the network between the machines under test.
type LAN struct {
	config  Config
	log     *slog.Logger
	fabric  *fabric
	gateway *gateway
	ports   map[string]*port
	cables  map[string]*cable
	dns     *resolver
	dhcp    *dhcp
	capture *Capture
	stopDNS func() error
	work    sync.WaitGroup

	closing  sync.Once
	closeErr error

	mu     sync.Mutex
	faults map[*faultInForce]struct{}
	cutMu  sync.Mutex
}

// New makes a LAN; its machines connect as they come ([LAN.Listen]).
func New(config Config) (*LAN, error) {
	if err := config.complete(); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	l := &LAN{config: config, log: config.Log, ports: make(map[string]*port), cables: make(map[string]*cable), faults: make(map[*faultInForce]struct{})}
	names := []string{Gateway}
	for _, m := range config.Machines {
		names = append(names, "lan0 of "+m.Name)
	}
	if config.Capture != "" {
		var err error
		// The last interface is for frames the switch makes itself.
		if l.capture, err = newCapture(config.Capture, config.CaptureFull, config.CaptureMax, append(names, "switch")); err != nil {
			return nil, fmt.Errorf("network: %w", err)
		}
	}
	l.fabric = newFabric(l.capture)
	if err := l.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("network: %w", err), l.Close())
	}
	return l, nil
}

// complete fills in defaults and refuses what cannot be.
func (c *Config) complete() error {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if !c.Subnet.IsValid() {
		c.Subnet = netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, 15, 0}), 24)
	}
	c.Subnet = c.Subnet.Masked()
	if !c.Subnet.Addr().Is4() || c.Subnet.Bits() > 30 {
		return fmt.Errorf("subnet %s: use an IPv4 prefix of at most 30 bits", c.Subnet)
	}
	if !c.Gateway.IsValid() {
		c.Gateway = c.Subnet.Addr().Next()
	}
	names, addrs := map[string]bool{Gateway: true, Internet: true}, map[netip.Addr]string{c.Gateway: Gateway}
	macs := map[hardwareAddr]string{gatewayMAC: Gateway}
	if !c.Subnet.Contains(c.Gateway) {
		return fmt.Errorf("gateway %s is not on %s", c.Gateway, c.Subnet)
	}
	for _, m := range c.Machines {
		switch mac, err := parseMAC(m.MAC); {
		case m.Name == "":
			return fmt.Errorf("a machine with address %s has no name", m.Addr)
		case names[m.Name]:
			return fmt.Errorf("machine %s: the name is taken", m.Name)
		case err != nil:
			return fmt.Errorf("machine %s: %w", m.Name, err)
		case macs[mac] != "":
			return fmt.Errorf("machine %s: its hardware address %s is that of %s", m.Name, m.MAC, macs[mac])
		case !m.Addr.Is4() || !c.Subnet.Contains(m.Addr):
			return fmt.Errorf("machine %s: its address %s is not on %s", m.Name, m.Addr, c.Subnet)
		case addrs[m.Addr] != "":
			return fmt.Errorf("machine %s: its address %s is that of %s", m.Name, m.Addr, addrs[m.Addr])
		default:
			names[m.Name], addrs[m.Addr], macs[mac] = true, m.Name, m.Name
		}
	}
	return nil
}

func parseMAC(s string) (hardwareAddr, error) {
	mac, err := net.ParseMAC(s)
	if err != nil || len(mac) != 6 {
		return hardwareAddr{}, fmt.Errorf("hardware address %q: use the form 52:54:00:0f:00:07", s)
	}
	if hardwareAddr(mac).group() {
		return hardwareAddr{}, fmt.Errorf("hardware address %s is a multicast address", s)
	}
	return hardwareAddr(mac), nil
}

// start connects the gateway, its services and the machines' ports.
func (l *LAN) start() error {
	var err error
	if l.gateway, err = newGateway(l); err != nil {
		return err
	}
	records, reverse := map[string][]netip.Addr{CacheName: {CacheAddr()}}, map[netip.Addr]string{l.config.Gateway: Gateway}
	record(records, Gateway, l.config.Gateway)
	leases := make(map[hardwareAddr]netip.Addr)
	for _, m := range l.config.Machines {
		mac, err := parseMAC(m.MAC)
		if err != nil {
			return err
		}
		p := &port{name: m.Name, mac: mac}
		c := newCable(m.Name, l.log, func(frame []byte) { l.fabric.receive(p, frame) })
		p.send = c.send
		l.fabric.connect(p)
		l.ports[m.Name], l.cables[m.Name] = p, c
		leases[mac] = m.Addr
		reverse[m.Addr] = m.Name
		for _, name := range append([]string{m.Name}, m.Hostnames...) {
			record(records, name, m.Addr)
		}
		if err := l.gateway.net.neighbour(m.Addr, mac); err != nil {
			return err
		}
	}
	maps.Copy(records, l.config.Records)
	if l.dns, err = newResolver(records, reverse); err != nil {
		return err
	}
	packets, err := l.gateway.net.packets(l.config.Gateway, dnsPort)
	if err != nil {
		return err
	}
	streams, err := l.ListenTCP(netip.AddrPortFrom(l.config.Gateway, dnsPort))
	if err != nil {
		return err
	}
	l.stopDNS = l.dns.serve(packets, streams)
	conn, err := l.gateway.net.packets(netip.Addr{}, dhcpServerPort)
	if err != nil {
		return err
	}
	l.dhcp = &dhcp{conn: conn, server: l.config.Gateway, subnet: l.config.Subnet, leases: leases, log: l.log}
	l.work.Go(l.dhcp.serve)
	return nil
}

// Subnet is the LAN's prefix.
func (l *LAN) Subnet() netip.Prefix { return l.config.Subnet }

// GatewayAddr is the gateway's address on the LAN.
func (l *LAN) GatewayAddr() netip.Addr { return l.config.Gateway }

// addrOf finds the address of a machine's name, or of an address on the LAN.
func (l *LAN) addrOf(host string) (netip.Addr, bool) {
	for _, m := range l.config.Machines {
		if host == m.Name || slices.Contains(m.Hostnames, host) {
			return m.Addr, true
		}
	}
	addr, err := netip.ParseAddr(host)
	return addr, err == nil && l.config.Subnet.Contains(addr) && addr != l.config.Gateway
}

func (l *LAN) cable(machine string) (*cable, error) {
	c, ok := l.cables[machine]
	if !ok {
		return nil, fmt.Errorf("network: no machine %q on the LAN: it has %s", machine, strings.Join(slices.Sorted(maps.Keys(l.cables)), ", "))
	}
	return c, nil
}

// Listen waits, in the background, for the machine's QEMU to connect to a unix
// socket at path, and again each time it is powered on.
func (l *LAN) Listen(machine, path string) error {
	c, err := l.cable(machine)
	if err != nil {
		return err
	}
	if err := c.listen(path); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	return nil
}

// Attached reports whether a machine is on its cable now.
func (l *LAN) Attached(machine string) bool {
	c, ok := l.cables[machine]
	return ok && c.attached()
}

// WaitAttached waits until a machine is on its cable.
func (l *LAN) WaitAttached(ctx context.Context, machine string) error {
	c, err := l.cable(machine)
	if err != nil {
		return err
	}
	return c.waitAttached(ctx)
}

// Lost is how many frames to a machine were lost because it did not read, or
// was not there.
func (l *LAN) Lost(machine string) uint64 {
	if c, ok := l.cables[machine]; ok {
		return c.lost.Load()
	}
	return 0
}

// Reset ends all connections of the gateway: those of DialContext, and those
// its listeners accepted. The other side sees a reset.
func (l *LAN) Reset() { l.gateway.net.reset() }

// Cut keeps the LAN empty while do replaces what the machines are, as
// restoring a snapshot does: no frame from before reaches a machine after.
// Machines should run when it is called, so that they can read what is under
// way; what one does not read within two seconds is left, and logged.
func (l *LAN) Cut(ctx context.Context, do func(context.Context) error) error {
	l.cutMu.Lock()
	defer l.cutMu.Unlock()
	l.fabric.held.Store(true)
	defer l.fabric.held.Store(false)
	l.settle(ctx, "before")
	err := do(ctx)
	l.Reset()
	l.settle(ctx, "after")
	l.fabric.line.flush()
	for _, r := range *l.fabric.rules.Load() {
		if f, ok := r.(*freeze); ok {
			f.forget()
		}
	}
	for _, c := range l.cables {
		c.flush()
	}
	return err
}

// settle waits until nothing is under way on any cable.
func (l *LAN) settle(ctx context.Context, when string) {
	ctx, cancel := context.WithTimeout(ctx, cutTimeout)
	defer cancel()
	for name, c := range l.cables {
		if !c.settle(ctx) {
			l.log.Warn("frames are left under way "+when+" the cut: the machine does not read", "machine", name)
		}
	}
}

// Flush writes out the capture, so that its file holds all frames so far.
func (l *LAN) Flush() error { return l.capture.Flush() }

// Close ends the LAN and all connections on it, and finishes the capture. It
// is idempotent.
func (l *LAN) Close() error {
	l.closing.Do(func() {
		var errs []error
		for _, c := range l.cables {
			errs = append(errs, c.close())
		}
		if l.stopDNS != nil {
			errs = append(errs, l.stopDNS())
		}
		if l.dhcp != nil {
			errs = append(errs, l.dhcp.conn.Close())
		}
		if l.gateway != nil {
			l.gateway.close(l.log)
		}
		l.work.Wait()
		l.fabric.line.close()
		errs = append(errs, l.capture.Close())
		l.closeErr = errors.Join(errs...)
	})
	return l.closeErr
}
