package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"offload-e2e/harness/report/schema"
)

// ScenariosFile is what `gate` writes: the matrix of scenarios.
const ScenariosFile = "scenarios.json"

// MatrixSchema is the version of scenarios.json. It changes when a field changes its
// meaning or goes; new fields do not change it.
const MatrixSchema = 1

// Matrix is what became of all scenarios of a gate.
type Matrix struct {
	Schema  int    `json:"schema"`
	Run     string `json:"run"` // the run's id, as the report's folder is named
	Config  string `json:"config"`
	Harness string `json:"harness"`
	// Scenarios are in the order in which they were tried.
	Scenarios []Outcome `json:"scenarios"`
	Passed    int       `json:"passed"`
	Failed    int       `json:"failed"`
	Skipped   int       `json:"skipped"`
	// MedianSeconds is that of the scenarios that were tried.
	MedianSeconds float64 `json:"median_seconds"`
}

// AsItIs is the phase of what a gate finds before it breaks anything.
const AsItIs = "as-it-is"

// The results of a scenario. Caught and Held are good.
const (
	Caught         = "caught"          // the check broke, with the diagnosis
	Held           = "holds"           // what had to hold holds
	Missed         = "missed"          // the check holds, and should have broken
	WrongDiagnosis = "wrong-diagnosis" // something broke, and something else was blamed
	FalseAlarm     = "false-alarm"     // something broke that has nothing to do with the fault
	NotHeld        = "broken"          // what had to hold does not
	NotUndone      = "not-undone"      // the faults were taken back, and something stayed broken
	NotKnown       = "error"           // it could not be found out
	NotTried       = "skipped"         // it does not apply to this configuration
)

// Outcome is what became of one scenario.
type Outcome struct {
	ID     string `json:"id"`
	Title  string `json:"title"`
	Layer  string `json:"layer,omitempty"`
	Silent string `json:"silent,omitempty"` // which commands say that all is well meanwhile: no | status | all
	File   string `json:"file,omitempty"`
	// Check and Expected are what had to be found; empty where all had to hold.
	// Expected holds codes, with ", " between them.
	Check    string   `json:"check,omitempty"`
	Expected string   `json:"expected"`
	Result   string   `json:"result"` // caught | holds | missed | wrong-diagnosis | false-alarm | broken | not-undone | error | skipped
	Found    []string `json:"found"`  // codes of root causes, ranked
	// Causes are the root causes, in full.
	Causes []RootCause `json:"causes,omitempty"`
	// Faults are what was applied, in words, with the seeds of chance.
	Faults []string `json:"faults,omitempty"`
	// Detail says why the result is not good, a line each.
	Detail string `json:"detail,omitempty"`
	// NotMade says which checks were not made, and why.
	NotMade string `json:"not_made,omitempty"`
	// Shaky are checks that broke, and held when they were made again, with what they
	// said.
	Shaky []string `json:"shaky,omitempty"`
	// Undone says how it ended: the machines were restored, or all held again.
	Undone  string  `json:"undone,omitempty"`
	Seconds float64 `json:"seconds"`
}

// Good: the fault was caught by its own diagnosis, or what had to hold holds.
func (o Outcome) Good() bool { return o.Result == Caught || o.Result == Held }

// Tone is how a result looks: as a state does.
func (o Outcome) Tone() State {
	switch {
	case o.Good():
		return Holds
	case o.Result == NotTried:
		return Skipped
	}
	return Broken
}

// Tally counts scenarios by what became of them.
type Tally struct {
	Passed  int `json:"passed"`
	Failed  int `json:"failed"`
	Unknown int `json:"unknown"` // it could not be found out
	Skipped int `json:"skipped"`
}

// Count is the tally of outcomes, nil where there are none.
func Count(outcomes []Outcome) *Tally {
	if len(outcomes) == 0 {
		return nil
	}
	t := &Tally{}
	for _, o := range outcomes {
		switch {
		case o.Good():
			t.Passed++
		case o.Result == NotTried:
			t.Skipped++
		case o.Result == NotKnown:
			t.Unknown++
		default:
			t.Failed++
		}
	}
	return t
}

// Conclude counts the scenarios; no list is null then.
func (m *Matrix) Conclude() {
	m.Schema, m.Passed, m.Failed, m.Skipped, m.MedianSeconds = MatrixSchema, 0, 0, 0, 0
	var seconds []float64
	for i, o := range m.Scenarios {
		m.Scenarios[i].Found = append([]string{}, o.Found...)
		switch {
		case o.Good():
			m.Passed++
		case o.Result == NotTried:
			m.Skipped++
			continue
		default:
			m.Failed++
		}
		seconds = append(seconds, o.Seconds)
	}
	slices.Sort(seconds)
	if n := len(seconds); n > 0 {
		m.MedianSeconds = (seconds[(n-1)/2] + seconds[n/2]) / 2
	}
}

// Write writes the matrix into a run's folder.
func (m *Matrix) Write(dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = errors.Join(writeFile(filepath.Join(dir, ScenariosFile), append(text, '\n')), schema.Check(schema.Scenarios, text))
	}
	if err != nil {
		return fmt.Errorf("write scenarios: %w", err)
	}
	return nil
}

// LoadOutcomes reads the scenarios of a run's folder; none where there are none.
func LoadOutcomes(dir string) ([]Outcome, error) {
	m, err := LoadMatrix(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return m.Scenarios, nil
}

// LoadMatrix reads the scenarios.json of a run's folder.
func LoadMatrix(dir string) (*Matrix, error) {
	path := filepath.Join(dir, ScenariosFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load scenarios: %w", err)
	}
	var m Matrix
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("load scenarios %s: %w", path, where(text, err))
	}
	if m.Schema != MatrixSchema {
		return nil, fmt.Errorf("load scenarios %s: its schema is %d, this version reads %d: run the gate again", path, m.Schema, MatrixSchema)
	}
	return &m, nil
}

// MergeMatrices joins the scenarios of the parts of a gate; nil where no part has
// any. A scenario in two parts is an error: they are no parts of one.
func MergeMatrices(run string, parts []string) (*Matrix, error) {
	var merged *Matrix
	seen := map[string]string{}
	for _, part := range parts {
		m, err := LoadMatrix(part)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		if merged == nil {
			merged = &Matrix{Run: run, Config: m.Config, Harness: m.Harness}
		}
		for _, o := range m.Scenarios {
			other, twice := seen[o.ID]
			if twice && o.Layer != "" {
				return nil, fmt.Errorf("merge scenarios: %s is in %s and in %s: these are no parts of one gate", o.ID, other, part)
			} else if twice && o.Good() {
				continue // each part proves the configuration as it is
			}
			seen[o.ID] = part
			merged.Scenarios = append(merged.Scenarios, o)
		}
	}
	if merged != nil {
		merged.Conclude()
	}
	return merged, nil
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
