package qemu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeTool is a program that prints, whatever it is asked.
func fakeTool(t *testing.T, prints string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(path, []byte("#!/bin/sh\ncat <<'EOF'\n"+prints+"\nEOF\n"), 0o700); err != nil { //nolint:gosec // it has to be run
		t.Fatal(err)
	}
	return path
}

func TestPreflightHere(t *testing.T) {
	t.Parallel()
	sectorBundle(t) // skips without QEMU
	p := Preflight{Machines: 1, MemoryMiB: 32, StateDir: filepath.Join(t.TempDir(), "not", "yet", "made"), DiskMiB: 1}
	for _, c := range p.Checks() {
		if found, err := c.Run(t.Context()); err != nil || found == "" {
			t.Errorf("%s: %q, %v", c.Name, found, err)
		}
	}
	if err := p.Run(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPreflightRefuses(t *testing.T) {
	t.Parallel()
	good := Preflight{Binary: fakeTool(t, "QEMU emulator version 8.2.0\nstream"), ImageTool: fakeTool(t, "qemu-img version 8.2.0"), StateDir: "/"}
	if err := good.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Preflight)
		want   []string // what is wrong, and the way out
	}{
		"no QEMU":      {func(p *Preflight) { p.Binary = "/nonexistent/qemu" }, []string{"QEMU: ", "apt-get install qemu-system-x86"}},
		"old QEMU":     {func(p *Preflight) { p.Binary = fakeTool(t, "QEMU emulator version 7.1.9 (x)\nstream") }, []string{"7.1.9 (x)", "at least 7.2", "apt-get"}},
		"no QEMU's":    {func(p *Preflight) { p.Binary = fakeTool(t, "busybox") }, []string{`"busybox"`, "apt-get"}},
		"no stream":    {func(p *Preflight) { p.Binary = fakeTool(t, "QEMU emulator version 10.0.1\nsocket\nuser") }, []string{"without \"-netdev stream\"", "apt-get"}},
		"no qemu-img":  {func(p *Preflight) { p.ImageTool = "/nonexistent/img" }, []string{"qemu-img: ", "qemu-utils"}},
		"little room":  {func(p *Preflight) { p.DiskMiB = 1 << 40 }, []string{"disk space: ", "make room"}},
		"no memory":    {func(p *Preflight) { p.Machines = 1 << 20 }, []string{"memory: ", "end other programs"}},
		"several ills": {func(p *Preflight) { p.DiskMiB, p.ImageTool = 1<<40, "/nonexistent/img" }, []string{"disk space", "qemu-utils"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := good
			c.change(&p)
			err := p.Run(t.Context())
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
}

func TestAvailableMemory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meminfo, limit, used string
		want                 int
	}{
		"no control group":  {"MemTotal: 9 kB\nMemAvailable:    2097152 kB\n", "", "", 2048},
		"no limit":          {"MemAvailable: 2097152 kB\n", "max\n", "1\n", 2048},
		"limit is tighter":  {"MemAvailable: 2097152 kB\n", "1073741824\n", "536870912\n", 512},
		"limit is reached":  {"MemAvailable: 2097152 kB\n", "1048576\n", "2097152\n", 0},
		"limit is not it":   {"MemAvailable: 1024 kB\n", "1073741824\n", "0\n", 1},
		"no such line":      {"MemTotal: 9 kB\n", "", "", -1},
		"line without kB's": {"MemAvailable: lots\n", "", "", -1},
	} {
		dir := t.TempDir()
		for file, content := range map[string]string{"meminfo": c.meminfo, "memory.max": c.limit, "memory.current": c.used} {
			if content != "" {
				mustDo(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
			}
		}
		got, err := availableMiB(filepath.Join(dir, "meminfo"), dir)
		if c.want < 0 && err == nil || c.want >= 0 && (err != nil || got != c.want) {
			t.Errorf("%s: %d MiB, %v, want %d", name, got, err, c.want)
		}
	}
}
