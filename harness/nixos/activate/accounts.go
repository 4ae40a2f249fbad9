package activate

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// table is one of the colon-separated files of passwd(5), group(5), shadow(5).
type table struct {
	path string
	mode fs.FileMode
	rows [][]string
	text string
	// reserved numbers are those the configuration gives to somebody.
	reserved map[int]bool
}

func (s *Switcher) readTable(path string, mode fs.FileMode) (*table, error) {
	text, err := os.ReadFile(s.path(path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	t := &table{path: path, mode: mode, text: string(text)}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			t.rows = append(t.rows, strings.Split(line, ":"))
		}
	}
	return t, nil
}

// columns are how many fields an entry has; a line with fewer is no entry to libc
// either (getpwnam(3)), and stays as it is.
func (t *table) columns() int {
	switch t.path {
	case "/etc/passwd":
		return 7
	case "/etc/group":
		return 4
	}
	return 2
}

// row is the entry of a name, nil where there is none.
func (t *table) row(name string) []string {
	for _, r := range t.rows {
		if r[0] == name && len(r) >= t.columns() {
			return r
		}
	}
	return nil
}

func (t *table) remove(name string) {
	t.rows = slices.DeleteFunc(t.rows, func(r []string) bool { return r[0] == name })
}

func (t *table) taken(field, id int) bool {
	for _, r := range t.rows {
		if len(r) > field && r[field] == strconv.Itoa(id) {
			return true
		}
	}
	return false
}

// free finds an unused number as NixOS does: system accounts from 999 downwards,
// people from 1000 upwards, and none that is declared for another.
func (t *table) free(field int, system bool) int {
	id, step := 1000, 1
	if system {
		id, step = 999, -1
	}
	for t.reserved[id] || t.taken(field, id) {
		id += step
	}
	return id
}

// save writes the table if it changed.
func (s *Switcher) save(t *table) error {
	var text strings.Builder
	for _, r := range t.rows {
		text.WriteString(strings.Join(r, ":") + "\n")
	}
	if text.String() == t.text {
		return nil
	}
	gid := 0
	if t.mode == 0o640 {
		if g, err := s.id("shadow", "/etc/group"); err == nil {
			gid = g
		}
	}
	return s.write(t.path, []byte(text.String()), t.mode, 0, gid)
}
