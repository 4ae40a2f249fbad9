package qemu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"sync"
)

// ConsoleFault is a line on a machine's console that no healthy machine prints.
type ConsoleFault struct {
	// Kind names what it is about: "kernel panic", "out of memory", …
	Kind string
	// Fatal tells that the machine cannot go on from there.
	Fatal bool
	// Line is the console's line, without escape sequences.
	Line string
}

func (f ConsoleFault) String() string { return f.Kind + ": " + f.Line }

// consoleRules are tried in order; a line is at most one fault.
func consoleRules() []consoleRule {
	rule := func(kind string, fatal bool, pattern string) consoleRule {
		return consoleRule{kind, fatal, regexp.MustCompile(pattern)}
	}
	return []consoleRule{
		rule("kernel panic", true, `Kernel panic - not syncing`),
		rule("emergency mode", true, `You are in emergency mode|Entering emergency mode`),
		rule("no root file system", true, `ALERT!.*does not exist|\(initramfs\) *$`),
		rule("soft lockup", false, `watchdog: BUG: soft lockup|soft lockup - CPU#`),
		rule("hard lockup", false, `Watchdog detected hard LOCKUP`),
		rule("stall", false, `rcu: .*detected stalls|rcu.*self-detected stall`),
		rule("hung task", false, `INFO: task .* blocked for more than \d+ seconds`),
		rule("kernel bug", false, `\bBUG: |kernel BUG at `),
		rule("oops", false, `\bOops: |general protection fault|unable to handle (kernel|page)`),
		rule("out of memory", false, `Out of memory: |oom-kill:|invoked oom-killer`),
		rule("file system error", false, `EXT4-fs error|EXT4-fs \(\S+\): .*[Cc]orrupt|Remounting filesystem read-only`),
		rule("disk error", false, `(Buffer )?I/O error(,| on) dev`),
	}
}

type consoleRule struct {
	kind    string
	fatal   bool
	pattern *regexp.Regexp
}

// Bounds of what is kept of a console that prints without end.
const (
	maxConsoleLine   = 4 << 10
	maxConsoleFaults = 200
)

// console reads what a machine prints, as it comes, and finds faults in it.
type console struct {
	path  string
	rules []consoleRule

	mu      sync.Mutex
	offset  int64
	partial []byte // a line whose end has not come
	faults  []ConsoleFault
}

func newConsole(path string) *console { return &console{path: path, rules: consoleRules()} }

// scan reads what is new, and returns all faults so far.
func (c *console) scan() ([]ConsoleFault, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := os.Open(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if _, err = f.Seek(c.offset, io.SeekStart); err == nil {
		buf := make([]byte, 64<<10)
		for err == nil {
			var n int
			n, err = f.Read(buf)
			c.offset += int64(n)
			c.feed(buf[:n])
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	return append([]ConsoleFault(nil), c.faults...), errors.Join(err, f.Close())
}

func (c *console) feed(b []byte) {
	for len(b) > 0 {
		line, rest, ended := bytes.Cut(b, []byte("\n"))
		if room := maxConsoleLine - len(c.partial); len(line) > room {
			line = line[:room]
		}
		c.partial = append(c.partial, line...)
		b = rest
		if ended {
			c.judge(string(c.partial))
			c.partial = c.partial[:0]
		}
	}
}

func (c *console) judge(line string) {
	if len(c.faults) >= maxConsoleFaults {
		return
	}
	line = plain(line)
	for _, r := range c.rules {
		if r.pattern.MatchString(line) {
			c.faults = append(c.faults, ConsoleFault{Kind: r.kind, Fatal: r.fatal, Line: line})
			return
		}
	}
}

// fatal is the first fault from index on that a machine cannot survive, or nil.
func (c *console) fatal(from int) error {
	faults, err := c.scan()
	if err != nil || from >= len(faults) {
		return err
	}
	for _, f := range faults[from:] {
		if f.Fatal {
			return fmt.Errorf("console: %s", f)
		}
	}
	return nil
}

// count is how many faults there are so far, for fatal's index.
func (c *console) count() int {
	faults, _ := c.scan()
	return len(faults)
}

// tail is the last lines of a text file, for error messages; "" when there are none.
func tail(path string, lines int) string {
	const most = 8 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if size, err := f.Seek(0, io.SeekEnd); err != nil {
		return ""
	} else if _, err = f.Seek(max(0, size-most), io.SeekStart); err != nil {
		return ""
	}
	b, _ := io.ReadAll(io.LimitReader(f, most))
	var kept []string
	for _, line := range strings.Split(string(b), "\n") {
		if line = plain(line); strings.TrimSpace(line) != "" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept[max(0, len(kept)-lines):], "\n")
}

// escapes are ECMA-48 control sequences and operating system commands.
const escapes = "\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|[@-Z\\\\^_])"

// plain is a line without escape sequences and control characters.
func plain(line string) string {
	if strings.ContainsRune(line, '\x1b') {
		line = regexp.MustCompile(escapes).ReplaceAllString(line, "")
	}
	return strings.Map(func(r rune) rune {
		if r == '\t' || r >= ' ' && r != 0x7f {
			return r
		}
		return -1
	}, line)
}
