package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"offload-e2e/harness/provider"
)

// UnitState is a unit as systemd sees it, in systemctl show's words.
type UnitState struct {
	Load   string // loaded, not-found, masked, bad-setting
	Active string // active, reloading, inactive, failed, activating, deactivating
	Sub    string // running, exited, dead, auto-restart, mounted, …
	Result string // success, exit-code, timeout, signal, …; "" for kinds without
}

func (s UnitState) String() string {
	text := s.Active + " (" + s.Sub + ")"
	if s.Result != "" && s.Result != "success" {
		text += ", result " + s.Result
	}
	if s.Load != "loaded" {
		text += ", " + s.Load
	}
	return text
}

// UnitState asks systemd for a unit; one that does not exist is no error, but
// has Load "not-found".
func (m *Machine) UnitState(ctx context.Context, unit string) (UnitState, error) {
	out, err := m.Succeed(ctx, "systemctl", "show", "--property=LoadState,ActiveState,SubState,Result", "--", unit)
	if err != nil {
		return UnitState{}, fmt.Errorf("state of unit %s: %w", unit, err)
	}
	var s UnitState
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "LoadState":
			s.Load = value
		case "ActiveState":
			s.Active = value
		case "SubState":
			s.Sub = value
		case "Result":
			s.Result = value
		}
	}
	if s.Active == "" {
		return UnitState{}, fmt.Errorf("state of unit %s on %s: systemctl show says nothing of it: %q", unit, m.Name(), out)
	}
	return s, nil
}

// Unit is the condition that a systemd unit is active. It is hopeless when the
// unit failed, does not exist, or is inactive while no job is left that could
// start it, as in the NixOS test driver. Its journal explains a failure.
func Unit(name string) Wait { return unit(name) }

type unit string

func (u unit) String() string { return "unit " + string(u) + " to be active" }

func (u unit) Ready(ctx context.Context, m *Machine) error {
	s, err := m.UnitState(ctx, string(u))
	if err != nil {
		return err
	}
	switch {
	case s.Active == "active":
		return nil
	case s.Active == "failed":
		return Hopeless(fmt.Errorf("it is %s", s))
	case s.Load == "not-found", s.Load == "masked", s.Load == "bad-setting":
		return Hopeless(fmt.Errorf("it is %s", s))
	case s.Active == "inactive":
		return u.hopeless(ctx, m)
	}
	return fmt.Errorf("it is %s", s)
}

// hopeless tells whether any job is left that might start the inactive unit.
func (u unit) hopeless(ctx context.Context, m *Machine) error {
	res, err := m.Exec(ctx, provider.Cmd("systemctl", "list-jobs", "--no-legend", "--full"))
	if err != nil {
		return err
	}
	// The job may have ended between the two questions.
	s, err := m.UnitState(ctx, string(u))
	switch {
	case err != nil:
		return err
	case s.Active == "active":
		return nil
	case s.Active != "inactive":
		return fmt.Errorf("it is %s", s)
	}
	jobs := strings.TrimSpace(string(res.Stdout))
	if res.OK() && (jobs == "" || strings.HasPrefix(jobs, "No jobs")) {
		return Hopeless(fmt.Errorf("it is %s, and no job is left that could start it", s))
	}
	return fmt.Errorf("it is %s", s)
}

func (u unit) Explain(ctx context.Context, m *Machine) string {
	entries, err := m.Journal(ctx, JournalQuery{Unit: string(u), Lines: 20})
	if err != nil {
		return fmt.Sprintf("(journal not read: %v)", err)
	}
	return entries.String()
}

// WaitForUnitState waits until a unit's ActiveState is the one given, e.g.
// "inactive" after it was told to stop.
func (m *Machine) WaitForUnitState(ctx context.Context, name, active string) error {
	return m.Wait(ctx, unitIn{unit(name), active})
}

type unitIn struct {
	unit
	active string
}

func (u unitIn) String() string { return "unit " + string(u.unit) + " to be " + u.active }

func (u unitIn) Ready(ctx context.Context, m *Machine) error {
	s, err := m.UnitState(ctx, string(u.unit))
	if err == nil && s.Active != u.active {
		err = errors.New("it is " + s.String())
	}
	return err
}
