package nixguest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/nixos"
)

// Prepared are guests that were built before: vmconfigs/guests/check.nix makes them
// for a run in Nix's sandbox, where nothing can be built.
type Prepared struct {
	machines map[nixos.Role]preparedMachine
	keys     string
}

type preparedMachine struct {
	Bundle string               `json:"bundle"`
	Base   *nixos.Configuration `json:"base"`
	// Host is the configuration under test; its system is in the bundle's store.
	Host *nixos.Configuration `json:"host"`
}

// OpenPrepared reads the file that says where they are. Their keys are made in the
// state folder.
func OpenPrepared(file, stateDir string) (*Prepared, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the prepared guests: %w", err)
	}
	p := &Prepared{keys: filepath.Join(stateDir, "keys")}
	if err := json.Unmarshal(text, &p.machines); err != nil {
		return nil, fmt.Errorf("read the prepared guests: %s: %w", file, err)
	}
	for _, role := range []nixos.Role{nixos.Desktop, nixos.Laptop} {
		if m := p.machines[role]; m.Bundle == "" || m.Base == nil || m.Host == nil || m.Host.Toplevel == "" {
			return nil, fmt.Errorf("read the prepared guests: %s: the %s lacks one of bundle, base, host and host.toplevel", file, role)
		}
	}
	return p, nil
}

// Evaluate is the host's configuration as it was prepared.
func (p *Prepared) Evaluate(_ context.Context, h nixos.Host) (*nixos.Configuration, error) {
	if len(p.machines[h.Role].Host.Assertions) > 0 {
		return nil, &nixos.AssertionError{Role: h.Role, Messages: p.machines[h.Role].Host.Assertions}
	}
	return p.machines[h.Role].Host, nil
}

// Base is what a machine is before the user's configuration, and what it boots.
func (p *Prepared) Base(_ context.Context, role nixos.Role, _ string, _ func(format string, args ...any)) (*nixos.Configuration, *guest.Image, error) {
	img, err := guest.Open(p.machines[role].Bundle, p.keys)
	if err != nil {
		return nil, nil, err
	}
	return p.machines[role].Base, img, nil
}
