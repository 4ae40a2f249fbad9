package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"offload-e2e/harness/provider"
)

// fake is a provider whose machines are a map of files and the few commands that the
// suite types: what the suite promises of others it must find here.
type fake struct {
	machines []*fakeMachine
	cuts     map[string][]map[string]file
	left     []string
}

type file struct {
	content []byte
	mode    fs.FileMode
}

type fakeMachine struct {
	name    string
	mu      sync.Mutex
	off     bool
	frozen  chan struct{} // closed when thawed; nil where it runs
	files   map[string]file
	console string
}

func (f *fake) Name() string { return "fake" }

func (f *fake) Machines() []provider.Machine {
	made := make([]provider.Machine, len(f.machines))
	for i, m := range f.machines {
		made[i] = m
	}
	return made
}

func (f *fake) Create(_ context.Context, req provider.Request) ([]provider.Machine, error) {
	for _, r := range req.Machines {
		if r.MAC == "" {
			f.left = nil
			return nil, errors.New("a machine has no hardware address")
		}
		f.machines = append(f.machines, &fakeMachine{name: r.Name, files: map[string]file{}})
		f.left = append(f.left, r.Name)
	}
	return f.Machines(), nil
}

func (f *fake) Close(context.Context) error { f.left = nil; return nil }

func (f *fake) Snapshot(_ context.Context, name string) error {
	for _, m := range f.machines {
		f.cuts[name] = append(f.cuts[name], maps.Clone(m.files))
	}
	return nil
}

func (f *fake) Restore(_ context.Context, name string) error {
	cut, ok := f.cuts[name]
	if !ok {
		return errors.New("no such snapshot")
	}
	for i, m := range f.machines {
		m.files = maps.Clone(cut[i])
	}
	return nil
}

func (m *fakeMachine) Name() string { return m.name }

// ready waits while the machine is frozen; one that is off is an error.
func (m *fakeMachine) ready(ctx context.Context) error {
	m.mu.Lock()
	frozen, off := m.frozen, m.off
	m.mu.Unlock()
	if off {
		return provider.ErrOff
	}
	if frozen == nil {
		return nil
	}
	select {
	case <-frozen:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *fakeMachine) Exec(ctx context.Context, cmd provider.Command) (provider.Result, error) {
	r := provider.Result{Argv: cmd.Argv}
	if err := m.ready(ctx); err != nil {
		return r, err
	}
	line := strings.Join(cmd.Argv, " ")
	script, isScript := strings.CutPrefix(line, "sh -c ")
	var status int
	switch {
	case line == "cat":
		r.Stdout, _ = io.ReadAll(cmd.Stdin)
	case cmd.Argv[0] == "cat":
		f, ok := m.files[cmd.Argv[1]]
		r.Stdout = f.content
		r.ExitStatus = map[bool]int{false: 1}[ok]
	case cmd.Argv[0] == "stat":
		mode := m.files[cmd.Argv[3]].mode
		special := map[bool]int{true: 4}[mode&fs.ModeSetuid != 0]
		r.Stdout = fmt.Appendf(nil, "%o", special<<9|int(mode.Perm()))
	case cmd.Argv[0] == "echo":
		r.Stdout = []byte(strings.Join(cmd.Argv[1:], " ") + "\n")
	case line == "true", line == "sync":
	case cmd.Argv[0] == "sleep":
		<-ctx.Done()
		return r, ctx.Err()
	case isScript && strings.HasPrefix(script, "echo last words"):
		m.console += script
	case script == "echo out; echo err >&2":
		r.Stdout, r.Stderr = []byte("out\n"), []byte("err\n")
	case script == "echo $A":
		r.Stdout = []byte(cmd.Env["A"] + "\n")
	case isScript && strings.HasPrefix(script, "kill -"):
		r.Signal, _, _ = strings.Cut(script[6:], " ")
		r.ExitStatus = -1
	case isScript:
		if _, err := fmt.Sscanf(script, "exit %d", &status); err != nil {
			return r, fmt.Errorf("the fake does not know %q", line)
		}
		r.ExitStatus = status
	default:
		return r, fmt.Errorf("the fake does not know %q", line)
	}
	if cmd.Stdout != nil {
		_, _ = cmd.Stdout.Write(r.Stdout)
	}
	return r, nil
}

func (m *fakeMachine) CopyTo(ctx context.Context, content io.Reader, path string, mode fs.FileMode) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	text, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	m.files[path] = file{text, mode}
	return nil
}

func (m *fakeMachine) CopyFrom(ctx context.Context, path string, w io.Writer) error {
	f, ok := m.files[path]
	if !ok {
		return fs.ErrNotExist
	}
	_, err := w.Write(f.content)
	return errors.Join(err, m.ready(ctx))
}

func (m *fakeMachine) Logs(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader([]byte(m.console))), nil
}

func (m *fakeMachine) PowerOff(context.Context, bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
	maps.DeleteFunc(m.files, func(path string, _ file) bool { return strings.HasPrefix(path, "/run/") })
	return nil
}

func (m *fakeMachine) PowerOn(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = false
	return nil
}

func (m *fakeMachine) Running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.off
}

func (m *fakeMachine) Freeze(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.frozen == nil {
		m.frozen = make(chan struct{})
	}
	return nil
}

func (m *fakeMachine) Thaw(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.frozen != nil {
		close(m.frozen)
		m.frozen = nil
	}
	return nil
}

func TestFake(t *testing.T) {
	up := func(t *testing.T, req provider.Request) (*Lab, error) {
		f := &fake{cuts: map[string][]map[string]file{}}
		_, err := f.Create(t.Context(), req)
		return &Lab{Provider: f, Left: func(*testing.T) []string { return f.left }}, err
	}
	Run(t, Bed{
		Boot: time.Second, NoNetwork: "the fake's machines are not connected",
		Up: func(t *testing.T) *Lab {
			l, err := up(t, Request(t.TempDir()))
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
		Fail: func(t *testing.T) (*Lab, error) {
			req := Request(t.TempDir())
			req.Machines[1].MAC = ""
			return up(t, req)
		},
	})
}
