package check

import "offload-e2e/harness/nixos"

// alone are the checks that one machine answers by itself: from its own files, settings
// and rooms, and not by way of the network.
var alone = map[string]nixos.Role{
	"EV.builders":    nixos.Laptop,
	"EV.builder-key": nixos.Laptop,
	"EV.addresses":   nixos.Laptop,
	"OF.settings":    nixos.Laptop,
	"SR.builder-key": nixos.Laptop,
	"RB.room-laptop": nixos.Laptop,
	"HG.mounts":      nixos.Laptop,
	"RC.sleep-units": nixos.Laptop,

	"EV.server-enabled":   nixos.Desktop,
	"EV.builder-trusted":  nixos.Desktop,
	"EV.sandbox":          nixos.Desktop,
	"OF.desktop-settings": nixos.Desktop,
	"SR.builder-home":     nixos.Desktop,
	"CH.key-files":        nixos.Desktop,
	"NF.export-store":     nixos.Desktop,
	"NF.export-offload":   nixos.Desktop,
	"RB.room-desktop":     nixos.Desktop,
}

// Alone is the machine whose own affair it is that a check holds: what becomes of the
// other does not change it. "" where both take part, or what is between them.
func (c Check) Alone() nixos.Role { return alone[c.Name] }
