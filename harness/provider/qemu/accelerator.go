package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Deadlines of the probe. Working KVM shows a kernel's first line after 0.1 s
// and its last after 0.5 s, nested in another hypervisor some seconds later.
const (
	probeFirstLine = 5 * time.Second
	probeWhole     = 20 * time.Second
	probeMemoryMiB = 256
)

// probeAppend makes a kernel say all it does on ttyS0, find no root, and stop.
const probeAppend = "console=ttyS0 earlyprintk=ttyS0 loglevel=7 panic=-1 root=/dev/none"

// ProbeAccelerator finds out what can run the bundle's kernel, and says why it
// is that. /dev/kvm may exist, open, answer ioctls, and still run no stock
// kernel; so the kernel is booted with it, without a disk, until it asks for
// one. An error means that it is not known: ctx has ended, or there is no QEMU.
// It takes up to 20 s; the answer holds as long as host, QEMU and bundle do.
func ProbeAccelerator(ctx context.Context, b Bundle) (Accelerator, string, error) {
	return probe{binary: DefaultBinary, device: "/dev/kvm", firstLine: probeFirstLine, whole: probeWhole}.run(ctx, b)
}

// probe is how ProbeAccelerator goes about it.
type probe struct {
	binary, device   string
	firstLine, whole time.Duration
}

func (p probe) run(ctx context.Context, b Bundle) (Accelerator, string, error) {
	if _, err := exec.LookPath(p.binary); err != nil {
		return "", "", fmt.Errorf("probe accelerator: %w (install QEMU: apt-get install qemu-system-x86)", err)
	}
	f, err := os.OpenFile(p.device, os.O_RDWR, 0)
	if err != nil {
		reason := "no KVM: " + err.Error()
		if errors.Is(err, os.ErrPermission) {
			reason += " (join the group that owns it)"
		}
		return TCG, reason, nil
	}
	if err := f.Close(); err != nil {
		return "", "", fmt.Errorf("probe accelerator: %w", err)
	}
	if b.Kernel == "" {
		return TCG, "KVM is not tried: the guest image has no kernel to try it with", nil
	}
	begin := time.Now()
	err = p.boot(ctx, KVM, b.Kernel)
	took := time.Since(begin).Round(10 * time.Millisecond)
	switch {
	case ctx.Err() != nil:
		return "", "", fmt.Errorf("probe accelerator: %w", context.Cause(ctx))
	case err != nil:
		return TCG, fmt.Sprintf("%s is there, but boots no kernel: %v", p.device, err), nil
	}
	return KVM, fmt.Sprintf("KVM boots the kernel in %s", took), nil
}

// boot boots a kernel without a disk, to the end of its own start.
func (p probe) boot(ctx context.Context, a Accelerator, kernel string) (err error) {
	dir, err := os.MkdirTemp("", "offload-probe-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	serial, logPath := filepath.Join(dir, "serial"), filepath.Join(dir, "log")
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	args := append(baseArgs(a, probeMemoryMiB), "-no-reboot",
		"-chardev", "file,id=console,path="+escapeComma(serial), "-serial", "chardev:console",
		"-kernel", kernel, "-append", probeAppend)
	l := newLauncher()
	defer l.close()
	cmd := exec.Command(p.binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = parentDeathSignal()
	if err := l.start(cmd); err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	died, err := p.watch(ctx, serial, exited)
	if !died {
		// What it exits with now is our signal.
		killErr := cmd.Process.Kill()
		if errors.Is(killErr, os.ErrProcessDone) {
			killErr = nil
		}
		<-exited
		err = errors.Join(err, killErr)
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, quote("QEMU says", tail(logPath, 3)))
	}
	return nil
}

// watch waits for the marks of a boot on the serial console, or for QEMU's
// end, which died reports.
func (p probe) watch(ctx context.Context, serial string, exited <-chan error) (died bool, err error) {
	begin := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, p.whole, fmt.Errorf("the kernel did not start within %s", p.whole))
	defer cancel()
	err = poll(ctx, 20*time.Millisecond, func() (bool, error) {
		var exitErr error
		select {
		case exitErr = <-exited:
			died = true
		default:
		}
		// Read after the look at QEMU's end: a kernel that has come to its own
		// ends QEMU by its reboot.
		printed, err := os.ReadFile(serial)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
		switch {
		case bytes.Contains(printed, []byte("Unable to mount root fs")):
			return true, nil
		case died && exitErr != nil:
			return false, fmt.Errorf("QEMU died: %w", exitErr)
		case died:
			return false, errors.New("the machine reset before its kernel had started")
		case time.Since(begin) > p.firstLine && !bytes.Contains(printed, []byte("Linux version")):
			return false, fmt.Errorf("the kernel has not said a word within %s", p.firstLine)
		}
		return false, nil
	})
	return died, err
}
