package check

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// UserCommand is a command users type, run as they do: root's login shell.
type UserCommand struct {
	Name     string
	Args     []string
	Role     nixos.Role
	Stdin    string
	Deadline time.Duration
}

// Said is what a command said: its output and exit status.
type Said struct {
	Command UserCommand
	Result  provider.Result
	Ran     bool
}

// Typed runs a user's command. The claim is only that it exists and ends; what it
// says is in the Said, to be compared with what is proved.
func Typed(c UserCommand, said *Said) Check {
	return Check{"HG." + c.Name, "the command " + c.Name + " ends by its deadline", string(c.Role), func(ctx context.Context, p *Proof) {
		deadline := p.stretch(c.Deadline)
		ctx, cancel := context.WithTimeout(ctx, deadline+30*time.Second)
		defer cancel()
		argv := []string{"timeout", "--kill-after=5", fmt.Sprintf("%.0f", deadline.Seconds()),
			"env", "-i", "HOME=/root", "USER=root", "LOGNAME=root", "TERM=dumb", "PATH=/run/current-system/sw/bin",
			"/run/current-system/sw/bin/bash", "-l", "-c", `exec "$0" "$@"`, c.Name}
		res, err := p.machine(c.Role).Exec(ctx, provider.Command{Argv: append(argv, c.Args...), Stdin: strings.NewReader(c.Stdin)})
		said.Command, said.Result, said.Ran = c, res, err == nil && res.ExitStatus != 127
		if err != nil {
			p.Error(err)
			return
		}
		status := res.ExitStatus
		p.finding.Evidence = append(p.finding.Evidence, report.Evidence{Kind: "command", Machine: string(c.Role), Title: strings.Join(append([]string{c.Name}, c.Args...), " "),
			ExitStatus: &status, Text: clip(string(res.Stdout) + string(res.Stderr)), Seconds: res.Duration.Seconds()})
		switch {
		case status == 124 || status == 137:
			p.Broken(report.Diagnosis{Code: "command.hangs", Sentence: fmt.Sprintf("%s does not end in %.0f s; its last words: %s", c.Name, deadline.Seconds(), lastLine(string(res.Stdout)+string(res.Stderr)))})
		case status == 127:
			p.Broken(report.Diagnosis{Code: "command.missing", Sentence: fmt.Sprintf("the %s has no command %s", c.Role, c.Name)})
		}
	}}
}

// claim is a line that commands print, with the checks it speaks of.
type claim struct {
	line   *regexp.Regexp
	checks []string
}

// claims are the lines of the contract. What a line says is good or bad by its mark.
var claims = []claim{
	{regexp.MustCompile(`nix-serve: (Running|Inactive)`), []string{"PT.cache", "CH.info"}},
	{regexp.MustCompile(`sshd: (Running|Inactive)`), []string{"PT.ssh"}},
	{regexp.MustCompile(`NFS[^:]*: (Running|Inactive)`), []string{"PT.nfs", "NF.export-store", "NF.export-offload"}},
	{regexp.MustCompile(`Cache signing key: (Present|Missing)`), []string{"CH.key-files"}},
	{regexp.MustCompile(`(Desktop c|C)ache (not )?accessible`), []string{"CH.info", "PT.cache", "CH.signature", "CH.hit"}},
	{regexp.MustCompile(`Desktop (un)?reachable at`), []string{"PT.ssh", "PT.ping", "EV.addresses"}},
	{regexp.MustCompile(`SSH builder access( working| failed| not working|:)`), []string{"SR.login", "SR.denied-before-exchange"}},
	{regexp.MustCompile(`/nix/store-remote (not )?mounted`), []string{"NF.mount-store"}},
	{regexp.MustCompile(`/var/lib/nix-offload-remote (not )?mounted`), []string{"NF.mount-offload"}},
	{regexp.MustCompile(`Remote build test (successful|failed)`), []string{"RB.build", "RB.refused-before-exchange"}},
}

// denials are claims that something is *not* possible: they hold when it fails.
var denials = map[string]bool{"SR.denied-before-exchange": true, "RB.refused-before-exchange": true}

// Disagreements compares what a command said with what was proved in its phase.
func Disagreements(said Said, findings []report.Finding) []report.Disagreement {
	var out []report.Disagreement
	proved := map[string]report.Finding{}
	for _, f := range findings {
		if f.State == report.Holds || f.State == report.Warns || f.State == report.Broken {
			proved[f.Check] = f
		}
	}
	add := func(line string, good bool, checks []string) {
		var contrary *report.Finding
		agreed := false
		for _, name := range checks {
			f, known := proved[name]
			if !known {
				continue
			}
			works := (f.State != report.Broken) != denials[name]
			if works != good && contrary == nil {
				contrary = &f
			}
			agreed = agreed || works == good
		}
		// A good word needs every proof; a bad word is right if any of them failed.
		if contrary == nil || !good && agreed {
			return
		}
		proof := contrary.Title
		if contrary.Diagnosis != nil {
			proof = contrary.Diagnosis.Sentence
		}
		out = append(out, report.Disagreement{Phase: contrary.Phase, Machine: string(said.Command.Role), Command: said.Command.Name, Said: line, Check: contrary.Check, Proof: proof})
	}
	for line := range strings.Lines(string(said.Result.Stdout) + string(said.Result.Stderr)) {
		line = strings.TrimSpace(line)
		good, bad := strings.Contains(line, "✅"), strings.Contains(line, "❌")
		if good == bad {
			continue
		}
		for _, c := range claims {
			if c.line.MatchString(line) {
				add(line, good, c.checks)
			}
		}
	}
	if said.Command.Name == "offload-test-build" && said.Ran && said.Result.OK() {
		if !strings.Contains(string(said.Result.Stdout), "✅ Remote build test successful") {
			add("exit status 0", true, []string{"RB.build", "RB.refused-before-exchange"})
		}
	}
	return out
}
