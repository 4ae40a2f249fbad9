package e2e

import (
	"context"
	"os"

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
		Recorder: report.NewRecorder(report.Run{Imports: map[string][]string{}}), Progress: r.Progress, quiet: true,
		Configurations: map[nixos.Role]*nixos.Configuration{}}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	for _, role := range []nixos.Role{nixos.Desktop, nixos.Laptop} {
		host := repository.Hosts[role]
		// What the walk has added since, as the desktop's cache key, stays.
		own := len(host.Settings)
		if now := r.Repository.Hosts[role].Settings; len(now) > own {
			host.Settings = append(host.Settings, now[own:]...)
		}
		host.Settings = append(host.Settings, s.Settings(role)...)
		repository.Hosts[role] = host
		if b.Configurations[role], err = r.Evaluator.Evaluate(ctx, host); err != nil {
			return nil, err
		}
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
