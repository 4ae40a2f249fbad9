// Package known reads known.yaml, the defects of a configuration that are on record:
// who mends them, where that is followed, and until when they may be there. A gate
// lets them pass until then, and no longer than they are there.
package known

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"offload-e2e/harness/check"
	"offload-e2e/harness/document"
	"offload-e2e/harness/report"
)

// File is the name of the list in a configuration.
const File = "known.yaml"

// List is known.yaml.
type List struct {
	Defects []Defect `yaml:"known" need:"yes" doc:"the defects, each with who mends it and until when"`

	file string
}

// Defect is one defect on record.
type Defect struct {
	Check     string   `yaml:"check" need:"yes" doc:"the check that is broken: CH.hit"`
	Diagnosis string   `yaml:"diagnosis" need:"yes" doc:"what it is broken by: cache.key-name"`
	Machine   string   `yaml:"machine" doc:"where, if not everywhere: laptop"`
	Phase     string   `yaml:"phase" doc:"when, if not always: phase4"`
	Owner     string   `yaml:"owner" need:"yes" doc:"who mends it"`
	Tracker   string   `yaml:"tracker" need:"yes" doc:"where that is followed: an address, a number"`
	Expiry    string   `yaml:"expiry" need:"yes" doc:"the last day it may be there: 2026-12-31"`
	Providers []string `yaml:"providers" doc:"what the machines are run by, if not by anything: qemu"`

	line   int
	expiry time.Time
}

var checkName = regexp.MustCompile(`^[A-Z]{2}\.[a-z0-9-]+$`)

// Decode reads a defect, and finds what is wrong with it.
func (d *Defect) Decode(s *document.Source, n *yaml.Node) {
	type fields Defect // without Decode
	f := fields{}
	s.Decode(n, &f)
	*d = Defect(f)
	d.line = n.Line
	if d.Check != "" && !checkName.MatchString(d.Check) {
		s.Wrong(n, fmt.Sprintf("check %q is no check's name", d.Check), "write it as reports do: CH.hit")
	}
	if _, is := check.Catalogue[d.Diagnosis]; d.Diagnosis != "" && !is {
		codes := make([]string, 0, len(check.Catalogue))
		for code := range check.Catalogue {
			codes = append(codes, code)
		}
		slices.Sort(codes)
		s.Wrong(n, fmt.Sprintf("there is no diagnosis %q", d.Diagnosis), cmp.Or(document.Suggest(d.Diagnosis, codes), "copy it from a report"))
	}
	for _, p := range d.Providers {
		if !slices.Contains([]string{"qemu", "docker", "hosts"}, p) {
			s.Wrong(n, fmt.Sprintf("there is no provider %q", p), "it is qemu, docker or hosts")
		}
	}
	if d.Expiry == "" {
		return
	}
	var err error
	if d.expiry, err = time.Parse(time.DateOnly, d.Expiry); err != nil {
		s.Wrong(n, fmt.Sprintf("expiry %q is no day", d.Expiry), "write it as 2026-12-31")
	}
}

// Load reads a list; one that is not there is empty.
func Load(file string) (*List, error) {
	l := &List{file: file}
	err := document.Load(file, l)
	if errors.Is(err, fs.ErrNotExist) {
		return &List{file: file}, nil
	}
	return l, err
}

// Judge is what a finding comes to with the list, on a provider, on a day. A broken
// one that is on record is of class known, until its expiry. One that is on record
// and holds is broken: the record is what has to be mended. The nil list knows
// nothing.
func (l *List) Judge(f report.Finding, provider string, today time.Time) report.Finding {
	if l == nil {
		return f
	}
	for _, d := range l.Defects {
		if !d.concerns(f, provider) {
			continue
		}
		at := fmt.Sprintf("%s:%d", l.file, d.line)
		switch {
		case f.State == report.Holds || f.State == report.Warns:
			f.State, f.Class = report.Broken, report.Product
			f.Diagnosis = &report.Diagnosis{Code: "known.holds", Layer: report.Evaluation, Source: at,
				Sentence:  fmt.Sprintf("%s holds on the %s, and is on record as broken by %s (%s, %s)", f.Check, f.Machine, d.Diagnosis, d.Owner, d.Tracker),
				Effective: "holds", Expected: "broken by " + d.Diagnosis, Remedy: "it is mended: remove it from " + File}
			return f
		case f.State != report.Broken || f.Diagnosis == nil || f.Diagnosis.Code != d.Diagnosis:
		case today.After(d.expiry.Add(24 * time.Hour)):
			f.Reason = fmt.Sprintf("on record until %s, which is over: %s, %s (%s)", d.Expiry, d.Owner, d.Tracker, at)
			return f
		default:
			f.Class = report.Known
			f.Reason = fmt.Sprintf("on record until %s: %s, %s (%s)", d.Expiry, d.Owner, d.Tracker, at)
			return f
		}
	}
	return f
}

func (d Defect) concerns(f report.Finding, provider string) bool {
	return d.Check == f.Check && (d.Machine == "" || d.Machine == f.Machine) && (d.Phase == "" || d.Phase == f.Phase) &&
		(len(d.Providers) == 0 || slices.Contains(d.Providers, provider))
}
