package main

import (
	"maps"
	"slices"
	"strings"

	"offload-e2e/suites/fallback"
)

// reach is what a change can affect, beside the four phases.
type reach struct {
	// fallback: what the laptop does while the desktop is away.
	fallback bool
	// layers of scenarios.
	layers map[string]bool
}

// allLayers are the layers of scenarios; they are written here, so that one that is
// new is noticed by the test.
var allLayers = []string{"cache", "concurrency", "disk", "keys", "network", "nfs", "nix", "power", "ssh", "time", "together"}

// affected is what changes of a configuration can affect. What is not known to
// affect little affects all.
func affected(changed []change) reach {
	r := reach{layers: map[string]bool{}}
	for _, c := range changed {
		layers, away := reachOf(c)
		r.fallback = r.fallback || away
		for _, l := range layers {
			r.layers[l] = true
		}
	}
	if len(r.layers) > 1 {
		r.layers["together"] = true
	}
	return r
}

// reachOf are the layers that a change of one thing reaches, and whether it matters
// while the desktop is away.
func reachOf(c change) (layers []string, away bool) {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(c.key, w) })
	}
	switch c.section {
	case "commands", "warnings":
		return nil, false // the phases type every command
	case "builders (/etc/nix/machines)":
		return []string{"nix", "ssh", "concurrency"}, true
	case "NFS exports":
		return []string{"nfs"}, false
	case "file systems":
		return []string{"nfs", "power"}, true
	case "users", "groups":
		return []string{"ssh", "keys"}, false
	case "network", "firewall":
		return []string{"network", "ssh", "cache", "nfs"}, true
	case "nix.conf":
		switch {
		case has("substituters", "public-keys", "narinfo", "secret-key"):
			return []string{"cache", "nix", "time"}, true
		case has("users", "sandbox", "restrict"):
			return []string{"nix", "ssh", "cache"}, false
		}
	case "units", "files in /etc":
		switch {
		case has("nix-serve"):
			return []string{"cache"}, false
		case has("sshd", "ssh/", "ssh-"):
			return []string{"ssh", "keys", "concurrency"}, true
		case has("nfs", "rpc", "exports", "mount", "fstab"):
			return []string{"nfs", "power"}, true
		case has("nix/"):
			return []string{"nix"}, true // its settings are sections of their own
		}
	}
	return allLayers, true
}

// labels select the four phases and what is affected.
func (r reach) labels() string {
	if r.fallback {
		return thePhases + " || " + strings.Join(fallback.Labels(), " || ")
	}
	return thePhases
}

// words completes "the four phases".
func (r reach) words() string {
	var parts []string
	if r.fallback {
		parts = append(parts, "the desktop away")
	}
	if len(r.layers) > 0 {
		parts = append(parts, "of scenarios, where they are asked for: "+strings.Join(slices.Sorted(maps.Keys(r.layers)), " "))
	}
	if len(parts) == 0 {
		return " alone"
	}
	return "; " + strings.Join(parts, "; ")
}
