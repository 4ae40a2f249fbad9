package nixos

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// The difference between a host with a module and the same host without it, in
// the fields of the parity suite: what real NixOS renders is kept in that form
// under testdata/parity, and compared with what vmconfigs/embedded renders.

// object is a JSON object.
type object = map[string]any

// unitFields are the fields that hold units, with the suffix of their names.
var unitFields = map[string]string{
	"services": ".service", "timers": ".timer", "targets": ".target", "sockets": ".socket",
	"paths": ".path", "slices": ".slice", "mounts": ".mount", "automounts": ".automount",
}

// parityFields are the fields that are compared; the rest of a rendered
// configuration serves the switch.
var parityFields = []string{
	"nixConf", "nixExtraOptions", "nixPath", "machines", "exports", "nfsConf", "fstab", "firewall", "hosts",
	"hostName", "domain", "timeZone", "mutableUsers", "network", "users", "groups", "sshd", "sshClient",
	"tmpfiles", "sysctl", "kernelModules", "kernelParams", "modprobe", "supportedFilesystems",
	"services", "timers", "targets", "sockets", "paths", "slices", "mounts", "automounts",
	"etcFiles", "variables", "sessionVariables", "shellAliases", "shell", "systemPackages",
	"sudoers", "loginLimits", "activation", "activationOrder", "declared", "warnings", "assertions",
}

// parity compares one case.
type parity struct {
	folder string // of the cases, becomes "."
	store  string // root of the evaluation's store, for files copied into it
	empty  object // the empty host as rendered
}

// difference is what the case changes, with neutral names: a path that differs
// in nothing but its digest does not differ.
func (p parity) difference(host object) object {
	d := object{}
	for _, field := range parityFields {
		before, had := p.empty[field]
		after, has := host[field]
		if field == "users" {
			before = p.usersBefore(before, after)
		}
		if field == "etcFiles" {
			before = p.filesBefore(before, after)
		}
		before, after = p.neutral(before), p.neutral(after)
		switch {
		case !has && !had:
		case field == "firewall":
			p.firewall(d, before, after)
		case isEmpty(after) && isEmpty(before):
		default:
			whole := field == "nixPath" || field == "activationOrder" || field == "declared"
			if v, differs := change(before, after, had, has, whole); differs {
				d[field] = v
			}
		}
	}
	if groups, ok := d["groups"].(object); ok {
		for name, g := range groups {
			if g, ok := g.(object); ok {
				delete(g, "implied")
				if len(g) == 0 {
					delete(groups, name)
				}
			}
		}
	}
	if d["activation"] == nil {
		delete(d, "activationOrder")
	}
	return d
}

// usersBefore are the empty host's users, with those of NixOS's own that the case
// speaks of.
func (p parity) usersBefore(before, after any) object {
	users, _ := before.(object)
	users = clone(users)
	own, _ := after.(object)
	system, _ := p.empty["usersOfSystem"].(object)
	for name, user := range system {
		if _, spoken := own[name]; spoken {
			users[name] = user
		}
	}
	return users
}

// filesBefore are the empty host's files, with those of NixOS's own that the case
// speaks of.
func (p parity) filesBefore(before, after any) object {
	files, _ := before.(object)
	files = clone(files)
	own, _ := after.(object)
	all, _ := p.empty["etc"].(object)
	for name := range own {
		entry, there := all[name].(object)
		if _, shown := files[name]; shown || !there {
			continue
		}
		brief := object{}
		for key, usual := range map[string]any{"mode": "symlink", "user": "+0", "group": "+0"} {
			if entry[key] != usual {
				brief[key] = entry[key]
			}
		}
		if text, isText := entry["text"]; isText && len(brief) == 0 {
			files[name] = text
			continue
		}
		for _, key := range []string{"text", "source"} {
			if v, has := entry[key]; has {
				brief[key] = v
			}
		}
		files[name] = brief
	}
	return files
}

// firewall lists are whole, and NixOS's own block of commands is cut out.
func (p parity) firewall(d object, before, after any) {
	a, _ := after.(object)
	b, _ := before.(object)
	own, _ := b["extraCommands"].(string)
	text, _ := a["extraCommands"].(string)
	a, b = clone(a), clone(b)
	if at := strings.Index(text, own); at >= 0 && own != "" {
		rest := text[at+len(own):]
		if r, ok := strings.CutPrefix(rest, "\n"); ok {
			a["extraCommands"] = text[:at] + r
		} else {
			a["extraCommands"] = strings.TrimSuffix(text[:at], "\n") + rest
		}
	}
	b["extraCommands"] = ""
	if v, differs := change(b, a, true, true, true); differs {
		d["firewall"] = v
	}
}

// texts adds the fields `scripts` and `files`: texts of store paths.
func (p parity) texts(d, host object) {
	single := p.singleTexts(host)

	own := map[string]bool{}
	for _, name := range list(d["systemPackages"]) {
		own[fmt.Sprint(name)] = true
	}
	scripts := object{}
	for _, path := range list(host["systemPath"]) {
		root := p.neutralText(fmt.Sprint(path))
		name := strings.Trim(root, "@")
		if t, ok := single[root]; ok && own[name] {
			scripts[name] = t.text
		}
	}
	if len(scripts) > 0 {
		d["scripts"] = scripts
	}

	files := object{}
	seen := map[string]bool{}
	var visit func(text string)
	visit = func(text string) {
		for _, name := range neutralRE.FindAllString(text, -1) {
			t, ok := single[name]
			if seen[name] || !ok {
				continue
			}
			seen[name] = true
			visit(t.text)
			if _, isScript := scripts[strings.Trim(name, "@")]; !isScript && !strings.HasPrefix(name, "@unit-script-") {
				files[name+t.sub] = t.text
			}
		}
	}
	visit(show(d))
	if len(files) > 0 {
		d["files"] = files
	}
}

// storeText is the one text of a store path, and where in the path it lies.
type storeText struct{ sub, text string }

// singleTexts are the store paths of a host that are one text file, by name.
func (p parity) singleTexts(host object) map[string]storeText {
	found := map[string][]storeText{}
	if files, ok := host["storeFiles"].(object); ok {
		for path, f := range files {
			if text, ok := f.(object)["text"].(string); ok {
				root := storeNameRE.FindString(path)
				found[root] = append(found[root], storeText{strings.TrimPrefix(path, root), p.neutralText(text)})
			}
		}
	}
	// Files of the case, copied as they are.
	for _, root := range storeNameRE.FindAllString(show(host), -1) {
		if _, known := found[root]; known {
			continue
		}
		if body, err := os.ReadFile(filepath.Join(p.store, root)); err == nil {
			found[root] = []storeText{{"", string(body)}}
		}
	}
	single := map[string]storeText{}
	for root, texts := range found {
		if len(texts) == 1 {
			single[p.neutralText(root)] = texts[0]
		}
	}
	return single
}

// neutralRE is a store path after neutral.
var neutralRE = regexp.MustCompile(`@[0-9A-Za-z+._?=-]+@`)

// storeNameRE is a path in a Nix store, wherever the store is.
var storeNameRE = regexp.MustCompile(`(?:/[0-9A-Za-z._+-]+)*/store/[0-9abcdfghijklmnpqrsvwxyz]{32}-[0-9A-Za-z+._?=-]+`)

// neutral replaces store paths by their names and the folder of the cases by ".".
func (p parity) neutral(v any) any {
	switch v := v.(type) {
	case string:
		return p.neutralText(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = p.neutral(e)
		}
		return out
	case object:
		out := object{}
		for k, e := range v {
			out[p.neutralText(k)] = p.neutral(e)
		}
		return out
	}
	return v
}

func (p parity) neutralText(s string) string {
	s = storeNameRE.ReplaceAllStringFunc(s, func(path string) string {
		base := path[strings.LastIndex(path, "/store/")+len("/store/")+33:]
		return "@" + packageName(base) + "@"
	})
	return strings.ReplaceAll(s, p.folder, ".")
}

// packageName is the name of builtins.parseDrvName: up to a dash that something
// other than a letter follows.
func packageName(s string) string {
	for i := 0; i+1 < len(s); i++ {
		c := s[i+1]
		if s[i] == '-' && !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return s[:i]
		}
	}
	return s
}

// change is how after differs from before. whole: a list that differs is shown
// as it is, otherwise only what was added to it.
func change(before, after any, had, has, whole bool) (any, bool) {
	switch {
	case !has:
		return nil, had && before != nil
	case !had:
		return after, !isEmpty(after)
	case reflect.DeepEqual(before, after):
		return nil, false
	}
	b, isObject := before.(object)
	a, ok := after.(object)
	if isObject && ok {
		out := object{}
		for k, v := range a {
			old, had := b[k]
			if !had {
				out[k] = v
			} else if c, differs := change(old, v, true, true, whole); differs {
				out[k] = c
			}
		}
		for k := range b {
			if _, has := a[k]; !has {
				out[k] = nil
			}
		}
		return out, len(out) > 0
	}
	bl, isList := before.([]any)
	al, ok := after.([]any)
	if isList && ok && !whole {
		return added(bl, al), true
	}
	return after, true
}

// added are the elements of after that before has not, each counted.
func added(before, after []any) []any {
	left := slices.Clone(before)
	out := []any{}
	for _, v := range after {
		at := slices.IndexFunc(left, func(w any) bool { return reflect.DeepEqual(v, w) })
		if at < 0 {
			out = append(out, v)
		} else {
			left = slices.Delete(left, at, at+1)
		}
	}
	return out
}

func show(v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return unescapeHTML(string(body))
}

// unescapeHTML undoes what encoding/json does for browsers.
func unescapeHTML(s string) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(s)
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	case object:
		return len(v) == 0
	}
	return false
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func clone(o object) object {
	out := object{}
	for k, v := range o {
		out[k] = v
	}
	return out
}

func sortTexts(v any) {
	l := list(v)
	sort.Slice(l, func(i, j int) bool { return fmt.Sprint(l[i]) < fmt.Sprint(l[j]) })
}

func sortedKeys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
