package check

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
)

// NixSettings are what `nix config show --json` prints: the settings in force.
type NixSettings map[string]struct {
	Value json.RawMessage `json:"value"`
}

// Text is a setting as text; lists are joined by a space.
func (s NixSettings) Text(name string) string {
	raw, ok := s[name]
	if !ok {
		return ""
	}
	var text string
	if json.Unmarshal(raw.Value, &text) == nil {
		return text
	}
	if list := s.List(name); list != nil {
		return strings.Join(list, " ")
	}
	return string(raw.Value)
}

// List is a setting that is a list.
func (s NixSettings) List(name string) []string {
	var list []string
	if raw, ok := s[name]; ok && json.Unmarshal(raw.Value, &list) == nil {
		return list
	}
	if raw, ok := s[name]; ok {
		var text string
		if json.Unmarshal(raw.Value, &text) == nil {
			return strings.Fields(text)
		}
	}
	return nil
}

// Bool is a setting that is true or false.
func (s NixSettings) Bool(name string) bool { return s.Text(name) == "true" }

// Int is a setting that is a number, -1 where it is none.
func (s NixSettings) Int(name string) int {
	n, err := strconv.Atoi(s.Text(name))
	if err != nil {
		return -1
	}
	return n
}

// nixCommand is a call of the new command line (nix3(1)), wherever it is enabled.
func nixCommand(args ...string) provider.Command {
	return provider.Cmd(append([]string{"nix", "--extra-experimental-features", "nix-command"}, args...)...)
}

// NixConfig reads the settings in force of a machine's Nix, as root
// (nix3-config-show(1)). Where it cannot, the check ends in state error.
func (p *Proof) NixConfig(ctx context.Context, role nixos.Role) (NixSettings, bool) {
	s, err := p.nixSettings(ctx, role)
	if err != nil {
		p.Error(err)
		return nil, false
	}
	return s, true
}

// nixSettings is NixConfig for one who looks for a cause, and does without where
// the machine does not answer.
func (p *Proof) nixSettings(ctx context.Context, role nixos.Role) (NixSettings, error) {
	res, err := p.read(ctx, role, nixCommand("config", "show", "--json"))
	if err == nil {
		err = res.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: read Nix's settings: %w", role, err)
	}
	settings := NixSettings{}
	if err := json.Unmarshal(res.Stdout, &settings); err != nil {
		return nil, fmt.Errorf("%s: read nix config show: %w", role, err)
	}
	return settings, nil
}

// setting keeps one effective setting as evidence.
func (p *Proof) setting(role nixos.Role, s NixSettings, name string) string {
	v := s.Text(name)
	p.Evidence("command", role, "nix config show "+name, v)
	return v
}

// nixUsers reports whether a list of users as Nix has it (nix.conf(5),
// trusted-users) holds a user: by name, by group, or as everybody.
func nixUsers(list []string, user string, groups []string) bool {
	for _, entry := range list {
		group, isGroup := strings.CutPrefix(entry, "@")
		if entry == user || entry == "*" {
			return true
		}
		for _, g := range groups {
			if isGroup && g == group {
				return true
			}
		}
	}
	return false
}
