package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ScenariosFile is what `gate` writes: the matrix of scenarios.
const ScenariosFile = "scenarios.json"

// Outcome is what became of one scenario.
type Outcome struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Layer    string   `json:"layer,omitempty"`
	Expected string   `json:"expected"`
	Result   string   `json:"result"` // caught | holds | missed | wrong-diagnosis | false-alarm | error
	Found    []string `json:"found"`  // root causes, ranked
	Detail   string   `json:"detail,omitempty"`
	Seconds  float64  `json:"seconds"`
}

// Good: the fault was caught by its own diagnosis, or nothing was found where
// nothing was broken.
func (o Outcome) Good() bool { return o.Result == "caught" || o.Result == "holds" }

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
	var all []Outcome
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("load scenarios %s: %w", path, where(text, err))
	}
	return all, nil
}
