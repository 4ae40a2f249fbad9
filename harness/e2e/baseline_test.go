package e2e

import (
	"strings"
	"testing"

	"offload-e2e/harness/report"
	"offload-e2e/harness/scenario"
)

func brokenBy(check, code string) report.Finding {
	return report.Finding{Check: check, Machine: "laptop", State: report.Broken, Diagnosis: &report.Diagnosis{Code: code, Sentence: "it is so"}}
}

// Scenarios are judged by what breaks besides what is broken without them.
func TestBaseline(t *testing.T) {
	run := &Run{baseline: baselineOf([]report.Finding{
		brokenBy("EV.builders", "builder.not-configured"), brokenBy("RB.build", "builder.not-configured"),
		{Check: "CH.hit", State: report.Holds},
	})}
	caught := scenario.Then{Check: scenario.CheckRef{Name: "CH.hit"}, Diagnosis: "cache.unsigned"}
	build := scenario.Then{Check: scenario.CheckRef{Name: "RB.build"}, Diagnosis: "builder.lost"}
	base := []report.Finding{brokenBy("EV.builders", "builder.not-configured"), brokenBy("RB.build", "builder.not-configured")}
	for name, test := range map[string]struct {
		then  scenario.Then
		found []report.Finding
		want  string
		says  string
	}{
		"the fault is found":            {caught, append(base, brokenBy("CH.hit", "cache.unsigned")), report.Caught, ""},
		"it is not":                     {caught, base, report.Missed, "CH.hit holds"},
		"another is found":              {caught, append(base, brokenBy("CH.hit", "cache.unsigned"), brokenBy("PT.ssh", "network.dropped")), report.FalseAlarm, "network.dropped"},
		"a check breaks another way":    {caught, []report.Finding{brokenBy("EV.builders", "builder.user-unknown"), brokenBy("CH.hit", "cache.unsigned")}, report.WrongDiagnosis, "builder.user-unknown"},
		"another check breaks of it":    {caught, append(base, brokenBy("RB.same", "builder.not-configured"), brokenBy("CH.hit", "cache.unsigned")), report.Caught, ""},
		"its check breaks of it":        {scenario.Then{Check: scenario.CheckRef{Name: "RB.same"}, Diagnosis: "builder.lost"}, append(base, brokenBy("RB.same", "builder.not-configured")), report.NotTried, "RB.same"},
		"its check was broken":          {build, base, report.NotTried, "without the fault, too:\nRB.build: builder.not-configured"},
		"its check breaks the own way":  {build, []report.Finding{base[0], brokenBy("RB.build", "builder.lost")}, report.Caught, ""},
		"its diagnosis was there":       {scenario.Then{Check: scenario.CheckRef{Name: "CH.hit"}, Diagnosis: "builder.not-configured"}, base, report.NotTried, "EV.builders"},
		"all that held holds":           {scenario.Then{Hold: scenario.Hold{All: true}}, base, report.Held, ""},
		"something that held does not":  {scenario.Then{Hold: scenario.Hold{All: true}}, append(base, brokenBy("PT.ssh", "network.dropped")), report.NotHeld, "network.dropped"},
		"what must hold never did":      {scenario.Then{Hold: scenario.Hold{Checks: []scenario.CheckRef{{Name: "RB.build"}}}}, base, report.NotTried, "RB.build"},
		"what must hold is mended then": {scenario.Then{Hold: scenario.Hold{Checks: []scenario.CheckRef{{Name: "RB.build"}}}}, base[:1], report.Held, ""},
	} {
		o := (&trial{Run: run, s: &scenario.Scenario{Then: test.then}}).judge(test.found)
		if o.Result != test.want || !strings.Contains(o.Detail, test.says) {
			t.Errorf("%s: it is %s (%s), not %s", name, o.Result, o.Detail, test.want)
		}
	}
}
