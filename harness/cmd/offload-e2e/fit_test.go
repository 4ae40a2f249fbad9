package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"offload-e2e/harness/provider/qemu"
)

// What a lab cannot run on is refused, each with a way out.
func TestFit(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, needed *qemu.Preflight, path *fakePath)
		says   []string // nil where it fits
	}{
		{"all is well", func(*testing.T, *qemu.Preflight, *fakePath) {}, nil},
		{"no QEMU", func(t *testing.T, _ *qemu.Preflight, path *fakePath) {
			must(t, os.Remove(filepath.Join(path.bin, "qemu-system-x86_64")))
		}, []string{"QEMU: not found: qemu-system-x86_64", "make setup"}},
		{"QEMU is old", func(_ *testing.T, _ *qemu.Preflight, path *fakePath) {
			path.program("qemu-system-x86_64", "echo QEMU emulator version 6.2.0")
		}, []string{"QEMU: qemu-system-x86_64 is version 6.2.0, at least 7.2 is needed"}},
		{"too little memory", func(_ *testing.T, needed *qemu.Preflight, _ *fakePath) { needed.MemoryMiB = 1 << 40 },
			[]string{"memory: 1 machines need", "End other programs"}},
		{"too little disk", func(_ *testing.T, needed *qemu.Preflight, _ *fakePath) { needed.DiskMiB = 1 << 40 },
			[]string{"disk space:", "MiB of room", stateVariable}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, path := healthy(t)
			needed := e.machine
			write(t, filepath.Join(e.paths.images(), "0", "manifest.json"), "")
			test.change(t, &needed, path)
			err := e.paths.fit(t.Context(), needed, t.TempDir())
			if test.says == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var refused *userError
			if !errors.As(err, &refused) || refused.Heading != "A lab cannot run on this machine" {
				t.Fatalf("got %v", err)
			}
			contains(t, refused.Text(), append(test.says, "doctor")...)
		})
	}
}
