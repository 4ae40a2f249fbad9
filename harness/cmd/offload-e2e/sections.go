package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"offload-e2e/harness/nixos"
)

// section is a part of a configuration as a person reads it.
type section struct {
	title string
	// bulk: every NixOS has many of these; those are left out when printed.
	bulk  bool
	items []item
}

// item is one line of a section.
type item struct {
	key  string // what it is, the same in every configuration
	line string
	body string // what the line stands for: the text of a unit or file
}

// hashRE finds the hash of a store path: it changes with every input, and tells
// a reader nothing.
var hashRE = regexp.MustCompile(`/nix/store/[0-9a-df-np-sv-z]{32}-`)

func withoutHashes(s string) string { return hashRE.ReplaceAllString(s, "/nix/store/…-") }

// sectionsOf sorts a configuration into sections.
func sectionsOf(c *nixos.Configuration) []section {
	sections := []section{
		{title: "options these modules declare", items: declaredItems(c.Declared)},
		{title: "nix.conf", items: settingItems(c.NixConf, " = ")},
		{title: "builders (/etc/nix/machines)", items: textItems(c.Machines)},
		{title: "NFS exports", items: textItems(c.Exports)},
		{title: "file systems", items: fstabItems(c.Fstab)},
		{title: "network", items: networkItems(c)},
		{title: "firewall", items: firewallItems(c.Firewall)},
		{title: "users", bulk: true, items: userItems(c.Users)},
		{title: "groups", bulk: true, items: groupItems(c.Groups)},
		{title: "units", bulk: true, items: unitItems(c.UnitFiles)},
		{title: "commands", bulk: true, items: commandItems(c)},
		{title: "files in /etc", bulk: true, items: etcItems(c)},
		{title: "kernel", bulk: true, items: kernelItems(c)},
		{title: "activation scripts", bulk: true, items: activationItems(c.ActivationScripts)},
		{title: "warnings", items: listItems(c.Warnings)},
	}
	for i := range sections {
		for j := range sections[i].items {
			it := &sections[i].items[j]
			it.key, it.line, it.body = withoutHashes(it.key), withoutHashes(it.line), withoutHashes(it.body)
		}
	}
	return sections
}

// printSections prints a configuration, marking what a bare one has not.
func printSections(w io.Writer, sections, bare []section, all bool) {
	for i, s := range sections {
		known := map[item]bool{}
		for _, it := range bare[i].items {
			known[it] = true
		}
		var lines []string
		same := 0
		for _, it := range s.items {
			mark := "+"
			if known[it] {
				if mark = " "; s.bulk && !all {
					same++
					continue
				}
			}
			lines = append(lines, mark+" "+it.line)
		}
		if len(lines) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s", s.title)
		if same > 0 {
			fmt.Fprintf(w, " (and %d that every NixOS has)", same)
		}
		fmt.Fprintf(w, "\n%s\n", strings.Join(lines, "\n"))
	}
}

func sorted[V any](m map[string]V, line func(name string, v V) item) []item {
	var items []item
	for _, name := range slices.Sorted(maps.Keys(m)) {
		items = append(items, line(name, m[name]))
	}
	return items
}

func listItems(texts []string) []item {
	var items []item
	for _, t := range texts {
		items = append(items, item{key: t, line: t})
	}
	return items
}

// textItems are the lines of a file.
func textItems(text *string) []item {
	if text == nil {
		return nil
	}
	return listItems(strings.FieldsFunc(*text, func(r rune) bool { return r == '\n' }))
}

func declaredItems(declared map[string]json.RawMessage) []item {
	return sorted(declared, func(name string, v json.RawMessage) item {
		return item{key: name, line: name + " = " + nixText(v, "  ")}
	})
}

func settingItems(settings map[string]any, equals string) []item {
	var items []item
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		values, isList := settings[name].([]any)
		if !isList {
			values = []any{settings[name]}
		}
		for i, v := range values {
			if v != nil {
				items = append(items, item{key: fmt.Sprintf("%s %d", name, i), line: strings.TrimSpace(fmt.Sprintf("%s%s%v", name, equals, v))})
			}
		}
	}
	return items
}

func fstabItems(fstab []nixos.FileSystem) []item {
	var items []item
	for _, f := range fstab {
		items = append(items, item{key: f.MountPoint,
			line: fmt.Sprintf("%s on %s type %s (%s)", f.Device, f.MountPoint, f.FsType, strings.Join(f.Options, ","))})
	}
	return items
}

func networkItems(c *nixos.Configuration) []item {
	items := []item{{key: "host name", line: "host name " + c.HostName}}
	items = append(items, sorted(c.Network.Interfaces, func(name string, i nixos.NetworkInterface) item {
		var addresses []string
		for _, a := range i.IPv4 {
			addresses = append(addresses, fmt.Sprintf("%s/%d", a.Address, a.PrefixLength))
		}
		return item{key: name, line: name + " " + cmp.Or(strings.Join(addresses, " "), "by DHCP")}
	})...)
	if len(c.Network.Nameservers) > 0 {
		items = append(items, item{key: "name servers", line: "name servers " + strings.Join(c.Network.Nameservers, " ")})
	}
	return items
}

func firewallItems(f nixos.Firewall) []item {
	if !f.Enable {
		return []item{{key: "state", line: "off: every port is open"}}
	}
	ports := func(list []int) string {
		var out []string
		for _, p := range list {
			out = append(out, strconv.Itoa(p))
		}
		return cmp.Or(strings.Join(out, " "), "none")
	}
	return []item{
		{key: "state", line: "on"},
		{key: "TCP", line: "open TCP ports: " + ports(f.AllowedTCPPorts)},
		{key: "UDP", line: "open UDP ports: " + ports(f.AllowedUDPPorts)},
		{key: "trusted", line: "trusted interfaces: " + strings.Join(f.TrustedInterfaces, " ")},
	}
}

func userItems(users map[string]nixos.User) []item {
	return sorted(users, func(name string, u nixos.User) item {
		kind := "user"
		if u.IsSystemUser {
			kind = "system user"
		}
		line := fmt.Sprintf("%s: %s, group %s, home %s", name, kind, strings.Join(append([]string{u.Group}, u.ExtraGroups...), " "), u.Home)
		if n := len(u.AuthorizedKeys); n > 0 {
			line += fmt.Sprintf(", %d authorized key(s)", n)
		}
		body, _ := json.MarshalIndent(u, "", "  ") // of plain fields only
		return item{key: name, line: line, body: string(body)}
	})
}

func groupItems(groups map[string]nixos.Group) []item {
	return sorted(groups, func(name string, g nixos.Group) item {
		line := name
		if g.GID != nil {
			line += fmt.Sprintf(" (%d)", *g.GID)
		}
		if len(g.Members) > 0 {
			line += ": " + strings.Join(g.Members, " ")
		}
		return item{key: name, line: line}
	})
}

func unitItems(units map[string]nixos.Unit) []item {
	return sorted(units, func(name string, u nixos.Unit) item {
		line := name
		if u.DropIn {
			line += " (adds to the package's)"
		}
		if !u.Enable {
			line += " (masked)"
		}
		for _, by := range []struct {
			verb  string
			units []string
		}{{"wanted", u.WantedBy}, {"required", u.RequiredBy}, {"upheld", u.UpheldBy}} {
			if len(by.units) > 0 {
				line += fmt.Sprintf(", %s by %s", by.verb, strings.Join(by.units, " "))
			}
		}
		return item{key: name, line: line, body: u.Text}
	})
}

// commandItems are the programs that the configuration brings of its own.
func commandItems(c *nixos.Configuration) []item {
	var items []item
	for _, file := range slices.Sorted(maps.Keys(c.StoreFiles)) {
		dir := path.Dir(file)
		if path.Base(dir) == "bin" && slices.Contains(c.SystemPath, path.Dir(dir)) {
			items = append(items, item{key: path.Base(file), line: path.Base(file), body: c.StoreFiles[file].Text})
		}
	}
	for _, dir := range c.SystemPath {
		if pkg, ok := c.Packages[dir]; ok {
			line := pkg.Pname + " " + pkg.Version + ": " + strings.Join(slices.Sorted(maps.Keys(pkg.Programs)), " ")
			items = append(items, item{key: line, line: line}) // one name may stand for several packages
		}
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.line, b.line) })
	return items
}

func etcItems(c *nixos.Configuration) []item {
	return sorted(c.Etc, func(name string, e nixos.Etc) item {
		it := item{key: name, line: "/etc/" + name}
		switch {
		case e.Text != nil:
			it.body = *e.Text
		case e.Source != nil:
			it.body = "-> " + *e.Source
			if text, ok := c.StoreFiles[*e.Source]; ok {
				it.body = text.Text
			}
		}
		if e.Mode != "" && e.Mode != "symlink" {
			it.line += fmt.Sprintf(" (%s %s:%s)", e.Mode, cmp.Or(e.User, "root"), cmp.Or(e.Group, "root"))
		}
		return it
	})
}

func kernelItems(c *nixos.Configuration) []item {
	items := settingItems(c.Sysctl, " = ")
	for _, m := range c.KernelModules {
		items = append(items, item{key: "module " + m, line: "module " + m})
	}
	return items
}

func activationItems(scripts []nixos.ActivationScript) []item {
	var items []item
	for _, s := range scripts {
		it := item{key: s.Name, line: s.Name}
		if s.Text != nil {
			it.body = *s.Text
		}
		items = append(items, it)
	}
	return items
}
