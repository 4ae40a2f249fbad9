package docker_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/machine"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/provider/conformance"
	"offload-e2e/harness/provider/docker"
)

// cable builds lan-cable.
func cable(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "lan-cable")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "offload-e2e/harness/cmd/lan-cable")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

func TestConformance(t *testing.T) {
	img, signer, hostKey := conformance.Bundle(t)
	engine, err := docker.Connect(t.Context())
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	t.Logf("on %s", engine.Version)
	program := cable(t)
	lab := func(t *testing.T, ctx context.Context, program string) (*conformance.Lab, error) { //nolint:revive // the test comes first
		// Short: a unix socket's path has at most 107 bytes.
		state, err := os.MkdirTemp("", "e2e-docker-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(state) })
		lan := conformance.LAN(t, state)
		name := docker.LabOf(state)
		p, err := docker.New(t.Context(), docker.Options{
			Image: docker.Image{ID: img.ID + "-" + img.Files[guest.RootfsName][:8], Rootfs: img.Path(guest.RootfsName)}, CableProgram: program, Lab: name, Say: t.Logf,
			Cable: func(name string) string { return conformance.LANSocket(state, name) },
			Transport: func(name string, dial func(context.Context) (net.Conn, error)) (provider.Transport, error) {
				return machine.New(machine.Config{Name: name, Signer: signer, HostKey: hostKey, Dial: dial})
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		began := time.Now()
		_, err = p.Create(ctx, conformance.Request(state))
		t.Logf("create: %s", time.Since(began).Round(time.Millisecond))
		return &conformance.Lab{Provider: p, LAN: lan, Left: func(t *testing.T) []string {
			t.Helper()
			left, err := engine.Left(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			return left
		}}, err
	}
	conformance.Run(t, conformance.Bed{
		Boot: 2 * time.Minute,
		Up: func(t *testing.T) *conformance.Lab {
			l, err := lab(t, t.Context(), program)
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
		Fail: func(t *testing.T) (*conformance.Lab, error) {
			broken := filepath.Join(t.TempDir(), "lan-cable")
			if err := os.WriteFile(broken, []byte("#!/bin/false\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			return lab(t, t.Context(), broken)
		},
	})
}
