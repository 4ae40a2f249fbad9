package report

import (
	"cmp"
	"slices"
)

// server is the machine the others depend on: its faults explain theirs.
const server = "desktop"

// Rank names the causes of what is broken, the deepest first: one for each
// fault, not one for each thing that fails by it.
//
// Broken findings, and those in error that have a diagnosis, are taken together
// by diagnosis and machine. What stands above another on the same path, on a
// machine that depends on it, is explained by it and is no cause of its own:
// a closed port explains the login that fails, and no narinfo. Broken findings
// without a diagnosis are never causes, but are explained where they can be.
func Rank(findings []Finding) []RootCause {
	var groups []*group
	var bare []Finding
	for _, f := range findings {
		switch {
		case f.State != Broken && f.State != Errored:
			continue
		case f.Diagnosis == nil || f.Diagnosis.Code == "":
			bare = append(bare, f)
			continue
		}
		i := slices.IndexFunc(groups, func(g *group) bool { return g.Code == f.Diagnosis.Code && g.machine == f.Machine })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &group{Diagnosis: *f.Diagnosis, machine: f.Machine, standing: standingOf(*f.Diagnosis)})
		}
		groups[i].add(f)
	}
	slices.SortStableFunc(groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(a.at, b.at), -cmp.Compare(weight(a), weight(b)),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.machine, b.machine))
	})

	var causes []RootCause
	at := map[*group]int{}
	for _, g := range groups {
		// The deepest that explains it comes first; its own cause is known.
		if by := slices.IndexFunc(groups, func(c *group) bool { return c.explains(g) }); by >= 0 {
			i := at[groups[by]]
			at[g] = i
			causes[i].Explains = union(causes[i].Explains, g.checks)
			continue
		}
		at[g] = len(causes)
		causes = append(causes, RootCause{Rank: len(causes) + 1, Diagnosis: g.Diagnosis, Machine: g.machine, Explains: g.checks})
	}
	for _, f := range bare {
		g := &group{machine: f.Machine, standing: standing{at: undiagnosed}, paths: []path{pathOf("", f.Family)}}
		if by := slices.IndexFunc(groups, func(c *group) bool { return c.explains(g) }); by >= 0 && f.State == Broken {
			i := at[groups[by]]
			causes[i].Explains = union(causes[i].Explains, []string{f.Check})
		}
	}
	// Told in the order in which they were found.
	order := map[string]int{}
	for i, f := range slices.Backward(findings) {
		order[f.Check] = i
	}
	for _, c := range causes {
		slices.SortFunc(c.Explains, func(a, b string) int { return cmp.Compare(order[a], order[b]) })
	}
	return causes
}

// group is what has one diagnosis on one machine.
type group struct {
	Diagnosis
	standing
	machine string
	paths   []path
	checks  []string
}

func (g *group) add(f Finding) {
	g.checks = union(g.checks, []string{f.Check})
	if p := pathOf(g.Code, f.Family); !slices.Contains(g.paths, p) {
		g.paths = append(g.paths, p)
	}
	if f.Family == "EV" {
		g.alone = true
	}
	// A later finding may know what an earlier one did not.
	g.Source = cmp.Or(g.Source, f.Diagnosis.Source)
	g.Remedy = cmp.Or(g.Remedy, f.Diagnosis.Remedy)
	g.Effective = cmp.Or(g.Effective, f.Diagnosis.Effective)
	g.Expected = cmp.Or(g.Expected, f.Diagnosis.Expected)
}

// explains reports whether o is broken because g is.
func (g *group) explains(o *group) bool {
	if o.Code == "command.failed" {
		// A command that says that something is wrong is right, wherever.
		return g.at < o.at
	}
	if g == o || g.machine != o.machine && g.machine != server && g.machine != "" && o.machine != "" {
		return false
	}
	if g.Code == o.Code {
		// The desktop's own fault, as a laptop sees it.
		return g.machine == server && o.machine != server
	}
	if g.at >= o.at || o.at < g.from || !meet(g.paths, o.paths) {
		return false
	}
	// What is seen in a file or setting alone has its cause there too.
	return !o.alone || g.alone
}

func meet(a, b []path) bool {
	for _, p := range a {
		if p == everyPath && slices.ContainsFunc(b, func(q path) bool { return q != "command" && q != "nix" }) || slices.Contains(b, p) {
			return true
		}
	}
	return false
}

// weight puts the desktop before those that depend on it.
func weight(g *group) int {
	if g.machine == server {
		return 1
	}
	return 0
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}
