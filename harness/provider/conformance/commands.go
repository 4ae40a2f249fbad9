package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/provider"
)

func random(t *testing.T, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// bigOutput sends many bytes of any value through a command and back.
func bigOutput(t *testing.T, _ Bed, lab *Lab) {
	for _, m := range lab.Provider.Machines() {
		sent := random(t, 5<<20)
		got := sha256.New()
		exec(t, m, provider.Command{Argv: []string{"cat"}, Stdin: bytes.NewReader(sent), Stdout: got})
		if want := sha256.Sum256(sent); !bytes.Equal(got.Sum(nil), want[:]) {
			t.Errorf("%s: what came back is not what was sent", m.Name())
		}
	}
}

func endings(t *testing.T, _ Bed, lab *Lab) {
	m := of(t, lab, Desktop)
	for _, c := range []struct {
		script         string
		status         int
		signal         string
		stdout, stderr string
	}{
		{"echo out; echo err >&2", 0, "", "out\n", "err\n"},
		{"exit 7", 7, "", "", ""},
		{"exit 255", 255, "", "", ""},
		{"kill -TERM $$", -1, "TERM", "", ""},
		{"kill -KILL $$", -1, "KILL", "", ""},
	} {
		r := exec(t, m, provider.Cmd("sh", "-c", c.script))
		if r.ExitStatus != c.status || r.Signal != c.signal {
			t.Errorf("%q ended with status %d, signal %q; want %d, %q", c.script, r.ExitStatus, r.Signal, c.status, c.signal)
		}
		if string(r.Stdout) != c.stdout || string(r.Stderr) != c.stderr {
			t.Errorf("%q said %q and %q, want %q and %q", c.script, r.Stdout, r.Stderr, c.stdout, c.stderr)
		}
	}
	if got := exec(t, m, provider.Command{Argv: []string{"sh", "-c", "echo $A"}, Env: map[string]string{"A": "it's \"$B\""}}); got.Text() != `it's "$B"` {
		t.Errorf("a variable arrived as %q", got.Text())
	}
	if got := succeed(t, m, "echo", "a b", "", "$c"); got != "a b  $c" {
		t.Errorf("arguments arrived as %q", got)
	}
}

func cancelled(t *testing.T, _ Bed, lab *Lab) {
	m := of(t, lab, Laptop)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	if _, err := m.Exec(ctx, provider.Cmd("sleep", "600")); err == nil {
		t.Error("a command that was cut off is no error")
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s to return", took)
	}
	if got := succeed(t, m, "echo", "alive"); got != "alive" {
		t.Errorf("the machine says %q afterwards", got)
	}
}

func copies(t *testing.T, _ Bed, lab *Lab) {
	m := of(t, lab, Desktop)
	for path, c := range map[string]struct {
		size int
		mode fs.FileMode
		want string
	}{
		"/var/tmp/conformance/empty":         {0, 0o644, "644"},
		"/var/tmp/conformance/a b/small":     {100, 0o600, "600"},
		"/var/tmp/conformance/deep/er/large": {3 << 20, 0o755, "755"},
		"/var/tmp/conformance/special":       {10, 0o755 | fs.ModeSetuid, "4755"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
		content := random(t, c.size)
		for range 2 { // the second time it replaces
			if err := m.CopyTo(ctx, bytes.NewReader(content), path, c.mode); err != nil {
				t.Fatal(err)
			}
		}
		var back bytes.Buffer
		if err := m.CopyFrom(ctx, path, &back); err != nil {
			t.Error(err)
		}
		cancel()
		if !bytes.Equal(back.Bytes(), content) {
			t.Errorf("%s comes back with %d other bytes", path, back.Len())
		}
		if got := succeed(t, m, "stat", "-c", "%a", path); got != c.want {
			t.Errorf("%s has mode %s, want %s", path, got, c.want)
		}
	}
	if err := m.CopyFrom(t.Context(), "/var/tmp/conformance/missing", io.Discard); err == nil {
		t.Error("a file that is missing can be copied")
	}
	const whole = "/var/tmp/conformance/whole"
	if err := m.CopyTo(t.Context(), strings.NewReader("old"), whole, 0o644); err != nil {
		t.Fatal(err)
	}
	broken := io.MultiReader(bytes.NewReader(random(t, 2<<20)), failingReader{})
	if err := m.CopyTo(t.Context(), broken, whole, 0o644); err == nil {
		t.Error("half a file is copied without an error")
	}
	if got := succeed(t, m, "cat", whole); got != "old" {
		t.Error("half a file has replaced a whole one")
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
