package report

import (
	"strings"
	"testing"
)

// What follows from proofs that are made anyway is kept as the proofs found it.
func TestPromisesOfFindings(t *testing.T) {
	offline := func(how string, s State, seconds float64) Finding {
		return Finding{Check: "OF.build-" + how, State: s, Seconds: seconds}
	}
	read := Finding{Check: "NF.read-store", State: Broken, Diagnosis: &Diagnosis{Code: "nfs.content", Sentence: "it has another hash"}}
	for _, test := range []struct {
		name     string
		findings []Finding
		id       string // of the one promise, "" for none
		state    State
		value    float64
		check    string
		says     string
	}{
		{"offline, in time", []Finding{offline("unplugged", Holds, 18), offline("powered-off", Holds, 31)}, "fallback", Holds, 31, "OF.build-powered-off", "31 s at most"},
		{"offline, too late", []Finding{offline("unplugged", Holds, 61)}, "fallback", Warns, 61, "OF.build-unplugged", "61 s"},
		{"offline, and a way broken", []Finding{offline("unplugged", Broken, 3), offline("refusing", Holds, 9)}, "fallback", Broken, 9, "OF.build-unplugged", "1 of 2 ways"},
		{"offline, not made", []Finding{offline("unplugged", Skipped, 0), offline("frozen", Errored, 0)}, "", "", 0, "", ""},
		{"read", []Finding{{Check: "NF.read-store", State: Holds}}, "store-readable", Holds, 1, "NF.read-store", "same content"},
		{"read otherwise", []Finding{read}, "store-readable", Broken, 0, "NF.read-store", "another hash"},
		{"not read", []Finding{{Check: "NF.read-store", State: Skipped}}, "", "", 0, "", ""},
		{"measured", []Finding{{Check: "PF.speed-up", State: Holds, Promise: &Promise{ID: "speed-up", Value: 2.7, State: Holds, Check: "PF.speed-up"}}}, "speed-up", Holds, 2.7, "PF.speed-up", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := promises(test.findings)
			if test.id == "" {
				if len(got) > 0 {
					t.Errorf("a promise of what was not proved: %+v", got)
				}
				return
			}
			if len(got) != 1 {
				t.Fatalf("%d promises", len(got))
			}
			p := got[0]
			if p.ID != test.id || p.State != test.state || p.Value != test.value || p.Check != test.check || !strings.Contains(p.Measured, test.says) {
				t.Errorf("%+v", p)
			}
		})
	}
}
