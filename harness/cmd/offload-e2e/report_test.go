package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"offload-e2e/harness/report"
)

func TestReport(t *testing.T) {
	p := &paths{Root: clone(t), Cache: t.TempDir(), State: "/nowhere"}
	layout := report.Layout{Root: p.reports()}
	started := time.Date(2026, 11, 22, 22, 35, 1, 0, time.UTC)
	var ids []string
	for i, verdict := range []report.Verdict{report.Fail, report.Pass} {
		id := report.NewRunID(started.Add(time.Duration(i) * time.Minute))
		dir, err := layout.Create(id)
		must(t, err)
		must(t, report.Save(dir, &report.Report{Verdict: verdict, Run: report.Run{ID: id, Config: "vmconfigs"}}))
		must(t, layout.Publish(id))
		ids = append(ids, id)
	}
	broken := filepath.Join(p.Root, "elsewhere")
	write(t, filepath.Join(broken, report.JSONFile), `{"schema": 1, "verdict": `)

	for _, test := range []struct {
		name string
		args []string
		exit int
		says []string
	}{
		{"the last", nil, exitOK, []string{"Pass", "Report: " + filepath.Join(p.reports(), ids[1])}},
		{"one by its id", []string{ids[0]}, exitOK, []string{"Fail", ids[0]}},
		{"one by its folder", []string{filepath.Join(p.reports(), ids[0])}, exitOK, []string{"Fail"}},
		{"as JSON", []string{"--json"}, exitOK, []string{`"verdict": "pass"`, `"id": "` + ids[1] + `"`}},
		{"where it is", []string{"--path", ids[0]}, exitOK, []string{filepath.Join(p.reports(), ids[0]) + "\n"}},
		{"all there are", []string{"--list"}, exitOK, []string{ids[0] + "\n" + ids[1] + "\n"}},
		{"a damaged one", []string{broken}, exitUsage, []string{"The report cannot be read", "--list"}},
		{"two at a time", []string{ids[0], ids[1]}, exitUsage, []string{"Wrong usage"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, exit := offload(t, p, append([]string{"report"}, test.args...)...)
			if exit != test.exit {
				t.Errorf("exit %d, want %d", exit, test.exit)
			}
			contains(t, out, test.says...)
		})
	}
	t.Run("a dangling link", func(t *testing.T) {
		must(t, os.RemoveAll(filepath.Join(p.reports(), ids[1])))
		if out, exit := offload(t, p, "report"); exit != exitUsage {
			t.Errorf("exit %d: %s", exit, out)
		}
	})
}
