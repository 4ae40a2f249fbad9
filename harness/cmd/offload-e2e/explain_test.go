package main

import (
	"bytes"
	"strings"
	"testing"

	"offload-e2e/harness/check"
)

func TestExplainVerb(t *testing.T) {
	say := func(args ...string) (string, int) {
		var out, errs bytes.Buffer
		code := execute(t.Context(), append([]string{"explain"}, args...), &out, &errs)
		return out.String() + errs.String(), code
	}
	list, code := say()
	if code != exitOK {
		t.Fatalf("status %d: %s", code, list)
	}
	at := 0
	for _, layer := range check.Layers {
		i := strings.Index(list[at:], string(layer)+"\n")
		if i < 0 {
			t.Fatalf("the list has no %s, or not in its order:\n%s", layer, list)
		}
		at += i
	}
	for c := range check.Catalogue {
		if !strings.Contains(list, "  "+c+" ") {
			t.Errorf("the list lacks %s", c)
		}
	}
	page, code := say("cache.key-name")
	for _, want := range []string{"cache.key-name  (trust)", "You see", "Mend", "Proved by", "/var/cache-pub-key.pem"} {
		if code != exitOK || !strings.Contains(page, want) {
			t.Errorf("status %d, the page lacks %q:\n%s", code, want, page)
		}
	}
	for line := range strings.Lines(page) {
		if len(line) > 100 {
			t.Errorf("a long line: %s", line)
		}
	}
	wrong, code := say("cache.keyname")
	if code != exitUsage || !strings.Contains(wrong, `did you mean "cache.key-name"?`) {
		t.Errorf("status %d: %s", code, wrong)
	}
}
