package check

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"offload-e2e/harness/report"
)

var codeForm = regexp.MustCompile(`^(network|ssh|cache|nfs|builder|nix|config|command|keys|power)\.[a-z][a-z0-9-]+$`)

// codesUsed are the diagnosis codes in the Go files below a folder, tests and the
// Catalogue apart, with the place of one use.
func codesUsed(t *testing.T, folder string) map[string]string {
	t.Helper()
	used := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "catalogue.go" {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil && codeForm.MatchString(text) && text != CacheKeyName && text != "nix.conf" {
					used[text] = files.Position(lit.Pos()).String()
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}

func TestCatalogue(t *testing.T) {
	used := codesUsed(t, ".")
	for code, where := range codesUsed(t, "../e2e") {
		used[code] = where
	}
	for code, where := range used {
		if _, known := Catalogue[code]; !known {
			t.Errorf("%s: %s is not in the Catalogue", where, code)
		}
	}
	layers := map[report.Layer]bool{report.Evaluation: true, report.Reachability: true, report.Port: true, report.Authentication: true, report.Trust: true, report.Protocol: true, report.Content: true}
	for code, entry := range Catalogue {
		if _, is := used[code]; !is {
			t.Errorf("nothing gives the diagnosis %s", code)
		}
		if !layers[entry.Layer] || strings.TrimSpace(entry.Remedy) == "" || strings.HasSuffix(entry.Remedy, ".") {
			t.Errorf("%s: layer %q, remedy %q", code, entry.Layer, entry.Remedy)
		}
		if !codeForm.MatchString(code) {
			t.Errorf("%s is not of the form area.cause", code)
		}
	}
}
