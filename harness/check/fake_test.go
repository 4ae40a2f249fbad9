package check

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"offload-e2e/harness/provider"
)

// fake is a machine that answers commands by pattern: what was added last is asked
// first. A command that no pattern knows fails the test.
type fake struct {
	t    *testing.T
	name string

	mu     sync.Mutex
	rules  []rule
	asked  []string
	copied map[string]string
	gone   error // what every command ends in, where set
}

// rule answers the commands that match, as a whole, a pattern over their words.
type rule struct {
	pattern *regexp.Regexp
	answer  func(argv []string) provider.Result
}

func newFake(t *testing.T, name string) *fake {
	return &fake{t: t, name: name, copied: map[string]string{}}
}

// on adds an answer for a pattern: words of the command line, "*" for anything.
func (f *fake) on(pattern string, answer provider.Result) {
	f.does(pattern, func([]string) provider.Result { return answer })
}

func (f *fake) does(pattern string, answer func(argv []string) provider.Result) {
	f.rules = append(f.rules, rule{compiled(pattern), answer})
}

// patterns are those compiled so far: every world has the same hundred.
var patterns sync.Map

func compiled(pattern string) *regexp.Regexp {
	if re, ok := patterns.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re := regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
	patterns.Store(pattern, re)
	return re
}

func (f *fake) Name() string { return f.name }

func (f *fake) Exec(ctx context.Context, cmd provider.Command) (provider.Result, error) {
	if err := ctx.Err(); err != nil {
		return provider.Result{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone != nil {
		return provider.Result{}, f.gone
	}
	f.asked = append(f.asked, cmd.String())
	return f.answer(cmd.Argv), nil
}

// answer is what the machine says to a command.
func (f *fake) answer(argv []string) provider.Result {
	line := provider.Cmd(argv...).String()
	for i := len(f.rules) - 1; i >= 0; i-- {
		if f.rules[i].pattern.MatchString(line) {
			res := f.rules[i].answer(argv)
			res.Argv = argv
			return res
		}
	}
	f.t.Errorf("%s: nobody told what to answer to %q", f.name, line)
	return provider.Result{Argv: argv, ExitStatus: 127}
}

func (f *fake) CopyTo(_ context.Context, content io.Reader, path string, _ fs.FileMode) error {
	text, err := io.ReadAll(content)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.copied[path] = string(text)
	return err
}

func (f *fake) CopyFrom(context.Context, string, io.Writer) error { return errors.ErrUnsupported }

func (f *fake) Logs(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("")), nil
}

// was reports whether a command that holds a text was run.
func (f *fake) was(text string) bool {
	for _, line := range f.asked {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// out is a command that succeeded with an output.
func out(text string) provider.Result { return provider.Result{Stdout: []byte(text)} }

// said is a command that ended with a status, and with words on standard error.
func said(status int, stderr string) provider.Result {
	return provider.Result{ExitStatus: status, Stderr: []byte(stderr)}
}

// recorded is what a real program said, from testdata.
func recorded(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
