package verdicts

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"offload-e2e/harness/report"
)

// Exit statuses of the command.
const (
	exitOK     = 0
	exitBroken = 1
	exitUsage  = 2
	exitInfra  = 3
)

// Files of the reference that are broken.
const (
	server   = "modules/services/offload-server.nix"
	client   = "modules/services/laptop-offload-client.nix"
	builders = "modules/services/offload/client.nix"
	settings = "modules/services/offload/nix-settings.nix"
)

// The walk as far as a fault must be noticed.
const (
	onDesktop = "phase1"
	onLaptop  = "phase1 || phase2"
	exchanged = "phase1 || phase2 || phase3"
)

// limit is for whatever a test waits for: a run under emulation, on a busy machine.
const limit = 12 * time.Minute

// bundleVariable names the folder of a guest image; `make test` sets it.
const bundleVariable = "OFFLOAD_E2E_BUNDLE"

func TestMain(m *testing.M) {
	flag.Parse()
	// Each lab keeps both processors of a small machine busy: two fill each other's
	// waits, more only make one another late.
	if n := flag.Lookup("test.parallel"); n.Value.String() != "1" {
		_ = n.Value.Set("2")
	}
	os.Exit(m.Run())
}

// place is where runs of one test happen, with a state folder of their own.
type place struct {
	t *testing.T
	// root is the clone; reports, state and cache are as the command's.
	root, reports, state, cache string
	env                         []string
}

// newPlace is a place with a guest image and the machines booted from it.
func newPlace(t *testing.T) *place {
	t.Helper()
	bundle := os.Getenv(bundleVariable)
	if bundle == "" {
		t.Skipf("needs a guest image: make test sets %s", bundleVariable)
	}
	return newPlaceIn(t, filepath.Dir(filepath.Dir(bundle)))
}

func newPlaceIn(t *testing.T, cache string) *place {
	t.Helper()
	root, err := filepath.Abs("../..")
	must(t, err)
	if _, err := os.Stat(filepath.Join(root, ".bin", "offload-e2e")); err != nil {
		t.Skipf("runs the built command: make build, or make test: %v", err)
	}
	// Short, for the sockets in it, and on a disk.
	state, err := os.MkdirTemp("/var/tmp", "oe-verdict-")
	must(t, err)
	p := &place{t: t, root: root, reports: filepath.Join(t.TempDir(), "reports"), state: state, cache: cache}
	t.Cleanup(func() { must(t, os.RemoveAll(state)) })
	return p
}

// process is the command under way.
type process struct {
	p   *place
	cmd *exec.Cmd

	mu     sync.Mutex
	output bytes.Buffer
	done   chan struct{}
}

// Write takes what the command prints.
func (c *process) Write(text []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.Write(text)
}

func (c *process) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.String()
}

// start starts the command as a shell does: in a process group of its own.
func (p *place) start(args ...string) *process {
	p.t.Helper()
	c := &process{p: p, cmd: exec.Command(filepath.Join(p.root, ".bin", "offload-e2e"), args...), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), append([]string{"OFFLOAD_E2E_STATE=" + p.state, "OFFLOAD_E2E_CACHE=" + p.cache}, p.env...)...)
	c.cmd.Stdout, c.cmd.Stderr = c, c
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	must(p.t, c.cmd.Start())
	go func() { _ = c.cmd.Wait(); close(c.done) }()
	p.t.Cleanup(func() {
		select {
		case <-c.done:
		default:
			_ = c.cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-c.done:
			case <-time.After(time.Minute):
				_ = c.cmd.Process.Kill()
			}
		}
	})
	return c
}

// interrupt is Ctrl-C: the whole group gets it.
func (c *process) interrupt() { must(c.p.t, syscall.Kill(-c.cmd.Process.Pid, syscall.SIGINT)) }

// until waits for something, and fails when the command ends before it.
func (c *process) until(what string, is func() bool) {
	c.p.t.Helper()
	ctx, cancel := context.WithTimeout(c.p.t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-c.done:
			if !is() {
				c.p.t.Fatalf("the command ended before %s:\n%s", what, c.said())
			}
		case <-ctx.Done():
			c.p.t.Fatalf("%s did not come to be:\n%s", what, c.said())
		case <-tick.C:
		}
	}
}

// end waits for the command's end, and for its report where it wrote one.
func (c *process) end() outcome {
	c.p.t.Helper()
	select {
	case <-c.done:
	case <-time.After(limit):
		c.p.t.Fatalf("it does not end:\n%s", c.said())
	}
	o := outcome{t: c.p.t, exit: c.cmd.ProcessState.ExitCode(), output: c.said()}
	o.report, _ = report.Load(filepath.Join(c.p.reports, "latest", report.JSONFile))
	return o
}

// run is `offload-e2e run` to its end, with a report.
func (p *place) run(args ...string) outcome {
	p.t.Helper()
	o := p.begin(args...).end()
	p.nothingLeft()
	return o
}

// begin starts `offload-e2e run`.
func (p *place) begin(args ...string) *process {
	return p.start(append([]string{"run", "--guest", "embedded", "--report", p.reports}, args...)...)
}

// outcome is how a run ended.
type outcome struct {
	t      *testing.T
	exit   int
	output string
	report *report.Report
}

// is wants an exit status, and words that were printed.
func (o outcome) is(exit int, says ...string) {
	o.t.Helper()
	if o.exit != exit {
		o.t.Errorf("exit status %d, not %d:\n%s", o.exit, exit, o.output)
	}
	for _, words := range says {
		if !strings.Contains(squeeze(o.output), squeeze(words)) {
			o.t.Errorf("it does not say %q:\n%s", words, o.output)
		}
	}
}

// squeeze is text without the line breaks of a terminal's width.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

// first wants the verdict "fail", and its first root cause.
func (o outcome) first(code string) report.RootCause {
	o.t.Helper()
	o.is(exitBroken, "1. "+code+" on ")
	if o.report == nil || o.report.Verdict != report.Fail || len(o.report.RootCauses) == 0 {
		o.t.Fatalf("there is no report of a broken configuration:\n%s", o.output)
	}
	cause := o.report.RootCauses[0]
	if cause.Code != code {
		o.t.Errorf("the first root cause is %s (%s), not %s", cause.Code, cause.Sentence, code)
	}
	if cause.Remedy == "" {
		o.t.Errorf("%s has no remedy", cause.Code)
	}
	return cause
}

// nothingLeft wants no process, socket, disk or mount of the place's runs.
func (p *place) nothingLeft() {
	p.t.Helper()
	for _, what := range p.left() {
		p.t.Errorf("%s is left", what)
	}
}

// left lists processes, files and mounts of the place's runs.
func (p *place) left() []string {
	p.t.Helper()
	var left []string
	for _, pid := range processes(p.t, p.state) {
		left = append(left, fmt.Sprintf("process %d", pid))
	}
	_ = filepath.WalkDir(p.state, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != p.state && path != filepath.Join(p.state, "lock") && path != filepath.Join(p.state, "worker.log") {
			left = append(left, path)
		}
		return nil
	})
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(p.t, err)
	for _, line := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(line); len(f) > 4 && f[4] != p.state && strings.HasPrefix(f[4], p.state) {
			left = append(left, "the mount "+line)
		}
	}
	return left
}

var number = regexp.MustCompile(`^[0-9]+$`)

// processes are those whose command line or environment names a folder.
func processes(t *testing.T, folder string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	must(t, err)
	var found []int
	for _, e := range entries {
		if !number.MatchString(e.Name()) {
			continue
		}
		for _, file := range []string{"cmdline", "environ"} {
			// It may have ended meanwhile, or be another user's.
			text, err := os.ReadFile(filepath.Join("/proc", e.Name(), file))
			if err == nil && bytes.Contains(text, []byte(folder)) {
				pid, _ := strconv.Atoi(e.Name())
				found = append(found, pid)
				break
			}
		}
	}
	return found
}

// machines reports how many virtual machines run in the place.
func (p *place) machines() int {
	pids, _ := filepath.Glob(filepath.Join(p.state, "lab", "machines", "*", "qemu.pid"))
	return len(pids)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a file with the folders above it.
func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// reference is a copy of the reference configuration, to be changed.
func reference(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"modules", "hosts"} {
		must(t, os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join("../../vmconfigs", part))))
	}
	return dir
}

// edit replaces a text that occurs once in a file.
func edit(t *testing.T, file, from, to string) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	if n := strings.Count(string(text), from); n != 1 {
		t.Fatalf("%s has %q %d times, and should have it once", file, from, n)
	}
	write(t, file, strings.Replace(string(text), from, to, 1))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
