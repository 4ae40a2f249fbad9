package shard

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestPart(t *testing.T) {
	for text, want := range map[string]Part{"": {}, "1/1": {1, 1}, "2/8": {2, 8}} {
		var p Part
		if err := p.Set(text); err != nil || p != want || p.String() != text {
			t.Errorf("%q: got %+v, %v", text, p, err)
		}
	}
	for _, text := range []string{"0/8", "9/8", "1", "a/b", "1/0", "-1/2", "1/2/3"} {
		var p Part
		if err := p.Set(text); err == nil || !strings.Contains(err.Error(), "2/8") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// TestDealIsFairAndTheSameEverywhere deals random work: nothing is lost or done
// twice, the order it comes in does not matter, and no part has more than the
// longest unit beyond the average.
func TestDealIsFairAndTheSameEverywhere(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var units []Unit
		longest := 0.0
		for i := range random.IntN(60) {
			u := Unit{fmt.Sprintf("s%d", i), float64(random.IntN(90))}
			longest = max(longest, u.Seconds)
			units = append(units, u)
		}
		n := 1 + random.IntN(9)
		parts := Deal(units, n)
		var all []string
		for _, p := range parts {
			if Sum(p) > Sum(units)/float64(n)+longest {
				t.Fatalf("a part takes %v s of %v in %d parts", Sum(p), Sum(units), n)
			}
			for _, u := range p {
				all = append(all, u.Name)
			}
		}
		if slices.Sort(all); len(all) != len(units) || len(slices.Compact(all)) != len(units) {
			t.Fatalf("%d units were dealt out, of %d", len(all), len(units))
		}
		shuffled := slices.Clone(units)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for i, p := range Deal(shuffled, n) {
			slices.SortFunc(p, func(a, b Unit) int { return strings.Compare(a.Name, b.Name) })
			slices.SortFunc(parts[i], func(a, b Unit) int { return strings.Compare(a.Name, b.Name) })
			if !reflect.DeepEqual(p, parts[i]) {
				t.Fatal("another order of the same work is dealt otherwise")
			}
		}
	}
	if got := (Part{}).From([]Unit{{"a", 1}}); len(got) != 1 {
		t.Errorf("the whole is %v", got)
	}
}

func TestDurations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "durations.yaml")
	if d, err := LoadDurations(file); err != nil || len(d) != 0 {
		t.Errorf("one that is not there: %v, %v", d, err)
	}
	want := Durations{"X1": 14.2, "phase: \"1\"": 60, "S9": 31}
	if err := want.Write(file, "measured"); err != nil {
		t.Fatal(err)
	}
	got, err := LoadDurations(file)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if units := got.Units([]string{"X1", "new"}); units[0].Seconds != 14.2 || units[1].Seconds != 14.2 {
		t.Errorf("got %v", units)
	}
	if err := os.WriteFile(file, []byte("seconds:\n  X1: soon\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadDurations(file); err == nil || !strings.Contains(err.Error(), file+":2:") {
		t.Errorf("got %v", err)
	}
}
