package main

import (
	"fmt"
	"io"
	"strings"
)

// diffContext is how many equal lines stand around a difference.
const diffContext = 2

// diffSections writes how b's sections differ from a's; nothing where they do not.
func diffSections(w io.Writer, a, b []section) {
	for i := range a {
		var lines []string
		inB := map[string]item{}
		for _, it := range b[i].items {
			inB[it.key] = it
		}
		seen := map[string]bool{}
		for _, it := range a[i].items {
			seen[it.key] = true
			other, ok := inB[it.key]
			switch {
			case !ok:
				lines = append(lines, "- "+it.line)
			case other != it:
				lines = append(lines, diffItem(it, other)...)
			}
		}
		for _, it := range b[i].items {
			if !seen[it.key] {
				lines = append(lines, "+ "+it.line)
			}
		}
		if len(lines) > 0 {
			fmt.Fprintf(w, "\n%s\n%s\n", a[i].title, strings.Join(lines, "\n"))
		}
	}
}

func diffItem(a, b item) []string {
	var lines []string
	if a.line != b.line {
		lines = append(lines, "- "+a.line, "+ "+b.line)
	} else {
		lines = append(lines, "  "+a.line)
	}
	if a.body == b.body {
		return lines
	}
	for _, l := range diffLines(splitLines(a.body), splitLines(b.body)) {
		lines = append(lines, "    "+l)
	}
	return lines
}

func splitLines(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }

// diffLines is the difference of two texts: "- ", "+ " and, around them, "  "
// before lines; "@@" where equal lines are left out. It follows the longest
// common subsequence.
func diffLines(a, b []string) []string {
	// common[i][j] is the length of that of a[i:] and b[j:].
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var all []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			all = append(all, "  "+a[i])
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			all = append(all, "- "+a[i])
			i++
		default:
			all = append(all, "+ "+b[j])
			j++
		}
	}
	return nearChanges(all)
}

// nearChanges leaves out equal lines that stand far from any change.
func nearChanges(all []string) []string {
	near := make([]bool, len(all))
	for i, l := range all {
		if l[0] == ' ' {
			continue
		}
		for k := max(0, i-diffContext); k <= min(len(all)-1, i+diffContext); k++ {
			near[k] = true
		}
	}
	var out []string
	for i, l := range all {
		switch {
		case near[i]:
			out = append(out, l)
		case i == 0 || near[i-1]:
			out = append(out, "@@")
		}
	}
	return out
}
