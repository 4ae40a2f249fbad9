package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write golden files anew")

var start = time.Date(2026, 11, 22, 22, 35, 1, 0, time.UTC)

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; go test ./harness/report -update writes it anew. Got:\n%.4000s", path, got)
	}
}

func run() Run {
	return Run{ID: "20261122-223501-ab12", Started: start, Ended: start.Add(88 * time.Second), Config: "/home/me/nixos",
		Imports: map[string][]string{"desktop": {"modules/services/offload-server.nix", "services.offload-server.enable = true"},
			"laptop": {"modules/services/laptop-offload-client.nix"}},
		Keys: "exchange", Provider: "qemu", Guest: Guest{Kind: "embedded", Image: "sha256-0123", Versions: map[string]string{"nix": "2.26.3", "systemd": "257"}},
		Accelerator: "tcg", Restored: true, Command: "make e2e CONFIG=/home/me/nixos", Harness: "0.1.0"}
}

// failed is a run with something of everything, hostile text included.
func failed() *Report {
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	zero, one := 0, 1
	r := &Report{Run: run(),
		Findings: []Finding{
			{Check: "EV.builders", Family: "EV", Title: "the daemon knows the desktop as a builder", Phase: "phase2", Machine: "laptop", State: Broken, Class: Product,
				Diagnosis: &Diagnosis{Code: "builder.not-configured", Sentence: "the daemon's builders are empty", Layer: Evaluation, Effective: "", Expected: "ssh://nix-builder@192.168.15.7 …",
					Source: "modules/services/laptop-offload-client.nix:41", Remedy: "set nix.distributedBuilds = true"},
				Evidence: []Evidence{{Kind: "command", Machine: "laptop", Title: "nix config show builders", ExitStatus: &zero, Text: "\n", Seconds: 0.2}}, Started: at(30), Seconds: 0.4},
			{Check: "PT.cache", Family: "PT", Title: "port 5000 answers", Phase: "phase2", Machine: "laptop", State: Holds, Started: at(31), Seconds: 0.1},
			{Check: "EV.unused", Family: "EV", Title: "every trusted key is used", Phase: "phase2", Machine: "laptop", State: Warns,
				Diagnosis: &Diagnosis{Code: "cache.key-unused", Sentence: "no cache signs with old|key*", Layer: Trust}, Started: at(32), Seconds: 0.1},
			{Check: "RB.nonce", Family: "RB", Title: "a build runs on the desktop", Phase: "phase4", Machine: "laptop", State: Broken, Class: Product,
				Diagnosis: &Diagnosis{Code: "builder.built-locally", Sentence: "the build ran on the laptop", Layer: Content},
				Evidence: []Evidence{{Kind: "command", Machine: "laptop", Title: "nix-build nonce.nix", ExitStatus: &one, Text: "error: \x1b[31;1m<red> & ```fence``` ]]>\x00\xff", Seconds: 3.25},
					{Kind: "log", Machine: "desktop", Title: "journal of sshd", Text: "Accepted publickey | nix-builder"}}, Started: at(60), Seconds: 12.3},
			{Check: "CH.hit", Family: "CH", Title: "a path only the desktop has arrives from its cache", Phase: "phase4", Machine: "laptop", State: Broken, Class: Known,
				Diagnosis: &Diagnosis{Code: "cache.key-name", Sentence: "signed by cache.local, trusted is cache-key", Layer: Trust, Effective: "cache-key", Expected: "cache.local", Remedy: "trust `cache.local:…`"}, Started: at(72), Seconds: 2},
			{Check: "PF.speed", Family: "PF", Title: "builds are faster", Phase: "phase4", Machine: "laptop", State: Skipped, Reason: "needs two processors", Started: at(74)},
			{Check: "RC.reboot", Family: "RC", Title: "all works after a reboot", Phase: "phase4", Machine: "desktop", State: Errored, Class: Infra, Reason: "desktop is unreachable: dial: refused", Started: at(75), Seconds: 130},
		},
		Disagreements: []Disagreement{{Phase: "phase4", Machine: "laptop", Command: "offload-test-build | cat", Said: "✅ Remote build test successful", Check: "RB.nonce", Proof: "the build ran on the laptop"}},
		Timeline: []Span{
			{Name: "restore machines", Kind: "setup", Started: at(0), Seconds: 4.2, Budget: 10},
			{Name: "phase 2: laptop", Kind: "phase", Started: at(25), Seconds: 30, Budget: 25},
			{Name: "switch", Kind: "step", Parent: "phase 2: laptop", Machine: "laptop", Started: at(26), Seconds: 12},
			{Name: "offload-status", Kind: "command", Parent: "phase 2: laptop", Machine: "laptop", Started: at(40), Seconds: 2},
		},
	}
	r.RootCauses = Rank(r.Findings)
	r.Verdict = Judge(r)
	return r
}

func passed() *Report {
	return &Report{Run: run(), Verdict: Pass, Findings: []Finding{{Check: "PT.ssh", Family: "PT", Title: "port 22 answers", Phase: "phase1", Machine: "laptop", State: Holds, Started: start, Seconds: 0.2}}}
}

func halted() *Report {
	return &Report{Run: run(), Verdict: Error, Errors: []RunError{{Heading: "The configuration does not evaluate",
		Sentence: "error: undefined variable 'libb' at /home/me/nixos/modules/x.nix:3:5", WayOut: "mend the file; offload-e2e eval laptop shows the error alone"}}}
}

func TestWriters(t *testing.T) {
	for name, r := range map[string]*Report{"failed": failed(), "passed": passed(), "halted": halted()} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := Save(dir, r); err != nil {
				t.Fatal(err)
			}
			files, err := os.ReadDir(dir)
			if err != nil || len(files) != len(Writers("", nil)) {
				t.Fatalf("wrote %v, %v", files, err)
			}
			for _, f := range files {
				text, err := os.ReadFile(filepath.Join(dir, f.Name()))
				if err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+f.Name(), text)
			}
			for _, look := range []Look{{}, {Color: true}} {
				var b bytes.Buffer
				if err := Summary(&b, r, "reports/"+r.Run.ID, look); err != nil {
					t.Fatal(err)
				}
				golden(t, name+map[bool]string{false: ".txt", true: ".color.txt"}[look.Color], b.Bytes())
				if bytes.Contains(b.Bytes(), []byte("\x1b")) != look.Color {
					t.Error("colour where none is wanted, or none where it is")
				}
			}
		})
	}
}

func TestLoadReadsWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	want := failed()
	if err := Save(dir, want); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, JSONFile)} {
		got, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		var a, b bytes.Buffer
		if err := (JSON{}).Write(&a, want); err != nil {
			t.Fatal(err)
		}
		if err := (JSON{}).Write(&b, got); err != nil {
			t.Fatal(err)
		}
		if a.String() != b.String() {
			t.Error("another report came back")
		}
		if got.Findings[3].Evidence[0].Title != "nix-build nonce.nix" || got.RootCauses[0].Code != "builder.not-configured" {
			t.Errorf("got %+v", got)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, want string }{
		"empty":      {"", "unexpected end of JSON"},
		"cut":        {"{\n\"schema\": 1,\n\"run\": {", "line 3: unexpected end"},
		"no JSON":    {"{\n  schema: 1}", "line 2: invalid character"},
		"other JSON": {`{"a": 1}`, "no report of offload-e2e"},
		"newer":      {`{"schema": 2}`, "schema 2, and this harness reads 1: read it with the harness that wrote it"},
		"wrong type": {"{\"schema\": 1,\n\"findings\": 5}", "line 2: json: cannot unmarshal number"},
	} {
		path := filepath.Join(dir, "x.json")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := Load(filepath.Join(dir, "absent")); err == nil || !strings.Contains(err.Error(), "make e2e") {
		t.Errorf("got %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	var b bytes.Buffer
	if err := (JSON{}).Write(&b, failed()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parse(text, "report.json")
		if err != nil {
			return
		}
		// Whatever was read can be written, and is well-formed.
		for _, w := range Writers("", nil) {
			var b bytes.Buffer
			if err := w.Write(&b, r); err != nil {
				t.Fatalf("%s: %v", w.File(), err)
			}
			if w.File() == JUnitFile {
				wellFormed(t, b.Bytes())
			}
		}
	})
}

func wellFormed(t *testing.T, text []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
}

func TestSaveSaysWhatFailed(t *testing.T) {
	err := Save(filepath.Join(t.TempDir(), "absent"), passed())
	for _, name := range []string{"report.json", "junit.xml", "summary.md"} {
		if err == nil || !strings.Contains(err.Error(), "write "+name) {
			t.Errorf("got %v", err)
		}
	}
}

func TestJUnitCounts(t *testing.T) {
	var b bytes.Buffer
	if err := (JUnit{}).Write(&b, failed()); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, b.Bytes())
	var got junitSuites
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 7 || got.Failures != 2 || got.Errors != 1 || got.Skipped != 2 || len(got.Suites) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestMarkdownHoldsHostileText(t *testing.T) {
	r := failed()
	r.Findings[3].Evidence[0].Text = "````\n</details><script>"
	r.Findings[3].Diagnosis.Sentence = "a | b\n# no heading <img> [x](y)"
	var b strings.Builder
	if err := (Markdown{}).Write(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"`````text\n````\n</details><script>\n`````", `a \| b # no heading &lt;img&gt; \[x](y)`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestJudge(t *testing.T) {
	f := func(s State, c Class) Finding { return Finding{State: s, Class: c} }
	for _, c := range []struct {
		r    Report
		want Verdict
	}{
		{Report{}, Pass},
		{Report{Findings: []Finding{f(Holds, ""), f(Warns, ""), f(Skipped, "")}}, Pass},
		{Report{Findings: []Finding{f(Broken, Known)}}, Pass},
		{Report{Findings: []Finding{f(Errored, Infra)}}, Error},
		{Report{Findings: []Finding{f(Errored, Infra), f(Broken, Product)}}, Fail},
		{Report{Findings: []Finding{f(Broken, Product)}, Errors: []RunError{{}}}, Error},
	} {
		if got := Judge(&c.r); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.r, got, c.want)
		}
	}
}

func TestNoListIsNull(t *testing.T) {
	var b bytes.Buffer
	if err := (JSON{}).Write(&b, &Report{Findings: []Finding{{}}, RootCauses: []RootCause{{}}}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "null") || !json.Valid(b.Bytes()) {
		t.Errorf("got %s", b.String())
	}
}

func TestSeconds(t *testing.T) {
	for in, want := range map[float64]string{0: "0.0 s", 0.34: "0.3 s", 9.96: "10 s", 14: "14 s", 119.6: "2 min 00 s", 125: "2 min 05 s"} {
		if got := seconds(in); got != want {
			t.Errorf("%v: got %s, want %s", in, got, want)
		}
	}
}
