package activate

import (
	"slices"
	"strings"
)

// sections are the settings of a unit file: section, key, values.
type sections map[string]map[string][]string

// parseUnit reads a unit file as systemd.syntax(7) says. An empty value takes back
// those before it. Sections without settings are none.
func parseUnit(text string) sections {
	out := sections{}
	section, pending := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		line = pending + line
		if before, continues := strings.CutSuffix(line, `\`); continues {
			pending = before + " "
			continue
		}
		pending = ""
		if len(line) > 1 && line[0] == '[' && line[len(line)-1] == ']' {
			section = line[1 : len(line)-1]
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if out[section] == nil {
			out[section] = map[string][]string{}
		}
		if value == "" {
			out[section][key] = []string{}
			continue
		}
		out[section][key] = append(out[section][key], value)
	}
	return out
}

type difference int

const (
	same difference = iota
	needsReload
	needsRestart
)

// Settings of [Unit] that say nothing of what runs.
var unitIgnored = []string{"X-Reload-Triggers", "Description", "Documentation", "OnFailure", "OnSuccess",
	"OnFailureJobMode", "IgnoreOnIsolate", "StopWhenUnneeded", "RefuseManualStart", "RefuseManualStop",
	"AllowIsolate", "CollectMode", "SourcePath"}

// compareUnits says what a change of a unit's text asks for, as NixOS's
// switch-to-configuration-ng does: nothing where only descriptions differ, a
// reload where X-Reload-Triggers, ExecReload or a mount's Options do.
func compareUnits(before, after string) difference {
	a, b := parseUnit(before), parseUnit(after)
	// Links, not the unit: systemctl(1) enable.
	delete(a, "Install")
	delete(b, "Install")
	result := same
	for _, section := range keys(a, b) {
		for _, key := range keys(a[section], b[section]) {
			old, had := a[section][key]
			now, has := b[section][key]
			if had == has && slices.Equal(old, now) {
				continue
			}
			switch {
			case section == "Unit" && key == "X-Reload-Triggers", section == "Service" && key == "ExecReload":
				if has {
					result = needsReload
				}
			case section == "Mount" && key == "Options" && had && has:
				result = needsReload
			case section == "Unit" && slices.Contains(unitIgnored, key):
			default:
				return needsRestart
			}
		}
	}
	return result
}

// keys are those of both maps.
func keys[V any](a, b map[string]V) []string {
	var out []string
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, both := a[k]; !both {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}
