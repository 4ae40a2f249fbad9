package nixos

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// compare lists where a host is not what NixOS renders; want is the file of a case.
func (p parity) compare(want, host object) []string {
	implied, _ := want["implied"].(object)
	want, got := clone(want), p.difference(host)
	delete(want, "implied")
	forgive(want, got, implied)
	p.texts(got, host)
	for _, field := range []string{"assertions", "warnings"} {
		sortTexts(want[field])
		sortTexts(got[field])
	}
	return mismatches("", want, got)
}

// forgive drops what NixOS adds by itself and the suite only names: this guest
// may have it or not.
func forgive(want, got, implied object) {
	named := func(kind string) map[string]bool {
		set := map[string]bool{}
		for _, n := range list(implied[kind]) {
			set[strings.TrimPrefix(fmt.Sprint(n), "-")] = true
		}
		return set
	}
	members := func(field, suffix string, names map[string]bool) {
		g, ok := got[field].(object)
		if !ok {
			return
		}
		w, _ := want[field].(object)
		g = clone(g)
		for name := range g {
			if _, wanted := w[name]; !wanted && names[name+suffix] {
				delete(g, name)
			}
		}
		if got[field] = g; len(g) == 0 {
			delete(got, field)
		}
	}
	// A list from which something only went has no additions to show.
	for field, v := range got {
		if l, ok := v.([]any); ok && len(l) == 0 && want[field] == nil {
			delete(got, field)
		}
	}
	for field, suffix := range unitFields {
		members(field, suffix, named("units"))
	}
	members("users", "", named("users"))
	members("groups", "", named("groups"))
	members("etcFiles", "", named("etc"))
	members("sysctl", "", named("sysctl"))
	for _, field := range []string{"kernelModules", "tmpfiles"} {
		if l := list(got[field]); len(l) > 0 {
			names, wanted := named(field), list(want[field])
			l = slices.DeleteFunc(slices.Clone(l), func(v any) bool {
				return names[fmt.Sprint(v)] && !slices.Contains(wanted, v)
			})
			if got[field] = l; len(l) == 0 {
				delete(got, field)
			}
		}
	}
}

// mismatches are one line each: where, what NixOS has, what this has.
func mismatches(at string, want, got any) []string {
	if reflect.DeepEqual(want, got) {
		return nil
	}
	w, ok1 := want.(object)
	g, ok2 := got.(object)
	if ok1 && ok2 {
		keys := map[string]bool{}
		for k := range w {
			keys[k] = true
		}
		for k := range g {
			keys[k] = true
		}
		var out []string
		for _, k := range sortedKeys(keys) {
			here := at + "." + k
			if at == "" {
				here = k
			}
			wv, inWant := w[k]
			gv, inGot := g[k]
			switch {
			case !inGot:
				out = append(out, fmt.Sprintf("%s: NixOS has %s, missing here", here, show(wv)))
			case !inWant:
				out = append(out, fmt.Sprintf("%s: %s, which NixOS has not", here, show(gv)))
			default:
				out = append(out, mismatches(here, wv, gv)...)
			}
		}
		return out
	}
	return []string{fmt.Sprintf("%s:\n    NixOS %s\n    here  %s", at, show(want), show(got))}
}
