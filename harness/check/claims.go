package check

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"offload-e2e/harness/report"
)

// claim is a line that commands print, with the checks it speaks of.
type claim struct {
	line   *regexp.Regexp
	checks []string
	// limits: a bad word of it takes back what a good word elsewhere says too much.
	limits bool
}

// claims are the lines of the contract. What a line says is good or bad by its mark.
var claims = []claim{
	{regexp.MustCompile(`nix-serve: (Running|Inactive)`), []string{"PT.cache", "CH.info"}, false},
	{regexp.MustCompile(`sshd: (Running|Inactive)`), []string{"PT.ssh"}, false},
	{regexp.MustCompile(`NFS[^:]*: (Running|Inactive)`), []string{"PT.nfs", "NF.export-store", "NF.export-offload"}, false},
	{regexp.MustCompile(`Cache signing key: (Present|Missing)`), []string{"CH.key-files"}, false},
	{regexp.MustCompile(`(Desktop c|C)ache (not )?accessible`), []string{"CH.info", "PT.cache", "CH.signature", "CH.hit"}, false},
	{regexp.MustCompile(`Local cache (not )?reachable`), []string{"CH.info", "PT.cache"}, false},
	{regexp.MustCompile(`(Desktop c|C)ache signs with`), []string{"CH.hit", "EV.trusted-keys"}, true},
	{regexp.MustCompile(`Desktop (un)?reachable at`), []string{"PT.ssh", "PT.ping", "EV.addresses"}, false},
	{regexp.MustCompile(`SSH builder access( working| failed| not working|:)`), []string{"SR.login", "SR.denied-before-exchange"}, false},
	{regexp.MustCompile(`/nix/store-remote (not )?mounted`), []string{"NF.mount-store"}, false},
	{regexp.MustCompile(`/var/lib/nix-offload-remote (not )?mounted`), []string{"NF.mount-offload"}, false},
	{regexp.MustCompile(`Remote build test (successful|failed)`), []string{"RB.build", "RB.refused-before-exchange"}, false},
}

// denials are claims that something is *not* possible: they hold when it fails.
var denials = map[string]bool{"SR.denied-before-exchange": true, "RB.refused-before-exchange": true}

// atOnce are the claims of things that are not there while the desktop is away.
var atOnce = []string{"SR.login", "CH.info", "RB.build"}

// Disagreements compares what a command said with what was proved in its phase
// while things were as they were when it was typed: a proof made with the desktop
// there says nothing of a command typed with the desktop away.
func Disagreements(said Said, findings []report.Finding) []report.Disagreement {
	l := ledger{said: said, proved: map[string]report.Finding{}}
	var away *report.Finding
	l.proved, away = inForce(said.Started, findings)
	// The bad words first, for what they take back.
	for _, good := range []bool{false, true} {
		for line := range strings.Lines(string(said.Result.Stdout) + string(said.Result.Stderr)) {
			line = strings.TrimSpace(line)
			if strings.Contains(line, "✅") != good || strings.Contains(line, "❌") == good {
				continue
			}
			for _, c := range claims {
				if c.line.MatchString(line) {
					l.compare(line, good, c.checks, away)
					if c.limits && !good {
						l.taken = append(l.taken, c.checks...)
					}
				}
			}
		}
	}
	if said.Command.Name == "offload-test-build" && said.Ran && said.Result.OK() &&
		!strings.Contains(string(said.Result.Stdout), "✅ Remote build test successful") {
		l.compare("exit status 0", true, []string{"RB.build", "RB.refused-before-exchange"}, away)
	}
	return l.out
}

// inForce are the proofs that hold at a time, by check, and the finding that shows
// that the desktop was away then, nil where it was not. From a check of family OF
// that builds to the next of RC the desktop is away.
func inForce(at time.Time, findings []report.Finding) (map[string]report.Finding, *report.Finding) {
	var away *report.Finding
	var began, ended time.Time
	for _, f := range findings {
		switch {
		case strings.HasPrefix(f.Check, "OF.build-") && !f.Started.After(at):
			away, began, ended = &f, f.Started, time.Time{}
		case f.Family == "RC" && away != nil && ended.IsZero():
			ended = f.Started
			if !f.Started.After(at) {
				away = nil
			}
		}
	}
	proved := map[string]report.Finding{}
	for _, f := range findings {
		if f.State != report.Holds && f.State != report.Warns && f.State != report.Broken {
			continue
		}
		if away != nil && (f.Started.Before(began) || !ended.IsZero() && !f.Started.Before(ended)) {
			continue
		}
		proved[f.Check] = f
	}
	return proved, away
}

// ledger is what a command said against what was proved.
type ledger struct {
	said   Said
	proved map[string]report.Finding
	taken  []string // checks that no good word speaks of any more
	out    []report.Disagreement
}

// compare enters a claim. A good word needs every proof; a bad word is right if any
// of them failed.
func (l *ledger) compare(line string, good bool, checks []string, away *report.Finding) {
	var contrary *report.Finding
	agreed := false
	for _, name := range checks {
		f, known := l.proved[name]
		if !known {
			continue
		}
		works := (f.State != report.Broken) != denials[name]
		if works != good && contrary == nil && !slices.Contains(l.taken, name) {
			contrary = &f
		}
		agreed = agreed || works == good
	}
	if contrary == nil && good && away != nil && slices.ContainsFunc(checks, func(c string) bool { return slices.Contains(atOnce, c) }) {
		l.enter(line, *away, "the desktop was away: "+away.Title)
	}
	if contrary == nil || !good && agreed {
		return
	}
	proof := contrary.Title
	if contrary.Diagnosis != nil {
		proof = contrary.Diagnosis.Sentence
	}
	l.enter(line, *contrary, proof)
}

// enter adds a disagreement, once.
func (l *ledger) enter(line string, f report.Finding, proof string) {
	d := report.Disagreement{Phase: f.Phase, Machine: string(l.said.Command.Role), Command: l.said.Command.Name, Said: line, Check: f.Check, Proof: proof}
	if !slices.Contains(l.out, d) {
		l.out = append(l.out, d)
	}
}
