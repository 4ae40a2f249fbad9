package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offload-e2e/harness/report"
)

// verb runs the command, and returns its exit status and what it said.
func verb(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	code = execute(t.Context(), args, &out, &out)
	return code, out.String()
}

func TestScenarioVerbs(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"scenario", "new", "my-own", "nix", "--dir", dir}, exitOK, "scenario run " + dir + "/nix/my-own.yaml"},
		{[]string{"scenario", "new", "my-own", "nix", "--dir", dir}, exitUsage, "is there already"},
		{[]string{"scenario", "new", "my-own", "nixx", "--dir", dir}, exitUsage, `there is no layer "nixx"; did you mean "nix"?`},
		{[]string{"scenario", "new", "my-own"}, exitUsage, "accepts 2 arg(s)"},
		{[]string{"scenario", "list", "--scenarios", dir}, exitOK, "my-own"},
		{[]string{"scenario", "show", "my-own", "--scenarios", dir}, exitOK, "diagnosis: nix.fallback-off"},
		{[]string{"scenario", "show", "my-ovn", "--scenarios", dir}, exitUsage, `No file in ` + dir + ` has the id "my-ovn"; did you mean "my-own"?`},
		{[]string{"scenario", "lint", "--scenarios", dir}, exitOK, "scenarios: 1, all sound"},
		{[]string{"scenario", "lint", dir + "/nothing.yaml"}, exitUsage, "no scenarios at "},
		{[]string{"scenario", "run"}, exitUsage, "requires at least 1 arg"},
		{[]string{"scenario", "run", "my-ovn", "--scenarios", dir}, exitUsage, `did you mean "my-own"?`},
		{[]string{"scenario", "run", "my-own", "--keep=perhaps", "--scenarios", dir}, exitUsage, "--keep"},
		{[]string{"scenario", "faults"}, exitOK, "link-down"},
		{[]string{"scenario", "checks"}, exitOK, "RB.build"},
		{[]string{"scenario", "diagnoses"}, exitOK, "cache.key-name"},
		{[]string{"gate", "--scenarios", dir + "/*.yml"}, exitUsage, "no scenarios at "},
		{[]string{"gate", "--keys=lost"}, exitUsage, "--keys"},
		{[]string{"soak", "--runs", "0"}, exitUsage, "run at least once"},
	} {
		if code, said := verb(t, c.args...); code != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%v ends with %d, saying %q; it should end with %d and say %q", c.args, code, said, c.code, c.says)
		}
	}
	// An edit is tried, and told with its place.
	file := filepath.Join(dir, "nix", "twice.yaml")
	text := "id: twice\ntitle: t\nlayer: nix\ngiven:\n  edits: {file: modules/services/offload-server.nix, from: lib, to: x}\nthen: {hold: all}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, said := verb(t, "scenario", "lint", file); code != exitUsage || !strings.Contains(said, file+`:5:10: "lib" is in modules/services/offload-server.nix `) {
		t.Errorf("an edit that matches often: %d, %s", code, said)
	}
}

func TestConclude(t *testing.T) {
	caught, missed := report.Outcome{ID: "A", Result: report.Caught}, report.Outcome{ID: "B", Result: report.Missed, Expected: "x.y", Check: "EV.z", Detail: "EV.z holds"}
	unknown, other := report.Outcome{ID: "C", Result: report.NotKnown, Detail: "no machine"}, report.Outcome{ID: "D", Result: report.NotTried}
	for name, c := range map[string]struct {
		outcomes []report.Outcome
		code     int
		says     string
	}{
		"all good":              {[]report.Outcome{caught, other}, exitOK, "1 passed, 0 failed, 1 skipped\n"},
		"one missed":            {[]report.Outcome{caught, missed, unknown}, exitBroken, "  expected x.y by EV.z\n    EV.z holds\n"},
		"one could not be made": {[]report.Outcome{caught, unknown}, exitInfra, "    no machine\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := conclude(&out, t.TempDir(), &report.Matrix{Scenarios: c.outcomes})
			var status exitStatus
			errors.As(err, &status)
			if int(status) != c.code || !strings.Contains(out.String(), c.says) || !strings.HasSuffix(out.String(), " skipped\n") {
				t.Errorf("it ends with %v, saying\n%s", err, &out)
			}
		})
	}
}

func TestSoakCounts(t *testing.T) {
	s := &soak{Runs: []soakRun{
		{ID: "1", Verdict: "pass"}, {ID: "2", Verdict: "fail", Causes: []string{"a on laptop"}},
		{ID: "3", Verdict: "fail", Causes: []string{"b on desktop", "a on laptop"}}, {ID: "4", Verdict: "error", Causes: []string{"no machine"}},
	}}
	s.count()
	if s.Passed != 1 || s.Failed != 3 || len(s.Broke) != 3 || s.Broke[0].Cause != "a on laptop" || s.Broke[0].Times != 2 || len(s.Broke[0].Runs) != 2 {
		t.Errorf("counted %+v", s)
	}
}
