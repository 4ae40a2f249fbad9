package machine

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"

	"offload-e2e/harness/provider"
)

// fake is a provider's machine that answers commands from a table.
type fake struct {
	mu     sync.Mutex
	answer func(argv string) (provider.Result, error)
	asked  []string
	off    bool
}

func (f *fake) Name() string { return "laptop" }

func (f *fake) Exec(ctx context.Context, cmd provider.Command) (provider.Result, error) {
	if err := ctx.Err(); err != nil {
		return provider.Result{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, cmd.String())
	res, err := f.answer(cmd.String())
	res.Argv = cmd.Argv
	return res, err
}

func (f *fake) CopyTo(context.Context, io.Reader, string, fs.FileMode) error {
	return errors.ErrUnsupported
}
func (f *fake) CopyFrom(context.Context, string, io.Writer) error { return errors.ErrUnsupported }
func (f *fake) Logs(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("")), nil
}

// powered is a fake with a power button.
type powered struct{ *fake }

func (p powered) PowerOff(context.Context, bool) error { p.off = true; return nil }
func (p powered) PowerOn(context.Context) error        { p.off = false; return nil }
func (p powered) Running() bool                        { return !p.off }

func out(text string) provider.Result { return provider.Result{Stdout: []byte(text)} }
func status(n int, stderr string) provider.Result {
	return provider.Result{ExitStatus: n, Stderr: []byte(stderr)}
}

// answers is a fake whose answers are found by the beginning of the command;
// several answers are given one after the other, the last for ever.
func answers(table map[string][]provider.Result) *fake {
	given := map[string]int{}
	return &fake{answer: func(argv string) (provider.Result, error) {
		for prefix, list := range table {
			if strings.HasPrefix(argv, prefix) {
				i := min(given[prefix], len(list)-1)
				given[prefix]++
				return list[i], nil
			}
		}
		return status(127, "not found: "+argv), nil
	}}
}

func unitShow(load, active, sub, result string) provider.Result {
	return out("LoadState=" + load + "\nActiveState=" + active + "\nSubState=" + sub + "\nResult=" + result + "\n")
}

const journalLine = `{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1700000000123456","_SYSTEMD_UNIT":"nix-serve.service","SYSLOG_IDENTIFIER":"nix-serve","_PID":"42","PRIORITY":"3","MESSAGE":"cannot read key"}` + "\n"
