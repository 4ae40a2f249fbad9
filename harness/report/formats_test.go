package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestMetricsAreReadByPrometheus(t *testing.T) {
	r := full()
	r.Run.Config = "a \"quoted\" \\ path\nof two lines"
	var b bytes.Buffer
	if err := (Metrics{}).Write(&b, r); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&b)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(families["offload_e2e_check_holds"].GetMetric()); n != len(r.Findings)-1 {
		t.Errorf("%d checks, of %d findings", n, len(r.Findings))
	}
	if v := families["offload_e2e_run_pass"].GetMetric()[0].GetGauge().GetValue(); v != 0 {
		t.Errorf("a failed run passes: %v", v)
	}
	if v := families["offload_e2e_promise_kept"].GetMetric()[1].GetGauge().GetValue(); v != 0 {
		t.Errorf("31 s are at most 30 s: %v", v)
	}
	// No series is there twice: the collector refuses the whole file then.
	for name, f := range families {
		seen := map[string]bool{}
		for _, m := range f.GetMetric() {
			key := m.String()
			key, _, _ = strings.Cut(key, "gauge")
			if seen[key] {
				t.Errorf("%s: %s is there twice", name, key)
			}
			seen[key] = true
		}
	}
}

// TestSARIF checks what SARIF 2.1.0 requires of the parts that are used (§3.13,
// §3.14, §3.27): its schema's licence is not ours to vendor.
func TestSARIF(t *testing.T) {
	r := full()
	r.Run.Config = "/home/me/nixos"
	r.RootCauses[0].Source = "/home/me/nixos/modules/a.nix:41"
	var b bytes.Buffer
	if err := (SARIF{}).Write(&b, r); err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	if err := d.Decode(&log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" {
		t.Fatalf("got %+v", log)
	}
	run := log.Runs[0]
	if len(run.Results) != len(r.RootCauses) {
		t.Errorf("%d results for %d causes", len(run.Results), len(r.RootCauses))
	}
	for _, result := range run.Results {
		if result.Message.Text == "" || !slices.Contains([]string{"none", "note", "warning", "error"}, result.Level) || run.Tool.Driver.Rules[result.RuleIndex].ID != result.RuleID {
			t.Errorf("got %+v", result)
		}
	}
	at := run.Results[0].Locations[0].Physical
	if at.Artifact.URI != "modules/a.nix" || at.Region.StartLine != 41 || run.Results[0].Level != "error" {
		t.Errorf("the first cause is at %+v, a %s", at, run.Results[0].Level)
	}
	if run.Results[1].Level != "note" || run.Results[1].Locations != nil {
		t.Errorf("a known defect of no place is %+v", run.Results[1])
	}
}

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		source, file string
		line         int
		ok           bool
	}{
		{"/etc/nixos/modules/a.nix:41", "modules/a.nix", 41, true},
		{"/etc/other/a.nix:3", "/etc/other/a.nix", 3, true},
		{"modules/a.nix:7", "modules/a.nix", 7, true},
		{"a.nix", "a.nix", 0, true},
		{"", "", 0, false},
		{"the option's default", "", 0, false},
	} {
		file, line, ok := Place(c.source, "/etc/nixos")
		if file != c.file || line != c.line || ok != c.ok {
			t.Errorf("%q: got %q %d %v", c.source, file, line, ok)
		}
	}
}

// TestJUnitIsWhatParsersTake holds junit.xml against the schema that GitHub's and
// GitLab's readers go by: https://llg.cubic.org/docs/junit/ names these elements and
// attributes, in this order, and no others.
func TestJUnitIsWhatParsersTake(t *testing.T) {
	attributes := map[string][]string{
		"testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
		"testsuite":  {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
		"testcase":   {"classname", "name", "time"},
		"failure":    {"type", "message"}, "error": {"type", "message"}, "skipped": {"message"}, "system-out": nil,
	}
	within := map[string][]string{"": {"testsuites"}, "testsuites": {"testsuite"}, "testsuite": {"testcase", "system-out"},
		"testcase": {"skipped", "error", "failure", "system-out"}}
	needed := map[string][]string{"testsuite": {"name", "tests"}, "testcase": {"name", "classname", "time"}}
	for name, r := range map[string]*Report{"failed": failed(), "passed": passed(), "halted": halted()} {
		var b bytes.Buffer
		if err := (JUnit{}).Write(&b, r); err != nil {
			t.Fatal(err)
		}
		var stack []string
		parent := func() string {
			if len(stack) == 0 {
				return ""
			}
			return stack[len(stack)-1]
		}
		for d := xml.NewDecoder(&b); ; {
			token, err := d.Token()
			if err != nil {
				break // TestWriters and FuzzLoad look for well-formedness
			}
			switch e := token.(type) {
			case xml.StartElement:
				if !slices.Contains(within[parent()], e.Name.Local) {
					t.Errorf("%s: <%s> in <%s>", name, e.Name.Local, parent())
				}
				var have []string
				for _, a := range e.Attr {
					have = append(have, a.Name.Local)
					if !slices.Contains(attributes[e.Name.Local], a.Name.Local) {
						t.Errorf("%s: <%s %s>", name, e.Name.Local, a.Name.Local)
					}
				}
				for _, a := range needed[e.Name.Local] {
					if !slices.Contains(have, a) {
						t.Errorf("%s: <%s> without %s", name, e.Name.Local, a)
					}
				}
				stack = append(stack, e.Name.Local)
			case xml.EndElement:
				stack = stack[:len(stack)-1]
			}
		}
	}
}
