package qemu

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Accelerator is what executes a guest's instructions.
type Accelerator string

const (
	// KVM is the host kernel's virtualisation.
	KVM Accelerator = "kvm"
	// TCG is QEMU's own emulation: ten to thirty times slower, works anywhere.
	TCG Accelerator = "tcg"
)

// Names of the two cables, for Machine.SetLink.
const (
	CableLAN  = "lan0"
	CableMgmt = "mgmt0"
)

// File descriptors a QEMU inherits: os/exec's ExtraFiles start at 3.
const (
	qmpFD      = 3
	lanFD      = 4
	mgmtFD     = 5
	incomingFD = 6
)

// journalPort is the virtio-serial port on which a guest streams its journal:
// /dev/virtio-ports/org.offload.journal there.
const journalPort = "org.offload.journal"

// accelArgs are the processor a guest gets.
func accelArgs(a Accelerator) []string {
	if a == KVM {
		return []string{"-accel", "kvm", "-cpu", "host", "-smp", "2"}
	}
	// QEMU's TCG gets cmpxchg16b wrong (seen in 7.2): kernels with SLUB's lockless
	// path crash at random. One processor: emulated ones wait for each other. The
	// translation cache's default is 1 GiB a guest, as much as the guest itself. A
	// guest that walked the four phases has 280 MiB (monitor, "info jit"), and a
	// full cache is thrown away whole.
	return []string{"-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,cx16=off", "-smp", "1"}
}

// kernelParameters are those that suit an accelerator. TCG keeps translated code by
// its guest address: programs that lie elsewhere each time they are started are
// translated each time, which is a third of all work (kernel-parameters.txt,
// norandmaps).
func (a Accelerator) kernelParameters() string {
	if a == KVM {
		return ""
	}
	return "norandmaps"
}

// baseArgs are what every QEMU of ours gets, the probe's too. i440fx ("pc")
// boots a kernel a quarter faster under TCG than q35 does.
func baseArgs(a Accelerator, memoryMiB int) []string {
	args := []string{"-no-user-config", "-nodefaults", "-display", "none", "-machine", "pc"}
	args = append(args, accelArgs(a)...)
	return append(args, "-m", strconv.Itoa(memoryMiB))
}

// hardware describes the command line of one machine.
type hardware struct {
	name        string
	bundle      Bundle
	accelerator Accelerator
	memoryMiB   int
	append      string // added to the bundle's kernel parameters
	lanMAC      string
	cables      Cables
	// overlay is the machine's own disk; layers are the read-only overlays
	// between it and the bundle's disk, lowest first.
	overlay string
	layers  []string
	console string
	journal string
}

// args is the command line without the program. The machine starts with its
// processors stopped when paused; incoming makes it read its state from
// incomingFD, which also leaves it stopped.
func (h hardware) args(paused, incoming bool) ([]string, error) {
	disk, err := jsonArg(h.disk())
	if err != nil {
		return nil, err
	}
	args := append([]string{"-name", escapeComma(h.name)}, baseArgs(h.accelerator, h.memoryMiB)...)
	args = append(args,
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", qmpFD),
		"-mon", "chardev=qmp,mode=control",
		// The console is appended to: what was printed before a power cycle is evidence.
		"-chardev", "file,id=console,append=on,path="+escapeComma(h.console),
		"-serial", "chardev:console",
		"-blockdev", disk,
		"-device", "virtio-blk-pci,drive=disk0,id=vda",
		"-device", "virtio-rng-pci",
	)
	for _, nic := range []struct {
		id  string
		fd  int
		mac string
	}{
		{CableLAN, lanFD, h.lanMAC},
		{CableMgmt, mgmtFD, h.cables.MgmtMAC},
	} {
		// No boot ROM: a guest boots its disk, and a ROM costs a second under TCG.
		args = append(args, "-netdev", fmt.Sprintf("stream,id=%s,server=off,addr.type=fd,addr.str=%d", nic.id, nic.fd),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=%s,id=%s,mac=%s,romfile=", nic.id, nicID(nic.id), nic.mac))
	}
	args = append(args,
		"-device", "virtio-serial-pci",
		"-chardev", "file,id=journal,append=on,path="+escapeComma(h.journal),
		"-device", "virtserialport,chardev=journal,name="+journalPort,
	)
	if h.bundle.Kernel != "" {
		args = append(args, "-kernel", h.bundle.Kernel)
		if h.bundle.Initrd != "" {
			args = append(args, "-initrd", h.bundle.Initrd)
		}
		args = append(args, "-append", strings.TrimSpace(strings.Join([]string{h.bundle.Append, h.accelerator.kernelParameters(), h.append}, " ")))
	}
	if paused || incoming {
		args = append(args, "-S")
	}
	if incoming {
		args = append(args, "-incoming", fmt.Sprintf("fd:%d", incomingFD))
	}
	return args, nil
}

// disk is the machine's block graph: its overlay, the layers below, the
// bundle's disk. It is spelled out rather than left to the names recorded in
// the files, so that a folder of saved state may be moved.
func (h hardware) disk() map[string]any {
	node := blockNode(h.bundle.DiskFormat, h.bundle.Disk, true, nil)
	for _, layer := range h.layers {
		node = blockNode("qcow2", layer, true, node)
	}
	node = blockNode("qcow2", h.overlay, false, node)
	node["node-name"] = "disk0"
	node["discard"] = "unmap"
	return node
}

func blockNode(format, file string, readOnly bool, backing map[string]any) map[string]any {
	// Nothing here outlives a crash of the host, so waiting for its disk would
	// be for nothing. A flush still reaches the host's page cache, so pulling
	// the guest's plug loses only what the guest had not flushed.
	cache := map[string]any{"no-flush": true}
	node := map[string]any{
		"driver": format, "read-only": readOnly, "cache": cache,
		"file": map[string]any{"driver": "file", "filename": file, "read-only": readOnly, "cache": cache},
	}
	if backing != nil {
		node["backing"] = backing
	}
	return node
}

// fingerprint identifies the hardware a guest sees: a saved state fits only a
// machine with the same. Paths on the host are no part of it.
func (h hardware) fingerprint() (string, error) {
	h.bundle.Disk, h.overlay, h.console, h.journal = "disk", "overlay", "console", "journal"
	h.layers = nil
	if h.bundle.Kernel != "" {
		h.bundle.Kernel = "kernel"
	}
	if h.bundle.Initrd != "" {
		h.bundle.Initrd = "initrd"
	}
	args, err := h.args(false, false)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(strings.Join(args, "\x00")))
	return hex.EncodeToString(sum[:]), nil
}

func nicID(cable string) string { return "nic-" + cable }

// escapeComma doubles commas, which separate QEMU's suboptions.
func escapeComma(s string) string { return strings.ReplaceAll(s, ",", ",,") }

func jsonArg(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}
