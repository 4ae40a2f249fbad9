package check

import (
	"errors"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// fieldLines are the lines that field scripts print, with the claim they are.
var fieldLines = []struct{ good, bad, check string }{
	{"✅ nix-serve: Running (port 5000)", "❌ nix-serve: Inactive", "CH.info"},
	{"✅ sshd: Running (port 22)", "❌ sshd: Inactive", "PT.ssh"},
	{"✅ NFS: Running", "❌ NFS: Inactive", "PT.nfs"},
	{"✅ NFS server: Running (port 2049)", "❌ NFS server: Inactive", "NF.export-store"},
	{"✅ Cache signing key: Present", "❌ Cache signing key: Missing", "CH.key-files"},
	{"✅ Cache accessible", "❌ Cache not accessible", "PT.cache"},
	{"✅ Desktop reachable at 192.168.15.7", "❌ Desktop unreachable at 192.168.15.7", "PT.ssh"},
	{"✅ SSH builder access working", "❌ SSH builder access failed", "SR.login"},
	{"✅ SSH builder access working", "❌ SSH builder access: /etc/nix/builder_key is missing", "SR.login"},
	{"✅ /nix/store-remote mounted", "❌ /nix/store-remote not mounted", "NF.mount-store"},
	{"✅ /var/lib/nix-offload-remote mounted", "❌ /var/lib/nix-offload-remote not mounted", "NF.mount-offload"},
	{"✅ Desktop cache accessible", "❌ Desktop cache not accessible", "CH.hit"},
	{"✅ Desktop cache signs with a key this laptop trusts", "❌ Desktop cache signs with no key this laptop trusts, so Nix will not use it", "CH.hit"},
	{"✅ Remote build test successful", "❌ Remote build test failed!", "RB.build"},
}

func typed(name, stdout string, at time.Time) Said {
	return Said{Command: UserCommand{Name: name, Role: nixos.Laptop}, Result: provider.Result{Stdout: []byte(stdout)}, Ran: true, Started: at}
}

func finding(check string, state report.State) report.Finding {
	family, _, _ := strings.Cut(check, ".")
	f := report.Finding{Check: check, Family: family, Title: check + " is so", Phase: "phase4", State: state}
	if state == report.Broken {
		f.Diagnosis = &report.Diagnosis{Sentence: check + " is broken"}
	}
	return f
}

func TestClaims(t *testing.T) {
	for _, l := range fieldLines {
		for _, tt := range []struct {
			line  string
			state report.State
			proof string
		}{
			{l.good, report.Holds, ""}, {l.good, report.Warns, ""}, {l.bad, report.Broken, ""},
			{l.good, report.Broken, l.check + " is broken"}, {l.bad, report.Holds, l.check + " is so"},
			{l.good, report.Skipped, ""}, {l.bad, report.Errored, ""},
			{"   " + l.good + "\r", report.Broken, l.check + " is broken"}, {strings.TrimPrefix(l.good, "✅"), report.Broken, ""}, {l.good + " ❌", report.Broken, ""},
		} {
			got := Disagreements(typed("offload-status", "title\n"+tt.line+"\nend", time.Time{}), []report.Finding{finding(l.check, tt.state)})
			switch {
			case tt.proof == "" && len(got) != 0:
				t.Errorf("%q and %s %s: %+v", tt.line, l.check, tt.state, got)
			case tt.proof != "" && len(got) != 1:
				t.Errorf("%q and %s %s: no disagreement", tt.line, l.check, tt.state)
			case tt.proof != "":
				want := report.Disagreement{Phase: "phase4", Machine: "laptop", Command: "offload-status", Said: strings.TrimSpace(tt.line), Check: l.check, Proof: tt.proof}
				if got[0] != want {
					t.Errorf("got  %+v\nwant %+v", got[0], want)
				}
			}
		}
	}
	for _, c := range claims {
		for _, name := range c.checks {
			if !isCheck(name) {
				t.Errorf("%s speaks of a check that there is not: %s", c.line, name)
			}
		}
	}
}

// isCheck reports whether there is a check of that name.
func isCheck(name string) bool {
	for _, c := range append(healthy(), BuildRefused(), Offline("away", time.Minute)) {
		if c.Name == name {
			return true
		}
	}
	return false
}

func TestDisagreements(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2025, 11, 23, 12, minute, 0, 0, time.UTC) }
	when := func(f report.Finding, minute int) report.Finding { f.Started = at(minute); return f }
	away := []report.Finding{
		when(finding("SR.login", report.Holds), 1), when(finding("RB.build", report.Holds), 2), when(finding("NF.mount-store", report.Holds), 3),
		when(finding("OF.build-unplugged", report.Holds), 10), when(finding("RC.build-after-unplugged", report.Holds), 20),
		when(finding("CH.info", report.Broken), 25),
	}
	tests := []struct {
		name     string
		said     Said
		findings []report.Finding
		want     []string // what was said, and the check that disagrees
	}{
		{"a good word needs every proof", typed("offload-status", "✅ Desktop cache accessible", at(0)),
			[]report.Finding{finding("CH.info", report.Holds), finding("CH.hit", report.Broken)}, []string{"✅ Desktop cache accessible", "CH.hit"}},
		{"a bad word takes back what a good one says too much", typed("offload-status", "✅ Desktop cache accessible\n❌ Desktop cache signs with no key this laptop trusts, so Nix will not use it", at(0)),
			[]report.Finding{finding("CH.info", report.Holds), finding("CH.hit", report.Broken)}, nil},
		{"a bad word that is wrong itself", typed("offload-status", "✅ Desktop cache accessible\n❌ Desktop cache signs with no key this laptop trusts", at(0)),
			[]report.Finding{finding("CH.info", report.Broken), finding("CH.hit", report.Holds)},
			[]string{"❌ Desktop cache signs with no key this laptop trusts", "CH.hit", "✅ Desktop cache accessible", "CH.info"}},
		{"a bad word is right if any proof failed", typed("offload-status", "❌ Desktop cache not accessible", at(0)),
			[]report.Finding{finding("CH.info", report.Holds), finding("CH.hit", report.Broken)}, nil},
		{"a denial that holds makes a bad word right", typed("offload-status", "❌ SSH builder access failed", at(0)), []report.Finding{finding("SR.denied-before-exchange", report.Holds)}, nil},
		{"a denial that holds makes a good word wrong", typed("offload-status", "✅ SSH builder access working", at(0)), []report.Finding{finding("SR.denied-before-exchange", report.Holds)},
			[]string{"✅ SSH builder access working", "SR.denied-before-exchange"}},
		{"a cache that only its own machine reaches", typed("cache-status", "✅ Local cache reachable at http://192.168.15.7:5000", at(0)),
			[]report.Finding{finding("PT.cache", report.Broken)}, []string{"✅ Local cache reachable at http://192.168.15.7:5000", "PT.cache"}},
		{"said twice, told once", typed("offload-status", "✅ Cache accessible\n✅ Cache accessible\n", at(0)), []report.Finding{finding("CH.info", report.Broken)}, []string{"✅ Cache accessible", "CH.info"}},
		{"exit status 0 is a word", typed("offload-test-build", "building...\n", at(0)), []report.Finding{finding("RB.build", report.Broken)}, []string{"exit status 0", "RB.build"}},
		{"said in words already", typed("offload-test-build", "✅ Remote build test successful\n", at(0)), []report.Finding{finding("RB.build", report.Broken)}, []string{"✅ Remote build test successful", "RB.build"}},
		{"exit status 0 of another command", typed("offload-status", "", at(0)), []report.Finding{finding("RB.build", report.Broken)}, nil},

		{"before it went", typed("offload-status", "❌ SSH builder access failed", at(5)), away, []string{"❌ SSH builder access failed", "SR.login"}},
		{"an honest command while the desktop is away", typed("offload-status", "❌ SSH builder access: not tried\n❌ /nix/store-remote not mounted\n❌ Desktop cache not accessible", at(15)), away, nil},
		{"all well while the desktop is away", typed("offload-status", "✅ SSH builder access working\n✅ /nix/store-remote mounted", at(15)), away, []string{"✅ SSH builder access working", "OF.build-unplugged"}},
		{"exit status 0 while the desktop is away", typed("offload-test-build", "", at(15)), away, []string{"exit status 0", "OF.build-unplugged"}},
		{"after the return", typed("offload-status", "✅ SSH builder access working\n✅ Desktop cache accessible", at(30)), away, []string{"✅ Desktop cache accessible", "CH.info"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Disagreements(tt.said, tt.findings)
			var flat []string
			for _, d := range got {
				flat = append(flat, d.Said, d.Check)
			}
			if strings.Join(flat, "|") != strings.Join(tt.want, "|") {
				t.Errorf("got %q, want %q", flat, tt.want)
			}
		})
	}
}

func TestTyped(t *testing.T) {
	w := newWorld(t)
	var s Said
	c := UserCommand{Name: "offload-status", Args: []string{"--short"}, Role: nixos.Laptop, Stdin: "y\n", Deadline: time.Minute}
	w.laptop.on("timeout * offload-status --short", provider.Result{ExitStatus: 1, Stdout: []byte("❌ Desktop unreachable at 192.168.15.7\n")})
	w.bench.Slow = 2
	f := w.bench.Run(t.Context(), Typed(c, &s))
	if f.State != report.Holds || f.Evidence[0].Title != "offload-status --short" || *f.Evidence[0].ExitStatus != 1 {
		t.Errorf("a command that ends, and says what is wrong, holds: %+v", f)
	}
	if !s.Ran || s.Result.ExitStatus != 1 || s.Command.Name != c.Name || s.Started.IsZero() {
		t.Errorf("what it said is lost: %+v", s)
	}
	if !w.laptop.was("timeout --kill-after=5 120 env -i HOME=/root") || !w.laptop.was("PATH=/run/current-system/sw/bin") {
		t.Errorf("it was not run as a user does: %q", w.laptop.Asked)
	}
	w.laptop.on("timeout * offload-status --short", said(127, "not found"))
	if w.bench.Run(t.Context(), Typed(c, &s)); s.Ran {
		t.Error("a command that is not there ran")
	}
}

func TestProbe(t *testing.T) {
	for _, want := range []PortState{Open, Refused, Filtered, Unreachable} {
		w := newWorld(t)
		w.port(5000, want)
		if got, err := Probe(t.Context(), w.bench.Laptop, w.bench.DesktopAddr, 5000); got != want || err != nil {
			t.Errorf("%s: %s, %v", want, got, err)
		}
	}
	w := newWorld(t)
	w.laptop.Gone = errors.New("gone")
	if got, err := Probe(t.Context(), w.bench.Laptop, w.bench.DesktopAddr, 22); got != "" || err == nil {
		t.Errorf("a laptop that is gone sees %q, %v", got, err)
	}
}
