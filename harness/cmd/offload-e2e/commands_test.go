package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// called finds calls of the command in files for others to copy: the verbs, and what
// follows them. In tables of the README a call stands in backticks, without the program.
var called = map[string]*regexp.Regexp{
	"fixtures/ci/*": regexp.MustCompile(`(?:\$E2E"?|\$e2e"|\boffload-e2e) ((?:[a-z]+ )*)([^|)]*)`),
	"Makefile":      regexp.MustCompile(`\$\(E2E\) ((?:[a-z-]+ )*)(.*)`),
	"README.md":     regexp.MustCompile("(?:\\.bin/offload-e2e |^\\| `)((?:[a-z-]+ ?)+)([^`]*)"),
}

// What the README, the Makefile and the recipes for CI call is there, flags and all.
func TestCommandsThatOthersCopy(t *testing.T) {
	root := newRoot(&paths{Root: "../../.."})
	flag := regexp.MustCompile(`--([a-z][a-z-]*)`)
	for glob, pattern := range called {
		files, err := filepath.Glob(filepath.Join("../../..", glob))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s: %v", glob, err)
		}
		found := 0
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if strings.HasPrefix(strings.TrimSpace(line), "#") {
					continue
				}
				for _, call := range pattern.FindAllStringSubmatch(line, -1) {
					verbs := strings.Fields(call[1])
					c, _, err := root.Find(verbs)
					if err != nil || c == root {
						continue // prose
					}
					found++
					for _, f := range flag.FindAllStringSubmatch(call[2], -1) {
						if c.Flags().Lookup(f[1]) == nil && c.InheritedFlags().Lookup(f[1]) == nil {
							t.Errorf("%s calls %q: %s has no --%s", file, strings.TrimSpace(call[0]), c.CommandPath(), f[1])
						}
					}
				}
			}
		}
		if found == 0 {
			t.Errorf("no call in %s", glob)
		}
		t.Logf("%d calls in %s", found, glob)
	}
}
