package fault

import (
	"context"
	"fmt"
	"time"

	"offload-e2e/harness/network"
	"offload-e2e/harness/nixos"
)

// LinkDown pulls a machine's cable.
type LinkDown struct {
	wire
	Machine nixos.Role `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"whose cable"`
}

func (f *LinkDown) String() string { return "link down of " + string(f.Machine) }

func (f *LinkDown) Apply(ctx context.Context, w World) (Undo, error) {
	return f.apply(ctx, w.LAN().LinkDown(string(f.Machine)))
}

func (f *LinkDown) Probe(ctx context.Context, w World) (bool, string, error) {
	answers, seen, err := ping(ctx, w, Scope{To: string(f.Machine)}, 1, 0)
	return answers == 0, seen, err
}

// Drop loses packets without a word.
type Drop struct {
	wire
	Scope
}

func (f *Drop) String() string { return "drop " + f.Match().String() }

func (f *Drop) Apply(ctx context.Context, w World) (Undo, error) {
	return f.apply(ctx, w.LAN().Drop(f.Match()))
}

func (f *Drop) Probe(ctx context.Context, w World) (bool, string, error) {
	return f.touches(ctx, w, f.Scope)
}

// Refuse answers as a machine with nothing behind the port.
type Refuse struct {
	wire
	Scope
}

func (f *Refuse) String() string { return "refuse " + f.Match().String() }

func (f *Refuse) Apply(ctx context.Context, w World) (Undo, error) {
	return f.apply(ctx, w.LAN().Refuse(f.Match()))
}

func (f *Refuse) Probe(ctx context.Context, w World) (bool, string, error) {
	return f.touches(ctx, w, f.Scope)
}

// Validate refuses to refuse what cannot be.
func (f *Refuse) Validate() error {
	if f.Proto == "icmp" {
		return fmt.Errorf("icmp cannot be refused: say tcp, udp or neither, or drop it")
	}
	return f.Scope.Validate()
}

// Reject answers as a firewall that forbids.
type Reject struct {
	wire
	Scope
}

func (f *Reject) String() string { return "reject " + f.Match().String() }

func (f *Reject) Apply(ctx context.Context, w World) (Undo, error) {
	return f.apply(ctx, w.LAN().Reject(f.Match()))
}

func (f *Reject) Probe(ctx context.Context, w World) (bool, string, error) {
	return f.touches(ctx, w, f.Scope)
}

// HoldPackets keeps packets back until it is undone; then they go on.
type HoldPackets struct {
	wire
	Scope
}

func (f *HoldPackets) String() string { return "hold " + f.Match().String() }

func (f *HoldPackets) Apply(ctx context.Context, w World) (Undo, error) {
	return f.apply(ctx, w.LAN().Freeze(f.Match()))
}

func (f *HoldPackets) Probe(ctx context.Context, w World) (bool, string, error) {
	return f.touches(ctx, w, f.Scope)
}

// Delay makes packets late, each way.
type Delay struct {
	wire
	Scope
	By     time.Duration `yaml:"by" need:"yes" doc:"how late, each way: a round trip takes twice as long"`
	Jitter time.Duration `yaml:"jitter" doc:"up to how much later by chance"`
	Seed   uint64        `yaml:"seed" doc:"the seed of chance"`
}

func (f *Delay) String() string {
	return fmt.Sprintf("delay by %s, jitter %s, seed %d, %s", f.By, f.Jitter, f.Seed, f.Match())
}

func (f *Delay) Apply(ctx context.Context, w World) (Undo, error) {
	return f.apply(ctx, w.LAN().Delay(f.Match(), f.By, f.Jitter, f.Seed))
}

func (f *Delay) Probe(ctx context.Context, w World) (bool, string, error) {
	return f.touches(ctx, w, f.Scope)
}

// Rate is a slow line.
type Rate struct {
	wire
	Scope
	Bits uint64 `yaml:"kbit-per-second" need:"yes" doc:"thousand bits a second, each way"`
}

func (f *Rate) String() string { return fmt.Sprintf("rate of %d kbit/s, %s", f.Bits, f.Match()) }

func (f *Rate) Apply(ctx context.Context, w World) (Undo, error) {
	return f.apply(ctx, w.LAN().Rate(f.Match(), int(f.Bits)*1000/8))
}

func (f *Rate) Probe(ctx context.Context, w World) (bool, string, error) {
	return f.touches(ctx, w, f.Scope)
}

// Validate refuses a line that carries nothing, and one that no harness can keep slow.
func (f *Rate) Validate() error {
	if f.Bits == 0 || f.Bits > 100_000_000 {
		return fmt.Errorf("a line carries between 1 and 100000000 kbit/s; to stop all packets, drop them")
	}
	return f.Scope.Validate()
}

// Loss loses packets by chance.
type Loss struct {
	wire
	Scope
	Percent float64 `yaml:"percent" need:"yes" doc:"how many of a hundred packets"`
	Seed    uint64  `yaml:"seed" doc:"the seed of chance"`
}

func (f *Loss) String() string {
	return fmt.Sprintf("loss of %g %%, seed %d, %s", f.Percent, f.Seed, f.Match())
}

func (f *Loss) Apply(ctx context.Context, w World) (Undo, error) {
	return f.apply(ctx, w.LAN().Loss(f.Match(), f.Percent/100, f.Seed))
}

func (f *Loss) Probe(ctx context.Context, w World) (bool, string, error) {
	return f.touches(ctx, w, f.Scope)
}

// Validate refuses what is no share of a hundred.
func (f *Loss) Validate() error { return percent(f.Percent, f.Scope) }

// Duplicate delivers packets twice by chance.
type Duplicate struct {
	wire
	Scope
	Percent float64 `yaml:"percent" need:"yes" doc:"how many of a hundred packets"`
	Seed    uint64  `yaml:"seed" doc:"the seed of chance"`
}

func (f *Duplicate) String() string {
	return fmt.Sprintf("duplication of %g %%, seed %d, %s", f.Percent, f.Seed, f.Match())
}

func (f *Duplicate) Apply(ctx context.Context, w World) (Undo, error) {
	return f.apply(ctx, w.LAN().Duplicate(f.Match(), f.Percent/100, f.Seed))
}

func (f *Duplicate) Probe(ctx context.Context, w World) (bool, string, error) {
	return f.touches(ctx, w, f.Scope)
}

// Validate refuses what is no share of a hundred.
func (f *Duplicate) Validate() error { return percent(f.Percent, f.Scope) }

func percent(p float64, s Scope) error {
	if !(p > 0 && p <= 100) {
		return fmt.Errorf("percent: %g is not above 0 and at most 100", p)
	}
	return s.Validate()
}

// Blackhole is a path with a smaller MTU that nobody tells about.
type Blackhole struct {
	wire
	Scope
	MTU uint16 `yaml:"mtu" doc:"packets larger than so many bytes vanish"`
}

func (f *Blackhole) String() string {
	return fmt.Sprintf("blackhole above MTU %d, %s", f.MTU, f.Match())
}

func (f *Blackhole) Apply(ctx context.Context, w World) (Undo, error) {
	return f.apply(ctx, w.LAN().Blackhole(f.Match(), int(f.MTU)))
}

func (f *Blackhole) Probe(ctx context.Context, w World) (bool, string, error) {
	return f.touchesLarge(ctx, w, f.Scope)
}

// Validate refuses an MTU that no path has.
func (f *Blackhole) Validate() error {
	if f.MTU < 68 || f.MTU >= 1500 {
		return fmt.Errorf("mtu: %d is not between 68 (RFC 791) and 1499", f.MTU)
	}
	return f.Scope.Validate()
}

// DNS makes the network's name server silent or failing.
type DNS struct {
	wire
	Mode string `yaml:"mode" enum:"silent,fails" doc:"silent: no answer ever; fails: SERVFAIL"`
}

func (f *DNS) String() string { return "name server " + f.Mode }

func (f *DNS) Apply(ctx context.Context, w World) (Undo, error) {
	mode := network.DNSSilent
	if f.Mode == "fails" {
		mode = network.DNSFails
	}
	return f.apply(ctx, w.LAN().DNSDown(mode))
}

func (f *DNS) Probe(ctx context.Context, w World) (bool, string, error) {
	res, err := exec(ctx, w, nixos.Laptop, "timeout", "3", "getent", "ahosts", network.CacheName)
	return !res.OK(), "the name of the internet's cache: " + res.Text(), err
}

// InternetAway cuts the LAN off from everything beyond the gateway: for all, or for
// one machine.
type InternetAway struct {
	wire
	Machine nixos.Role `yaml:"machine" enum:"desktop,laptop" doc:"who has no internet; nothing is both"`
	How     string     `yaml:"how" enum:"drop,reject" doc:"drop: packets vanish; reject: the gateway says so at once (the default)"`
}

func (f *InternetAway) String() string {
	if f.Machine == "" {
		return "no internet"
	}
	return "no internet for the " + string(f.Machine)
}

func (f *InternetAway) scope() Scope { return Scope{From: string(f.Machine), To: network.Internet} }

func (f *InternetAway) Apply(ctx context.Context, w World) (Undo, error) {
	if f.How == "drop" {
		return f.apply(ctx, w.LAN().Drop(f.scope().Match()))
	}
	return f.apply(ctx, w.LAN().Reject(f.scope().Match()))
}

func (f *InternetAway) Probe(ctx context.Context, w World) (bool, string, error) {
	return f.touches(ctx, w, f.scope())
}
