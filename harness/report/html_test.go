package report

import (
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func ptr[T any](v T) *T { return &v }

// full is a run with all that a page can show.
func full() *Report {
	r := failed()
	r.Run.Machines = map[string]string{"desktop": "192.168.15.7", "laptop": "192.168.15.9", "laptop2": "192.168.15.10"}
	r.Findings[4].History = &History{Outcomes: []State{Holds, Broken, Holds, Broken}, FlakeRate: 0.5}
	r.Promises = []Promise{
		{ID: "speed-up", Claim: "Builds are 2 to 5 times faster", Measured: "2.9 times, from builds of 4 s on", Value: 2.9, Unit: "times", Least: ptr(2.0), Most: ptr(5.0), State: Holds,
			Chart: &Chart{Kind: "lines", X: "size of the build, s on the laptop", Y: "it takes, s", Series: []Series{
				{Name: "laptop", Points: []Point{{X: 1, Y: 1}, {X: 10, Y: 10}, {X: 30, Y: 30}}}, {Name: "desktop", Points: []Point{{X: 1, Y: 3.2}, {X: 10, Y: 5.8}, {X: 30, Y: 12}}}},
				Marks: []Mark{{Axis: "x", At: 4, Label: "break-even 4 s"}}}},
		{ID: "fallback", Claim: "Builds go on without the desktop", Measured: "at most 31 s more", Value: 31, Unit: "s", Most: ptr(30.0), State: Broken, Check: "OF.frozen",
			Chart: &Chart{Kind: "bars", Y: "extra seconds", Series: []Series{{Name: "idle", Points: []Point{{Label: "powered off", Y: 4.1}, {Label: "frozen", Y: 31}}}},
				Marks: []Mark{{Axis: "y", At: 30, Label: "at most 30"}}}},
	}
	return r
}

func outcomes() []Outcome {
	cause := func(code, sentence string) []RootCause {
		return []RootCause{{Rank: 1, Diagnosis: Diagnosis{Code: code, Sentence: sentence}, Machine: "laptop", Explains: []string{"RB.build"}}}
	}
	return []Outcome{
		{ID: "-", Title: "the configuration as it is: all must hold", Result: Held, Found: []string{}, Seconds: 12},
		{ID: "X1", Title: "builders at mkDefault, distributedBuilds off", Layer: "nix", Check: "EV.builders", Expected: "builder.not-configured", Result: Caught,
			Found: []string{"builder.not-configured"}, Causes: cause("builder.not-configured", "the daemon's builders are empty"), Undone: "the machines were restored", Seconds: 14.2},
		{ID: "C2", Title: "trust a key by another <name>", Layer: "cache", Silent: "all", Expected: "cache.key-name", Result: WrongDiagnosis, Found: []string{"cache.not-used"},
			Causes: cause("cache.not-used", "nothing was fetched"), Detail: "cache.key-name is not what was blamed", Seconds: 15},
		{ID: "K2", Title: "a key with a passphrase", Layer: "keys", Result: NotTried, Found: []string{}, Detail: "the module has no key of its own"},
	}
}

// TestPageStandsAlone parses the page: it loads nothing, and what guests wrote is
// text in it.
func TestPageStandsAlone(t *testing.T) {
	r := full()
	r.Findings[3].Title = `<script>alert(1)</script>`
	r.Findings[3].Evidence[0].Title = `" onload="alert(1)`
	r.Findings[3].Evidence[0].File = "javascript:alert(1)"
	var b strings.Builder
	if err := (HTML{Scenarios: outcomes()}).Write(&b, r); err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		count[n.Data]++
		for _, a := range n.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "src", a.Key == "srcset":
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			case a.Key == "href" && strings.Contains(a.Val, ":"):
				t.Errorf("<%s href=%q> leaves the folder", n.Data, a.Val)
			}
		}
	}
	if count["script"] != 1 || count["style"] != 1 || count["link"] != 0 || count["iframe"] != 0 {
		t.Errorf("the page has %v", count)
	}
	for _, text := range []string{"&lt;script&gt;alert(1)", "default-src &#39;none&#39;", "C2", "Faults made on purpose: 1 of 3 scenarios did not end as they should, 1 skipped", "promised: 2 to 5 times", "held in 2 of the last 4 runs, flaky: 50 %"} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("no %q in the page", text)
		}
	}
	golden(t, "full.index.html", []byte(b.String()))
}

func TestPictureShowsWhatWasProved(t *testing.T) {
	holds := func(check, machine string) Finding {
		return Finding{Check: check, Family: check[:2], Machine: machine, State: Holds, Title: check}
	}
	broken := func(f Finding, class Class) Finding {
		f.State, f.Class = Broken, class
		return f
	}
	for name, c := range map[string]struct {
		findings []Finding
		want     string // of SSH, cache, NFS
	}{
		"nothing looked at":                  {nil, "not proved, not proved, not proved"},
		"open ports alone prove no use":      {[]Finding{holds("PT.ssh", "laptop"), holds("PT.cache", "laptop"), holds("SR.login", "laptop")}, "not proved, not proved, not proved"},
		"what is used is proved":             {[]Finding{holds("RB.build", "laptop"), holds("CH.hit", "laptop"), holds("NF.mount", "laptop")}, "holds, holds, holds"},
		"a broken check outweighs":           {[]Finding{holds("RB.build", "laptop"), broken(holds("PT.ssh", "laptop"), Product)}, "broken, not proved, not proved"},
		"known defects are told apart":       {[]Finding{broken(holds("CH.hit", "laptop"), Known)}, "not proved, known, not proved"},
		"another laptop's is not this one's": {[]Finding{broken(holds("CH.hit", "laptop2"), Product)}, "not proved, not proved, not proved"},
	} {
		p := draw(&Report{Findings: c.findings})
		var words []string
		for _, l := range p.Links[:3] {
			words = append(words, l.Word)
		}
		if got := strings.Join(words, ", "); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	skipped := holds("NF.mount-store", "laptop")
	skipped.State, skipped.Reason = Skipped, "the kernel has no NFS"
	if l := draw(&Report{Findings: []Finding{skipped}}).Links[2]; l.Word != "not proved" || l.Words != skipped.Reason || l.Anchor == "" {
		t.Errorf("a link that was not looked at does not say why: %+v", l)
	}
}
