package main

import (
	"strings"
	"testing"
)

func TestCountTests(t *testing.T) {
	const ok = `{"Action":"start","Package":"offload-e2e/a"}
{"Action":"run","Package":"offload-e2e/a","Test":"TestOne"}
{"Action":"output","Package":"offload-e2e/a","Test":"TestOne","Output":"loud\n"}
{"Action":"pass","Package":"offload-e2e/a","Test":"TestOne","Elapsed":0}
{"Action":"run","Package":"offload-e2e/a","Test":"TestTable"}
{"Action":"run","Package":"offload-e2e/a","Test":"TestTable/x"}
{"Action":"pass","Package":"offload-e2e/a","Test":"TestTable/x","Elapsed":0}
{"Action":"run","Package":"offload-e2e/a","Test":"TestTable/y"}
{"Action":"output","Package":"offload-e2e/a","Test":"TestTable/y","Output":"    a_test.go:3: no sshd here\n"}
{"Action":"output","Package":"offload-e2e/a","Test":"TestTable/y","Output":"--- SKIP: TestTable/y (0.00s)\n"}
{"Action":"skip","Package":"offload-e2e/a","Test":"TestTable/y","Elapsed":0}
{"Action":"pass","Package":"offload-e2e/a","Test":"TestTable","Elapsed":0}
{"Action":"pass","Package":"offload-e2e/a","Elapsed":1.25}
{"Action":"skip","Package":"offload-e2e/none","Elapsed":0}
`
	const broken = `{"Action":"run","Package":"offload-e2e/b","Test":"TestTable"}
{"Action":"run","Package":"offload-e2e/b","Test":"TestTable/x"}
{"Action":"output","Package":"offload-e2e/b","Test":"TestTable/x","Output":"got 1, want 2\n"}
{"Action":"fail","Package":"offload-e2e/b","Test":"TestTable/x","Elapsed":0}
{"Action":"fail","Package":"offload-e2e/b","Test":"TestTable","Elapsed":0}
{"Action":"run","Package":"offload-e2e/b","Test":"TestHangs"}
{"Action":"output","Package":"offload-e2e/b","Test":"TestHangs","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"offload-e2e/b","Elapsed":2}
`
	const unbuilt = `{"ImportPath":"offload-e2e/c","Action":"build-output","Output":"c.go:1: undefined: x\n"}
{"ImportPath":"offload-e2e/c","Action":"build-fail"}
{"Action":"fail","Package":"offload-e2e/c","Elapsed":0,"FailedBuild":"offload-e2e/c"}
`
	for _, test := range []struct {
		name, in string
		want     testCounts
		says     []string
		silent   string
	}{
		{"subtests count, tables do not", ok, testCounts{passed: 2, skipped: 1}, []string{"ok    a (3 tests, 1.2 s)", "skipped TestTable/y: a_test.go:3: no sshd here"}, "loud"},
		{"what failed is shown", broken, testCounts{failed: 2}, []string{"got 1, want 2", "test timed out", "FAIL  b (2.0 s)"}, "ok "},
		{"what does not build fails once", unbuilt, testCounts{failed: 1}, []string{"c.go:1: undefined: x", "FAIL  c"}, "ok "},
		{"all together", ok + broken + unbuilt, testCounts{2, 3, 1}, nil, "loud"},
		{"nothing", "", testCounts{}, nil, "ok"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			got, err := countTests(strings.NewReader(test.in), &out)
			must(t, err)
			if got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			contains(t, out.String(), test.says...)
			if strings.Contains(out.String(), test.silent) {
				t.Errorf("tells of %q:\n%s", test.silent, out.String())
			}
		})
	}
	if _, err := countTests(strings.NewReader("go: no such tool"), &strings.Builder{}); err == nil {
		t.Error("what is no JSON is read")
	}
}

func TestCountTestsSetsTheStatus(t *testing.T) {
	for in, want := range map[string]int{
		"": exitBroken,
		`{"Action":"run","Package":"a","Test":"T"}{"Action":"pass","Package":"a","Test":"T"}{"Action":"pass","Package":"a"}`: exitOK,
		`{"Action":"fail","Package":"a"}`: exitBroken,
	} {
		c := newCountTestsCommand()
		var out strings.Builder
		c.SetIn(strings.NewReader(in))
		c.SetOut(&out)
		c.SetArgs([]string{})
		c.SilenceErrors, c.SilenceUsage = true, true
		if got := tell(&out, c.ExecuteContext(t.Context())); got != want {
			t.Errorf("%q: exit %d, want %d: %s", in, got, want, out.String())
		}
	}
}
