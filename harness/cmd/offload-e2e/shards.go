package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/onsi/ginkgo/v2/types"
	"github.com/spf13/cobra"

	"offload-e2e/harness/report"
	"offload-e2e/harness/scenario"
	"offload-e2e/harness/shard"
	"offload-e2e/suites/fallback"
	"offload-e2e/suites/promises"
)

// nothing is the label filter of a part that has no suite to run.
const nothing = "nothing"

// thePhases is the walk of the four phases, which is not divided: each builds upon
// the one before.
const thePhases = "phase1 || phase2 || phase3 || phase4"

// suiteLabels are the parts of a run that can be dealt out, by their label filters.
func suiteLabels() []string { return append([]string{thePhases}, fallback.Labels()...) }

func (p *paths) durations() string { return filepath.Join(p.Root, "fixtures", "durations.yaml") }

// labelsOfPart is the label filter of what a run runs.
func (p *paths) labelsOfPart(o runOptions) (string, error) {
	if o.part.Of == 0 {
		// What takes minutes to measure is measured when it is asked for.
		return cmp.Or(o.labels, "!"+promises.Label), nil
	}
	d, err := shard.LoadDurations(p.durations())
	if err != nil {
		return "", err
	}
	var filters []string
	for _, u := range o.part.From(d.Units(suiteLabels())) {
		filters = append(filters, "("+u.Name+")")
	}
	switch filter := strings.Join(filters, " || "); {
	case filter == "":
		return nothing, nil
	case o.labels != "":
		return "(" + o.labels + ") && (" + filter + ")", nil
	default:
		return filter, nil
	}
}

// beginsLater reports whether a filter leaves out the phases that what it selects
// builds upon: they are walked then, and not proved.
func beginsLater(labels string) bool {
	selects, err := types.ParseLabelFilter(labels)
	if err != nil || labels == "" {
		return false
	}
	for _, phase := range []string{"phase1", "phase2", "phase3", "phase4"} {
		if selects([]string{phase}) {
			return false
		}
	}
	return selects([]string{promises.Label}) || slices.ContainsFunc(fallback.Labels(), func(way string) bool { return selects([]string{"fallback", way}) })
}

// scenariosOfPart are the scenarios of one part of a gate.
func (p *paths) scenariosOfPart(part shard.Part, all []*scenario.Scenario) ([]*scenario.Scenario, error) {
	d, err := shard.LoadDurations(p.durations())
	if err != nil || part.Of == 0 {
		return all, err
	}
	var names []string
	for _, s := range all {
		names = append(names, s.ID)
	}
	var mine []*scenario.Scenario
	for _, u := range part.From(d.Units(names)) {
		mine = append(mine, all[slices.Index(names, u.Name)])
	}
	return mine, nil
}

func newShardsCommand(p *paths) *cobra.Command {
	var measure []string
	where := ""
	c := &cobra.Command{
		Use:   "shards <n>",
		Short: "Show how a run and a gate are dealt out to so many machines",
		Long: `Show what each of n machines gets with --shard 1/n … n/n, and how long that takes.
What is not divided, as the walk of the phases, bounds what more machines are good
for. With --measure the durations are read from runs, and kept in
fixtures/durations.yaml: commit it, every machine deals by it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 {
				return usageError(c.CommandPath(), fmt.Errorf("%q is no number of machines", args[0]))
			}
			if len(measure) > 0 {
				if err := p.measure(measure); err != nil {
					return err
				}
			}
			scenarios, err := findScenarios(where)
			if err != nil {
				return err
			}
			d, err := shard.LoadDurations(p.durations())
			if err != nil {
				return err
			}
			var names []string
			for _, s := range scenarios {
				names = append(names, s.ID)
			}
			showShards(c.OutOrStdout(), "run", d.Units(suiteLabels()), n)
			showShards(c.OutOrStdout(), "gate", d.Units(names), n)
			return nil
		},
	}
	c.Flags().StringSliceVar(&measure, "measure", nil, "take durations from these runs, by id or folder")
	c.Flags().StringVar(&where, "scenarios", p.scenarios(), "a folder of scenarios, or files by glob")
	return c
}

// showShards writes what each machine gets, and how even that is.
func showShards(w io.Writer, verb string, units []shard.Unit, n int) {
	parts := shard.Deal(units, n)
	longest := 0.0
	fmt.Fprintf(w, "%-8s %5s %6s  %s\n", verb, "units", "s", "which")
	for i, part := range parts {
		longest = max(longest, shard.Sum(part))
		var names []string
		for _, u := range part {
			names = append(names, u.Name)
		}
		fmt.Fprintf(w, "%-8s %5d %6.0f  %s\n", shard.Part{Index: i + 1, Of: n}, len(part), shard.Sum(part), strings.Join(names, ", "))
	}
	even := 100.0
	if longest > 0 {
		even = 100 * shard.Sum(units) / float64(n) / longest
	}
	fmt.Fprintf(w, "one machine %.0f s, %d machines %.0f s: %.0f %% of them busy\n\n", shard.Sum(units), n, longest, even)
}

// measure keeps how long things took in runs; what they did not do keeps its time.
func (p *paths) measure(runs []string) error {
	d, err := shard.LoadDurations(p.durations())
	if err != nil {
		return err
	}
	if d == nil {
		d = shard.Durations{}
	}
	for _, name := range runs {
		dir, err := findReport(report.Layout{Root: p.reports()}, []string{name})
		if err != nil {
			return err
		}
		r, err := loadReport(dir)
		if err != nil {
			return err
		}
		took(r, d)
		outcomes, err := report.LoadOutcomes(dir)
		if err != nil {
			return err
		}
		for _, o := range outcomes {
			if o.Layer != "" && o.Result != report.NotTried {
				d[o.ID] = o.Seconds
			}
		}
	}
	return d.Write(p.durations(), "How long units of work took, in seconds: shards are dealt out by it. Written by: offload-e2e shards --measure")
}

// took enters how long a run's suites took.
func took(r *report.Report, d shard.Durations) {
	phases := 0.0
	for _, s := range r.Timeline {
		if s.Kind == "phase" && strings.HasPrefix(s.Name, "phase") {
			phases += s.Seconds
		}
	}
	if phases > 0 {
		d[thePhases] = phases
	}
	ways := map[string]float64{}
	for _, f := range r.Findings {
		for _, way := range fallback.Labels() {
			if f.Phase == "fallback" && strings.HasSuffix(f.Check, "-"+way) {
				ways[way] += f.Seconds
			}
		}
	}
	for _, s := range r.Timeline {
		_, name, _ := strings.Cut(s.Name, ": ")
		if way := strings.ReplaceAll(name, " ", "-"); s.Kind == "step" && s.Parent == "fallback" && ways[way] > 0 {
			ways[way] += s.Seconds
		}
	}
	for way, seconds := range ways {
		d[way] = seconds
	}
}
