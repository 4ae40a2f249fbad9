package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/provider"
)

func mustExec(t *testing.T, s *SSH, argv ...string) provider.Result {
	t.Helper()
	res, err := s.Exec(soon(t, 10*time.Second), provider.Cmd(argv...))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Every way there can end, and each is told by its stage within its deadline.
func TestStallsOnTheWay(t *testing.T) {
	for _, c := range []struct {
		stall string
		stage Stage
	}{
		{"banner", StageBanner},
		{"kex", StageKeyExchange},
		{"auth", StageAuthentication},
	} {
		for _, by := range []string{"context", "handshake timeout"} {
			t.Run(c.stall+" by "+by, func(t *testing.T) {
				t.Parallel()
				s := startServer(t, func(s *server) { s.stall = c.stall })
				limit := 400 * time.Millisecond
				client := dialServer(t, s, func(c *Config) {
					if by == "handshake timeout" {
						c.HandshakeTimeout = limit
					}
				})
				ctx := soon(t, 10*time.Second)
				if by == "context" {
					ctx = soon(t, limit)
				}
				began := time.Now()
				_, err := client.Exec(ctx, provider.Cmd("true"))
				if took := time.Since(began); took > limit+2*time.Second {
					t.Errorf("took %s", took)
				}
				var gone *UnreachableError
				if !errors.As(err, &gone) || gone.Stage != c.stage || gone.Machine != "desktop" {
					t.Fatalf("got %v, want desktop unreachable at %s", err, c.stage)
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v is no deadline", err)
				}
			})
		}
	}
}

func TestDialThatNeverReturns(t *testing.T) {
	s := startServer(t, nil)
	never := make(chan struct{})
	defer close(never)
	client := dialServer(t, s, func(c *Config) {
		c.HandshakeTimeout = 100 * time.Millisecond
		c.Dial = func(context.Context) (net.Conn, error) {
			<-never
			return nil, errors.New("at last")
		}
	})
	err := client.Connect(soon(t, 5*time.Second))
	var gone *UnreachableError
	if !errors.As(err, &gone) || gone.Stage != StageDial || !strings.Contains(err.Error(), "no answer within 100ms") {
		t.Fatalf("got %v", err)
	}
}

func TestRefusedDial(t *testing.T) {
	s := startServer(t, nil)
	s.ln.Close()
	err := dialServer(t, s, nil).Connect(soon(t, 5*time.Second))
	var gone *UnreachableError
	if !errors.As(err, &gone) || gone.Stage != StageDial || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("got %v", err)
	}
}

func TestWrongHostKey(t *testing.T) {
	s := startServer(t, nil)
	client := dialServer(t, s, func(c *Config) { c.HostKey = newKey(t).PublicKey() })
	began := time.Now()
	err := client.WaitReachable(soon(t, 5*time.Second))
	var gone *UnreachableError
	if !errors.Is(err, ErrHostKey) || !errors.As(err, &gone) || gone.Stage != StageKeyExchange {
		t.Fatalf("got %v", err)
	}
	if time.Since(began) > 3*time.Second {
		t.Error("waited although no dial could help")
	}
}

func TestWrongUserKey(t *testing.T) {
	s := startServer(t, nil)
	err := dialServer(t, s, func(c *Config) { c.Signers = []ssh.Signer{newKey(t)} }).Connect(soon(t, 5*time.Second))
	var gone *UnreachableError
	if !errors.As(err, &gone) || gone.Stage != StageAuthentication {
		t.Fatalf("got %v", err)
	}
}

// After the way there, a server can still stall with each command.
func TestStallsOfACommand(t *testing.T) {
	for _, c := range []struct {
		stall, step string
		started     bool
		mayRun      bool
	}{
		{stall: "channel", step: "opening a session"},
		{stall: "exec", step: "asking to run it", mayRun: true},
	} {
		t.Run(c.stall, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, func(s *server) { s.stall = c.stall })
			client := dialServer(t, s, func(c *Config) { c.KillTimeout = 300 * time.Millisecond })
			began := time.Now()
			_, err := client.Exec(soon(t, 400*time.Millisecond), provider.Cmd("echo", "hello"))
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("took %s", took)
			}
			var failed *ExecError
			if !errors.As(err, &failed) {
				t.Fatalf("got %v", err)
			}
			if failed.Step != c.step || failed.MayRun != c.mayRun || failed.Started != c.started {
				t.Errorf("got %+v", failed)
			}
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "desktop: echo hello: ") {
				t.Errorf("error %v names neither deadline, machine nor command", err)
			}
		})
	}
}

func TestNoExitStatus(t *testing.T) {
	s := startServer(t, func(s *server) { s.stall = "status" })
	_, err := dialServer(t, s, nil).Exec(soon(t, 5*time.Second), provider.Cmd("echo", "hello"))
	var failed *ExecError
	if !errors.As(err, &failed) || !failed.Started || !strings.Contains(err.Error(), "without an exit status") {
		t.Fatalf("got %v", err)
	}
}

func TestPeerFallsSilent(t *testing.T) {
	s := startServer(t, func(s *server) { s.stall = "keepalive" })
	client := dialServer(t, s, func(c *Config) {
		c.Keepalive = 50 * time.Millisecond
		c.KeepaliveTimeout = 400 * time.Millisecond
		c.KillTimeout = 100 * time.Millisecond
	})
	began := time.Now()
	_, err := client.Exec(soon(t, 10*time.Second), provider.Cmd("sleep", "60"))
	var gone *UnreachableError
	if !errors.As(err, &gone) || gone.Stage != StageKeepalive {
		t.Fatalf("got %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %s", took)
	}
}

// Output alone keeps a peer alive that answers no keepalive.
func TestBusyPeerIsAlive(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(s *server) { s.stall = "keepalive" })
	client := dialServer(t, s, func(c *Config) {
		c.Keepalive = 50 * time.Millisecond
		c.KeepaliveTimeout = 2 * time.Second
	})
	res := mustExec(t, client, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.3; done")
	if !res.OK() || !strings.HasSuffix(res.Text(), "10") {
		t.Errorf("got %+v", res)
	}
}

func TestConnectionDropsMidCommand(t *testing.T) {
	s := startServer(t, nil)
	client := dialServer(t, s, nil)
	out := newSignal("ready")
	done := make(chan error, 1)
	go func() {
		_, err := client.Exec(soon(t, 10*time.Second), provider.Command{
			Argv: []string{"sh", "-c", "echo ready; read x"}, Stdin: neverReader{}, Stdout: out})
		done <- err
	}()
	<-out.seen
	s.cut()
	err := <-done
	var gone *UnreachableError
	var failed *ExecError
	if !errors.As(err, &gone) || gone.Stage != StageConnection || !errors.As(err, &failed) || !failed.Started || !failed.MayRun {
		t.Fatalf("got %v", err)
	}
	// And the next command goes over a new connection.
	if res := mustExec(t, client, "echo", "again"); res.Text() != "again" {
		t.Errorf("got %+v", res)
	}
	if n := s.dials.Load(); n != 2 {
		t.Errorf("dialled %d times, want 2", n)
	}
}

// An exit status does not make a cut output whole.
func TestConnectionDropsAfterStatus(t *testing.T) {
	s := startServer(t, func(s *server) { s.stall = "early status" })
	client := dialServer(t, s, func(c *Config) { c.OutputDelay = 3 * time.Second })
	_, err := client.Exec(soon(t, 8*time.Second), provider.Cmd("echo", "hello"))
	var gone *UnreachableError
	if !errors.As(err, &gone) {
		t.Fatalf("got %v", err)
	}
}

func TestResetEndsWhatRunsAndDialsAgain(t *testing.T) {
	s := startServer(t, nil)
	client := dialServer(t, s, nil)
	out := newSignal("ready")
	done := make(chan error, 1)
	go func() {
		_, err := client.Exec(soon(t, 10*time.Second), provider.Command{
			Argv: []string{"sh", "-c", "echo ready; exec sleep 60"}, Stdout: out})
		done <- err
	}()
	<-out.seen
	client.Reset()
	if err := <-done; !errors.Is(err, ErrReset) {
		t.Errorf("got %v", err)
	}
	if res := mustExec(t, client, "echo", "again"); res.Text() != "again" {
		t.Errorf("got %+v", res)
	}
}

func TestClosed(t *testing.T) {
	s := startServer(t, nil)
	client := dialServer(t, s, nil)
	mustExec(t, client, "true")
	client.Close()
	client.Close()
	if _, err := client.Exec(soon(t, time.Second), provider.Cmd("true")); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestManyCommandsOneConnection(t *testing.T) {
	s := startServer(t, nil)
	client := dialServer(t, s, func(c *Config) { c.MaxSessions = 4 })
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			res, err := client.Exec(soon(t, 20*time.Second), provider.Cmd("sh", "-c", `sleep 0.05; echo "$1"; exit "$1"`, "sh", fmt.Sprint(i)))
			if err != nil || res.Text() != fmt.Sprint(i) || res.ExitStatus != i {
				t.Errorf("command %d: %+v, %v", i, res, err)
			}
		})
	}
	wg.Wait()
	if d, p := s.dials.Load(), s.peak.Load(); d != 1 || p > 4 {
		t.Errorf("%d connections, %d sessions at once; want 1 and at most 4", d, p)
	}
}

func TestWaitingForASlotEnds(t *testing.T) {
	s := startServer(t, nil)
	client := dialServer(t, s, func(c *Config) { c.MaxSessions = 1 })
	out := newSignal("ready")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = client.Exec(ctx, provider.Command{Argv: []string{"sh", "-c", "echo ready; exec sleep 60"}, Stdout: out})
	}()
	<-out.seen
	_, err := client.Exec(soon(t, 100*time.Millisecond), provider.Cmd("true"))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 other commands") {
		t.Errorf("got %v", err)
	}
	cancel()
	<-done
	mustExec(t, client, "true")
}

// sshd counts sessions whose process cannot die; then a new connection serves.
func TestRefusedSessionsMoveToANewConnection(t *testing.T) {
	s := startServer(t, func(s *server) { s.refuse = 1 })
	client := dialServer(t, s, nil)
	if res := mustExec(t, client, "echo", "served"); res.Text() != "served" {
		t.Errorf("got %+v", res)
	}
	if n := s.dials.Load(); n != 2 {
		t.Errorf("dialled %d times, want 2", n)
	}
}

func TestWaitReachable(t *testing.T) {
	s := startServer(t, nil)
	var tries int
	client := dialServer(t, s, func(c *Config) {
		dial := c.Dial
		c.Dial = func(ctx context.Context) (net.Conn, error) {
			if tries++; tries < 4 {
				return nil, errors.New("still booting")
			}
			return dial(ctx)
		}
	})
	if err := client.WaitReachable(soon(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a machine without a name was taken")
	}
	if _, err := New(Config{Name: "desktop"}); err == nil || !strings.Contains(err.Error(), "desktop") {
		t.Errorf("got %v", err)
	}
}

// signal is a writer that tells when a word went by.
type signal struct {
	mu   sync.Mutex
	got  strings.Builder
	word string
	once sync.Once
	seen chan struct{}
}

func newSignal(word string) *signal { return &signal{word: word, seen: make(chan struct{})} }

func (s *signal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got.Write(p)
	if strings.Contains(s.got.String(), s.word) {
		s.once.Do(func() { close(s.seen) })
	}
	return len(p), nil
}

// neverReader is a terminal nobody types at.
type neverReader struct{}

func (neverReader) Read([]byte) (int, error) { select {} }
