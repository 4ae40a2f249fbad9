package main

import "github.com/spf13/cobra"

// verbs are what the command can do.
func verbs(p *paths) []*cobra.Command {
	return []*cobra.Command{
		newDoctorCommand(p),
		newSetupCommand(p),
		newEvalCommand(p),
		newReportCommand(p),
		newNixBinCommand(p),
		newRunCommand(p),
		newUpCommand(p),
		newSSHCommand(p),
		newDownCommand(p),
		newGateCommand(p),
		newExplainCommand(),
		newScenarioCommand(p),
		newShardsCommand(p),
		newSoakCommand(p),
		newIdentityCommand(),
		newReapCommand(p),
		newCountTestsCommand(),
	}
}
