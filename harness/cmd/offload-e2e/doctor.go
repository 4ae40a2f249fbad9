package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// States of a condition.
const (
	stateOK      = "ok"
	stateWarn    = "warn"    // a run is possible, but
	stateMissing = "missing" // a run is not possible
)

// condition is one thing doctor looked at.
type condition struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Found  string `json:"found"`
	WayOut string `json:"way_out,omitempty"`
}

// health is all that doctor found.
type health struct {
	Possible   bool        `json:"possible"` // a run is
	Conditions []condition `json:"conditions"`
}

func newDoctorCommand(p *paths) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine can do, what is missing, and how to get it",
		Long: `Look at this machine: programs, memory, disk, virtualisation, guest image.
Exit status 0 where a run is possible, 3 where not.`,
		RunE: func(c *cobra.Command, _ []string) error {
			h := examine(c.Context(), newExamination(p, thisSystem()))
			if asJSON {
				if err := writeJSON(c.OutOrStdout(), h); err != nil {
					return err
				}
			} else {
				h.print(c.OutOrStdout())
			}
			if !h.Possible {
				return exitStatus(exitInfra)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// examine asks all questions in order.
func examine(ctx context.Context, e *examination) health {
	h := health{Possible: true}
	for _, question := range e.questions() {
		for _, c := range question(ctx) {
			h.Conditions = append(h.Conditions, c)
			h.Possible = h.Possible && c.State != stateMissing
		}
	}
	return h
}

func (h health) print(w io.Writer) {
	width := 0
	for _, c := range h.Conditions {
		width = max(width, len(c.Name))
	}
	marks := map[string]string{stateOK: "ok     ", stateWarn: "warn   ", stateMissing: "MISSING"}
	for _, c := range h.Conditions {
		indent := strings.Repeat(" ", len(marks[c.State])+width+4)
		fmt.Fprintf(w, "%s  %-*s  %s\n", marks[c.State], width, c.Name, strings.ReplaceAll(c.Found, "\n", "\n"+indent))
		if c.WayOut != "" {
			fmt.Fprintf(w, "%s→ %s\n", indent, strings.ReplaceAll(c.WayOut, "\n", "\n"+indent+"  "))
		}
	}
	if h.Possible {
		fmt.Fprintln(w, "\nA run is possible: make e2e")
	} else {
		fmt.Fprintln(w, "\nNo run is possible yet: mend what is MISSING, most often with make setup")
	}
}
