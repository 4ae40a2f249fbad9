package check

import (
	"errors"
	"strings"
	"testing"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

func TestNotEvaluated(t *testing.T) {
	for _, tt := range []struct {
		name, message, code, source string
		says                        []string
	}{
		{"X12 conflict", "error: The option `nix.settings.connect-timeout' has conflicting definition values:\n- In `/etc/nixos/modules/a.nix': 5\n- In `/etc/nixos/modules/b.nix': 30\nUse `lib.mkForce value' or `lib.mkDefault value' to change the priority on any of these definitions.",
			"config.conflict", "/etc/nixos/modules/a.nix", []string{"nix.settings.connect-timeout", "2 definitions", "a.nix (5) and /etc/nixos/modules/b.nix (30)"}},
		{"no option", "error: The option `services.offload-client' does not exist. Definition values:\n- In `/etc/nixos/x.nix':\n  {\n    enable = true;\n  }",
			"config.no-option", "/etc/nixos/x.nix", []string{"services.offload-client"}},
		{"syntax", "error: syntax error, unexpected '}'\nat /etc/nixos/x.nix:3:1:\n     2| {\n     3| }\n", "config.does-not-evaluate", "/etc/nixos/x.nix:3", []string{"syntax error"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := NotEvaluated(nixos.Laptop, &nixos.EvaluationError{Role: nixos.Laptop, Message: tt.message})
			if f.State != report.Broken || f.Diagnosis == nil || f.Check != "EV.evaluates" || f.Machine != "laptop" {
				t.Fatalf("%+v", f)
			}
			d := f.Diagnosis
			t.Log(d.Code, "|", d.Sentence)
			if d.Code != tt.code || d.Source != tt.source || d.Layer != report.Evaluation || d.Remedy == "" {
				t.Errorf("%+v", d)
			}
			for _, s := range append(tt.says, d.Effective, d.Expected) {
				if !strings.Contains(d.Sentence, s) {
					t.Errorf("the sentence does not say %q: %s", s, d.Sentence)
				}
			}
		})
	}
	if f := NotEvaluated(nixos.Desktop, &nixos.AssertionError{Role: nixos.Desktop, Messages: []string{"a and b are the same"}}); f.Diagnosis == nil || f.Diagnosis.Code != "config.assertion" {
		t.Errorf("%+v", f)
	}
	if f := NotEvaluated(nixos.Desktop, errors.New("nix-instantiate is not there")); f.State != report.Errored || f.Class != report.Infra {
		t.Errorf("%+v", f)
	}
}
