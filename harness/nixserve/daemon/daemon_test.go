package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"offload-e2e/harness/nixserve/daemon"
	"offload-e2e/harness/nixserve/daemon/daemontest"
)

const hash = "0123456789abcdfghijklmnpqrsvwxyz"

var known = daemon.PathInfo{
	Path:       "/nix/store/" + hash + "-known",
	Deriver:    "/nix/store/" + hash + "-known.drv",
	NarHash:    bytes.Repeat([]byte{0xab}, 32),
	References: []string{"/nix/store/" + hash + "-known", "/nix/store/" + hash + "-other"},
	Registered: time.Unix(1700000000, 0),
	NarSize:    4242,
	Ultimate:   true,
	Signatures: []string{"a:b", "c:d"},
	CA:         "text:sha256:x",
}

// ask walks through all that the server asks.
func ask(ctx context.Context, c *daemon.Client) (*daemon.PathInfo, error) {
	conn, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	path, err := conn.QueryPathFromHashPart(ctx, hash)
	if err != nil {
		return nil, err
	}
	return conn.QueryPathInfo(ctx, path)
}

func TestAnswers(t *testing.T) {
	for _, minor := range []uint64{26, 32, 33, 34, 35, 37, 38, 99} {
		for _, chatter := range []bool{false, true} {
			d := &daemontest.Daemon{Minor: minor, Chatter: chatter, Paths: []daemon.PathInfo{known}}
			info, err := ask(t.Context(), d.Client(t))
			if err != nil || !reflect.DeepEqual(*info, known) {
				t.Errorf("protocol 1.%d, chatter %t: %+v, %v", minor, chatter, info, err)
			}
		}
	}
}

func TestUnknownPaths(t *testing.T) {
	conn, err := (&daemontest.Daemon{}).Client(t).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if path, err := conn.QueryPathFromHashPart(t.Context(), hash); path != "" || err != nil {
		t.Errorf("path %q, error %v", path, err)
	}
	if _, err := conn.QueryPathInfo(t.Context(), known.Path); !errors.Is(err, daemon.ErrInvalidPath) {
		t.Errorf("error %v", err)
	}
	if got := conn.NixVersion(); got != "2.26.3" {
		t.Errorf("nix version %q", got)
	}
}

var stages = []daemontest.Stage{daemontest.Greeting, daemontest.Version, daemontest.Ready, daemontest.HashPart, daemontest.Info, daemontest.MidInfo}

// at makes something happen at one stage only.
func at(stage daemontest.Stage, what func(net.Conn) []byte) func(daemontest.Stage, net.Conn) []byte {
	return func(s daemontest.Stage, conn net.Conn) []byte {
		if s != stage {
			return nil
		}
		return what(conn)
	}
}

func TestStallsAtEveryStage(t *testing.T) {
	for _, stage := range stages {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			d := &daemontest.Daemon{Paths: []daemon.PathInfo{known}, At: at(stage, func(conn net.Conn) []byte {
				_, _ = io.Copy(io.Discard, conn) // until the client hangs up
				return nil
			})}
			c := d.Client(t)
			c.Timeout = 50 * time.Millisecond
			start := time.Now()
			_, err := ask(t.Context(), c)
			if !errors.Is(err, daemon.ErrTimeout) || time.Since(start) > 10*time.Second {
				t.Errorf("after %s: %v", time.Since(start), err)
			}
		})
	}
}

func TestRequestThatEndsInAStall(t *testing.T) {
	for _, stage := range stages {
		ctx, cancel := context.WithCancel(t.Context())
		d := &daemontest.Daemon{Paths: []daemon.PathInfo{known}, At: at(stage, func(conn net.Conn) []byte {
			cancel()
			_, _ = io.Copy(io.Discard, conn)
			return nil
		})}
		if _, err := ask(ctx, d.Client(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", stage, err)
		}
	}
}

func TestHangsUpAtEveryStage(t *testing.T) {
	for _, stage := range stages {
		want := daemon.ErrProtocol
		if stage == daemontest.Greeting {
			want = daemon.ErrRefused
		}
		d := &daemontest.Daemon{Paths: []daemon.PathInfo{known}, At: at(stage, func(conn net.Conn) []byte {
			conn.Close()
			return nil
		})}
		_, err := ask(t.Context(), d.Client(t))
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", stage, err)
		}
		if stage == daemontest.Greeting && !strings.Contains(err.Error(), "allowed-users") {
			t.Errorf("no way out in %v", err)
		}
	}
}

func TestWrongAnswers(t *testing.T) {
	n := daemontest.Numbers
	last := n(0x616c7473)
	text := func(s string) []byte { // with length, padded
		return append(append(n(uint64(len(s))), s...), make([]byte, (8-len(s)%8)%8)...)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	tests := map[string]struct {
		stage daemontest.Stage
		says  []byte
		want  string
	}{
		"another program":       {daemontest.Greeting, []byte("SSH-2.0-OpenSSH_10.0\r\n padding"), "not a nix daemon's"},
		"a protocol too old":    {daemontest.Greeting, n(0x6478696f, 1<<8|25), "version 1.25"},
		"another major version": {daemontest.Greeting, n(0x6478696f, 2<<8|40), "version 2.40"},
		"endless version":       {daemontest.Version, n(1 << 40), "exceeds maximum"},
		"unknown message":       {daemontest.Ready, n(12345), "unknown kind"},
		"wants to write":        {daemontest.Ready, n(0x64617416), "nobody asked for"},
		"wants to read":         {daemontest.Ready, n(0x64617461, 10), "nobody asked for"},
		"endless log":           {daemontest.Ready, bytes.Repeat(n(0x53544f50, 7), 1<<16), "without end"},
		"bad log field":         {daemontest.Ready, join(n(0x52534c54, 1, 1, 1, 9)), "log field"},
		"its own words":         {daemontest.HashPart, daemontest.Fail("the words"), "the words"},
		"path elsewhere":        {daemontest.HashPart, join(last, text("/etc/shadow")), "is not a path of the store"},
		"path above":            {daemontest.HashPart, join(last, text("/nix/store/..")), "is not a path of the store"},
		"path inside another":   {daemontest.HashPart, join(last, text("/nix/store/a/../../../etc")), "is not a path of the store"},
		"neither valid nor not": {daemontest.Info, join(last, n(2)), "invalid value"},
		"hash too short":        {daemontest.MidInfo, text("abcd"), "not SHA-256"},
		"too many references":   {daemontest.MidInfo, join(text(strings.Repeat("ab", 32)), n(1<<30)), "a list of"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := &daemontest.Daemon{Paths: []daemon.PathInfo{known}, At: at(tt.stage, func(net.Conn) []byte { return tt.says })}
			c := d.Client(t)
			c.Timeout = 10 * time.Second
			if _, err := ask(t.Context(), c); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "a fake") {
				t.Errorf("error %v, want %q and the socket's name", err, tt.want)
			}
		})
	}
}

func TestDialFailures(t *testing.T) {
	tests := map[string]struct {
		err  error
		hint string
	}{
		"address family denied": {&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EAFNOSUPPORT)}, "RestrictAddressFamilies"},
		"no permission":         {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)}, "may not open"},
		"no socket":             {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENOENT)}, "there is no socket"},
		"nobody listens":        {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "nothing listens"},
	}
	for name, tt := range tests {
		c := &daemon.Client{Dial: func(context.Context) (net.Conn, error) { return nil, tt.err }}
		_, err := c.Open(t.Context())
		if !errors.Is(err, daemon.ErrUnreachable) || !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.hint) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever a daemon says, the client ends with an answer or an error, and soon.
func FuzzDaemonSays(f *testing.F) {
	for i := range stages {
		f.Add(uint8(i), daemontest.Fail("x"))
		f.Add(uint8(i), daemontest.Numbers(0x616c7473, 1, 0))
	}
	f.Fuzz(func(t *testing.T, stage uint8, says []byte) {
		hungUp := false
		d := &daemontest.Daemon{Paths: []daemon.PathInfo{known}}
		d.At = func(s daemontest.Stage, conn net.Conn) []byte {
			if s == stages[int(stage)%len(stages)] && !hungUp {
				hungUp = true
				_, _ = conn.Write(says)
				conn.Close()
			}
			return nil
		}
		if info, err := ask(t.Context(), d.Client(t)); err == nil && (info.Path == "" || len(info.NarHash) != 32) {
			t.Errorf("half an answer is taken for whole: %+v", info)
		}
	})
}
