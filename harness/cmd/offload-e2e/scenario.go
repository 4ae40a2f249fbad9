package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"offload-e2e/harness/check"
	"offload-e2e/harness/document"
	"offload-e2e/harness/fault"
	"offload-e2e/harness/scenario"
)

// scenarios is the folder of the catalogue.
func (p *paths) scenarios() string { return filepath.Join(p.Root, "fixtures", "scenarios") }

func newScenarioCommand(p *paths) *cobra.Command {
	c := &cobra.Command{
		Use:   "scenario",
		Short: "List, show, write and try what is broken on purpose",
		Long: `A scenario is a file that says what goes wrong, and what has to be found then.
fixtures/scenarios/README.md shows the format.`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newScenarioList(p), newScenarioShow(p), newScenarioRun(p), newScenarioNew(p), newScenarioLint(p),
		listing("faults", "What can go wrong, with its parameters", func(w io.Writer) { sayKinds(w, fault.Kinds()) }),
		listing("checks", "What can be asked for, with its parameters", func(w io.Writer) { sayKinds(w, checkKinds()) }),
		listing("diagnoses", "The codes of diagnoses", sayDiagnoses))
	return c
}

// whereFlag is where scenarios are looked for.
func whereFlag(c *cobra.Command, p *paths, where *string) {
	c.Flags().StringVar(where, "scenarios", p.scenarios(), "a folder of scenarios, or files by glob")
}

func newScenarioList(p *paths) *cobra.Command {
	var where string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the scenarios: id, layer, what is found, title",
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := findScenarios(where)
			if err != nil {
				return err
			}
			for _, s := range all {
				finds := strings.Join(s.Then.Codes(), ", ")
				if finds == "" {
					finds = "holds"
				}
				fmt.Fprintf(c.OutOrStdout(), "%-28s %-12s %-30s %s\n", s.ID, s.Layer, finds, s.Title)
			}
			return nil
		},
	}
	whereFlag(c, p, &where)
	return c
}

func newScenarioShow(p *paths) *cobra.Command {
	var where string
	c := &cobra.Command{
		Use:   "show <id>…",
		Short: "Show the files of scenarios",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			picked, err := pickScenarios(where, args)
			if err != nil {
				return err
			}
			for _, s := range picked {
				text, err := os.ReadFile(s.File)
				if err != nil {
					return err
				}
				fmt.Fprintf(c.OutOrStdout(), "# %s\n%s", s.File, text)
			}
			return nil
		},
	}
	whereFlag(c, p, &where)
	return c
}

func newScenarioLint(p *paths) *cobra.Command {
	var where, config string
	c := &cobra.Command{
		Use:   "lint [<file>…]",
		Short: "Read all scenarios, and try their edits: no machines",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{where}
			}
			all, err := findScenarios(args...)
			if err != nil {
				return err
			}
			var errs []error
			for _, s := range all {
				errs = append(errs, tryEdits(s, config))
			}
			if err := errors.Join(errs...); err != nil {
				return &userError{Heading: "Edits do not match", Sentence: err.Error(), WayOut: "Mend the places that are named.", Exit: exitUsage}
			}
			fmt.Fprintf(c.OutOrStdout(), "scenarios: %d, all sound\n", len(all))
			return nil
		},
		Args: cobra.ArbitraryArgs,
	}
	whereFlag(c, p, &where)
	c.Flags().StringVar(&config, "config", p.config(), "the configuration that edits apply to")
	return c
}

// tryEdits applies a scenario to a copy that is thrown away.
func tryEdits(s *scenario.Scenario, config string) error {
	dir, err := os.MkdirTemp("", "offload-e2e-lint-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return s.Apply(config, dir)
}

func newScenarioRun(p *paths) *cobra.Command {
	o := gateOptions{verbose: true}
	var where string
	c := &cobra.Command{
		Use:   "run <id or file>…",
		Short: "Try some scenarios, telling each step",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(c); err != nil {
				return err
			}
			picked, err := pickScenarios(where, args)
			if err != nil {
				return err
			}
			o.same = p.command("scenario run")
			c.Flags().Visit(func(f *pflag.Flag) { o.same += fmt.Sprintf(" --%s '%s'", f.Name, f.Value) })
			o.same += " " + strings.Join(args, " ")
			switch {
			case o.keep == "never":
				return p.gate(c.Context(), o, picked, nil, c.OutOrStdout())
			case o.supervisor == 0:
				worker := append([]string{"scenario", "run", "--config=" + o.config, "--keys=" + o.keys, "--provider=" + o.provider, "--guest=" + o.guest, "--report=" + o.report, "--keep=" + o.keep, "--scenarios=" + where}, args...)
				return p.superviseSelf(c.Context(), worker, c.OutOrStdout(), c.ErrOrStderr())
			}
			return p.gate(c.Context(), o, picked, attach(o.supervisor, p.workerLog()), c.OutOrStdout())
		},
	}
	addGateFlags(c, p, &o)
	whereFlag(c, p, &where)
	c.Flags().StringVar(&o.keep, "keep", "never", "leave the machines up as the last scenario leaves them: never, failure, always")
	c.Flags().Lookup("keep").NoOptDefVal = "always"
	addSupervisorFlag(c, &o.supervisor)
	return c
}

// pickScenarios finds scenarios by their ids, or by their files.
func pickScenarios(where string, names []string) ([]*scenario.Scenario, error) {
	var picked, all []*scenario.Scenario
	for _, name := range names {
		if strings.ContainsAny(name, "/.") {
			found, err := findScenarios(name)
			if err != nil {
				return nil, err
			}
			picked = append(picked, found...)
			continue
		}
		if all == nil {
			var err error
			if all, err = findScenarios(where); err != nil {
				return nil, err
			}
		}
		i := slices.IndexFunc(all, func(s *scenario.Scenario) bool { return strings.EqualFold(s.ID, name) })
		if i < 0 {
			ids := make([]string, len(all))
			for i, s := range all {
				ids[i] = s.ID
			}
			return nil, &userError{Heading: "There is no such scenario", Sentence: fmt.Sprintf("No file in %s has the id %q; %s", where, name, document.Suggest(name, ids)),
				WayOut: "See what there is: " + "offload-e2e scenario list", Exit: exitUsage}
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

// newScenario is a file to fill in.
const newScenario = `# yaml-language-server: $schema=../schema.json
id: %s
title: what is wrong, as a sentence
layer: %s
silent: no                    # which user commands still say that all is well: no, status, all
given:                        # a configuration that is wrong …
  modules:
    laptop: '{ nix.settings.fallback = lib.mkForce false; }'
# when:                       # … or something that breaks while the machines run
#   - fault: {drop: {to: desktop, port: 5000}}
then:
  check: OF.settings          # offload-e2e scenario checks
  diagnosis: nix.fallback-off # offload-e2e scenario diagnoses
`

func newScenarioNew(p *paths) *cobra.Command {
	dir := ""
	c := &cobra.Command{
		Use:   "new <id> <layer>",
		Short: "Write a scenario to fill in",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			text := fmt.Sprintf(newScenario, args[0], args[1])
			file := filepath.Join(dir, args[1], args[0]+".yaml")
			if err := document.Parse(file, []byte(text), &scenario.Scenario{}); err != nil {
				return usageError(c.CommandPath(), err)
			}
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if errors.Is(err, os.ErrExist) {
				return &userError{Heading: "The scenario is there already", Sentence: file, WayOut: "Give the new one another id.", Exit: exitUsage, Cause: err}
			}
			if err != nil {
				return err
			}
			if _, err := f.WriteString(text); err != nil {
				return errors.Join(err, f.Close())
			}
			fmt.Fprintf(c.OutOrStdout(), "%s\nFill it in, then: %s\n", file, p.command("scenario run "+file))
			return f.Close()
		},
	}
	c.Flags().StringVar(&dir, "dir", p.scenarios(), "the folder of scenarios")
	return c
}

func listing(use, short string, say func(io.Writer)) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, RunE: func(c *cobra.Command, _ []string) error {
		say(c.OutOrStdout())
		return nil
	}}
}

// sayKinds lists kinds with their parameters.
func sayKinds(w io.Writer, kinds map[string]func() any) {
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintln(w, name)
		for _, k := range document.Keys(kinds[name]()) {
			must := ""
			if k.Need {
				must = " (needed)"
			}
			fmt.Fprintf(w, "    %-16s %s%s\n", k.Name, k.Doc, must)
		}
	}
}

func checkKinds() map[string]func() any { return (&scenario.CheckRef{}).Kinds() }

func sayDiagnoses(w io.Writer) {
	for _, code := range slices.Sorted(maps.Keys(check.Catalogue)) {
		fmt.Fprintf(w, "%-30s %s\n", code, check.Catalogue[code].Remedy)
	}
}
