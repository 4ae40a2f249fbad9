package qemu

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"offload-e2e/harness/provider"
)

//go:embed testdata/boot.bin
var bootSector []byte

// sectorBundle is a guest that prints how often its disk was booted, and a
// counter in its memory: see testdata/bootsector.S.
func sectorBundle(t *testing.T) Bundle {
	t.Helper()
	for _, tool := range []string{DefaultBinary, DefaultImageTool} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	disk := make([]byte, 1<<20)
	copy(disk, bootSector)
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, disk, 0o400); err != nil {
		t.Fatal(err)
	}
	return Bundle{Disk: path, DiskFormat: "raw", ID: "sector"}
}

// cableEnds listens where machines' cables end, and throws frames away.
type cableEnds struct {
	dir string
	mu  sync.Mutex
	all map[string]net.Listener
}

func newCableEnds(t *testing.T) *cableEnds {
	t.Helper()
	dir, err := os.MkdirTemp("", "cables") // short: sun_path is
	if err != nil {
		t.Fatal(err)
	}
	c := &cableEnds{dir: dir, all: map[string]net.Listener{}}
	t.Cleanup(func() {
		for _, l := range c.all {
			_ = l.Close()
		}
		_ = os.RemoveAll(dir)
	})
	return c
}

func (c *cableEnds) socket(name string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	path := filepath.Join(c.dir, name)
	if c.all[name] != nil {
		return path, nil
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return "", err
	}
	c.all[name] = l
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
		}
	}()
	return path, nil
}

func (c *cableEnds) cables(machine string) (Cables, error) {
	lan, err1 := c.socket(machine + "-lan")
	mgmt, err2 := c.socket(machine + "-mgmt")
	return Cables{LAN: lan, Mgmt: mgmt}, errors.Join(err1, err2)
}

// consoleTransport takes a machine for ready when it has printed a line since
// the last Reset. It runs no commands but "true", and "wait", which hangs.
type consoleTransport struct {
	console string
	mu      sync.Mutex
	mark    int
	resets  int
}

var errNotReady = errors.New("nothing new on the console")

func (c *consoleTransport) Exec(ctx context.Context, cmd provider.Command) (provider.Result, error) {
	if cmd.String() == "wait" {
		<-ctx.Done()
		return provider.Result{}, ctx.Err()
	}
	b, _ := os.ReadFile(c.console)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(sectorLines(b[min(c.mark, len(b)):])) == 0 {
		return provider.Result{}, errNotReady
	}
	return provider.Result{Argv: cmd.Argv}, nil
}

func (c *consoleTransport) CopyTo(context.Context, io.Reader, string, fs.FileMode) error {
	return errors.ErrUnsupported
}

func (c *consoleTransport) CopyFrom(context.Context, string, io.Writer) error {
	return errors.ErrUnsupported
}

func (c *consoleTransport) Reset() {
	b, _ := os.ReadFile(c.console) // none yet: nothing printed
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mark = len(b)
	c.resets++
}

func (c *consoleTransport) Close() error { return nil }

// lab is a provider with its machines, of one or two sectors' worth each.
type testLab struct {
	*Provider
	stateDir string
	all      []*Machine
}

func (l *testLab) machine(name string) *Machine {
	for _, m := range l.all {
		if m.Name() == name {
			return m
		}
	}
	return nil
}

func testRequest(stateDir string, names ...string) provider.Request {
	req := provider.Request{StateDir: stateDir}
	for i, name := range names {
		req.Machines = append(req.Machines, provider.MachineRequest{
			Name: name, Addr: netip.AddrFrom4([4]byte{192, 168, 15, byte(7 + i)}),
			MAC: fmt.Sprintf("52:54:00:0f:00:%02x", 7+i), MemoryMiB: 32,
		})
	}
	return req
}

func sectorOptions(t *testing.T, stateDir string, b Bundle) Options {
	t.Helper()
	ends := newCableEnds(t)
	return Options{
		Bundle: b,
		Cables: ends.cables,
		Transport: func(machine string) (provider.Transport, error) {
			return &consoleTransport{console: filepath.Join(stateDir, machine, "console.log")}, nil
		},
		BootTimeout: time.Minute,
	}
}

// newLab brings machines up; change, where not nil, edits the options.
func newLab(t *testing.T, b Bundle, change func(*Options), names ...string) *testLab {
	t.Helper()
	stateDir := t.TempDir()
	o := sectorOptions(t, stateDir, b)
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	l := &testLab{Provider: p, stateDir: stateDir}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	machines, err := p.Create(t.Context(), testRequest(stateDir, names...))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range machines {
		l.all = append(l.all, m.(*Machine))
	}
	return l
}

type sectorLine struct{ boots, count int }

func sectorLines(console []byte) []sectorLine {
	var lines []sectorLine
	for _, m := range regexp.MustCompile(`b([0-9a-f]{4}) n([0-9a-f]{8})\n`).FindAllSubmatch(console, -1) {
		boots, _ := strconv.ParseInt(string(m[1]), 16, 32)
		count, _ := strconv.ParseInt(string(m[2]), 16, 64)
		lines = append(lines, sectorLine{int(boots), int(count)})
	}
	return lines
}

// lines are all the machine has printed.
func (l *testLab) lines(t *testing.T, name string) []sectorLine {
	t.Helper()
	r, err := l.machine(name).Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return sectorLines(b)
}

func (l *testLab) last(t *testing.T, name string) sectorLine {
	t.Helper()
	lines := l.lines(t, name)
	if len(lines) == 0 {
		t.Fatalf("%s has printed nothing", name)
	}
	return lines[len(lines)-1]
}

// await waits until the machine has counted to at least n in its memory.
func (l *testLab) await(t *testing.T, name string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s counts to %d", name, n), func() bool { return l.last(t, name).count >= n })
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := poll(ctx, 10*time.Millisecond, func() (bool, error) { return condition(), nil }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// pid is the number of the machine's QEMU by its pid file.
func (l *testLab) pidfile(t *testing.T, name string) pidfile {
	t.Helper()
	return readPidfile(t, filepath.Join(l.stateDir, name, pidfileName))
}
