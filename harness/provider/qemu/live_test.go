package qemu_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/machine"
	"offload-e2e/harness/network"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/provider/conformance"
	"offload-e2e/harness/provider/qemu"
)

// sshdPort is that of the guests' own sshd for the harness, on mgmt0.
const sshdPort = 2222

type guestImage struct {
	bundle  qemu.Bundle
	signer  ssh.Signer
	hostKey ssh.PublicKey
}

func liveImage(t *testing.T) guestImage {
	t.Helper()
	img, signer, hostKey := conformance.Bundle(t)
	return guestImage{signer: signer, hostKey: hostKey, bundle: qemu.Bundle{
		Disk: img.Path(guest.DiskName), DiskFormat: "qcow2", Kernel: img.Path(guest.KernelName),
		Initrd: img.Path(guest.InitrdName), Append: img.Append, ID: img.ID,
	}}
}

// conformingLab is a desktop and a laptop on a LAN, restored from a saved state where
// there is one. It is closed with the test.
func conformingLab(t *testing.T, image guestImage, saved, binary string) (*conformance.Lab, error) {
	t.Helper()
	// Short: a unix socket's path has at most 107 bytes.
	state, err := os.MkdirTemp("", "e2e-qemu-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(state) })
	lan := conformance.LAN(t, state)
	management := map[string]*network.Management{}
	mgmtSocket := func(name string) string { return filepath.Join(state, name+".mgmt") }
	req := conformance.Request(filepath.Join(state, "machines"))
	for _, m := range req.Machines {
		mgmt, err := network.NewManagement(m.Name, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = mgmt.Close() })
		if err := mgmt.Listen(mgmtSocket(m.Name)); err != nil {
			t.Fatal(err)
		}
		management[m.Name] = mgmt
	}
	p, err := qemu.New(qemu.Options{
		Bundle: image.bundle, SavedState: saved, Cut: lan.Cut, Binary: binary,
		Cables: func(name string) (qemu.Cables, error) {
			return qemu.Cables{LAN: conformance.LANSocket(state, name), Mgmt: mgmtSocket(name)}, nil
		},
		Transport: func(name string) (provider.Transport, error) {
			return machine.New(machine.Config{
				Name: name, Signers: []ssh.Signer{image.signer}, HostKey: image.hostKey,
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
	_, err = p.Create(t.Context(), req)
	t.Logf("create: %s, %+v", time.Since(begin).Round(time.Millisecond), p.Origin())
	return &conformance.Lab{Provider: p, LAN: lan, Left: func(t *testing.T) []string { return leftIn(t, req.StateDir) }}, err
}

// leftIn is what is there of a lab: processes whose command line names its folder, and
// the disks in it.
func leftIn(t *testing.T, stateDir string) (left []string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		// It may have ended meanwhile.
		if text, err := os.ReadFile(line); err == nil && strings.Contains(string(text), stateDir) {
			left = append(left, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	disks, err := filepath.Glob(filepath.Join(stateDir, "*", "*.qcow2"))
	if err != nil {
		t.Fatal(err)
	}
	return append(left, disks...)
}

// liveLab is conformingLab, which has to come up.
func liveLab(t *testing.T, image guestImage, saved string) (*qemu.Provider, map[string]*qemu.Machine) {
	t.Helper()
	l, err := conformingLab(t, image, saved, "")
	if err != nil {
		t.Fatal(err)
	}
	machines := map[string]*qemu.Machine{}
	for _, m := range l.Provider.Machines() {
		machines[m.Name()] = m.(*qemu.Machine)
	}
	return l.Provider.(*qemu.Provider), machines
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

// uptime is for how long a machine is up, in seconds (proc_uptime(5)).
func uptime(t *testing.T, m *qemu.Machine) int {
	t.Helper()
	text, _, _ := strings.Cut(say(t, m, "cat", "/proc/uptime"), ".")
	seconds, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return seconds
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

	t.Run("conformance", func(t *testing.T) {
		conformance.Run(t, conformance.Bed{
			Boot: 4 * time.Minute,
			Up: func(t *testing.T) *conformance.Lab {
				l, err := conformingLab(t, image, saved, "")
				if err != nil {
					t.Fatal(err)
				}
				return l
			},
			Fail: func(t *testing.T) (*conformance.Lab, error) { return conformingLab(t, image, saved, "/bin/false") },
		})
	})

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
		before := uptime(t, desktop)
		timed(t, "snapshot", func() error { return p.Snapshot(ctx, "clean") })
		for _, m := range machines {
			say(t, m, "sh", "-c", "echo other | tee /dev/shm/nonce >/root/nonce")
		}
		const later = 8
		say(t, desktop, "timeout", "50", "sh", "-c", `until read -r up _ </proc/uptime && [ "${up%.*}" -ge "$1" ]; do sleep 0.1; done`, "later", strconv.Itoa(before+later))
		if err := laptop.PowerOff(ctx, true); err != nil {
			t.Fatal(err)
		}
		timed(t, "restore", func() error { return p.Restore(ctx, "clean") })
		for name, m := range machines {
			if got, want := say(t, m, "cat", "/dev/shm/nonce", "/root/nonce"), "nonce-"+name+"\nnonce-"+name; got != want {
				t.Errorf("%s: after the restore %q, want %q", name, got, want)
			}
		}
		// To the guest no time has passed since.
		if now := uptime(t, desktop); now >= before+later {
			t.Errorf("up for %d s at the snapshot, and for %d s after the restore", before, now)
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
