package check

import (
	"context"
	"fmt"
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
	Started time.Time
}

// Typed runs a user's command. The claim is only that it exists and ends; what it
// says is in the Said, to be compared with what is proved.
func Typed(c UserCommand, said *Said) Check {
	return Check{"HG." + c.Name, "the command " + c.Name + " ends by its deadline", string(c.Role), func(ctx context.Context, p *Proof) {
		deadline := p.stretch(c.Deadline)
		ctx, cancel := context.WithTimeout(ctx, deadline+30*time.Second)
		defer cancel()
		started := time.Now()
		argv := []string{"timeout", "--kill-after=5", fmt.Sprintf("%.0f", deadline.Seconds()),
			"env", "-i", "HOME=/root", "USER=root", "LOGNAME=root", "TERM=dumb", "PATH=/run/current-system/sw/bin",
			"/run/current-system/sw/bin/bash", "-l", "-c", `exec "$0" "$@"`, c.Name}
		res, err := p.machine(c.Role).Exec(ctx, provider.Command{Argv: append(argv, c.Args...), Stdin: strings.NewReader(c.Stdin)})
		said.Command, said.Result, said.Started, said.Ran = c, res, started, err == nil && res.ExitStatus != 127
		if err != nil {
			p.Error(err)
			return
		}
		status := res.ExitStatus
		p.finding.Evidence = append(p.finding.Evidence, report.Evidence{Kind: "command", Machine: string(c.Role), Title: strings.Join(append([]string{c.Name}, c.Args...), " "),
			ExitStatus: &status, Text: clip(string(res.Stdout) + string(res.Stderr)), Seconds: res.Duration.Seconds()})
		switch {
		case status == 124 || status == 137:
			p.Broken(report.Diagnosis{Code: "command.hangs", Effective: "no end", Expected: fmt.Sprintf("%.0f s", deadline.Seconds()),
				Sentence: fmt.Sprintf("%s has no end in %.0f s; its last words: %s", c.Name, deadline.Seconds(), lastLine(string(res.Stdout)+string(res.Stderr)))})
		case status == 127:
			p.Broken(report.Diagnosis{Code: "command.missing", Effective: "missing", Expected: c.Name,
				Sentence: fmt.Sprintf("the %s's command %s is missing", c.Role, c.Name)})
		}
	}}
}
