package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"offload-e2e/harness/e2e"
)

// labFile says of a lab what another process needs to enter it.
type labFile struct {
	PID    int       `json:"pid"`
	Verb   string    `json:"verb"`
	Config string    `json:"config"`
	Report string    `json:"report"` // folder of its logs
	Since  time.Time `json:"since"`
	// Key and HostKey are files: the private key that enters the machines, and the
	// public one that their management sshd shows.
	Key     string `json:"key"`
	HostKey string `json:"host_key"`
	// Machines are their addresses, by name.
	Machines map[string]string `json:"machines"`
}

func labFilePath(dir string) string { return filepath.Join(dir, "lab.json") }

// expose lets other processes enter a lab until the control is closed.
func expose(dir, verb, config, report string, r *e2e.Run) (*control, error) {
	l := labFile{PID: os.Getpid(), Verb: verb, Config: config, Report: report, Since: time.Now(),
		Key: r.Lab.Desktop.Image().Key(), HostKey: r.Lab.Desktop.Image().HostKey(), Machines: map[string]string{}}
	dials := map[string]dialer{}
	for _, m := range r.Lab.Machines() {
		l.Machines[m.Name()] = m.Addr.String()
		dials[m.Name()] = m.DialManagement
	}
	c, err := openControl(dir, dials)
	if err != nil {
		return nil, err
	}
	if err := l.write(dir); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// write writes the file in one step: a reader sees all of it.
func (l labFile) write(dir string) error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	path := labFilePath(dir)
	if err := errors.Join(os.WriteFile(path+".new", append(text, '\n'), 0o600), os.Rename(path+".new", path)); err != nil {
		return fmt.Errorf("say where the lab is: %w", err)
	}
	return nil
}

// findLab is the lab that is up.
func (p *paths) findLab() (*labFile, error) {
	who := p.holder()
	text, err := os.ReadFile(labFilePath(p.labDir()))
	switch {
	case !who.alive():
		return nil, &userError{Heading: "No lab is up", Sentence: "Nothing runs in " + p.State + ".",
			WayOut: "Bring one up: " + p.command("up") + "\nOr keep a run's: make e2e KEEP=failure, or KEEP=always"}
	case errors.Is(err, fs.ErrNotExist):
		return nil, &userError{Heading: "The lab cannot be entered yet", Sentence: fmt.Sprintf("Process %d (offload-e2e %s) is bringing it up, or taking it down.", who.PID, who.Verb),
			WayOut: "Try again in a moment."}
	case err != nil:
		return nil, fmt.Errorf("find the lab: %w", err)
	}
	var l labFile
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, fmt.Errorf("find the lab: read %s: %w", labFilePath(p.labDir()), err)
	}
	return &l, nil
}

// dial connects to a machine of the lab that is up.
func (p *paths) dial(ctx context.Context, machine string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: reachTimeout}).DialContext(ctx, "unix", controlSocket(p.labDir(), machine))
	if err != nil {
		return nil, fmt.Errorf("reach the %s: %w", machine, err)
	}
	return conn, nil
}

// command is how a verb is called for this lab.
func (p *paths) command(verb string) string {
	command := ".bin/offload-e2e " + verb
	if state := os.Getenv(stateVariable); state != "" {
		command = stateVariable + "=" + state + " " + command
	}
	return command
}
