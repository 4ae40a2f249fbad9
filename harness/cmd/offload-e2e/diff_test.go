package main

import (
	"slices"
	"strings"
	"testing"
)

func TestDiffLines(t *testing.T) {
	lines := func(s string) []string { return strings.Fields(s) }
	for _, test := range []struct {
		name, a, b string
		want       []string
	}{
		{"the same", "a b c", "a b c", []string{"@@"}},
		{"one changed", "a b c", "a x c", []string{"  a", "- b", "+ x", "  c"}},
		{"only near lines", "1 2 3 4 5 6 7", "1 2 3 x 5 6 7", []string{"@@", "  2", "  3", "- 4", "+ x", "  5", "  6", "@@"}},
		{"two places", "a 1 2 3 4 5 6 z", "b 1 2 3 4 5 6 y", []string{"- a", "+ b", "  1", "  2", "@@", "  5", "  6", "- z", "+ y"}},
		{"from nothing", "", "a b", []string{"+ a", "+ b"}},
		{"to nothing", "a b", "", []string{"- a", "- b"}},
		{"moved", "a b c", "c a b", []string{"+ c", "  a", "  b", "- c"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := diffLines(lines(test.a), lines(test.b)); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzDiffLines(f *testing.F) {
	f.Add("a\nb", "b\nc")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a)+len(b) > 2000 {
			return
		}
		removed, added := 0, 0
		for _, l := range diffLines(splitLines(a), splitLines(b)) {
			switch l[0] {
			case '-':
				removed++
			case '+':
				added++
			}
		}
		if len(splitLines(a))-removed != len(splitLines(b))-added {
			t.Errorf("%d lines removed of %q, %d added of %q", removed, a, added, b)
		}
		if a == b && removed+added > 0 {
			t.Errorf("%q differs from itself", a)
		}
	})
}

func TestHashesAreNoDifference(t *testing.T) {
	a := []section{{title: "units", items: []item{{key: "u", line: "u", body: withoutHashes("ExecStart=/nix/store/pczy13y139wd9qr931xawyf029336rik-bash-5.3/bin/bash")}}}}
	b := []section{{title: "units", items: []item{{key: "u", line: "u", body: withoutHashes("ExecStart=/nix/store/yh5xznm545hdwk61i1xc3xpqjj93pra8-bash-5.3/bin/bash")}}}}
	var out strings.Builder
	diffSections(&out, a, b)
	if out.Len() > 0 {
		t.Errorf("got %s", out.String())
	}
}
