package fault

import (
	"context"
	"fmt"
	"sync"

	"offload-e2e/harness/network"
)

// Scope is which packets a fault of the network concerns: a conversation, or one
// service of it, both ways or one.
type Scope struct {
	From  string `yaml:"from" doc:"the client: desktop, laptop, gateway, internet, an address or a prefix; nothing is anybody"`
	To    string `yaml:"to" doc:"the server, as from"`
	Proto string `yaml:"proto" enum:"any,tcp,udp,icmp" doc:"the protocol; nothing is any"`
	Port  uint16 `yaml:"port" doc:"the server's port; nothing is every port"`
	Way   string `yaml:"way" enum:"both,there,back" doc:"packets from client to server (there), from server to client (back), or both"`
}

var protocols = map[string]network.Proto{"": network.AnyProto, "any": network.AnyProto, "tcp": network.TCP, "udp": network.UDP, "icmp": network.ICMP}
var ways = map[string]network.Way{"": network.BothWays, "both": network.BothWays, "there": network.There, "back": network.Back}

// Match is the scope as the network has it.
func (s Scope) Match() network.Match {
	return network.Match{From: s.From, To: s.To, Proto: protocols[s.Proto], Port: s.Port, Way: ways[s.Way]}
}

// Validate refuses what no packet can be.
func (s Scope) Validate() error {
	if s.Port != 0 && s.Proto == "icmp" {
		return fmt.Errorf("icmp has no ports: leave the port out")
	}
	return nil
}

// wire is what all faults of the network have in common: the network's own fault,
// while it is in force.
type wire struct {
	mu      sync.Mutex
	inForce network.Fault
	gone    bool
}

// Lasts is true: the network is not in the machines.
func (*wire) Lasts() bool { return true }

func (f *wire) apply(ctx context.Context, fault network.Fault) (Undo, error) {
	undo, err := fault.Apply(ctx)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.inForce, f.gone = fault, false
	f.mu.Unlock()
	return func(ctx context.Context) error {
		err := undo(ctx)
		f.mu.Lock()
		f.gone = err == nil
		f.mu.Unlock()
		return err
	}, nil
}

func (f *wire) state() (fault network.Fault, inForce bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inForce, f.inForce != nil && !f.gone
}
