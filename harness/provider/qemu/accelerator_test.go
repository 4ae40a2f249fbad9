package qemu

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeKernelBoot is a program that takes QEMU's place in a probe: body is shell
// in which $serial is the file of the serial console.
func fakeKernelBoot(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "qemu")
	script := "#!/bin/sh\nfor arg; do case $arg in file,id=console,path=*) serial=${arg#*path=};; esac; done\n" + body + "\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil { //nolint:gosec // it has to be run
		t.Fatal(err)
	}
	return path
}

func TestProbeAccelerator(t *testing.T) {
	const panicked = `echo "[0.0] Linux version 6.12" >$serial; echo "Kernel panic: VFS: Unable to mount root fs on unknown-block(0,0)" >>$serial`
	for name, c := range map[string]struct {
		body, device, kernel string
		want                 Accelerator
		reason               string
	}{
		"boots, then resets":  {body: panicked, want: KVM, reason: "KVM boots the kernel"},
		"boots, then hangs":   {body: panicked + "; exec sleep 1000", want: KVM, reason: "KVM boots the kernel"},
		"QEMU aborts":         {body: "echo failed to set MSR >&2; kill -ABRT $$", want: TCG, reason: "failed to set MSR"},
		"resets at once":      {body: "exit 0", want: TCG, reason: "reset before"},
		"says nothing":        {body: "exec sleep 1000", want: TCG, reason: "not said a word within 300ms"},
		"stops half way":      {body: `echo "Linux version 6.12" >$serial; exec sleep 1000`, want: TCG, reason: "did not start within 600ms"},
		"no device":           {device: "/nonexistent/kvm", want: TCG, reason: "no KVM: open /nonexistent/kvm"},
		"no kernel to try it": {kernel: "none", want: TCG, reason: "no kernel to try it with"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := probe{binary: fakeKernelBoot(t, c.body), device: "/dev/null", firstLine: 300 * time.Millisecond, whole: 600 * time.Millisecond}
			if c.want == KVM {
				p.firstLine, p.whole = time.Minute, time.Minute
			}
			if c.device != "" {
				p.device = c.device
			}
			b := Bundle{Kernel: "/boot/vmlinuz"}
			if c.kernel == "none" {
				b.Kernel = ""
			}
			got, reason, err := p.run(t.Context(), b)
			if err != nil || got != c.want || !strings.Contains(reason, c.reason) {
				t.Errorf("got %q because %q, %v; want %q because %q", got, reason, err, c.want, c.reason)
			}
		})
	}
}

func TestProbeCannotTell(t *testing.T) {
	t.Parallel()
	p := probe{binary: "/nonexistent/qemu", device: "/dev/null", firstLine: time.Minute, whole: time.Minute}
	if got, _, err := p.run(t.Context(), Bundle{Kernel: "/k"}); err == nil || got != "" || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("without QEMU: %q, %v", got, err)
	}
	p.binary = fakeKernelBoot(t, "exec sleep 1000")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, _, err := p.run(ctx, Bundle{Kernel: "/k"}); err == nil || got != "" {
		t.Errorf("interrupted: %q, %v", got, err)
	}
}
