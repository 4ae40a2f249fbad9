// Package containers makes labs of two containers, for the tests of providers: of the
// one that makes containers, and of the one that reaches what is there.
package containers

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/machine"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/provider/conformance"
	"offload-e2e/harness/provider/docker"
)

// Bed makes labs on the engine that is here.
type Bed struct {
	// HostKey is that of all machines, and KeyFile the private key that enters them.
	HostKey ssh.PublicKey
	KeyFile string

	img    *guest.Image
	signer ssh.Signer
	engine *docker.Engine
	cable  string
}

// Lab is a lab of containers.
type Lab struct {
	conformance.Lab
	// Dial connects to the sshd of a machine.
	Dial map[string]func(context.Context) (net.Conn, error)
}

// New looks for a guest image and an engine; without one of them the test is skipped.
func New(t *testing.T) *Bed {
	t.Helper()
	b := &Bed{}
	b.img, b.signer, b.HostKey = conformance.Bundle(t)
	b.KeyFile = b.img.Key()
	var err error
	if b.engine, err = docker.Connect(t.Context()); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = b.engine.Close() })
	t.Logf("on %s", b.engine.Version)
	b.cable = filepath.Join(t.TempDir(), "lan-cable")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", b.cable, "offload-e2e/harness/cmd/lan-cable")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return b
}

// Up is a lab whose machines are up.
func (b *Bed) Up(t *testing.T) *Lab {
	t.Helper()
	l, err := b.up(t, b.cable)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Fail is a lab that fails to come up: its cables do not work.
func (b *Bed) Fail(t *testing.T) (*Lab, error) {
	t.Helper()
	broken := filepath.Join(t.TempDir(), "lan-cable")
	if err := os.WriteFile(broken, []byte("#!/bin/false\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return b.up(t, broken)
}

func (b *Bed) up(t *testing.T, cable string) (*Lab, error) {
	t.Helper()
	// Short: a unix socket's path has at most 107 bytes.
	state, err := os.MkdirTemp("", "e2e-docker-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(state) })
	l := &Lab{Dial: map[string]func(context.Context) (net.Conn, error){}}
	l.LAN = conformance.LAN(t, state)
	name := docker.LabOf(state)
	p, err := docker.New(t.Context(), docker.Options{
		ImageOf: func(string) docker.Image {
			return docker.Image{ID: b.img.ID + "-" + b.img.Files[guest.RootfsName][:8], Rootfs: b.img.Path(guest.RootfsName)}
		},
		CableProgram: cable, Lab: name, Say: t.Logf,
		Cable: func(name string) string { return conformance.LANSocket(state, name) },
		Transport: func(name string, dial func(context.Context) (net.Conn, error)) (provider.Transport, error) {
			l.Dial[name] = dial
			return machine.New(machine.Config{Name: name, Signers: []ssh.Signer{b.signer}, HostKey: b.HostKey, Dial: dial})
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
	l.Provider, l.Left = p, func(t *testing.T) []string {
		t.Helper()
		left, err := b.engine.Left(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	began := time.Now()
	_, err = p.Create(t.Context(), conformance.Request(state))
	t.Logf("create: %s", time.Since(began).Round(time.Millisecond))
	return l, err
}
