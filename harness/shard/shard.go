// Package shard deals work out to machines that run side by side, by how long it
// took before: every machine deals alike, and takes its own part.
package shard

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Part is one of so many parts, from 1; the zero value is the whole.
type Part struct{ Index, Of int }

// String is "2/8"; empty for the whole.
func (p Part) String() string {
	if p.Of == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", p.Index, p.Of)
}

// Set reads a part, as a flag does.
func (p *Part) Set(text string) error {
	if text == "" {
		*p = Part{}
		return nil
	}
	i, n, ok := strings.Cut(text, "/")
	index, err1 := strconv.Atoi(i)
	of, err2 := strconv.Atoi(n)
	if !ok || err1 != nil || err2 != nil || of < 1 || index < 1 || index > of {
		return fmt.Errorf("%q is no part: write 2/8 for the second of eight", text)
	}
	*p = Part{index, of}
	return nil
}

// Type is what a flag's help calls it.
func (p *Part) Type() string { return "i/n" }

// Unit is a piece of work that is not divided.
type Unit struct {
	Name    string
	Seconds float64
}

// Deal deals units out to n parts: the longest first, each to the part that has
// least to do so far. Equal ones go by name, so that all machines deal alike. Units
// of a part keep the order they were given in.
func Deal(units []Unit, n int) [][]Unit {
	order := make([]int, len(units))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(units[b].Seconds, units[a].Seconds), cmp.Compare(units[a].Name, units[b].Name))
	})
	taken := make([][]int, n)
	load := make([]float64, n)
	for _, i := range order {
		least := 0
		for p := range load {
			if load[p] < load[least] {
				least = p
			}
		}
		taken[least] = append(taken[least], i)
		load[least] += units[i].Seconds
	}
	parts := make([][]Unit, n)
	for p, list := range taken {
		slices.Sort(list)
		for _, i := range list {
			parts[p] = append(parts[p], units[i])
		}
	}
	return parts
}

// Sum is how long units take one after another.
func Sum(units []Unit) float64 {
	var sum float64
	for _, u := range units {
		sum += u.Seconds
	}
	return sum
}

// From are a part's units; all of them for the whole.
func (p Part) From(units []Unit) []Unit {
	if p.Of == 0 {
		return units
	}
	return Deal(units, p.Of)[p.Index-1]
}
