// Package proofs is the vocabulary of the suites: what a spec says of the user's
// world, and how it becomes a finding.
package proofs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"

	"offload-e2e/harness/check"
	"offload-e2e/harness/e2e"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// Suite registers specs for a run.
type Suite struct{ *e2e.Run }

// For is the suite of a run.
func For(r *e2e.Run) Suite { return Suite{r} }

// specLimit bounds one spec, whatever its parts are bounded by.
const specLimit = 8 * time.Minute

// Phase is a container of specs; the container around all phases is ordered.
func (s Suite) Phase(name, heading string, budget float64, body func()) {
	Describe(heading, Label(name), func() {
		var end func()
		BeforeAll(func() { end = s.Run.Phase(name, heading, budget) })
		AfterAll(func() { end() })
		body()
	})
}

// Proves is a spec for one check.
func (s Suite) Proves(c check.Check) {
	It(c.Title+" ["+c.Machine+"]", func(ctx SpecContext) { judge(s.Check(ctx, c)) }, NodeTimeout(specLimit))
}

// Types is a spec for a command that users type: that it ends.
func (s Suite) Types(c check.UserCommand) {
	It("runs "+c.Name, func(ctx SpecContext) { judge(s.Type(ctx, c)) }, NodeTimeout(specLimit))
}

// SetUp is the guided set-up, typed by somebody who takes what it suggests: at each
// question they press Enter.
var SetUp = check.UserCommand{Name: "offload-setup", Role: nixos.Laptop, Stdin: strings.Repeat("\n", 20), Deadline: 2 * time.Minute}

// Switches is a spec for a machine's switch to its configuration.
func (s Suite) Switches(role nixos.Role) {
	It("switches the "+string(role), func(ctx SpecContext) { judge(s.Switch(ctx, role)) }, NodeTimeout(specLimit))
}

// Ahead is a spec that begins the next phase of a machine while this one's is walked on.
// Machines that are somebody's own are where they are.
func (s Suite) Ahead(role nixos.Role, steps ...e2e.Step) {
	if !s.Lab.Theirs() {
		It("begins to switch the "+string(role)+" meanwhile", func(ctx SpecContext) { s.Run.Ahead(ctx, role, steps...) }, NodeTimeout(specLimit))
	}
}

// Step is a spec for what a user does between the checks.
func (s Suite) Step(title string, f func(context.Context) error) {
	It(title, func(ctx SpecContext) {
		var missing *provider.MissingError
		err := s.Walk(ctx, title, f)
		switch {
		case errors.As(err, &missing):
			Skip(missing.Error())
		case err != nil:
			Fail(err.Error(), 1)
		}
	}, NodeTimeout(specLimit))
}

// judge makes of a finding what it is to Ginkgo: a pass, a skip, or a failure with
// the evidence in its message.
func judge(f report.Finding) {
	switch {
	case f.State == report.Skipped:
		Skip(f.Reason, 2)
	case f.State == report.Errored:
		Fail(fmt.Sprintf("%s: it could not be found out: %s", f.Title, f.Reason), 2)
	case f.Fails():
		message := f.Title + ": " + f.Diagnosis.Sentence
		for _, e := range f.Evidence {
			message += fmt.Sprintf("\n\n%s %s: %s\n%s", e.Machine, e.Kind, e.Title, e.Text)
		}
		Fail(message, 2)
	}
}

// Services are the desktop's ports of the given names.
func (s Suite) Services(names ...string) []check.Service {
	return slices.DeleteFunc(s.Bench().Services(), func(svc check.Service) bool { return !slices.Contains(names, svc.Name) })
}
