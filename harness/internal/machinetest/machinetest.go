// Package machinetest is a machine for tests, at the provider's seam: it runs nothing,
// and answers commands as it was told to.
package machinetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"offload-e2e/harness/provider"
)

// Machine answers commands by pattern: what was added last is asked first. A command
// that no pattern knows fails the test. It may be used from any goroutine.
type Machine struct {
	t    testing.TB
	name string

	mu    sync.Mutex
	rules []rule
	// Asked are the commands so far, as one would type them, Input what they read.
	Asked, Input []string
	// Copied are the files so far, by path.
	Copied map[string]string
	// Gone is what every command and copy ends in, where set.
	Gone error
}

// rule answers the commands that match, as a whole, a pattern over their words.
type rule struct {
	pattern *regexp.Regexp
	answer  func(argv []string) provider.Result
}

// New is a machine of a name that knows no command.
func New(t testing.TB, name string) *Machine {
	return &Machine{t: t, name: name, Copied: map[string]string{}}
}

// On adds an answer for a pattern: words of the command line, "*" for anything.
func (m *Machine) On(pattern string, answer provider.Result) {
	m.Does(pattern, func([]string) provider.Result { return answer })
}

// Does is On with an answer that is made when it is asked for.
func (m *Machine) Does(pattern string, answer func(argv []string) provider.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rules = append(m.rules, rule{compiled(pattern), answer})
}

// patterns are those compiled so far: tests make many machines with the same.
var patterns sync.Map

func compiled(pattern string) *regexp.Regexp {
	if re, ok := patterns.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re := regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
	patterns.Store(pattern, re)
	return re
}

// Name is the name the machine was made with.
func (m *Machine) Name() string { return m.name }

// Exec answers a command.
func (m *Machine) Exec(ctx context.Context, cmd provider.Command) (provider.Result, error) {
	if err := ctx.Err(); err != nil {
		return provider.Result{}, err
	}
	var input []byte
	if cmd.Stdin != nil {
		input, _ = io.ReadAll(cmd.Stdin)
	}
	m.mu.Lock()
	if m.Gone != nil {
		defer m.mu.Unlock()
		return provider.Result{}, m.Gone
	}
	m.Asked, m.Input = append(m.Asked, cmd.String()), append(m.Input, string(input))
	m.mu.Unlock()
	res := m.Answer(cmd.Argv)
	if cmd.Stdout != nil {
		_, _ = cmd.Stdout.Write(res.Stdout)
	}
	if cmd.Stderr != nil {
		_, _ = cmd.Stderr.Write(res.Stderr)
	}
	return res, nil
}

// Answer is what the machine says to a command.
func (m *Machine) Answer(argv []string) provider.Result {
	line := provider.Cmd(argv...).String()
	m.mu.Lock()
	var answer func([]string) provider.Result
	for i := len(m.rules) - 1; i >= 0 && answer == nil; i-- {
		if m.rules[i].pattern.MatchString(line) {
			answer = m.rules[i].answer
		}
	}
	m.mu.Unlock()
	if answer == nil {
		m.t.Errorf("%s: nobody told what to answer to %q", m.name, line)
		return provider.Result{Argv: argv, ExitStatus: 127}
	}
	res := answer(argv)
	res.Argv = argv
	return res
}

// CopyTo keeps a file in Copied.
func (m *Machine) CopyTo(_ context.Context, content io.Reader, path string, _ fs.FileMode) error {
	text, err := io.ReadAll(content)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Gone != nil {
		return m.Gone
	}
	m.Copied[path] = string(text)
	return err
}

// CopyFrom gives back what is in Copied.
func (m *Machine) CopyFrom(_ context.Context, path string, w io.Writer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.Copied[path]
	if !ok {
		return errors.Join(m.Gone, &fs.PathError{Op: "open", Path: path, Err: os.ErrNotExist})
	}
	_, err := io.WriteString(w, text)
	return err
}

// Logs are the machine's name, and nothing else.
func (m *Machine) Logs(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader([]byte("console of " + m.name + "\n"))), nil
}

// Was reports whether a command that holds a text was run.
func (m *Machine) Was(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, line := range m.Asked {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// Out is a command that succeeded with an output.
func Out(text string) provider.Result { return provider.Result{Stdout: []byte(text)} }

// Said is a command that ended with a status, and with words on standard error.
func Said(status int, stderr string) provider.Result {
	return provider.Result{ExitStatus: status, Stderr: []byte(stderr)}
}
