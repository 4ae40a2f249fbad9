package known

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/report"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), File)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

const list = `known:
  - check: CH.hit
    diagnosis: cache.key-name
    machine: laptop
    owner: alice
    tracker: "#12"
    expiry: 2026-12-31
    providers: [qemu]
`

func TestJudge(t *testing.T) {
	l, err := Load(write(t, list))
	if err != nil {
		t.Fatal(err)
	}
	broken := func(code string) report.Finding {
		return report.Finding{Check: "CH.hit", Machine: "laptop", State: report.Broken, Class: report.Product, Diagnosis: &report.Diagnosis{Code: code}}
	}
	at := func(f report.Finding, change func(*report.Finding)) report.Finding { change(&f); return f }
	for name, c := range map[string]struct {
		found    report.Finding
		provider string
		today    string
		fails    bool
		class    report.Class
		says     string
	}{
		"on record":                {found: broken("cache.key-name"), today: "2026-11-25", class: report.Known, says: "alice, #12"},
		"on its last day":          {found: broken("cache.key-name"), today: "2026-12-31", class: report.Known},
		"expired":                  {found: broken("cache.key-name"), today: "2027-01-02", fails: true, class: report.Product, says: "until 2026-12-31, which is over"},
		"broken by something else": {found: broken("cache.unsigned"), today: "2026-11-25", fails: true, class: report.Product},
		"on another provider":      {found: broken("cache.key-name"), provider: "docker", today: "2026-11-25", fails: true, class: report.Product},
		"on another machine":       {found: at(broken("cache.key-name"), func(f *report.Finding) { f.Machine = "laptop2" }), today: "2026-11-25", fails: true, class: report.Product},
		"it holds":                 {found: at(broken(""), func(f *report.Finding) { f.State, f.Class, f.Diagnosis = report.Holds, "", nil }), today: "2026-11-25", fails: true, class: report.Product, says: "known.yaml:2"},
		"it was skipped":           {found: at(broken(""), func(f *report.Finding) { f.State, f.Class = report.Skipped, "" }), today: "2026-11-25"},
	} {
		today, err := time.Parse(time.DateOnly, c.today)
		if err != nil {
			t.Fatal(err)
		}
		if c.provider == "" {
			c.provider = "qemu"
		}
		got := l.Judge(c.found, c.provider, today)
		said := got.Reason
		if got.Diagnosis != nil {
			said += got.Diagnosis.Source + got.Diagnosis.Sentence
		}
		if got.Fails() != c.fails || got.Class != c.class || !strings.Contains(said, c.says) {
			t.Errorf("%s: got %+v %+v", name, got, got.Diagnosis)
		}
	}
	var none *List
	if got := none.Judge(broken("cache.key-name"), "qemu", time.Time{}); got.Class != report.Product {
		t.Errorf("no list: got %+v", got)
	}
}

func TestLoadNamesThePlace(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"a key that is missing":    {"    owner: alice\n", "", ":2:5:"},
		"a key there is not":       {"owner:", "ownr:", `"ownr"`},
		"a diagnosis there is not": {"cache.key-name", "cache.keyname", `did you mean "cache.key-name"`},
		"a check that is none":     {"CH.hit", "the cache", "no check's name"},
		"a day that is none":       {"2026-12-31", "2026-13-01", "2026-13-01"},
		"a provider there is not":  {"[qemu]", "[vmware]", `no provider "vmware"`},
	} {
		file := write(t, strings.Replace(list, c.from, c.to, 1))
		if _, err := Load(file); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file+":") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if l, err := Load(filepath.Join(t.TempDir(), File)); err != nil || len(l.Defects) != 0 {
		t.Errorf("one that is not there: %v", err)
	}
}
