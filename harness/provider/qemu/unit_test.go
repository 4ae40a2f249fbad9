package qemu

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConsoleFaults(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "console")
	c := newConsole(file)
	if faults, err := c.scan(); err != nil || len(faults) > 0 {
		t.Errorf("of no console yet: %v, %v", faults, err)
	}
	mustDo(t, os.WriteFile(file, nil, 0o600))
	write := func(s string) {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
		mustDo(t, err)
		_, err = f.WriteString(s)
		mustDo(t, err)
		mustDo(t, f.Close())
	}
	for _, step := range []struct {
		text, kind string
		fatal      bool
	}{
		{"[    0.000000] Linux version 6.12 #1 SMP PREEMPT_DYNAMIC\r\n", "", false},
		{"[   12.3] systemd[1]: Reached target multi-user.target.\n", "", false},
		{"DEBUG: nothing\n", "", false},
		{"[   60.1] Out of mem", "", false}, // the rest of the line is to come
		{"ory: Killed process 77 (nix-build)\n", "out of memory", false},
		{"[   61.0] BUG: kernel NULL pointer dereference, address: 0\n", "kernel bug", false},
		{"[   61.1] \x1b[31mOops: 0002 [#1] SMP\x1b[0m\r\n", "oops", false},
		{"[   62.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!\n", "soft lockup", false},
		{"[  243.1] INFO: task nix-daemon:99 blocked for more than 120 seconds.\n", "hung task", false},
		{"[  250.0] EXT4-fs error (device vda): ext4_lookup:1855\n", "file system error", false},
		{"[  251.0] I/O error, dev vda, sector 77\n", "disk error", false},
		{"[  252.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n", "stall", false},
		{"ALERT!  /dev/vdz does not exist.  Dropping to a shell!\n", "no root file system", true},
		{"You are in emergency mode. After logging in\n", "emergency mode", true},
		{strings.Repeat("x", 1<<20) + "Kernel panic - not syncing\n", "", false}, // beyond what is kept of a line
		{"\x1b[0m[  300.0] Kernel panic - not syncing: VFS\n", "kernel panic", true},
	} {
		known := c.count()
		write(step.text)
		faults, err := c.scan()
		mustDo(t, err)
		switch {
		case step.kind == "" && len(faults) != known:
			t.Errorf("%.60q is taken for %v", step.text, faults[known:])
		case step.kind != "" && (len(faults) != known+1 || faults[known].Kind != step.kind):
			t.Errorf("%.60q: found %v, want %s", step.text, faults[known:], step.kind)
		}
		if fatal := c.fatal(known) != nil; fatal != step.fatal {
			t.Errorf("%.60q: fatal %v, want %v", step.text, fatal, step.fatal)
		}
		for _, f := range faults {
			if strings.ContainsAny(f.Line, "\x1b\r\n") {
				t.Errorf("escape sequences in %q", f.Line)
			}
		}
	}
	for range 2 * maxConsoleFaults {
		write("Oops: again\n")
	}
	if got := c.count(); got != maxConsoleFaults {
		t.Errorf("%d faults are kept, want %d", got, maxConsoleFaults)
	}
	if got := tail(file, 2); got != "Oops: again\nOops: again" {
		t.Errorf("tail %q", got)
	}
	if got := tail("/nonexistent", 2); got != "" {
		t.Errorf("tail of nothing %q", got)
	}
}

func FuzzConsole(f *testing.F) {
	f.Add([]byte("a\x1b[1;31mb\x1b]0;title\x07c\n\x1b"), 3)
	f.Add([]byte("Kernel panic - not syncing\n"), 5)
	f.Fuzz(func(t *testing.T, printed []byte, cut int) {
		whole, parts := newConsole(""), newConsole("")
		whole.feed(printed)
		cut = max(0, min(cut, len(printed)))
		parts.feed(printed[:cut])
		parts.feed(printed[cut:])
		a, _ := json.Marshal(whole.faults)
		b, _ := json.Marshal(parts.faults)
		if string(a) != string(b) {
			t.Errorf("cut at %d: %s, whole: %s", cut, b, a)
		}
	})
}

func testHardware() hardware {
	return hardware{
		name: "desktop", accelerator: TCG, memoryMiB: 1024, lanMAC: "52:54:00:0f:00:07",
		bundle:  Bundle{Disk: "/i,1/disk.qcow2", DiskFormat: "qcow2", Kernel: "/i/vmlinuz", Initrd: "/i/initrd", Append: "console=ttyS0", ID: "x"},
		cables:  Cables{LAN: "/s/lan", Mgmt: "/s/mgmt", MgmtMAC: "52:54:00:0e:00:07"},
		overlay: "/s/disk.qcow2", layers: []string{"/s/layer0.qcow2"}, console: "/s/a,b", journal: "/s/j",
	}
}

func TestArgs(t *testing.T) {
	t.Parallel()
	h := testHardware()
	h.append = "systemd.hostname=desktop"
	args, err := h.args(true, true)
	mustDo(t, err)
	line := strings.Join(args, " ")
	for _, want := range []string{
		"-accel tcg,thread=multi,tb-size=512 -cpu max,cx16=off -smp 1 -m 1024", "path=/s/a,,b", "-append console=ttyS0 norandmaps systemd.hostname=desktop",
		"virtio-net-pci,netdev=lan0,id=nic-lan0,mac=52:54:00:0f:00:07", "mac=52:54:00:0e:00:07", "-S -incoming fd:6",
		`"filename":"/i,1/disk.qcow2"`, "name=org.offload.journal",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("%q is not in\n%s", want, line)
		}
	}
	if strings.Contains(line, "-no-reboot") {
		t.Error("a guest could not reboot")
	}
	h.accelerator = KVM
	args, err = h.args(false, false)
	mustDo(t, err)
	if line := strings.Join(args, " "); !strings.Contains(line, "-accel kvm -cpu host -smp 2") || strings.Contains(line, "-incoming") || strings.Contains(line, " -S") {
		t.Errorf("with KVM: %s", line)
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	of := func(change func(*hardware)) string {
		h := testHardware()
		change(&h)
		f, err := h.fingerprint()
		mustDo(t, err)
		return f
	}
	same := of(func(*hardware) {})
	for name, c := range map[string]struct {
		change func(*hardware)
		same   bool
	}{
		"paths": {func(h *hardware) {
			h.overlay, h.console, h.journal, h.layers, h.cables.LAN, h.bundle.Kernel, h.bundle.Disk = "a", "b", "c", nil, "d", "e", "f"
		}, true},
		"memory":      {func(h *hardware) { h.memoryMiB++ }, false},
		"MAC":         {func(h *hardware) { h.lanMAC = "52:54:00:0f:00:08" }, false},
		"parameters":  {func(h *hardware) { h.append = "quiet" }, false},
		"accelerator": {func(h *hardware) { h.accelerator = KVM }, false},
		"name":        {func(h *hardware) { h.name = "laptop" }, false},
		"no initrd":   {func(h *hardware) { h.bundle.Initrd = "" }, false},
	} {
		if got := of(c.change) == same; got != c.same {
			t.Errorf("other %s: the same fingerprint %v, want %v", name, got, c.same)
		}
	}
}

func TestBundleCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	full, empty := filepath.Join(dir, "full"), filepath.Join(dir, "empty")
	mustDo(t, os.WriteFile(full, []byte("x"), 0o600))
	mustDo(t, os.WriteFile(empty, nil, 0o600))
	good := Bundle{Disk: full, DiskFormat: "raw", Kernel: full, Initrd: full, ID: "i"}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Bundle){
		"no ID":                  func(b *Bundle) { b.ID = "" },
		`"vmdk" is none of`:      func(b *Bundle) { b.DiskFormat = "vmdk" },
		"no disk":                func(b *Bundle) { b.Disk = "" },
		"kernel: " + empty:       func(b *Bundle) { b.Kernel = empty },
		"disk: " + dir:           func(b *Bundle) { b.Disk = dir },
		"initrd: open":           func(b *Bundle) { b.Initrd = "/nonexistent" },
		"not an absolute path":   func(b *Bundle) { b.Disk = "full" },
		"an initrd or kernel pa": func(b *Bundle) { b.Kernel = "" },
	} {
		b := good
		change(&b)
		if err := b.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	b := sectorBundle(t)
	for want, change := range map[string]func(*Options){
		"guest image":          func(o *Options) { o.Bundle.ID = "" },
		"Cables is required":   func(o *Options) { o.Cables = nil },
		"Transport is requ":    func(o *Options) { o.Transport = nil },
		`accelerator "hvf" is`: func(o *Options) { o.Accelerator = "hvf" },
	} {
		o := sectorOptions(t, t.TempDir(), b)
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestHostCPU(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "cpuinfo")
	read := func(mhz, flags string) string {
		mustDo(t, os.WriteFile(file, []byte("processor\t: 0\nmodel\t\t: 85\ncpu MHz\t: "+mhz+"\nflags\t\t: "+flags+"\n\nprocessor\t: 1\nmodel\t\t: 99\n"), 0o600))
		cpu, err := hostCPU(file)
		mustDo(t, err)
		return cpu
	}
	if a, b := read("2000", "fpu vme"), read("2001", "fpu vme"); a != b || a != "85|fpu vme" {
		t.Errorf("another clock is another processor: %q, %q", a, b)
	}
	if a, b := read("2000", "fpu"), read("2000", "fpu avx"); a == b {
		t.Errorf("other flags are the same processor: %q", a)
	}
}
