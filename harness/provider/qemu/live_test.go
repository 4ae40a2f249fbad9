package qemu_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/machine"
	"offload-e2e/harness/network"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/provider/qemu"
)

// bundleVariable names the folder of a guest image for the tests that boot one.
const bundleVariable = "OFFLOAD_E2E_BUNDLE"

// sshdPort is that of the guests' own sshd for the harness, on mgmt0.
const sshdPort = 2222

type guestImage struct {
	bundle  qemu.Bundle
	signer  ssh.Signer
	hostKey ssh.PublicKey
}

func liveImage(t *testing.T) guestImage {
	t.Helper()
	dir := os.Getenv(bundleVariable)
	if dir == "" {
		t.Skipf("boots a real guest: set %s to the folder of a guest image", bundleVariable)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var manifest struct{ ID, Append string }
	if err := json.Unmarshal(read("manifest.json"), &manifest); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(read("ssh_key"))
	if err != nil {
		t.Fatal(err)
	}
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey(read("host_key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	return guestImage{signer: signer, hostKey: hostKey, bundle: qemu.Bundle{
		Disk: filepath.Join(dir, "disk.qcow2"), DiskFormat: "qcow2", Kernel: filepath.Join(dir, "vmlinuz"),
		Initrd: filepath.Join(dir, "initrd.img"), Append: manifest.Append, ID: manifest.ID,
	}}
}

func liveMachines() []network.Machine {
	return []network.Machine{
		{Name: "desktop", Addr: netip.MustParseAddr("192.168.15.7"), MAC: "52:54:00:0f:00:07"},
		{Name: "laptop", Addr: netip.MustParseAddr("192.168.15.9"), MAC: "52:54:00:0f:00:09"},
	}
}

// liveLab is a desktop and a laptop on a LAN.
func liveLab(t *testing.T, image guestImage, saved string) (*qemu.Provider, map[string]*qemu.Machine) {
	t.Helper()
	ctx := t.Context()
	stateDir, sockets := t.TempDir(), t.TempDir()
	lan, err := network.New(network.Config{Machines: liveMachines()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lan.Close() })
	management := map[string]*network.Management{}
	req := provider.Request{StateDir: stateDir}
	for _, m := range liveMachines() {
		mgmt, err := network.NewManagement(m.Name, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = mgmt.Close() })
		if err := mgmt.Listen(filepath.Join(sockets, m.Name+".mgmt")); err != nil {
			t.Fatal(err)
		}
		if err := lan.Listen(m.Name, filepath.Join(sockets, m.Name+".lan")); err != nil {
			t.Fatal(err)
		}
		management[m.Name] = mgmt
		req.Machines = append(req.Machines, provider.MachineRequest{Name: m.Name, Addr: m.Addr, MAC: m.MAC, MemoryMiB: 1024})
	}
	p, err := qemu.New(qemu.Options{
		Bundle: image.bundle, SavedState: saved, Cut: lan.Cut,
		Cables: func(name string) (qemu.Cables, error) {
			return qemu.Cables{LAN: filepath.Join(sockets, name+".lan"), Mgmt: filepath.Join(sockets, name+".mgmt")}, nil
		},
		Transport: func(name string) (provider.Transport, error) {
			return machine.New(machine.Config{
				Name: name, Signer: image.signer, HostKey: image.hostKey,
				Dial: func(ctx context.Context) (net.Conn, error) { return management[name].DialContext(ctx, sshdPort) },
			})
		},
		Append: func(name string) string { return "systemd.hostname=" + name },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	begin := time.Now()
	if _, err := p.Create(ctx, req); err != nil {
		t.Fatal(err)
	}
	t.Logf("create: %s, %+v", time.Since(begin).Round(time.Millisecond), p.Origin())
	machines := map[string]*qemu.Machine{}
	for _, m := range p.Machines() {
		machines[m.Name()] = m.(*qemu.Machine)
	}
	return p, machines
}

func timed(t *testing.T, what string, do func() error) {
	t.Helper()
	begin := time.Now()
	if err := do(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %s", what, time.Since(begin).Round(time.Millisecond))
}

// say runs a command that has to succeed, and returns its output.
func say(t *testing.T, m *qemu.Machine, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	result, err := m.Exec(ctx, provider.Cmd(argv...))
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	return result.Text()
}

func TestRealGuests(t *testing.T) {
	image, ctx := liveImage(t), t.Context()
	saved := filepath.Join(t.TempDir(), "booted")
	p, machines := liveLab(t, image, saved)
	if origin := p.Origin(); origin.Restored || origin.Reason == "" {
		t.Errorf("origin %+v, want booted with the reason", origin)
	}
	timed(t, "save state", func() error { return p.SaveState(ctx, saved) })
	bootID := say(t, machines["laptop"], "cat", "/proc/sys/kernel/random/boot_id")
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}

	p, machines = liveLab(t, image, saved)
	if !p.Origin().Restored {
		t.Fatalf("origin %+v, want restored", p.Origin())
	}
	desktop, laptop := machines["desktop"], machines["laptop"]
	if got := say(t, laptop, "cat", "/proc/sys/kernel/random/boot_id"); got != bootID {
		t.Errorf("boot id %s, want that of the saved boot, %s", got, bootID)
	}
	if got := say(t, desktop, "cat", "/proc/sys/kernel/hostname"); got != "desktop" {
		t.Errorf("host name %q", got)
	}

	t.Run("snapshot keeps memory and disk of both", func(t *testing.T) {
		// /dev/shm is the guest's memory, /root its disk.
		for name, m := range machines {
			say(t, m, "sh", "-c", "echo nonce-"+name+" | tee /dev/shm/nonce >/root/nonce")
		}
		timed(t, "snapshot", func() error { return p.Snapshot(ctx, "clean") })
		for _, m := range machines {
			say(t, m, "sh", "-c", "echo other | tee /dev/shm/nonce >/root/nonce")
		}
		if err := laptop.PowerOff(ctx, true); err != nil {
			t.Fatal(err)
		}
		timed(t, "restore", func() error { return p.Restore(ctx, "clean") })
		for name, m := range machines {
			if got, want := say(t, m, "cat", "/dev/shm/nonce", "/root/nonce"), "nonce-"+name+"\nnonce-"+name; got != want {
				t.Errorf("%s: after the restore %q, want %q", name, got, want)
			}
		}
		timed(t, "restore again", func() error { return p.Restore(ctx, "clean") })
	})

	t.Run("a pulled cable has no carrier", func(t *testing.T) {
		say(t, laptop, "ip", "link", "set", "lan0", "up")
		for _, up := range []bool{false, true} {
			if err := laptop.SetLink(ctx, qemu.CableLAN, up); err != nil {
				t.Fatal(err)
			}
			// Exec works all the same: it takes the other cable.
			want := map[bool]string{true: "1", false: "0"}[up]
			say(t, laptop, "timeout", "20", "sh", "-c", `until [ "$(cat /sys/class/net/lan0/carrier)" = `+want+` ]; do sleep 0.1; done`)
		}
	})

	t.Run("power button, power on, reboot", func(t *testing.T) {
		timed(t, "power off by button", func() error { return laptop.PowerOff(ctx, false) })
		timed(t, "power on", func() error { return laptop.PowerOn(ctx) })
		first := say(t, laptop, "cat", "/proc/sys/kernel/random/boot_id")
		if first == bootID {
			t.Error("the boot id is that of before the power cycle")
		}
		timed(t, "reboot by the guest", func() error { return reboot(ctx, laptop, first) })
	})

	for name, m := range machines {
		faults, err := m.ConsoleFaults()
		if err != nil || len(faults) > 0 {
			t.Errorf("console of %s: %v, %v", name, faults, err)
		}
	}
	// The journal crosses its own port; that of the laptop's new boots at least.
	r, err := laptop.Journal(ctx)
	if err != nil {
		t.Fatal(err)
	}
	journal, err := io.ReadAll(r)
	if err != nil || r.Close() != nil || !strings.Contains(string(journal), "kernel: Linux version") {
		t.Errorf("the journal port brought %d bytes: %v", len(journal), err)
	}
}

// reboot has the guest reboot itself, and waits until it has.
func reboot(ctx context.Context, m *qemu.Machine, before string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if _, err := m.Exec(ctx, provider.Cmd("systemctl", "reboot", "--no-block")); err != nil {
		return err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 15*time.Second)
		result, err := m.Exec(attempt, provider.Cmd("cat", "/proc/sys/kernel/random/boot_id"))
		cancel()
		if err == nil && result.OK() && result.Text() != before {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no new boot: %w, last: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func TestProbeRealKernel(t *testing.T) {
	image := liveImage(t)
	begin := time.Now()
	accelerator, reason, err := qemu.ProbeAccelerator(t.Context(), image.bundle)
	if err != nil || reason == "" {
		t.Fatalf("probe: %q, %q, %v", accelerator, reason, err)
	}
	t.Logf("%s in %s: %s", accelerator, time.Since(begin).Round(time.Millisecond), reason)
}
