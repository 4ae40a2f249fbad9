package report

import (
	"fmt"
	"strings"
)

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

// promises are those that findings tell of: what was measured, and what follows from
// proofs that are made anyway.
func promises(findings []Finding) []Promise {
	var all []Promise
	var offline []Finding
	for _, f := range findings {
		switch {
		case f.Promise != nil:
			all = append(all, *f.Promise)
		case strings.HasPrefix(f.Check, "OF.build-") && (f.State == Holds || f.State == Broken):
			offline = append(offline, f)
		case f.Check == "NF.read-store" && (f.State == Holds || f.State == Broken):
			all = append(all, Promise{ID: "store-readable", Claim: "The desktop's whole store is readable through NFS", Measured: map[State]string{Holds: "a path that was just built there has the same content", Broken: f.words()}[f.State],
				Value: map[State]float64{Holds: 1}[f.State], Unit: "of 1 path", Least: new(1.0), State: f.State, Check: f.Check})
		}
	}
	if len(offline) > 0 {
		all = append(all, fallbackPromise(offline))
	}
	return all
}

// offlineLimit is within how many seconds a small build ends without the desktop.
const offlineLimit = 60

// fallbackPromise is how long the builds took that were made without the desktop.
func fallbackPromise(builds []Finding) Promise {
	p := Promise{ID: "fallback", Claim: "Builds go on without the desktop, by themselves", Unit: "s", Most: new(float64(offlineLimit)), State: Holds}
	bars := Series{Name: "a small build"}
	failed := 0
	for _, f := range builds {
		way := strings.ReplaceAll(strings.TrimPrefix(f.Check, "OF.build-"), "-", " ")
		if f.State == Broken {
			failed++
			way += ": not"
		}
		bars.Points = append(bars.Points, Point{Label: way, Y: f.Seconds})
		if p.Value <= f.Seconds {
			p.Value, p.Check = f.Seconds, f.Check
		}
	}
	if !p.Kept() {
		p.State = Warns
	}
	for _, f := range builds {
		if f.State == Broken {
			p.State, p.Check = Broken, f.Check
		}
	}
	ways := "one way"
	if len(builds) > 1 {
		ways = fmt.Sprintf("%d ways", len(builds))
	}
	p.Measured = fmt.Sprintf("%s of being away, %.0f s at most", ways, p.Value)
	if failed > 0 {
		p.Measured = fmt.Sprintf("in %d of %d ways of being away they do not, as they should", failed, len(builds))
	}
	p.Chart = &Chart{Kind: "bars", Y: "it takes, s", Series: []Series{bars}, Marks: []Mark{{Axis: "y", At: offlineLimit, Label: "at most 60"}}}
	return p
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
