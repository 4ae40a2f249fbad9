package check

import (
	"regexp"
	"strings"
	"testing"
)

var checkNamed = regexp.MustCompile("`([A-Z]{2}\\.[a-z-]+)`")

// No diagnosis lacks a page, and no page a diagnosis; each says what people see, what
// they do about it, and which check proves it.
func TestPages(t *testing.T) {
	pages, err := Pages()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"EV.evaluates": true, "EV.switch": true, "EV.in-force": true, "SR.denied-before-exchange": true, "RB.refused-before-exchange": true}
	for name := range Makers() {
		known[name] = true
	}
	for code := range Catalogue {
		p, has := pages[code]
		if !has {
			t.Errorf("there is no page of %s", code)
			continue
		}
		for _, part := range []string{"\n**You see** ", "\n**Mend** ", "\n**Proved by** "} {
			if strings.Count(p.Text, part) != 1 {
				t.Errorf("%s: the page has not one part %q", code, strings.TrimSpace(part))
			}
		}
		_, proof, _ := strings.Cut(p.Text, "**Proved by** ")
		named := checkNamed.FindAllStringSubmatch(proof, -1)
		if len(named) == 0 {
			t.Errorf("%s: the page names no check that proves it", code)
		}
		for _, m := range named {
			if !known[m[1]] {
				t.Errorf("%s: there is no check %s", code, m[1])
			}
		}
		if p.Gist() == "" || strings.Contains(p.Gist(), "**") || strings.Count(p.Text, "`")%2 != 0 || p.Layer == "" {
			t.Errorf("%s: %q", code, p.Gist())
		}
	}
	for code, p := range pages {
		if _, has := Catalogue[code]; !has {
			t.Errorf("the page of %s is of no diagnosis", code)
		}
		for _, m := range regexp.MustCompile("`([a-z]+\\.[a-z-]+)`").FindAllStringSubmatch(p.Text, -1) {
			if _, has := Catalogue[m[1]]; codeForm.MatchString(m[1]) && !has && m[1] != "nix.conf" && !strings.Contains(m[1], "cache.local") {
				t.Errorf("%s speaks of %s, which is no diagnosis", code, m[1])
			}
		}
	}
	listed := 0
	for _, layer := range Layers {
		listed += len(CodesOf(layer))
	}
	if listed != len(Catalogue) {
		t.Errorf("%d codes are in the layers, of %d", listed, len(Catalogue))
	}
}
