// Package conformance is what every provider promises, as tests: of commands, copies
// and logs, of power and snapshots, of the network between machines, and that nothing
// is left behind. A provider's own tests run it.
//
// What a provider has not is skipped, with the reason.
package conformance

import (
	"context"
	"testing"
	"time"

	"offload-e2e/harness/network"
	"offload-e2e/harness/provider"
)

// Names of the two machines of every lab.
const (
	Desktop = "desktop"
	Laptop  = "laptop"
)

// Lab is a provider that has made two machines.
type Lab struct {
	Provider provider.Provider
	// LAN is the network between the machines, nil where the provider has none of ours.
	LAN *network.LAN
	// Left says what is there of the lab; nothing after Close.
	Left func(t *testing.T) []string
}

// Bed makes labs. Whatever it makes is taken away by the test's end.
type Bed struct {
	// Up is a lab whose machines are up.
	Up func(t *testing.T) *Lab
	// Fail is a lab whose Create failed half way, and the error.
	Fail func(t *testing.T) (*Lab, error)
	// Boot bounds what takes a boot.
	Boot time.Duration
	// NoNetwork, NoSecond are why there is no network between the machines, and no second lab
	// at the same time.
	NoNetwork, NoSecond string
}

// commandTimeout bounds one command that does not boot anything.
const commandTimeout = 2 * time.Minute

// Run makes all tests, on one lab but for those that need their own.
func Run(t *testing.T, bed Bed) {
	lab := bed.Up(t)
	for _, test := range []struct {
		name string
		f    func(*testing.T, Bed, *Lab)
	}{
		{"output of many bytes, and binary input", bigOutput},
		{"how commands end", endings},
		{"a command ends with its context", cancelled},
		{"files go both ways, with their modes", copies},
		{"the two machines see each other", neighbours},
		{"a machine is on no network but the lab's", alone},
		{"faults, and their undo", faults},
		{"freezing and thawing", freezing},
		{"the console outlives the machine, and a restart keeps the disk", restart},
		{"snapshots", snapshots},
		{"two labs at once know nothing of each other", twoLabs},
		{"a lab that fails to come up leaves nothing", failed},
	} {
		t.Run(test.name, func(t *testing.T) { test.f(t, bed, lab) })
	}
	t.Run("closing leaves nothing, twice", func(t *testing.T) { closing(t, lab) })
}

func closing(t *testing.T, lab *Lab) {
	for range 2 {
		if err := lab.Provider.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if left := lab.Left(t); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func failed(t *testing.T, bed Bed, _ *Lab) {
	if bed.Fail == nil {
		t.Skip("the provider makes nothing")
	}
	lab, err := bed.Fail(t)
	if err == nil {
		t.Error("Create says nothing of its failure")
	}
	if left := lab.Left(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// of is a machine of a lab.
func of(t *testing.T, lab *Lab, name string) provider.Machine {
	t.Helper()
	for _, m := range lab.Provider.Machines() {
		if m.Name() == name {
			return m
		}
	}
	t.Fatalf("there is no machine %s", name)
	return nil
}

// exec runs a command whose way of ending must be known.
func exec(t *testing.T, m provider.Machine, cmd provider.Command) provider.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	result, err := m.Exec(ctx, cmd)
	if err != nil {
		t.Fatalf("%s: %s: %v", m.Name(), cmd, err)
	}
	return result
}

// succeed runs a command that must succeed, and gives its output.
func succeed(t *testing.T, m provider.Machine, argv ...string) string {
	t.Helper()
	result := exec(t, m, provider.Cmd(argv...))
	if err := result.Err(); err != nil {
		t.Fatalf("%s: %v", m.Name(), err)
	}
	return result.Text()
}

// eventually waits until f gives nil.
func eventually(t *testing.T, within time.Duration, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %s: %v", within, err)
		}
	}
}
