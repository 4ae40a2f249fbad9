package report

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Merge makes one report of the parts of a run, that were made side by side. Their
// files are copied into dir, each part's below a folder of its own. Parts of
// different configurations or harnesses are refused: their sum would mean nothing.
func Merge(dir string, parts []string) (*Report, error) {
	var reports []*Report
	for _, part := range parts {
		r, err := Load(part)
		if err != nil {
			return nil, err
		}
		reports = append(reports, r)
	}
	if err := belongTogether(parts, reports); err != nil {
		return nil, err
	}
	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(reports[a].Run.Shard, reports[b].Run.Shard) })
	first := max(0, slices.IndexFunc(order, func(i int) bool { return reports[i].Run.Inputs != "" }))
	merged := &Report{Run: reports[order[first]].Run}
	merged.Run.ID, merged.Run.Shard, merged.Run.Command = filepath.Base(dir), "", commandOfAll(reports)
	for n, i := range order {
		r, name := reports[i], fmt.Sprintf("part-%d", n+1)
		if err := copyPart(filepath.Join(dir, name), parts[i]); err != nil {
			return nil, fmt.Errorf("merge %s: %w", parts[i], err)
		}
		for _, f := range r.Findings {
			f.Evidence = slices.Clone(f.Evidence)
			for j := range f.Evidence {
				if f.Evidence[j].File != "" {
					f.Evidence[j].File = name + "/" + f.Evidence[j].File
				}
			}
			merged.Findings = append(merged.Findings, f)
		}
		merged.Disagreements = append(merged.Disagreements, r.Disagreements...)
		merged.Timeline = append(merged.Timeline, r.Timeline...)
		merged.Promises = append(merged.Promises, r.Promises...)
		merged.Errors = append(merged.Errors, r.Errors...)
		if r.Run.Started.Before(merged.Run.Started) {
			merged.Run.Started = r.Run.Started
		}
		if r.Run.Ended.After(merged.Run.Ended) {
			merged.Run.Ended = r.Run.Ended
		}
		merged.Run.Restored = merged.Run.Restored && r.Run.Restored
	}
	slices.SortStableFunc(merged.Timeline, func(a, b Span) int { return a.Started.Compare(b.Started) })
	scenarios, err := MergeMatrices(merged.Run.ID, parts)
	if err != nil {
		return nil, err
	}
	if scenarios != nil {
		if err := scenarios.Write(dir); err != nil {
			return nil, err
		}
		merged.Scenarios = Count(scenarios.Scenarios)
	}
	merged.RootCauses = Rank(merged.Findings)
	merged.Verdict = Judge(merged)
	return merged, nil
}

// belongTogether refuses parts of different things, a part given twice, and parts
// that are not all there.
func belongTogether(parts []string, reports []*Report) error {
	if len(reports) == 0 {
		return errors.New("merge: no reports: name the folders of the parts")
	}
	// A part that had nothing to do says nothing of what it would have run on.
	at := max(0, slices.IndexFunc(reports, func(r *Report) bool { return r.Run.Inputs != "" }))
	first := reports[at].Run
	var errs []error
	seen := map[string]string{}
	total := ""
	for i, r := range reports {
		for _, c := range []struct{ what, a, b string }{
			{"configuration", first.Inputs, r.Run.Inputs}, {"harness", first.Harness, r.Run.Harness}, {"guest image", first.Guest.Image, r.Run.Guest.Image}, {"KEYS", first.Keys, r.Run.Keys},
		} {
			if c.a != c.b && c.b != "" {
				errs = append(errs, fmt.Errorf("merge: %s and %s differ in their %s (%q, %q): they are no parts of one run", parts[at], parts[i], c.what, c.a, c.b))
			}
		}
		if other, twice := seen[r.Run.Shard]; twice && r.Run.Shard != "" {
			errs = append(errs, fmt.Errorf("merge: %s and %s are both part %s", other, parts[i], r.Run.Shard))
		}
		seen[r.Run.Shard] = parts[i]
		if _, n, ok := strings.Cut(r.Run.Shard, "/"); ok {
			if total != "" && total != n {
				errs = append(errs, fmt.Errorf("merge: %s is part %s, of another division than %s", parts[i], r.Run.Shard, total))
			}
			total = n
		}
	}
	if total != "" && len(errs) == 0 && fmt.Sprint(len(seen)) != total {
		errs = append(errs, fmt.Errorf("merge: there are %d of %s parts: a part that is missing would look like a pass", len(seen), total))
	}
	return errors.Join(errs...)
}

// commandOfAll is the parts' command without what makes it a part's.
func commandOfAll(reports []*Report) string {
	command, _, _ := strings.Cut(reports[0].Run.Command, " SHARD=")
	return command
}

// copyPart copies what is beside a part's report, and its evidence.
func copyPart(to, part string) error {
	if info, err := os.Stat(part); err == nil && !info.IsDir() {
		part = filepath.Dir(part)
	}
	artifacts, err := Artifacts(part)
	if err != nil {
		return err
	}
	evidence, err := filepath.Glob(filepath.Join(part, evidenceDir, "*"))
	if err != nil {
		return err
	}
	for _, file := range evidence {
		artifacts = append(artifacts, Artifact{File: evidenceDir + "/" + filepath.Base(file)})
	}
	for _, a := range artifacts {
		if err := copyFile(filepath.Join(to, filepath.FromSlash(a.File)), filepath.Join(part, filepath.FromSlash(a.File))); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}
