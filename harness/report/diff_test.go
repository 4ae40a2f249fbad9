package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDiff(t *testing.T) {
	f := func(check string, s State, seconds float64, code string) Finding {
		found := Finding{Check: check, Family: check[:2], Title: "the claim of " + check, Phase: "phase4", Machine: "laptop", State: s, Seconds: seconds}
		if code != "" {
			found.Class, found.Diagnosis = Product, &Diagnosis{Code: code, Sentence: "because of " + code, Layer: Trust, Source: "modules/a.nix:3", Remedy: "mend it"}
		}
		return found
	}
	before := &Report{Run: run(), Verdict: Fail, Findings: []Finding{f("RB.build", Holds, 2, ""), f("CH.hit", Broken, 2, "cache.key-name"), f("NF.mount", Broken, 1, "nfs.no-mount"),
		f("OF.build", Holds, 4, ""), f("HG.command", Holds, 1, ""), f("HG.command", Holds, 1, ""), f("PT.old", Holds, 1, ""), f("RC.build", Holds, 20, ""), f("SR.login", Holds, 1, "")}}
	after := &Report{Run: run(), Verdict: Fail, Findings: []Finding{f("RB.build", Broken, 2, "builder.untrusted"), f("CH.hit", Holds, 2, ""), f("NF.mount", Broken, 1, "nfs.full"),
		f("OF.build", Holds, 31, ""), f("HG.command", Holds, 1, ""), f("HG.command", Errored, 1, ""), f("PT.new", Holds, 1, ""), f("RC.build", Holds, 8, ""), f("SR.login", Skipped, 0, "")}}
	after.Run.ID, after.Run.Ended = "20261123-000000-ab12", after.Run.Ended.Add(time.Minute)
	d := Diff(before, after)
	if !d.Worse() || Diff(before, before).Worse() {
		t.Error("what broke is not told from what is broken")
	}
	var text, machine bytes.Buffer
	if err := d.Markdown(&text); err != nil {
		t.Fatal(err)
	}
	if err := d.JSON(&machine); err != nil {
		t.Fatal(err)
	}
	golden(t, "diff.md", text.Bytes())
	golden(t, "diff.json", machine.Bytes())
	var b bytes.Buffer
	if err := Diff(before, before).Markdown(&b); err != nil || !strings.Contains(b.String(), "nothing changed") {
		t.Errorf("%v: %s", err, b.String())
	}
}

// A scenario that is caught no more has broken, as a check has.
func TestDiffOfScenarios(t *testing.T) {
	gate := func(c2, n7 string) *Report {
		return (&Report{Run: run(), Verdict: Pass}).WithScenarios([]Outcome{
			{ID: "C2", Title: "the key's name", Result: c2, Detail: "CH.key-files holds", Seconds: 30}, {ID: "N7", Title: "a stale handle", Result: n7, Seconds: 20}})
	}
	d := Diff(gate(Caught, NotKnown), gate(Missed, Caught))
	if len(d.Broke) != 1 || d.Broke[0].Check != "scenario C2" || len(d.Mended) != 1 || d.Mended[0].Check != "scenario N7" || !d.Worse() {
		t.Fatalf("%+v", d)
	}
	var b bytes.Buffer
	if err := d.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"- **scenario C2**: missed: CH.key-files holds", "- **scenario N7**: a stale handle"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

// part writes a part of a run with one finding and long evidence.
func part(t *testing.T, shard, check string, s State) string {
	t.Helper()
	dir := t.TempDir()
	r := passed()
	r.Run.Shard, r.Run.Inputs, r.Run.Command = shard, "same", "make e2e SHARD="+shard
	r.Findings[0].Check, r.Findings[0].State = check, s
	r.Findings[0].Evidence = []Evidence{{Kind: "log", Title: "journal", Text: strings.Repeat("a line of the journal\n", 1000)}}
	r.Verdict = Judge(r)
	if err := os.WriteFile(filepath.Join(dir, "lan.pcapng"), []byte(shard), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Save(dir, r); err != nil {
		t.Fatal(err)
	}
	return dir
}

func scenariosOf(t *testing.T, dir string, ids ...string) {
	t.Helper()
	m := Matrix{Scenarios: []Outcome{{ID: "-", Result: Held, Found: []string{}}}}
	for _, id := range ids {
		m.Scenarios = append(m.Scenarios, Outcome{ID: id, Layer: "nix", Result: Caught, Found: []string{}})
	}
	m.Conclude()
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
}

func TestMerge(t *testing.T) {
	one, two := part(t, "1/2", "PT.ssh", Holds), part(t, "2/2", "PT.cache", Broken)
	scenariosOf(t, one, "X1", "C2")
	scenariosOf(t, two, "S1")
	dir := t.TempDir()
	merged, err := Merge(dir, []string{two, one})
	if err != nil {
		t.Fatal(err)
	}
	if err := Save(dir, merged); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Verdict != Fail || len(got.Findings) != 2 || got.Findings[0].Check != "PT.ssh" || got.Run.Shard != "" || got.Run.Command != "make e2e" {
		t.Errorf("got %+v", got)
	}
	for _, f := range got.Findings {
		if text, err := os.ReadFile(filepath.Join(dir, f.Evidence[0].File)); err != nil || len(text) != f.Evidence[0].Bytes {
			t.Errorf("evidence of %s: %d bytes, %v", f.Check, len(text), err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "part-2/lan.pcapng")); err != nil || string(text) != "2/2" {
		t.Errorf("the second part's capture is %q, %v", text, err)
	}
	if m, err := LoadMatrix(dir); err != nil || len(m.Scenarios) != 4 || m.Passed != 4 || m.Run != got.Run.ID {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestMergeRefuses(t *testing.T) {
	one, two, three := part(t, "1/2", "PT.ssh", Holds), part(t, "2/2", "PT.cache", Holds), part(t, "3/3", "PT.nfs", Holds)
	other := part(t, "2/2", "PT.cache", Holds)
	r, err := Load(other)
	if err != nil {
		t.Fatal(err)
	}
	r.Run.Inputs = "another configuration"
	if err := Save(other, r); err != nil {
		t.Fatal(err)
	}
	again := part(t, "2/2", "PT.cache", Holds)
	scenariosOf(t, one, "X1")
	scenariosOf(t, again, "X1")
	for name, c := range map[string]struct {
		parts []string
		want  string
	}{
		"none":                   {nil, "no reports"},
		"a part that is missing": {[]string{one}, "1 of 2 parts"},
		"a part twice":           {[]string{one, two, two}, "both part 2/2"},
		"another division":       {[]string{one, three}, "another division"},
		"another configuration":  {[]string{one, other}, "differ in their configuration"},
		"a scenario twice":       {[]string{one, again}, "X1 is in"},
		"no report":              {[]string{t.TempDir()}, "no run has ended there"},
	} {
		if _, err := Merge(t.TempDir(), c.parts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestEvidenceIsKeptBesideTheReport(t *testing.T) {
	dir := t.TempDir()
	r := passed()
	long := "first line\n" + strings.Repeat("é", evidenceLimit) + "\nlast line\n"
	r.Findings[0].Evidence = []Evidence{{Kind: "log", Title: "short", Text: "short"}, {Kind: "log", Title: "long", Text: long}}
	if err := Save(dir, r); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	short, cut := got.Findings[0].Evidence[0], got.Findings[0].Evidence[1]
	if short.File != "" || short.Text != "short" {
		t.Errorf("got %+v", short)
	}
	text, err := os.ReadFile(filepath.Join(dir, cut.File))
	if err != nil || string(text) != long || cut.Bytes != len(long) {
		t.Errorf("the file has %d bytes, %v", len(text), err)
	}
	if !strings.HasPrefix(cut.Text, "first line\n") || !strings.HasSuffix(cut.Text, "last line\n") || len(cut.Text) > evidenceLimit {
		t.Errorf("in the report: %.80q", cut.Text)
	}
	if r.Findings[0].Evidence[1].Text != long {
		t.Error("the caller's report was changed")
	}
	// Written again, it stays as it is.
	if err := Save(dir, got); err != nil {
		t.Fatal(err)
	}
	if again, err := Load(dir); err != nil || again.Findings[0].Evidence[1].Text != cut.Text || again.Findings[0].Evidence[1].Bytes != len(long) {
		t.Errorf("%v", err)
	}
}
