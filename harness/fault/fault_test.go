package fault

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"offload-e2e/harness/network"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
)

// cable is a machine's end of its cable: frames behind their length.
type cable struct {
	net.Conn
	mac     net.HardwareAddr
	addr    netip.Addr
	arrived atomic.Int64  // IPv4 frames
	more    chan struct{} // has an element where some arrived since it was emptied
}

func (c *cable) read() {
	for {
		var length [4]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(length[:]))
		if _, err := io.ReadFull(c, frame); err != nil {
			return
		}
		if len(frame) > 14 && binary.BigEndian.Uint16(frame[12:]) == 0x0800 {
			c.arrived.Add(1)
			select {
			case c.more <- struct{}{}:
			default:
			}
		}
	}
}

// send sends one packet of a protocol to another machine.
func (c *cable) send(to *cable, payload gopacket.SerializableLayer, proto layers.IPProtocol, size int) error {
	ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: proto, SrcIP: c.addr.AsSlice(), DstIP: to.addr.AsSlice()}
	if tcp, ok := payload.(*layers.TCP); ok {
		_ = tcp.SetNetworkLayerForChecksum(ip)
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: c.mac, DstMAC: to.mac, EthernetType: layers.EthernetTypeIPv4}, ip, payload, gopacket.Payload(make([]byte, size)))
	if err != nil {
		return err
	}
	_, err = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b.Bytes()))), b.Bytes()...))
	return err
}

// toyWorld is a LAN with two machines that send what they are told to.
type toyWorld struct {
	lan      *network.LAN
	machines map[nixos.Role]*toyMachine
}

func (w *toyWorld) LAN() *network.LAN               { return w.lan }
func (w *toyWorld) Machine(role nixos.Role) Machine { return w.machines[role] }

// toyMachine knows ping and the probe of a port; other commands answer does.
type toyMachine struct {
	role    nixos.Role
	own     *cable
	other   *cable
	off     bool
	frozen  bool
	answer  func(argv []string) provider.Result
	mu      sync.Mutex
	history []string
}

func (m *toyMachine) Name() string { return string(m.role) }

func (m *toyMachine) Exec(ctx context.Context, cmd provider.Command) (provider.Result, error) {
	m.mu.Lock()
	m.history = append(m.history, cmd.String())
	m.mu.Unlock()
	switch {
	case m.off || m.frozen:
		return provider.Result{}, errors.New("it does not answer")
	case cmd.Argv[0] == "ping":
		return m.ping(cmd.Argv)
	case slices.Contains(cmd.Argv, "probe") && slices.Contains(cmd.Argv, "tcp"):
		return m.connect(cmd.Argv)
	case m.answer != nil:
		res := m.answer(cmd.Argv)
		res.Argv = cmd.Argv
		return res, nil
	}
	return provider.Result{Argv: cmd.Argv}, nil
}

func (m *toyMachine) ping(argv []string) (provider.Result, error) {
	count, size := 0, 56
	for i, a := range argv {
		switch a {
		case "-c":
			count, _ = strconv.Atoi(argv[i+1])
		case "-s":
			size, _ = strconv.Atoi(argv[i+1])
		}
	}
	before := m.other.arrived.Load()
	for range count {
		echo := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0)}
		if err := m.own.send(m.other, echo, layers.IPProtocolICMPv4, size); err != nil {
			return provider.Result{}, err
		}
	}
	arrived := m.settle(before, int64(count))
	return provider.Result{Argv: argv, Stdout: fmt.Appendf(nil, "%d packets transmitted, %d received\n", count, arrived)}, nil
}

func (m *toyMachine) connect(argv []string) (provider.Result, error) {
	at := slices.Index(argv, "probe")
	port, _ := strconv.Atoi(argv[at+2])
	size, _ := strconv.Atoi(argv[at+4])
	before := m.other.arrived.Load()
	err := m.own.send(m.other, &layers.TCP{SrcPort: 40000, DstPort: layers.TCPPort(port), SYN: true, Window: 1000}, layers.IPProtocolTCP, min(size, 1400))
	m.settle(before, 1)
	return provider.Result{Argv: argv}, err
}

// settle waits a little for packets to arrive.
func (m *toyMachine) settle(before, want int64) int64 {
	late := time.After(200 * time.Millisecond)
	for m.other.arrived.Load()-before < want {
		select {
		case <-m.other.more:
		case <-late:
			return m.other.arrived.Load() - before
		}
	}
	return m.other.arrived.Load() - before
}

func (m *toyMachine) CopyTo(context.Context, io.Reader, string, fs.FileMode) error { return nil }
func (m *toyMachine) CopyFrom(context.Context, string, io.Writer) error            { return nil }
func (m *toyMachine) Logs(context.Context) (io.ReadCloser, error)                  { return nil, nil }
func (m *toyMachine) PowerOff(context.Context, bool) error                         { m.off = true; return nil }
func (m *toyMachine) PowerOn(context.Context) error                                { m.off = false; return nil }
func (m *toyMachine) Running() bool                                                { return !m.off }
func (m *toyMachine) Freeze(context.Context) error                                 { m.frozen = true; return nil }
func (m *toyMachine) Thaw(context.Context) error                                   { m.frozen = false; return nil }

func newToyWorld(t *testing.T) *toyWorld {
	t.Helper()
	config := network.Config{}
	for role, addr := range addresses {
		config.Machines = append(config.Machines, network.Machine{Name: string(role), Addr: addr, MAC: fmt.Sprintf("52:54:00:0f:00:%02x", addr.As4()[3])})
	}
	lan, err := network.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lan.Close() })
	w := &toyWorld{lan: lan, machines: map[nixos.Role]*toyMachine{}}
	cables := map[nixos.Role]*cable{}
	for _, m := range config.Machines {
		path := filepath.Join(t.TempDir(), "s")
		if err := lan.Listen(m.Name, path); err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		mac, _ := net.ParseMAC(m.MAC)
		c := &cable{Conn: conn, mac: mac, addr: m.Addr, more: make(chan struct{}, 1)}
		go c.read()
		cables[nixos.Role(m.Name)] = c
		if err := lan.WaitAttached(t.Context(), m.Name); err != nil {
			t.Fatal(err)
		}
	}
	for role := range addresses {
		other := nixos.Desktop
		if role == nixos.Desktop {
			other = nixos.Laptop
		}
		w.machines[role] = &toyMachine{role: role, own: cables[role], other: cables[other]}
	}
	return w
}

// Every fault of the network is seen by its probe while it is in force, and no longer
// when it was undone.
func TestFaultsOfTheNetwork(t *testing.T) {
	cache := Scope{To: "desktop", Proto: "tcp", Port: 5000}
	for name, f := range map[string]Fault{
		"link down":              &LinkDown{Machine: nixos.Desktop},
		"drop, all":              &Drop{Scope: Scope{To: "desktop"}},
		"drop, a port":           &Drop{Scope: cache},
		"drop, one way":          &Drop{Scope: Scope{From: "laptop", To: "desktop", Port: 22, Way: "there"}},
		"drop, from the desktop": &Drop{Scope: Scope{From: "desktop", To: "laptop"}},
		"drop, pings":            &Drop{Scope: Scope{To: "desktop", Proto: "icmp"}},
		"refuse":                 &Refuse{Scope: cache},
		"reject":                 &Reject{Scope: cache},
		"hold":                   &HoldPackets{Scope: cache},
		"delay":                  &Delay{Scope: cache, By: time.Millisecond, Seed: 1},
		"rate":                   &Rate{Scope: cache, Bits: 1000},
		"loss":                   &Loss{Scope: Scope{To: "desktop"}, Percent: 30, Seed: 7},
		"duplicate":              &Duplicate{Scope: Scope{To: "desktop"}, Percent: 30, Seed: 7},
		"blackhole":              &Blackhole{Scope: Scope{To: "desktop"}, MTU: 1000},
		"blackhole, a port":      &Blackhole{Scope: cache, MTU: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newToyWorld(t)
			if inForce, seen, err := f.Probe(t.Context(), w); err != nil || inForce {
				t.Fatalf("before it is applied: in force %v (%s), %v", inForce, seen, err)
			}
			undo, err := f.Apply(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			if err := Prove(t.Context(), w, f, true); err != nil {
				t.Error(err)
			}
			if !Lasts(f) {
				t.Error("a restore of the machines would undo it")
			}
			for range 2 {
				if err := undo(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := Prove(t.Context(), w, f, false); err != nil {
				t.Error(err)
			}
			if left := w.lan.Faults(); len(left) > 0 {
				t.Errorf("the LAN still has %v", left)
			}
		})
	}
}

func TestFaultsOfPower(t *testing.T) {
	for _, f := range []Fault{&PowerOff{Machine: nixos.Desktop}, &Pause{Machine: nixos.Desktop}} {
		w := newToyWorld(t)
		undo, err := f.Apply(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := f.(*Pause); ok {
			// The toy's cable answers for a frozen machine, too.
			if err := (&LinkDown{Machine: f.Machine}).cut(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
		if err := Prove(t.Context(), w, f, true); err != nil {
			t.Error(err)
		}
		if err := undo(t.Context()); err != nil {
			t.Error(err)
		}
		if err := Prove(t.Context(), w, f, false); err != nil {
			t.Error(err)
		}
	}
}

func (f *LinkDown) cut(ctx context.Context, w World) error {
	_, err := f.Apply(ctx, w)
	return err
}

// What is done by hand has a proof that is asked, and an undo that must be written.
func TestRun(t *testing.T) {
	w := newToyWorld(t)
	broken := false
	w.machines[nixos.Laptop].answer = func(argv []string) provider.Result {
		switch argv[len(argv)-1] {
		case "break":
			broken = true
		case "mend":
			broken = false
		case "is it broken":
			if !broken {
				return provider.Result{ExitStatus: 1, Stderr: []byte("no")}
			}
		}
		return provider.Result{}
	}
	f := &Run{Machine: nixos.Laptop, Script: "break", Proof: "is it broken", Undo: "mend", Says: "it breaks"}
	undo, err := f.Apply(t.Context(), w)
	if err := errors.Join(err, Prove(t.Context(), w, f, true), undo(t.Context()), Prove(t.Context(), w, f, false)); err != nil {
		t.Error(err)
	}
	f = &Run{Machine: nixos.Laptop, Script: "break"}
	undo, err = f.Apply(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if err := undo(t.Context()); err == nil || !strings.Contains(err.Error(), "has no undo") {
		t.Errorf("without an undo: %v", err)
	}
}

// A second laptop that cannot log in is not in force, and leaves no key behind.
func TestSecondLaptopWithoutDesktop(t *testing.T) {
	w := newToyWorld(t)
	w.machines[nixos.Desktop].answer = func([]string) provider.Result {
		return provider.Result{Stdout: []byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl root@desktop\n")}
	}
	f := &SecondLaptop{User: "nix-builder", Builds: 2, Take: time.Minute}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	undo, err := f.Apply(ctx, w)
	if err == nil || undo == nil {
		t.Fatalf("it logged in where nobody listens: %v", err)
	}
	if is, seen, err := f.Probe(t.Context(), w); is || err != nil {
		t.Errorf("it is in force: %s %v", seen, err)
	}
	if err := undo(t.Context()); err != nil {
		t.Error(err)
	}
	history := w.machines[nixos.Desktop].history
	if last := history[len(history)-1]; !strings.Contains(last, "sed -i") || !strings.HasSuffix(last, keyName) {
		t.Errorf("the key was not taken away at last: %s", last)
	}
}

// A fault that has no effect is told so, with what was seen.
func TestProveGivesUp(t *testing.T) {
	w := newToyWorld(t)
	w.machines[nixos.Laptop].answer = func([]string) provider.Result { return provider.Result{ExitStatus: 1, Stderr: []byte("not at all")} }
	f := &Run{Machine: nixos.Laptop, Script: "x", Proof: "x", Says: "it breaks"}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := Prove(ctx, w, f, true)
	var notSeen *NotSeenError
	if !errors.As(err, &notSeen) || !strings.Contains(err.Error(), `"it breaks" was applied and is not in force: not at all`) {
		t.Errorf("it says %v", err)
	}
}

func TestFileRefuses(t *testing.T) {
	for want, f := range map[string]*File{
		"is not absolute": {Path: "x", Delete: true},
		"nothing happens": {Path: "/x"},
		"is no mode":      {Path: "/x", Mode: "888"},
	} {
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	text := ""
	for _, f := range []*File{{Path: "/x", Mode: "0600"}, {Path: "/x", Content: &text}} {
		if err := f.Validate(); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// All faults say in words what they are, and can be made.
func TestKinds(t *testing.T) {
	for name, fresh := range Kinds() {
		f, ok := fresh().(Fault)
		if !ok || f.String() == "" || bytes.Contains([]byte(f.String()), []byte("%!")) {
			t.Errorf("%s is %v", name, f)
		}
	}
}
