package e2e

import (
	"cmp"
	"context"
	"os"

	"golang.org/x/sync/errgroup"

	"offload-e2e/harness/lab"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
	"offload-e2e/harness/scenario"
)

// Broken is the run with its configuration broken as a scenario says: on the same
// machines, with a report and silence of its own.
func (r *Run) Broken(ctx context.Context, s *scenario.Scenario) (_ *Run, err error) {
	dir, err := os.MkdirTemp("", "offload-e2e-scenario-")
	if err != nil {
		return nil, err
	}
	if err := s.Apply(r.Repository.Dir, dir); err != nil {
		return nil, err
	}
	repository, err := nixos.OpenRepository(dir, lab.DesktopAddr.String())
	if err != nil {
		return nil, err
	}
	b := &Run{Lab: r.Lab, Evaluator: r.Evaluator, Repository: repository, Exchange: r.Exchange, Slow: r.Slow,
		Recorder: report.NewRecorder(report.Run{Imports: map[string][]string{}}), Progress: r.Progress, quiet: true, baseline: r.baseline,
		Configurations: map[nixos.Role]*nixos.Configuration{}}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	roles := []nixos.Role{nixos.Desktop, nixos.Laptop}
	evaluated, failed := make([]*nixos.Configuration, len(roles)), make([]error, len(roles))
	var g errgroup.Group
	for i, role := range roles {
		host := repository.Hosts[role]
		// What the walk has added since, as the desktop's cache key, stays.
		own := len(host.Settings)
		if now := r.Repository.Hosts[role].Settings; len(now) > own {
			host.Settings = append(host.Settings, now[own:]...)
		}
		settings := s.Settings(role)
		host.Settings = append(host.Settings, settings...)
		repository.Hosts[role] = host
		if len(s.Given.Edits)+len(settings) == 0 {
			evaluated[i] = r.Configurations[role] // nothing of it is broken
			continue
		}
		g.Go(func() error {
			evaluated[i], failed[i] = r.Evaluator.Evaluate(ctx, host)
			return nil
		})
	}
	_ = g.Wait()
	if err := cmp.Or(failed...); err != nil {
		return nil, err
	}
	for i, role := range roles {
		b.Configurations[role] = evaluated[i]
	}
	b.temporary = dir
	return b, nil
}

// Discard removes the copy of the configuration that Broken made.
func (r *Run) Discard() {
	if r.temporary != "" {
		os.RemoveAll(r.temporary)
	}
}
