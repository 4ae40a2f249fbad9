package report

// Promise is one claim of the product, with what was measured.
type Promise struct {
	// ID is speed-up, cache-hits, store-readable, fallback or clients.
	ID string `json:"id"`
	// Claim is what was promised, as a sentence; Measured is what came out.
	Claim    string `json:"claim"`
	Measured string `json:"measured"`
	// Value is the number that counts, in Unit; it keeps the promise from Least to
	// Most, where those are set.
	Value float64  `json:"value"`
	Unit  string   `json:"unit"`
	Least *float64 `json:"least,omitempty"`
	Most  *float64 `json:"most,omitempty"`
	State State    `json:"state"`
	// Check is the finding with the evidence.
	Check string `json:"check,omitempty"`
	Chart *Chart `json:"chart,omitempty"`
}

// Kept reports whether a value is what was promised.
func (p Promise) Kept() bool {
	return (p.Least == nil || p.Value >= *p.Least) && (p.Most == nil || p.Value <= *p.Most)
}

// Chart is a small picture of measurements.
type Chart struct {
	Kind   string   `json:"kind"` // bars: each point by its label; lines: over x
	X      string   `json:"x,omitempty"`
	Y      string   `json:"y"` // what is on the axes, with units
	Series []Series `json:"series"`
	Marks  []Mark   `json:"marks,omitempty"`
}

// Series are the points of one kind.
type Series struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
}

// Point is one measurement: a median, where there were several.
type Point struct {
	Label string  `json:"label,omitempty"`
	X     float64 `json:"x,omitempty"`
	Y     float64 `json:"y"`
}

// Mark is a line across a chart: what was promised, or where two series cross.
type Mark struct {
	Axis  string  `json:"axis"` // x | y
	At    float64 `json:"at"`
	Label string  `json:"label"`
}
