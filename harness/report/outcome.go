package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// ScenariosFile is what a gate writes: the matrix of scenarios.
const ScenariosFile = "scenarios.json"

// Outcome is what became of one scenario, as far as reports show it.
type Outcome struct {
	ID       string      `json:"id"`
	Title    string      `json:"title"`
	Layer    string      `json:"layer"`
	Silent   string      `json:"silent,omitempty"`
	File     string      `json:"file,omitempty"`
	Check    string      `json:"check,omitempty"`
	Expected []string    `json:"expected,omitempty"` // codes; none where all had to hold
	Result   string      `json:"result"`             // caught and holds are good
	Causes   []RootCause `json:"causes"`
	Detail   []string    `json:"detail,omitempty"`
	Seconds  float64     `json:"seconds"`
}

// Good: the fault was caught by its own diagnosis, or what must hold held.
func (o Outcome) Good() bool { return o.Result == "caught" || o.Result == "holds" }

// Tone is how a result looks: as a state does.
func (o Outcome) Tone() State {
	switch {
	case o.Good():
		return Holds
	case o.Result == "skipped":
		return Skipped
	}
	return Broken
}

// matrix is scenarios.json as far as reports show it.
type matrix struct {
	Schema    *int      `json:"schema"`
	Scenarios []Outcome `json:"scenarios"`
}

// LoadOutcomes reads the scenarios.json of a run's folder; none where there is none.
func LoadOutcomes(dir string) ([]Outcome, error) {
	path := filepath.Join(dir, ScenariosFile)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("load scenarios: %w", err)
	}
	var m matrix
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("load scenarios %s: %w", path, where(text, err))
	}
	if m.Schema == nil || *m.Schema != Schema {
		return nil, fmt.Errorf("load scenarios %s: it has not schema %d: it was written by another harness; run the gate again", path, Schema)
	}
	return m.Scenarios, nil
}

// layersOf are the layers of scenarios, in their order.
func layersOf(outcomes []Outcome) []string {
	var layers []string
	for _, o := range outcomes {
		if !slices.Contains(layers, o.Layer) {
			layers = append(layers, o.Layer)
		}
	}
	return layers
}
