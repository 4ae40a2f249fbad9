package check

import (
	"strings"
	"testing"

	"offload-e2e/harness/nixos"
)

// A check is found in findings by the name it was asked for by.
func TestMakers(t *testing.T) {
	b := &Bench{Server: &nixos.Configuration{}, Client: &nixos.Configuration{}}
	for name := range Makers() {
		m, _ := ByName(name)
		if c := m.Make(b); c.Name != name && !strings.HasPrefix(c.Name, name+"-") || c.Run == nil || c.Title == "" {
			t.Errorf("%s makes %s %q", name, c.Name, c.Title)
		}
	}
	if _, known := ByName("EV.nothing"); known {
		t.Error("a check that there is not can be made")
	}
	seen := map[string]bool{}
	for i, c := range b.Proofs() {
		if c.Name != ProofNames()[i] || seen[c.Name] {
			t.Errorf("proof %d is %s", i, c.Name)
		}
		seen[c.Name] = true
	}
}
