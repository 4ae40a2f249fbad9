package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"offload-e2e/harness/report/schema"
)

// File names of a run's folder.
const (
	JSONFile     = "report.json"
	JUnitFile    = "junit.xml"
	MarkdownFile = "summary.md"
)

// Writer writes a report in one format.
type Writer interface {
	// File is the name in the run's folder.
	File() string
	Write(w io.Writer, r *Report) error
}

// Writers are all there are. The page shows the logs and scenarios of a run's
// folder, where one is named.
func Writers(dir string, scenarios []Outcome) []Writer {
	return []Writer{JSON{}, JUnit{}, Markdown{}, HTML{Dir: dir, Scenarios: scenarios}, SARIF{}, Metrics{}}
}

// ownFiles are the names of what Save writes.
func ownFiles() []string {
	names := []string{ScenariosFile}
	for _, w := range Writers("", nil) {
		names = append(names, w.File())
	}
	return names
}

// Save writes a report in every format into a folder that exists, and what is too
// long for it into files beside it. Each file appears whole or not at all; all
// errors are joined.
func Save(dir string, r *Report) error {
	var errs []error
	slim, err := storeEvidence(dir, r)
	errs = append(errs, err)
	if slim.Artifacts, err = Artifacts(dir); err != nil {
		errs = append(errs, fmt.Errorf("list the run's files: %w", err))
	}
	scenarios, err := LoadOutcomes(dir)
	errs = append(errs, err)
	whole := slim.WithScenarios(scenarios)
	for _, w := range Writers(dir, scenarios) {
		var b bytes.Buffer
		r := slim
		switch w.(type) {
		case JUnit, Markdown, Metrics:
			r = whole // they have no place of their own for scenarios
		}
		err := w.Write(&b, r)
		if err == nil {
			err = writeFile(filepath.Join(dir, w.File()), b.Bytes())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("write %s: %w", w.File(), err))
		} else if w.File() == JSONFile {
			// What breaks the promise made to programs is published, and told.
			errs = append(errs, schema.Check(schema.Report, b.Bytes()))
		}
	}
	return errors.Join(errs...)
}

// JSON writes report.json, as reports/README.md describes it: indented, fields
// in the order of the model, no list null.
type JSON struct{}

// File is report.json.
func (JSON) File() string { return JSONFile }

func (JSON) Write(w io.Writer, r *Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // commands are full of & and >
	return e.Encode(r.filled())
}

// filled is a copy without null lists, for readers in languages that mind.
func (r *Report) filled() *Report {
	c := *r
	c.Schema = Schema
	c.RootCauses = append([]RootCause{}, r.RootCauses...)
	for i := range c.RootCauses {
		c.RootCauses[i].Explains = append([]string{}, c.RootCauses[i].Explains...)
	}
	c.Findings = append([]Finding{}, r.Findings...)
	for i := range c.Findings {
		c.Findings[i].Evidence = append([]Evidence{}, c.Findings[i].Evidence...)
		for j := range c.Findings[i].Evidence {
			// What a command printed may be anything; JSON is UTF-8.
			e := &c.Findings[i].Evidence[j]
			e.Text = strings.ToValidUTF8(e.Text, "�")
		}
	}
	c.Disagreements = append([]Disagreement{}, r.Disagreements...)
	c.Timeline = append([]Span{}, r.Timeline...)
	if c.Run.Imports == nil {
		c.Run.Imports = map[string][]string{}
	}
	if c.Run.Guest.Versions == nil {
		c.Run.Guest.Versions = map[string]string{}
	}
	return &c
}

// Load reads a report.json, or the one in a run's folder.
func Load(path string) (*Report, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, JSONFile)
	}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("load report: %w: no run has ended there yet; make one with: make e2e", err)
	case err != nil:
		return nil, fmt.Errorf("load report: %w", err)
	}
	return parse(text, path)
}

// parse reads the text of a report.json; path is for errors.
func parse(text []byte, path string) (*Report, error) {
	var head struct {
		Schema *int `json:"schema"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("load report %s: %w: the file is damaged or no report; run again", path, where(text, err))
	}
	switch {
	case head.Schema == nil:
		return nil, fmt.Errorf("load report %s: it has no field \"schema\": this is no report of offload-e2e", path)
	case *head.Schema != Schema:
		return nil, fmt.Errorf("load report %s: it has schema %d, and this harness reads %d: read it with the harness that wrote it, or run again",
			path, *head.Schema, Schema)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("load report %s: %w", path, where(text, err))
	}
	return &r, nil
}

// where adds the line to an error of encoding/json.
func where(text []byte, err error) error {
	var offset int64
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	default:
		return err
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:min(int(offset), len(text))], []byte("\n")), err)
}

// writeFile puts a file in place whole, or not at all.
func writeFile(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
