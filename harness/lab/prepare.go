package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
)

// Where a guest keeps what the harness gives it.
const (
	guestPrograms = "/usr/lib/offload-e2e/bin"
	guestCABundle = "/usr/share/offload-e2e/ca-bundle.crt"
	// guestNixpkgs is root's channel, where NixOS's default NIX_PATH looks.
	guestNixpkgs = "/nix/var/nix/profiles/per-user/root/channels/nixos"
	// nonceFile is on the disk: a snapshot of containers is that, and no memory.
	nonceFile = "/var/tmp/offload-e2e-nonce"
)

// programNames are the guest programs, as `make build` names them.
var programNames = []string{"management-sshd", "nix-serve", "switch-to-configuration"}

// statePath is where the booted machines are kept: its name is a digest of all
// that is in them.
func (l *Lab) statePath() string {
	h := sha256.New()
	for _, role := range []nixos.Role{nixos.Desktop, nixos.Laptop} {
		fmt.Fprintln(h, l.options.Images[role].ID)
	}
	fmt.Fprintln(h, l.options.MemoryMiB, l.options.Accelerator)
	h.Write(l.Internet.caPEM())
	for _, name := range programNames {
		text, _ := os.ReadFile(filepath.Join(l.options.Programs, name))
		h.Write(text)
	}
	for _, role := range []nixos.Role{nixos.Desktop, nixos.Laptop} {
		_ = json.NewEncoder(h).Encode(l.options.Base[role])
	}
	_ = filepath.WalkDir(l.options.Nixpkgs, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			text, _ := os.ReadFile(path)
			fmt.Fprintln(h, d.Name(), len(text))
			h.Write(text)
		}
		return nil
	})
	return filepath.Join(l.options.CacheDir, "booted", hex.EncodeToString(h.Sum(nil))[:16])
}

// prepare gives freshly booted machines what NixOS has and the image has not, and
// switches them to their base configuration.
func (l *Lab) prepare(ctx context.Context) error {
	return l.Each(ctx, func(ctx context.Context, m *Machine) error {
		if err := m.setClock(ctx); err != nil {
			return err
		}
		if err := l.copyNixpkgs(ctx, m); err != nil {
			return err
		}
		if m.image.Kind == guest.Embedded {
			if err := l.prepareEmbedded(ctx, m); err != nil {
				return err
			}
		}
		// A machine that someone has used has these modules, and host keys. An emulated
		// one takes seconds to unpack or make them, and a first mount has only ten. On
		// kernels without such modules, as containers', there is nothing to load.
		if _, err := m.Exec(ctx, provider.Cmd("modprobe", "--all", "--quiet", "nfsd", "nfsv4")); err != nil {
			return err
		}
		_, err := m.Succeed(ctx, "ssh-keygen", "-A")
		return err
	})
}

// prepareEmbedded makes of an embedded guest what a NixOS one is built to be.
func (l *Lab) prepareEmbedded(ctx context.Context, m *Machine) error {
	for _, name := range programNames {
		if err := m.copyFile(ctx, filepath.Join(l.options.Programs, name), guestPrograms+"/"+name, 0o755); err != nil {
			return err
		}
	}
	// Where there is a management cable, its sshd is the one just copied from here on.
	if _, err := m.Succeed(ctx, "systemctl", "try-restart", "offload-e2e-sshd.service"); err != nil {
		return err
	}
	if m.transport != nil {
		m.transport.Reset()
	}
	if err := m.trustCA(ctx, l.Internet.caPEM()); err != nil {
		return err
	}
	l.say("%s: switching to the base configuration", m.Name())
	result, err := m.Switch(ctx, l.options.Base[m.Role])
	if err != nil {
		return fmt.Errorf("switch to the base configuration: %w", err)
	}
	if len(result.Failed) > 0 {
		return fmt.Errorf("%s: the base configuration leaves failed units: %v", m.Name(), result.Failed)
	}
	return nil
}

func (m *Machine) copyFile(ctx context.Context, from, to string, mode fs.FileMode) error {
	f, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("guest programs are missing (run `make build`): %w", err)
	}
	defer f.Close()
	return m.CopyTo(ctx, f, to, mode)
}

// trustCA makes the internet stand-in's authority the guest's only one: no other is met
// in a lab, and Nix reads all there are for each of its connections, which costs an
// emulated machine a second.
func (m *Machine) trustCA(ctx context.Context, pem []byte) error {
	for _, path := range []string{guestCABundle, "/etc/ssl/certs/ca-certificates.crt"} {
		if err := m.CopyTo(ctx, bytes.NewReader(pem), path, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) copyNixpkgs(ctx context.Context, m *Machine) error {
	return filepath.WalkDir(l.options.Nixpkgs, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, _ := filepath.Rel(l.options.Nixpkgs, path)
		return m.copyFile(ctx, path, filepath.Join(guestNixpkgs, rel), 0o644)
	})
}

// writeNonce remembers a nonce in the guests.
func (l *Lab) writeNonce(ctx context.Context, nonce string) error {
	return l.Each(ctx, func(ctx context.Context, m *Machine) error {
		return m.CopyTo(ctx, bytes.NewReader([]byte(nonce)), nonceFile, 0o600)
	})
}

// proveNonce compares the nonce in the guests.
func (l *Lab) proveNonce(ctx context.Context, want string) error {
	return l.Each(ctx, func(ctx context.Context, m *Machine) error {
		got, err := m.Succeed(ctx, "cat", nonceFile)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s is not what was restored: its memory holds %q, not %q", m.Name(), got, want)
		}
		return nil
	})
}
