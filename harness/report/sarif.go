package report

import (
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// SARIF writes offload-e2e.sarif, SARIF 2.1.0 (OASIS), which code hosts show as
// annotations: a result is a root cause, at the definition to blame. A cause that
// no line of the configuration is to blame for has no place, as the standard allows.
type SARIF struct{}

// SARIFFile is its name in the run's folder.
const SARIFFile = "offload-e2e.sarif"

// File is offload-e2e.sarif.
func (SARIF) File() string { return SARIFFile }

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool         `json:"tool"`
	Automation  sarifAutomation   `json:"automationDetails"`
	Invocations []sarifInvocation `json:"invocations"`
	Results     []sarifResult     `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version,omitempty"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID    string     `json:"id"`
	Short sarifText  `json:"shortDescription"`
	Help  *sarifText `json:"help,omitempty"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifAutomation struct {
	ID string `json:"id"`
}

type sarifInvocation struct {
	Successful bool   `json:"executionSuccessful"`
	Command    string `json:"commandLine,omitempty"`
}

type sarifResult struct {
	RuleID       string            `json:"ruleId"`
	RuleIndex    int               `json:"ruleIndex"`
	Level        string            `json:"level"`
	Message      sarifText         `json:"message"`
	Locations    []sarifLocation   `json:"locations,omitempty"`
	Fingerprints map[string]string `json:"partialFingerprints"`
}

type sarifLocation struct {
	Physical sarifPhysical `json:"physicalLocation"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   *sarifRegion  `json:"region,omitempty"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

func (SARIF) Write(w io.Writer, r *Report) error {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "offload-e2e", Version: r.Run.Harness, Rules: []sarifRule{}}},
		Automation:  sarifAutomation{"offload-e2e/" + r.Run.ID},
		Invocations: []sarifInvocation{{Successful: r.Verdict != Error, Command: r.Run.Command}}, Results: []sarifResult{}}
	for _, c := range r.RootCauses {
		rule := slices.IndexFunc(run.Tool.Driver.Rules, func(rule sarifRule) bool { return rule.ID == c.Code })
		if rule < 0 {
			rule = len(run.Tool.Driver.Rules)
			added := sarifRule{ID: c.Code, Short: sarifText{c.Code}}
			if c.Remedy != "" {
				added.Help = &sarifText{oneLine(c.Remedy)}
			}
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, added)
		}
		message := oneLine(c.Sentence) + " (on the " + c.Machine + "; it explains " + strings.Join(c.Explains, ", ") + ")"
		if c.Remedy != "" {
			message += ". To do: " + oneLine(c.Remedy)
		}
		result := sarifResult{RuleID: c.Code, RuleIndex: rule, Level: "error", Message: sarifText{message},
			Fingerprints: map[string]string{"cause/v1": c.Code + " " + c.Machine}}
		if !r.fails(c) {
			result.Level = "note"
		}
		if file, line, ok := Place(c.Source, r.Run.Config); ok {
			at := sarifPhysical{Artifact: sarifArtifact{file}}
			if line > 0 {
				at.Region = &sarifRegion{line}
			}
			result.Locations = []sarifLocation{{at}}
		}
		run.Results = append(run.Results, result)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

// fails reports whether a cause makes the run fail: it explains something that is
// not on record already.
func (r *Report) fails(c RootCause) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return slices.Contains(c.Explains, f.Check) && (f.Fails() || f.State == Errored) })
}

// Place splits the source of a diagnosis, file:line, for tools that annotate files:
// the file is relative to the configuration where it is in it, with slashes.
func Place(source, config string) (file string, line int, ok bool) {
	file = source
	if i := strings.LastIndexByte(source, ':'); i > 0 {
		if n, err := strconv.Atoi(source[i+1:]); err == nil && n > 0 {
			file, line = source[:i], n
		}
	}
	if file == "" || strings.ContainsAny(file, " \n") {
		return "", 0, false // words, and no place
	}
	if base, err := filepath.Abs(config); err == nil && filepath.IsAbs(file) {
		if rel, err := filepath.Rel(base, file); err == nil && filepath.IsLocal(rel) {
			file = rel
		}
	}
	return filepath.ToSlash(file), line, true
}
