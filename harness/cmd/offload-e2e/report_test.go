package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/report"
)

func TestReport(t *testing.T) {
	t.Setenv("BROWSER", "")
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
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
		{"its page", []string{"open", ids[0]}, exitOK, []string{"file://" + filepath.Join(p.reports(), ids[0], "index.html")}},
		{"the page of one there is not", []string{"open", "20200101-000000-abcd"}, exitUsage, []string{"There is no such report"}},
		{"what changed", []string{"diff", ids[0], ids[1]}, exitOK, []string{"nothing changed", ids[0]}},
		{"what changed, for programs", []string{"diff", "--json", ids[0], ids[1]}, exitOK, []string{`"broke": []`}},
		{"what changed to nothing", []string{"diff", ids[0]}, exitUsage, []string{"Wrong usage"}},
		{"parts that are none", []string{"merge", "--report", p.reports(), ids[0], broken}, exitUsage, []string{"These reports cannot be merged"}},
		{"annotations", []string{"--github", ids[0]}, exitOK, nil},
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

func TestReportServesThisMachineOnly(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "index.html"), "<p>the page</p>")
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, dir, 0, w) }()
	line, err := bufio.NewReader(r).ReadString('\n')
	must(t, err)
	address := strings.Fields(line)[0]
	client := &http.Client{Timeout: 10 * time.Second}
	for host, want := range map[string]int{"": http.StatusOK, "127.0.0.1": http.StatusOK, "evil.example": http.StatusForbidden} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		must(t, err)
		request.Host = host
		response, err := client.Do(request)
		must(t, err)
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("host %q: status %d, want %d", host, response.StatusCode, want)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestOpenBrowser(t *testing.T) {
	path := newFakePath(t)
	path.program("viewer", `echo "$*" >>"$FAKE_LOG"`)
	path.program("broken", "exit 1")
	env := func(m map[string]string) func(string) string { return func(name string) string { return m[name] } }
	must(t, openBrowser(t.Context(), env(map[string]string{"BROWSER": "viewer"}), "/a/page"))
	must(t, openBrowser(t.Context(), env(nil), "/nobody/looks"))
	if got := path.calls(); !slices.Equal(got, []string{"/a/page"}) {
		t.Errorf("opened %q", got)
	}
	if err := openBrowser(t.Context(), env(map[string]string{"BROWSER": "broken"}), "/a/page"); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got %v", err)
	}
}
