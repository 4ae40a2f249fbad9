package main

import (
	"cmp"
	"path/filepath"

	"github.com/spf13/cobra"

	"offload-e2e/harness/known"
)

func addKnownFlag(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, "known", "", "defects on record, which do not make it fail until they expire or are mended (default: known.yaml of the configuration)")
}

// loadKnown reads the defects on record; where the user names no list, a
// configuration may have one.
func loadKnown(o runOptions) (*known.List, error) {
	list, err := known.Load(cmp.Or(o.known, filepath.Join(abs(mustWorkingDir(), o.config), known.File)))
	if err != nil {
		return nil, &userError{Heading: "The list of known defects cannot be read", Sentence: err.Error(),
			WayOut: "Mend the places that are named. README.md shows the format.", Exit: exitUsage, Cause: err}
	}
	return list, nil
}
