package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

// evidenceDir holds evidence that is too long for report.json, below a run's folder.
const evidenceDir = "evidence"

// What stays in report.json of a long text: enough to see what it is.
const (
	evidenceLimit = 8 << 10
	evidenceHead  = 2 << 10
	evidenceTail  = 4 << 10
)

// storeEvidence writes texts that are long into files of their own, and gives a
// report that has their beginning and end in place. What was written before is
// left as it is.
func storeEvidence(dir string, r *Report) (*Report, error) {
	slim := r.filled()
	var errs []error
	for i := range slim.Findings {
		f := &slim.Findings[i]
		for j := range f.Evidence {
			e := &f.Evidence[j]
			if len(e.Text) <= evidenceLimit || e.File != "" {
				continue
			}
			file := fmt.Sprintf("%s/%03d-%s-%d.txt", evidenceDir, i+1, fileName(f.Check+"-"+f.Machine), j+1)
			path := filepath.Join(dir, filepath.FromSlash(file))
			err := os.Mkdir(filepath.Dir(path), 0o755)
			if err == nil || errors.Is(err, os.ErrExist) {
				err = writeFile(path, []byte(e.Text))
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("write %s: %w", file, err))
				continue // the whole text stays in the report
			}
			e.File, e.Bytes, e.Text = file, len(e.Text), middleCut(e.Text)
		}
	}
	return slim, errors.Join(errs...)
}

// middleCut is the beginning and the end of a text, in whole lines where it has any.
func middleCut(text string) string {
	head, tail := text[:evidenceHead], text[len(text)-evidenceTail:]
	if i := strings.LastIndexByte(head, '\n'); i >= 0 {
		head = head[:i+1]
	}
	if i := strings.IndexByte(tail, '\n'); i >= 0 && i < len(tail)-1 {
		tail = tail[i+1:]
	}
	for !utf8.ValidString(head) {
		head = head[:len(head)-1]
	}
	for !utf8.ValidString(tail) {
		tail = tail[1:]
	}
	return fmt.Sprintf("%s\n… %d bytes are left out here …\n%s", head, len(text)-len(head)-len(tail), tail)
}

var notFileName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// fileName is text as a part of a file's name.
func fileName(text string) string { return strings.Trim(notFileName.ReplaceAllString(text, "-"), "-.") }
