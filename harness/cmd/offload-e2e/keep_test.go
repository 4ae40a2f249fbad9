package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"offload-e2e/harness/report"
)

func TestWhichRunsKeepTheirLab(t *testing.T) {
	bang := errors.New("bang")
	for _, test := range []struct {
		keep    string
		err     error
		verdict report.Verdict
		keeps   bool
	}{
		{"never", bang, report.Fail, false},
		{"failure", nil, report.Pass, false},
		{"failure", nil, report.Fail, true},
		{"failure", nil, report.Error, true},
		{"failure", bang, report.Pass, true},
		{"always", nil, report.Pass, true},
	} {
		if keeps := (runOptions{keep: test.keep}).keeps(test.err, test.verdict); keeps != test.keeps {
			t.Errorf("%+v: it says %t", test, keeps)
		}
	}
}

// A worker is told every flag, as it was given.
func TestWorkersAreToldAllFlags(t *testing.T) {
	p := &paths{Root: clone(t), Cache: t.TempDir(), State: filepath.Join(t.TempDir(), "state")}
	run := runOptions{config: "/a b", provider: "qemu", guest: "embedded", keys: "config", labels: "phase1 && !x", report: "/r", keep: "always"}
	up := upOptions{runOptions: runOptions{config: "/a b", provider: "docker", guest: "embedded", keys: "config"}, bare: true}
	for _, test := range []struct {
		command *cobra.Command
		args    []string
	}{
		{newRunCommand(p), run.args()},
		{newUpCommand(p), up.args()},
	} {
		if test.args[0] != test.command.Name() {
			t.Errorf("the verb is %q", test.args[0])
		}
		usage := test.command.LocalFlags().FlagUsages() // without the hidden one
		told := len(test.args) - 1
		if flags := strings.Count(usage, "--"); flags != told {
			t.Errorf("%s: a worker is told %d flags of\n%s", test.args[0], told, usage)
		}
		must(t, test.command.ParseFlags(test.args[1:]))
		for _, arg := range test.args[1:] {
			name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
			f := test.command.Flags().Lookup(name)
			if f == nil || !f.Changed || f.Value.String() != value {
				t.Errorf("%s arrives as %v", arg, f)
			}
		}
	}
	if run.args()[1] != "--config=/a b" {
		t.Errorf("the configuration is told as %q", run.args()[1])
	}
}
