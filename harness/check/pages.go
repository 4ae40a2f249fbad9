package check

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"offload-e2e/harness/report"
)

// pageFiles hold a page for each diagnosis: one file an area, one section a code.
//
//go:embed pages/*.md
var pageFiles embed.FS

// Page is what a person has to know of a diagnosis, as Markdown.
type Page struct {
	Code  string
	Layer report.Layer
	Text  string
}

// Pages are all pages, by code.
func Pages() (map[string]Page, error) {
	files, err := pageFiles.ReadDir("pages")
	if err != nil {
		return nil, err
	}
	pages := map[string]Page{}
	for _, f := range files {
		text, err := pageFiles.ReadFile("pages/" + f.Name())
		if err != nil {
			return nil, err
		}
		for section := range strings.SplitSeq("\n"+string(text), "\n## ") {
			code, body, _ := strings.Cut(section, "\n")
			if code = strings.TrimSpace(code); code == "" {
				continue
			}
			if _, twice := pages[code]; twice {
				return nil, fmt.Errorf("pages/%s: there are two pages of %s", f.Name(), code)
			}
			pages[code] = Page{code, Catalogue[code].Layer, strings.TrimSpace(body)}
		}
	}
	return pages, nil
}

// Layers are the layers of diagnoses, the deepest first.
var Layers = []report.Layer{report.Evaluation, report.Reachability, report.Port, report.Authentication, report.Trust, report.Protocol, report.Content}

// Gist is the first sentence of a page.
func (p Page) Gist() string {
	line, _, _ := strings.Cut(p.Text, "\n")
	for _, end := range []string{". ", ": "} {
		if before, _, found := strings.Cut(line, end); found {
			line = before
		}
	}
	return strings.TrimSuffix(line, ".")
}

// CodesOf are the codes of a layer, sorted.
func CodesOf(layer report.Layer) []string {
	var codes []string
	for code, entry := range Catalogue {
		if entry.Layer == layer {
			codes = append(codes, code)
		}
	}
	slices.Sort(codes)
	return codes
}
