package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// newCountTestsCommand reads what `go test -json` writes, for `make test`: it
// shows a line a package and the output of what failed, and ends with counts.
func newCountTestsCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "count-tests",
		Short:  "Summarise the output of go test -json",
		Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			counts, err := countTests(c.InOrStdin(), c.OutOrStdout())
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), counts)
			if counts.failed > 0 || counts.passed == 0 {
				return exitStatus(exitBroken)
			}
			return nil
		},
	}
}

// testCounts are how many tests ended how.
type testCounts struct{ passed, failed, skipped int }

func (c testCounts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, c.skipped)
}

// testEvent is a line of test2json (go doc test2json), and of go build -json.
type testEvent struct {
	Action, Package, ImportPath, Test, Output, FailedBuild string
	Elapsed                                                float64 // seconds
}

// testPackage is what is known of a package under test.
type testPackage struct {
	output  map[string][]string // test -> what it printed; "" is the package
	results map[string]string   // test -> pass, fail, skip
	parents map[string]bool     // tests that have subtests
	order   []string
}

// countTests counts tests without subtests, and those that failed by themselves.
// A package that fails with no failed test, for instance one that does not build,
// counts as a failed test.
func countTests(r io.Reader, w io.Writer) (testCounts, error) {
	var total testCounts
	packages := map[string]*testPackage{}
	builds := map[string][]string{}
	for d := json.NewDecoder(r); ; {
		var e testEvent
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return total, nil
		} else if err != nil {
			return total, fmt.Errorf("read the output of go test -json: %w", err)
		}
		if e.Action == "build-output" {
			builds[e.ImportPath] = append(builds[e.ImportPath], e.Output)
			continue
		}
		p := packages[e.Package]
		if p == nil {
			p = &testPackage{output: map[string][]string{}, results: map[string]string{}, parents: map[string]bool{}}
			packages[e.Package] = p
		}
		p.take(e)
		if e.Test == "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip") {
			p.output[""] = append(p.output[""], builds[e.FailedBuild]...)
			counts := p.end(e, w)
			total.passed += counts.passed
			total.failed += counts.failed
			total.skipped += counts.skipped
		}
	}
}

func (p *testPackage) take(e testEvent) {
	switch e.Action {
	case "run":
		if i := strings.LastIndex(e.Test, "/"); i >= 0 {
			p.parents[e.Test[:i]] = true
		}
		p.order = append(p.order, e.Test)
	case "output":
		p.output[e.Test] = append(p.output[e.Test], e.Output)
	case "pass", "fail", "skip":
		if e.Test != "" {
			p.results[e.Test] = e.Action
		}
	}
}

// end counts a package's tests, and tells of it.
func (p *testPackage) end(e testEvent, w io.Writer) testCounts {
	var c testCounts
	var failed []string
	for _, test := range p.order {
		switch p.results[test] {
		case "pass":
			if !p.parents[test] {
				c.passed++
			}
		case "skip":
			c.skipped++
			fmt.Fprintf(w, "  skipped %s: %s\n", test, strings.Join(reasons(p.output[test]), " "))
		default: // "fail", or it never ended
			if !p.parents[test] || !slices.ContainsFunc(p.order, func(t string) bool {
				return strings.HasPrefix(t, test+"/") && p.results[t] != "pass" && p.results[t] != "skip"
			}) {
				c.failed++
			}
			failed = append(failed, test)
		}
	}
	if e.Action == "fail" && c.failed == 0 {
		c.failed++
	}
	if e.Action == "fail" {
		failed = append(failed, "")
	}
	for _, test := range failed {
		for _, line := range p.output[test] {
			fmt.Fprint(w, line)
		}
	}
	name := strings.TrimPrefix(e.Package, "offload-e2e/")
	switch {
	case e.Action == "fail":
		fmt.Fprintf(w, "FAIL  %s (%.1f s)\n", name, e.Elapsed)
	case len(p.order) > 0:
		fmt.Fprintf(w, "ok    %s (%d tests, %.1f s)\n", name, c.passed+c.skipped, e.Elapsed)
	}
	return c
}

// reasons are the words of a test that was skipped.
func reasons(output []string) []string {
	var out []string
	for _, line := range output {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			out = append(out, line)
		}
	}
	return out
}
