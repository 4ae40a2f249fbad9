package report

import "testing"

// A gate's verdict and headline are those of its scenarios.
func TestScenariosDecide(t *testing.T) {
	outcomes := func(results ...string) (all []Outcome) {
		for _, r := range results {
			all = append(all, Outcome{Result: r})
		}
		return all
	}
	walk := Finding{Check: "HG.x", State: Holds}
	for _, test := range []struct {
		name     string
		outcomes []Outcome
		findings []Finding
		verdict  Verdict
		headline string
	}{
		{"no gate", nil, []Finding{walk}, Pass, "Pass: 1 check holds"},
		{"all good", outcomes(Held, Caught, NotTried), []Finding{walk}, Pass, "Pass: 2 scenarios ended as they should, 1 skipped"},
		{"one", outcomes(Caught), nil, Pass, "Pass: 1 scenario ended as it should"},
		{"one missed", outcomes(Held, Missed, WrongDiagnosis), []Finding{walk}, Fail, "Fail: 2 of 3 scenarios did not end as they should"},
		{"one not found out", outcomes(Held, NotKnown), nil, Error, "Error: 1 scenario ended as it should, 1 in error"},
		{"missed, and not found out", outcomes(FalseAlarm, NotKnown, NotUndone), nil, Fail, "Fail: 2 of 3 scenarios did not end as they should, 1 in error"},
		{"the walk broke", outcomes(Held), []Finding{{Check: "HG.x", State: Broken}}, Fail, "Fail: 1 check broken, 0 root causes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &Report{Findings: test.findings, Scenarios: Count(test.outcomes)}
			r.Verdict = Judge(r)
			if whole := headline(r.WithScenarios(test.outcomes)); whole != headline(r) {
				t.Errorf("with its scenarios as findings it is %q", whole)
			}
			if got := headline(r); r.Verdict != test.verdict || got != test.headline {
				t.Errorf("%s, %q", r.Verdict, got)
			}
		})
	}
}
