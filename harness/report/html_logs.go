package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// logView is the end of a log, to be searched in the page.
type logView struct {
	Artifact
	Anchor string
	Text   string
	Lines  int
	Cut    bool // the file has more before this
}

// What the page holds of logs: a page that opens at once is worth more than a whole one.
const (
	logLimit  = 200 << 10
	logsLimit = 1500 << 10
)

// logsOf reads the ends of a run's logs.
func logsOf(dir string, artifacts []Artifact) ([]logView, error) {
	if dir == "" {
		return nil, nil
	}
	var logs []logView
	left := int64(logsLimit)
	for _, a := range artifacts {
		if a.Kind != "journal" && a.Kind != "console" && a.Kind != "log" || a.Bytes == 0 || left <= 0 {
			continue
		}
		text, err := readEnd(filepath.Join(dir, filepath.FromSlash(a.File)), min(logLimit, left))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a report that was moved without its files
		} else if err != nil {
			return nil, fmt.Errorf("read log: %w", err)
		}
		left -= int64(len(text))
		logs = append(logs, logView{Artifact: a, Anchor: "log-" + fileName(a.File), Text: string(text),
			Lines: bytes.Count(text, []byte("\n")), Cut: int64(len(text)) < a.Bytes})
	}
	return logs, nil
}

// readEnd is at most the last bytes of a file, from the beginning of a line.
func readEnd(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	skipped := max(0, info.Size()-limit)
	if _, err := f.Seek(skipped, io.SeekStart); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, limit))
	if i := bytes.IndexByte(text, '\n'); skipped > 0 && i >= 0 {
		text = text[i+1:]
	}
	return text, err
}
