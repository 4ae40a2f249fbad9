package check

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// origin is an internet's cache; fetched is what it has served.
type origin struct{ added, fetched []string }

func (o *origin) AddText(name, _ string, _ ...string) (string, error) {
	path := fmt.Sprintf("/nix/store/%032d-%s", len(o.added), name)
	o.added = append(o.added, path)
	return path, nil
}

func (o *origin) Fetched() []string { return o.fetched }

// Of what desktop and internet both have, all, most or nothing comes from the desktop.
func TestCacheShare(t *testing.T) {
	for _, test := range []struct {
		fromDesktop int
		state       report.State
	}{{sharePaths, report.Holds}, {sharePaths - 2, report.Holds}, {sharePaths - 3, report.Broken}, {0, report.Broken}} {
		t.Run(fmt.Sprint(test.fromDesktop), func(t *testing.T) {
			w, o := newWorld(t), &origin{}
			w.bench.Origin = o
			lost := false
			w.desktop.does("env NIX_REMOTE=daemon nix-instantiate --eval *", func([]string) provider.Result {
				text, _ := json.Marshal(o.added)
				return out(string(text))
			})
			w.desktop.does("env NIX_REMOTE=daemon nix-store --delete *", func([]string) provider.Result {
				lost = true
				return out("")
			})
			w.laptop.on("env NIX_REMOTE=daemon nix-store --delete *", out(""))
			var log strings.Builder
			w.laptop.does("timeout * nix-store --realise *", func(argv []string) provider.Result {
				log.Reset()
				for i, path := range o.added {
					if !slices.Contains(argv, path) {
						t.Errorf("%s was not asked for", path)
					}
					if lost || i >= test.fromDesktop {
						o.fetched = append(o.fetched, path)
						continue
					}
					log.WriteString(access("/nar/"+hashPart(path)+"-x.nar", 200))
				}
				return out("")
			})
			w.desktop.does("journalctl --no-pager --output=cat --unit=nix-serve.service --since *", func([]string) provider.Result { return out(log.String()) })
			f := w.bench.Run(t.Context(), CacheShare())
			if f.State != test.state || f.Promise == nil {
				t.Fatalf("%s: %s %+v", f.State, f.Reason, f.Diagnosis)
			}
			want := 100 * float64(test.fromDesktop) / sharePaths
			bars := f.Promise.Chart.Series[0].Points
			if f.Promise.Value != want || bars[1].Y != want || bars[2].Y != 0 {
				t.Errorf("it measured %v %v, and should %v", f.Promise.Value, bars, want)
			}
			if (f.Promise.State == report.Holds) != (test.state == report.Holds) {
				t.Errorf("the promise is %s", f.Promise.State)
			}
		})
	}
}

// Without an internet of ours there is nothing to share.
func TestCacheShareWithoutInternet(t *testing.T) {
	if f := newWorld(t).bench.Run(t.Context(), CacheShare()); f.State != report.Skipped {
		t.Errorf("%s %+v", f.State, f.Diagnosis)
	}
}

func TestJudgeSpeedUp(t *testing.T) {
	line := func(a, b float64) report.Series {
		return report.Series{Points: []report.Point{{X: 10, Y: a}, {X: 40, Y: b}}}
	}
	for _, test := range []struct {
		name        string
		there       report.Series
		times, even float64
		state       report.State
	}{
		{"faster", line(6, 14), 2.86, 4.55, report.Holds},
		{"twice", line(8, 20), 2, 6.67, report.Holds},
		{"not worth it", line(16, 31), 1.29, 22, report.Warns},
		{"never", line(12, 42), 0.95, math.Inf(1), report.Warns},
		{"always", line(1, 10), 4, 0, report.Holds},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &Proof{Bench: newWorld(t).bench, finding: report.Finding{Check: "PF.speed-up", State: report.Holds}}
			p.judgeSpeedUp(line(10, 40), test.there)
			m := p.finding.Promise
			even := func(m *report.Promise) float64 {
				if len(m.Chart.Marks) == 0 {
					return math.Inf(1)
				}
				return math.Round(m.Chart.Marks[0].At*100) / 100
			}
			if p.finding.State != test.state || m == nil || math.Abs(m.Value-test.times) > 0.01 || even(m) != test.even || m.Check != "PF.speed-up" {
				t.Errorf("%s %+v", p.finding.State, m)
			}
		})
	}
}

// The laptop's builds get their whole processor back, also where a build fails.
func TestSpeedUpTakesBack(t *testing.T) {
	w := newWorld(t)
	var quotas []string
	w.laptop.does("sh -c systemctl set-property *", func(argv []string) provider.Result {
		quotas = append(quotas, argv[len(argv)-1])
		return out("")
	})
	if f := w.bench.Run(t.Context(), SpeedUp()); f.Promise == nil {
		t.Errorf("nothing was measured: %s %s %+v", f.State, f.Reason, f.Diagnosis)
	}
	w.laptop.on("timeout * nix-build *", said(1, "error: build failed\n"))
	if f := w.bench.Run(t.Context(), SpeedUp()); f.State != report.Errored || f.Promise != nil {
		t.Errorf("a build that fails: %s %+v", f.State, f.Promise)
	}
	w.laptop.does("sh -c systemctl set-property *", func(argv []string) provider.Result {
		quotas = append(quotas, argv[len(argv)-1])
		return said(1, "no cpu controller limits units there\n")
	})
	if f := w.bench.Run(t.Context(), SpeedUp()); f.State != report.Skipped || !strings.Contains(f.Reason, "no cpu controller") {
		t.Errorf("a laptop that is not slowed down: %s %s", f.State, f.Reason)
	}
	if !slices.Equal(quotas, []string{"25%", "", "25%", "", "25%", ""}) {
		t.Errorf("quotas: %q", quotas)
	}
}
