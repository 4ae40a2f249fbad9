package report

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
)

// HTMLFile is the page's name in the run's folder.
const HTMLFile = "index.html"

//go:embed page
var pageFiles embed.FS

// HTML writes index.html: one file that needs no network, for people.
type HTML struct {
	// Dir is the run's folder, whose logs the page shows; empty for none.
	Dir string
	// Scenarios are what became of the faults made on purpose, where there were any.
	Scenarios []Outcome
}

// File is index.html.
func (HTML) File() string { return HTMLFile }

func (h HTML) Write(w io.Writer, r *Report) error {
	view, err := h.view(r.filled())
	if err != nil {
		return err
	}
	page, err := template.New("page").Funcs(template.FuncMap{
		"seconds": seconds, "visible": visible, "oneLine": oneLine, "bytes": byteSize, "join": strings.Join, "plural": plural,
		// A place in the configuration, as one finds it there.
		"place": func(source string) string {
			file, line, ok := Place(source, r.Run.Config)
			switch {
			case !ok:
				return oneLine(source)
			case line > 0:
				return fmt.Sprintf("%s:%d", oneLine(file), line)
			}
			return oneLine(file)
		},
	}).ParseFS(pageFiles, "page/*.tmpl")
	if err != nil {
		return fmt.Errorf("parse the page: %w", err)
	}
	var b bytes.Buffer
	if err := page.ExecuteTemplate(&b, "page.tmpl", view); err != nil {
		return fmt.Errorf("make the page: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// assets are the page's style and script, and the policy that allows no others:
// guests and users write into reports.
type assets struct {
	Style  template.CSS
	Script template.JS
	Policy string
}

func loadAssets() (assets, error) {
	style, err := pageFiles.ReadFile("page/page.css")
	if err != nil {
		return assets{}, err
	}
	script, err := pageFiles.ReadFile("page/page.js")
	if err != nil {
		return assets{}, err
	}
	sum := sha256.Sum256(script)
	return assets{Style: template.CSS(style), Script: template.JS(script), //nolint:gosec // our own files
		Policy: "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; script-src 'sha256-" +
			base64.StdEncoding.EncodeToString(sum[:]) + "'"}, nil
}

// byteSize is a size as people read it: "812 B", "3.4 MB".
func byteSize(n int64) string {
	size, units := float64(n), []string{"B", "kB", "MB", "GB"}
	for len(units) > 1 && size >= 1000 {
		size, units = size/1000, units[1:]
	}
	if units[0] == "B" || size >= 9.95 {
		return fmt.Sprintf("%.0f %s", size, units[0])
	}
	return fmt.Sprintf("%.1f %s", size, units[0])
}
