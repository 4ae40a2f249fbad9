package document

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Unknown enters that a node names something of a kind that there is not.
func (s *Source) Unknown(n *yaml.Node, kind string, known []string) {
	s.Wrong(n, fmt.Sprintf("there is no %s %q", kind, n.Value), Suggest(n.Value, known))
}

// Suggest says which of the known names is meant most likely, and else, where they
// are few, which there are.
func Suggest(name string, known []string) string {
	best, distance := "", len(name)/3+2
	for _, k := range known {
		if d := levenshtein(strings.ToLower(name), strings.ToLower(k)); d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(known) > 30 {
		return ""
	}
	return "there is " + words(known)
}

// words lists names as a sentence does.
func words(names []string) string {
	names = slices.Clone(names)
	switch len(names) {
	case 0:
		return "none"
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// levenshtein is how many letters have to be added, dropped or changed.
func levenshtein(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
