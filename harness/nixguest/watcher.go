package nixguest

import (
	"regexp"
	"strings"
	"time"
)

// keptLines are the last lines of nix that an error quotes.
const keptLines = 15

// quiet is how long a long build says nothing of single steps.
const quiet = 5 * time.Second

// watcher reads what nix prints while it works, shows how far it is, and keeps the
// last lines.
type watcher struct {
	say     func(format string, args ...any)
	now     func() time.Time
	partial string
	last    []string
	built   int
	fetched int
	shown   time.Time
}

func newWatcher(say func(format string, args ...any)) *watcher {
	return &watcher{say: say, now: time.Now}
}

var (
	plannedRE  = regexp.MustCompile(`^(?:this|these \d+) (?:derivation|path)s? will be (?:built|fetched)`)
	buildingRE = regexp.MustCompile(`^building '/nix/store/[a-z0-9]{32}-(.*)\.drv'`)
	copyingRE  = regexp.MustCompile(`^copying path '/nix/store/[a-z0-9]{32}-(.*)' from '(.*)'`)
)

// Write takes what nix prints.
func (w *watcher) Write(text []byte) (int, error) {
	lines := strings.Split(w.partial+string(text), "\n")
	w.partial = lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		w.line(strings.TrimSpace(line))
	}
	return len(text), nil
}

func (w *watcher) line(line string) {
	if line == "" {
		return
	}
	if w.last = append(w.last, line); len(w.last) > keptLines {
		w.last = w.last[1:]
	}
	if plannedRE.MatchString(line) {
		w.say("  %s", strings.TrimSuffix(line, ":"))
		return
	}
	if m := buildingRE.FindStringSubmatch(line); m != nil {
		w.built++
		w.step("  building %s (%d so far)", m[1], w.built)
	} else if m := copyingRE.FindStringSubmatch(line); m != nil {
		w.fetched++
		w.step("  fetching %s (%d so far)", m[1], w.fetched)
	}
}

// step shows a step, unless another was shown a moment ago.
func (w *watcher) step(format string, args ...any) {
	if now := w.now(); now.Sub(w.shown) >= quiet {
		w.shown = now
		w.say(format, args...)
	}
}

// end is the last lines.
func (w *watcher) end() string {
	w.line(strings.TrimSpace(w.partial))
	w.partial = ""
	return strings.Join(w.last, "\n")
}
