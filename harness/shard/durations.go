package shard

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"offload-e2e/harness/document"
)

// Durations are how long units took, in seconds, by name.
type Durations map[string]float64

type durationsFile struct {
	Seconds map[string]float64 `yaml:"seconds" need:"yes" doc:"how long each unit took"`
}

// LoadDurations reads a file of durations; one that is not there is empty.
func LoadDurations(file string) (Durations, error) {
	var f durationsFile
	err := document.Load(file, &f)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return f.Seconds, err
}

// Write writes a file of durations, by name.
func (d Durations) Write(file, head string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\nseconds:\n", head)
	for _, name := range slices.Sorted(maps.Keys(d)) {
		fmt.Fprintf(&b, "  %q: %.1f\n", name, d[name])
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// unmeasured is how long a piece of work is taken to be when none was measured.
const unmeasured = 15

// Units are named pieces of work with their durations; one that was never measured
// takes the median of the others.
func (d Durations) Units(names []string) []Unit {
	var known []float64
	for _, name := range names {
		if seconds, measured := d[name]; measured {
			known = append(known, seconds)
		}
	}
	slices.Sort(known)
	usual := float64(unmeasured)
	if len(known) > 0 {
		usual = known[len(known)/2]
	}
	units := make([]Unit, len(names))
	for i, name := range names {
		seconds, measured := d[name]
		if !measured {
			seconds = usual
		}
		units[i] = Unit{name, seconds}
	}
	return units
}
