package nixguest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"offload-e2e/harness/machine"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixos/activate"
	"offload-e2e/harness/provider"
)

// copierVariable makes of the test program what a stand-in runs for `nix copy`.
const copierVariable = "FAKE_NIX_COPIES"

func TestMain(m *testing.M) {
	if os.Getenv(copierVariable) != "" {
		os.Exit(copies(os.Args))
	}
	status := m.Run()
	removeStore()
	os.Exit(status)
}

// copies talks to the daemon behind the socket that nix copy is told, as nix does.
func copies(args []string) int {
	var socket string
	for _, a := range args {
		if rest, ok := strings.CutPrefix(a, "unix://"); ok {
			socket = rest
		}
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	defer conn.Close()
	fmt.Fprintln(conn, "have you "+args[len(args)-1]+"?")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || answer != "now I have\n" {
		fmt.Fprintf(os.Stderr, "error: cannot talk to the daemon: %q, %v\n", answer, err)
		return 1
	}
	fmt.Fprintln(os.Stderr, "copying path '/nix/store/0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-hello' to 'unix://'...")
	return 0
}

// fakeGuest is a NixOS guest that answers commands.
type fakeGuest struct {
	mu     sync.Mutex
	asked  []string
	env    map[string]map[string]string
	has    bool // the system is in its store
	status int  // of switch-to-configuration
	failed []string
	daemon func(in io.Reader, out io.Writer) provider.Result
}

func (g *fakeGuest) Name() string { return "laptop" }

func (g *fakeGuest) Exec(_ context.Context, cmd provider.Command) (provider.Result, error) {
	g.mu.Lock()
	g.asked = append(g.asked, cmd.String())
	if g.env == nil {
		g.env = map[string]map[string]string{}
	}
	g.env[cmd.Argv[0]] = cmd.Env
	g.mu.Unlock()
	res := provider.Result{Argv: cmd.Argv}
	switch {
	case cmd.Argv[0] == "nix-daemon":
		res = g.daemon(cmd.Stdin, cmd.Stdout)
	case strings.HasPrefix(cmd.String(), "nix-store --check-validity") && !g.has:
		res.ExitStatus = 1
	case cmd.Argv[0] == "systemctl" && len(g.failed) > 0:
		res.Stdout, g.failed = []byte(g.failed[0]), g.failed[1:]
	case cmd.Argv[0] == "readlink":
		res.Stdout = []byte("system-7-link\n")
	case cmd.Argv[0] == "journalctl":
		res.Stdout = []byte("its last words of " + cmd.Argv[len(cmd.Argv)-1])
	case strings.HasSuffix(cmd.Argv[0], "/bin/switch-to-configuration"):
		res.ExitStatus = g.status
		res.Stderr = []byte("stopping the following units: a.service, b.mount\nactivating the configuration...\nsetting up /etc...\n" +
			"restarting the following units: nix-daemon.service\nstarting the following units: nix-serve.service\n")
		if cmd.Stderr != nil {
			_, _ = cmd.Stderr.Write(res.Stderr)
		}
	}
	return res, nil
}

func (g *fakeGuest) CopyTo(context.Context, io.Reader, string, fs.FileMode) error {
	return errors.ErrUnsupported
}
func (g *fakeGuest) CopyFrom(context.Context, string, io.Writer) error { return errors.ErrUnsupported }
func (g *fakeGuest) Logs(context.Context) (io.ReadCloser, error)       { return nil, errors.ErrUnsupported }

const system = "/nix/store/0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-nixos-system-kernelcore"

func TestSwitch(t *testing.T) {
	g := &fakeGuest{has: true, failed: []string{"old.service loaded failed failed Old\n",
		"old.service loaded failed failed Old\nnew.service loaded activating auto-restart New\n"}, status: 4}
	var log strings.Builder
	s := &Switcher{Nix: &Nix{Program: "/nonexistent"}}
	result, err := s.Switch(deadline(t), machine.Wrap(g), &nixos.Configuration{Toplevel: system, Warnings: []string{"w"}}, &log)
	must(t, err)
	want := []string{
		"nix-store --check-validity " + system,
		"systemctl list-units --all --plain --no-legend --no-pager --full --state=failed,auto-restart",
		"nix-env --profile /nix/var/nix/profiles/system --set " + system,
		"readlink /nix/var/nix/profiles/system",
		system + "/bin/switch-to-configuration test",
		"systemctl list-units --all --plain --no-legend --no-pager --full --state=failed,auto-restart",
		"journalctl --no-pager --output=cat --lines=15 --unit=new.service",
	}
	if !reflect.DeepEqual(g.asked, want) {
		t.Errorf("the guest was asked\n%s\nwant\n%s", strings.Join(g.asked, "\n"), strings.Join(want, "\n"))
	}
	if result.Toplevel != system || result.Generation != 7 || len(result.Changes) != 4 || result.Changes[1] != (activate.Change{Kind: "unit", Name: "b.mount", Action: "stopped"}) {
		t.Errorf("the result is %+v", result)
	}
	if !reflect.DeepEqual(result.Failed, []activate.FailedUnit{{Unit: "new.service", State: "auto-restart", Journal: "its last words of --unit=new.service"}}) {
		t.Errorf("failed are %+v", result.Failed)
	}
	if !strings.Contains(log.String(), "setting up /etc...") {
		t.Errorf("the log is %q", log.String())
	}
	// The daemon of the configuration under test has no say.
	for _, program := range []string{"nix-store", "nix-env"} {
		if g.env[program]["NIX_REMOTE"] != "local" {
			t.Errorf("%s ran with %v", program, g.env[program])
		}
	}
}

func TestSwitchFails(t *testing.T) {
	g := &fakeGuest{has: true, status: 1}
	s := &Switcher{Nix: &Nix{Program: "/nonexistent"}}
	_, err := s.Switch(deadline(t), machine.Wrap(g), &nixos.Configuration{Toplevel: system}, nil)
	if err == nil || !strings.Contains(err.Error(), "switch-to-configuration test: exit status 1") {
		t.Errorf("error %v", err)
	}
	if _, err := s.Switch(deadline(t), machine.Wrap(g), &nixos.Configuration{HostName: "laptop"}, nil); err == nil {
		t.Error("a configuration of the embedded guest is switched to")
	}
}

// copier is a nix whose copies talk to the daemon behind the socket.
func copier(t *testing.T) (*fakeNix, *Switcher) {
	t.Helper()
	f := newFakeNix(t)
	program, err := os.Executable()
	must(t, err)
	n := found(t, f, `copy) shift; `+copierVariable+`=1 exec '`+program+`' "$@" ;;`)
	dir, err := os.MkdirTemp("", "nixguest")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return f, &Switcher{Nix: n, Sockets: dir}
}

func TestSwitchCopiesWhatTheGuestLacks(t *testing.T) {
	f, s := copier(t)
	var question string
	g := &fakeGuest{daemon: func(in io.Reader, out io.Writer) provider.Result {
		question, _ = bufio.NewReader(in).ReadString('\n')
		_, _ = io.WriteString(out, "now I have\n")
		return provider.Result{}
	}}
	var log strings.Builder
	_, err := s.Switch(deadline(t), machine.Wrap(g), &nixos.Configuration{Toplevel: system}, &log)
	must(t, err)
	if question != "have you "+system+"?\n" {
		t.Errorf("the guest's daemon was asked %q", question)
	}
	if g.asked[1] != "nix-daemon --stdio" || g.env["nix-daemon"]["NIX_REMOTE"] != "local" {
		t.Errorf("the guest was asked %q", g.asked)
	}
	args := f.calls()[0]
	if len(args) != 5 || !reflect.DeepEqual(args[:3], []string{"copy", "--no-check-sigs", "--to"}) || !strings.HasPrefix(args[3], "unix:///") || args[4] != system {
		t.Errorf("nix was called with %q", args)
	}
	if !strings.Contains(log.String(), "copied 0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-nixos-system-kernelcore in ") {
		t.Errorf("the log is %q", log.String())
	}
	if left, _ := os.ReadDir(s.Sockets); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCopyFails(t *testing.T) {
	_, s := copier(t)
	g := &fakeGuest{daemon: func(io.Reader, io.Writer) provider.Result {
		return provider.Result{Argv: []string{"nix-daemon"}, ExitStatus: 1, Stderr: []byte("error: database is locked")}
	}}
	err := s.Copy(deadline(t), machine.Wrap(g), system, (&said{}).say)
	var e *BuildError
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "cannot talk to the daemon") || !strings.Contains(err.Error(), "database is locked") {
		t.Errorf("error %v", err)
	}
}

// Interrupted, nothing is left: no nix, no connection, no socket.
func TestCopyInterrupted(t *testing.T) {
	_, s := copier(t)
	ctx, cancel := context.WithCancel(deadline(t))
	g := &fakeGuest{daemon: func(in io.Reader, _ io.Writer) provider.Result {
		cancel()
		_, _ = io.Copy(io.Discard, in)
		return provider.Result{}
	}}
	if err := s.Copy(ctx, machine.Wrap(g), system, (&said{}).say); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(s.Sockets); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
