package machine

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/provider"
)

var nasty = []string{
	"", " ", "a b", "'", "''", `'\''`, `"`, `\`, `\\`, "$HOME", "$(id)", "`id`", "*", "~", "!", "!!", "#x", ";", "&", "|",
	"a\nb", "\n", "\t", "-", "--", "-n", "=", "a=b", "{a,b}", "é…☃", "\x01\x7f", "%s", `\n`, "&&", ">x", "\r\n", "\xff\xfe", "$'x'",
}

func TestQuoteIsReadBackByTheShell(t *testing.T) {
	for _, word := range nasty {
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+Quote(word)+"; printf x").Output()
		if err != nil || string(out) != word+"x" {
			t.Errorf("%q quoted as %s came back as %q, %v", word, Quote(word), out, err)
		}
	}
	if got := QuoteAll([]string{"nix-build", "-A", "it's"}); got != `nix-build -A 'it'\''s'` {
		t.Errorf("got %s", got)
	}
}

func FuzzQuote(f *testing.F) {
	for _, w := range nasty {
		f.Add(w)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if strings.ContainsRune(word, 0) {
			t.Skip()
		}
		q := Quote(word)
		if q[0] != '\'' {
			if q != word {
				t.Fatalf("%q became %s", word, q)
			}
			return
		}
		if back := strings.ReplaceAll(q[1:len(q)-1], `'\''`, "'"); back != word {
			t.Fatalf("%q quoted as %s reads %q", word, q, back)
		}
	})
}

func TestArgumentsArriveAsTheyAre(t *testing.T) {
	client := dialServer(t, startServer(t, nil), nil)
	res := mustExec(t, client, append([]string{"printf", `%s\0`}, nasty...)...)
	if got := strings.Split(strings.TrimSuffix(string(res.Stdout), "\x00"), "\x00"); !slices.Equal(got, nasty) {
		t.Errorf("got  %q\nwant %q", got, nasty)
	}
}

func TestEnvironment(t *testing.T) {
	profile := filepath.Join(t.TempDir(), "it's a profile")
	if err := os.WriteFile(profile, []byte("echo noise; export FROM_PROFILE=yes A=overridden\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	client := dialServer(t, startServer(t, nil), func(c *Config) { c.Profile = profile })
	for _, v := range nasty {
		res, err := client.Exec(soon(t, 5*time.Second), provider.Command{
			Argv: []string{"sh", "-c", `printf %s "$A$FROM_PROFILE"`}, Env: map[string]string{"A": v, "B_2": "x"}})
		if err != nil || string(res.Stdout) != v+"yes" {
			t.Errorf("A=%q came as %q, %v", v, res.Stdout, err)
		}
	}
	// A program whose name has an equals sign is no assignment.
	if res := mustExec(t, client, "a=b"); res.ExitStatus != 127 {
		t.Errorf("got %+v", res)
	}
}

func TestBadCommands(t *testing.T) {
	client := dialServer(t, startServer(t, nil), nil)
	for name, cmd := range map[string]provider.Command{
		"empty":      {},
		"no program": provider.Cmd(""),
		"dash":       provider.Cmd("-c", "id"),
		"NUL":        provider.Cmd("echo", "a\x00b"),
		"name":       {Argv: []string{"true"}, Env: map[string]string{"A;id": "x"}},
		"NUL in env": {Argv: []string{"true"}, Env: map[string]string{"A": "\x00"}},
	} {
		_, err := client.Exec(soon(t, 5*time.Second), cmd)
		if failed := new(ExecError); !errors.As(err, &failed) || failed.Started || failed.MayRun {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestHowCommandsEnd(t *testing.T) {
	client := dialServer(t, startServer(t, nil), nil)
	for _, c := range []struct {
		script, out, err string
		status           int
		signal           string
	}{
		{script: "echo out; echo err >&2", out: "out\n", err: "err\n"},
		{script: "echo x; exit 3", out: "x\n", status: 3},
		{script: "exit 255", status: 255},
		{script: "kill -KILL $$", status: -1, signal: "KILL"},
		{script: "kill -TERM $$", status: -1, signal: "TERM"},
		{script: "printf '\\036\\0361\\036'", out: "\x1e\x1e1\x1e"},
	} {
		res := mustExec(t, client, "sh", "-c", c.script)
		if string(res.Stdout) != c.out || string(res.Stderr) != c.err || res.ExitStatus != c.status || res.Signal != c.signal || res.Duration <= 0 {
			t.Errorf("%s: got %+v", c.script, res)
		}
	}
	if res := mustExec(t, client, "no-such-program"); res.ExitStatus != 127 || !strings.Contains(string(res.Stderr), "not found") {
		t.Errorf("got %+v", res)
	}
}

func TestBinaryInputAndOutput(t *testing.T) {
	client := dialServer(t, startServer(t, nil), nil)
	in := make([]byte, 3<<20)
	_, _ = rand.Read(in)
	var tee bytes.Buffer
	res, err := client.Exec(soon(t, 20*time.Second), provider.Command{Argv: []string{"cat"}, Stdin: bytes.NewReader(in), Stdout: &tee})
	if err != nil || !bytes.Equal(res.Stdout, in) || !bytes.Equal(tee.Bytes(), in) {
		t.Fatalf("%d bytes in, %d out, %d teed, %v", len(in), len(res.Stdout), tee.Len(), err)
	}
	// No input at all is the end of file at once.
	if res := mustExec(t, client, "cat"); !res.OK() || len(res.Stdout) != 0 {
		t.Errorf("got %+v", res)
	}
	// A command need not read what it is given.
	res, err = client.Exec(soon(t, 10*time.Second), provider.Command{Argv: []string{"head", "-c", "5"}, Stdin: bytes.NewReader(in)})
	if err != nil || !bytes.Equal(res.Stdout, in[:5]) {
		t.Errorf("got %d bytes, %v", len(res.Stdout), err)
	}
	// Nor wait for who never types.
	if _, err = client.Exec(soon(t, 10*time.Second), provider.Command{Argv: []string{"true"}, Stdin: neverReader{}}); err != nil {
		t.Error(err)
	}
}

func TestBigOutputIsBounded(t *testing.T) {
	client := dialServer(t, startServer(t, nil), func(c *Config) { c.OutputLimit = 1 << 20 })
	const size = 100 << 20
	var n counted
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	res, err := client.Exec(soon(t, 60*time.Second), provider.Command{
		Argv: []string{"sh", "-c", "echo first; head -c " + strconv.Itoa(size) + " /dev/zero; echo last"}, Stdout: &n})
	if err != nil || !res.OK() {
		t.Fatal(res.Err(), err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("heap grew by %d bytes", grown)
	}
	if n != size+11 {
		t.Errorf("writer had %d bytes", n)
	}
	out := string(res.Stdout)
	if len(out) > 1<<20+100 || !strings.HasPrefix(out, "first\n") || !strings.HasSuffix(out, "last\n") ||
		!strings.Contains(out, "[… "+strconv.Itoa(size+11-1<<20)+" bytes left out …]") {
		t.Errorf("kept %d bytes", len(out))
	}
}

type counted int64

func (c *counted) Write(p []byte) (int, error) { *c += counted(len(p)); return len(p), nil }

func TestWriterThatFails(t *testing.T) {
	client := dialServer(t, startServer(t, nil), nil)
	_, err := client.Exec(soon(t, 10*time.Second), provider.Command{Argv: []string{"sh", "-c", "echo x; exec sleep 60"}, Stdout: failingWriter{}})
	if !errors.Is(err, errWriter) {
		t.Fatalf("got %v", err)
	}
}

var errWriter = errors.New("disk full")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errWriter }

func TestInputThatFails(t *testing.T) {
	client := dialServer(t, startServer(t, nil), nil)
	_, err := client.Exec(soon(t, 10*time.Second), provider.Command{
		Argv: []string{"cat"}, Stdin: io.MultiReader(strings.NewReader("half"), failingReader{})})
	if failed := new(ExecError); !errors.Is(err, errReader) || !errors.As(err, &failed) || failed.MayRun {
		t.Fatalf("got %v", err)
	}
}

var errReader = errors.New("source is gone")

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errReader }

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

// When a context ends, nothing of the command is left on the machine: not what
// ignores SIGTERM, nor its children.
func TestCancelKillsTheProcessGroup(t *testing.T) {
	client := dialServer(t, startServer(t, nil), nil)
	pids := filepath.Join(t.TempDir(), "pids")
	ready := newSignal("ready")
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("changed my mind")
	go func() {
		<-ready.seen
		cancel(why)
	}()
	_, err := client.Exec(ctx, provider.Command{
		Argv:   []string{"sh", "-c", `trap "" TERM; sleep 60 & echo $$ $! >"$1"; echo ready; wait; sleep 60`, "sh", pids},
		Stdout: ready})
	var failed *ExecError
	if !errors.As(err, &failed) || !errors.Is(err, why) || failed.MayRun || !failed.Started {
		t.Fatalf("got %v", err)
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for f := range strings.FieldsSeq(string(text)) {
		pid, _ := strconv.Atoi(f)
		eventually(t, "process "+f+" is gone", func() bool { return !alive(pid) })
	}
}

// What a command leaves running with its output open does not hold Exec up.
func TestBackgroundProcessDoesNotHold(t *testing.T) {
	client := dialServer(t, startServer(t, nil), nil)
	res := mustExec(t, client, "sh", "-c", "echo started; : LEAVES_OUTPUT_OPEN")
	if res.Text() != "started" {
		t.Errorf("got %+v", res)
	}
}

func TestCopy(t *testing.T) {
	client := dialServer(t, startServer(t, nil), nil)
	for name, size := range map[string]int{"empty": 0, "small": 1000, "limit": smallFile, "big": 5<<20 + 7} {
		t.Run(name, func(t *testing.T) {
			content := make([]byte, size)
			_, _ = rand.Read(content)
			dir := filepath.Join(t.TempDir(), "new", "it's a folder")
			to := filepath.Join(dir, "-file $x")
			if err := client.CopyTo(soon(t, 20*time.Second), bytes.NewReader(content), to, 0o640|fs.ModeSetgid); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(to)
			if err != nil || info.Mode() != 0o640|fs.ModeSetgid {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			var back bytes.Buffer
			if err := client.CopyFrom(soon(t, 20*time.Second), to, &back); err != nil || !bytes.Equal(back.Bytes(), content) {
				t.Errorf("%d bytes came back, %v", back.Len(), err)
			}
			if left, _ := os.ReadDir(dir); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestCopyIsAllOrNothing(t *testing.T) {
	client := dialServer(t, startServer(t, nil), nil)
	dir := t.TempDir()
	to := filepath.Join(dir, "file")
	if err := os.WriteFile(to, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]io.Reader{
		"small": io.MultiReader(strings.NewReader("new"), failingReader{}),
		"big":   io.MultiReader(bytes.NewReader(make([]byte, 3<<20)), failingReader{}),
	} {
		err := client.CopyTo(soon(t, 20*time.Second), content, to, 0o600)
		if !errors.Is(err, errReader) || !strings.Contains(err.Error(), "desktop:"+to) {
			t.Errorf("%s: got %v", name, err)
		}
		if now, _ := os.ReadFile(to); string(now) != "old" {
			t.Errorf("%s: the old file became %q", name, now)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	// A connection that breaks looks like the end of the file to the machine.
	if err := client.script(soon(t, 5*time.Second), strings.NewReader("ne"), receive, to, "0600", to+".tmp", "3"); err == nil ||
		!strings.Contains(err.Error(), "received 2 of 3 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestCopyErrors(t *testing.T) {
	client := dialServer(t, startServer(t, nil), nil)
	dir := t.TempDir()
	for _, to := range []string{"relative", "/a/../b", "/", "", "/a/"} {
		if err := client.CopyTo(soon(t, 5*time.Second), strings.NewReader(""), to, 0o600); err == nil {
			t.Errorf("%q was taken", to)
		}
	}
	if err := client.CopyTo(soon(t, 5*time.Second), strings.NewReader("x"), dir, 0o600); err == nil {
		t.Error("a folder was overwritten")
	}
	err := client.CopyFrom(soon(t, 5*time.Second), filepath.Join(dir, "absent"), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "No such file") {
		t.Errorf("got %v", err)
	}
	err = client.CopyFrom(soon(t, 5*time.Second), "/dev/zero", failingWriter{})
	if !errors.Is(err, errWriter) {
		t.Errorf("got %v", err)
	}
}

func TestCapture(t *testing.T) {
	for _, chunk := range []int{1, 3, 7, 100} {
		c := newCapture(10)
		all := []byte("abcdefghijklmnopqrstuvwxyz")
		for rest := all; len(rest) > 0; {
			k := min(chunk, len(rest))
			if n, err := c.Write(rest[:k]); n != k || err != nil {
				t.Fatal(n, err)
			}
			rest = rest[k:]
		}
		if got := string(c.Bytes()); got != "abcde\n[… 16 bytes left out …]\nvwxyz" {
			t.Errorf("chunks of %d: %q", chunk, got)
		}
	}
	c := newCapture(10)
	_, _ = c.Write([]byte("abcdefghij"))
	if string(c.Bytes()) != "abcdefghij" {
		t.Errorf("%q", c.Bytes())
	}
}
