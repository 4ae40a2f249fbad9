package machine

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Config says how a machine is reached by SSH. Only durations and limits have
// useful zero values.
type Config struct {
	// Name is the machine's name in errors: "desktop".
	Name string
	// Dial makes a connection to the machine's sshd. It should obey ctx.
	Dial func(ctx context.Context) (net.Conn, error)
	// User is who commands run as; "" is root.
	User string
	// Signers are the keys that are offered, in this order.
	Signers []ssh.Signer
	// HostKey is the only host key that is accepted.
	HostKey ssh.PublicKey
	// Profile is a file of POSIX shell on the machine that sets the login
	// environment before each command, e.g. "/etc/set-environment" on NixOS;
	// "" takes the environment as sshd gives it. A missing file is passed over.
	Profile string
	// HandshakeTimeout bounds a dial with its handshake; 0 is 20 s.
	HandshakeTimeout time.Duration
	// Keepalive is the time between questions to the peer; 0 is 5 s.
	Keepalive time.Duration
	// KeepaliveTimeout is how long a peer may send nothing at all before it
	// counts as dead; 0 is four times Keepalive.
	KeepaliveTimeout time.Duration
	// KillTimeout bounds the ending of a command whose context is done; Exec
	// returns no later than this after that. 0 is 8 s.
	KillTimeout time.Duration
	// OutputDelay is how long Exec waits for further output of processes that
	// a command left behind, once it has ended itself; 0 is 2 s.
	OutputDelay time.Duration
	// MaxSessions is the number of commands at once; 0 is 8. sshd's own limit
	// is 10 (MaxSessions, sshd_config(5)), and ending a command takes one more.
	MaxSessions int
	// OutputLimit is how many bytes of each output a Result keeps; 0 is 16 MiB.
	OutputLimit int
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Name == "":
		return c, errors.New("reach a machine by ssh: it has no name")
	case c.Dial == nil, len(c.Signers) == 0, c.HostKey == nil:
		return c, errors.New("reach " + c.Name + " by ssh: dialler, key and host key are all needed")
	}
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&c.HandshakeTimeout, 20*time.Second)
	set(&c.Keepalive, 5*time.Second)
	set(&c.KeepaliveTimeout, 4*c.Keepalive)
	set(&c.KillTimeout, 8*time.Second)
	set(&c.OutputDelay, 2*time.Second)
	if c.User == "" {
		c.User = "root"
	}
	if c.MaxSessions <= 0 {
		c.MaxSessions = 8
	}
	if c.OutputLimit <= 0 {
		c.OutputLimit = 16 << 20
	}
	return c, nil
}

// SSH runs commands on one machine over one multiplexed connection, which is
// dialled when first needed and again after it was lost. It is safe for
// concurrent use. With a Logs method added it is a provider.Machine.
type SSH struct {
	cfg Config

	mu      sync.Mutex
	closed  bool
	conn    *conn              // takes new sessions
	attempt *attempt           // the dial under way
	retired map[*conn]struct{} // only finish what they run
}

// attempt is one dial that many callers may wait for.
type attempt struct {
	done   chan struct{}
	cancel context.CancelCauseFunc
	stage  *stageMark
	conn   *conn
	err    error
}

// New is an SSH that has not dialled yet.
func New(cfg Config) (*SSH, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &SSH{cfg: cfg, retired: map[*conn]struct{}{}}, nil
}

// Dial is New followed by one attempt to connect.
func Dial(ctx context.Context, cfg Config) (*SSH, error) {
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.Connect(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Name is the machine's name.
func (s *SSH) Name() string { return s.cfg.Name }

// Connect makes sure that there is a connection, dialling once if need be.
func (s *SSH) Connect(ctx context.Context) error {
	_, err := s.connection(ctx)
	return err
}

// WaitReachable dials until the machine answers, as after it was started. It
// ends early when dialling again cannot help: a wrong host key, Close.
func (s *SSH) WaitReachable(ctx context.Context) error {
	ctx, cancel := withDefaultTimeout(ctx)
	defer cancel()
	for pause := newBackoff(); ; {
		err := s.Connect(ctx)
		if err == nil || errors.Is(err, ErrHostKey) || errors.Is(err, ErrClosed) || ctx.Err() != nil {
			return err
		}
		if pause.wait(ctx) != nil {
			return err
		}
	}
}

// Reset gives up all connections, and ends what runs over them with an
// UnreachableError of ErrReset. The next command dials again. To be called
// when a machine was restored: its peer no longer knows of us.
func (s *SSH) Reset() { s.drop(ErrReset) }

// Close gives up all connections for good. It is idempotent.
func (s *SSH) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.drop(ErrClosed)
	return nil
}

func (s *SSH) drop(why error) {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.retired)+1)
	for c := range s.retired {
		conns = append(conns, c)
	}
	if s.conn != nil {
		conns = append(conns, s.conn)
	}
	a := s.attempt
	s.conn, s.attempt = nil, nil
	clear(s.retired)
	s.mu.Unlock()
	if a != nil {
		a.cancel(why)
	}
	for _, c := range conns {
		c.lose(&UnreachableError{Machine: s.cfg.Name, Stage: StageConnection, Err: why})
	}
}

// connection is the one that takes new sessions, dialled if need be. The dial
// goes on for others when the caller's ctx ends.
func (s *SSH) connection(ctx context.Context) (*conn, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, &UnreachableError{Machine: s.cfg.Name, Stage: StageDial, Err: ErrClosed}
	}
	if s.conn != nil && s.conn.alive() {
		defer s.mu.Unlock()
		return s.conn, nil
	}
	a := s.attempt
	if a == nil {
		a = s.start()
	}
	s.mu.Unlock()

	select {
	case <-a.done:
		return a.conn, a.err
	case <-ctx.Done():
		return nil, &UnreachableError{Machine: s.cfg.Name, Stage: a.stage.get(), Err: context.Cause(ctx)}
	}
}

// start begins a dial; s.mu is held.
func (s *SSH) start() *attempt {
	ctx, cancel := context.WithCancelCause(context.Background())
	ctx, stop := context.WithTimeoutCause(ctx, s.cfg.HandshakeTimeout,
		&timeoutError{after: s.cfg.HandshakeTimeout})
	a := &attempt{done: make(chan struct{}), cancel: cancel, stage: newStageMark()}
	s.attempt = a
	go func() {
		defer stop()
		defer cancel(nil)
		c, err := dial(ctx, s.cfg, a.stage)
		s.mu.Lock()
		if s.attempt == a {
			s.attempt, s.conn = nil, c
		} else if c != nil {
			// Reset or Close came in between.
			err = &UnreachableError{Machine: s.cfg.Name, Stage: StageConnection, Err: context.Cause(ctx)}
			go c.lose(err)
			c = nil
		}
		a.conn, a.err = c, err
		s.mu.Unlock()
		close(a.done)
	}()
	return a
}

// retire takes no new sessions on c; what it runs may end.
func (s *SSH) retire(c *conn) {
	s.mu.Lock()
	if s.conn == c {
		s.conn = nil
		s.retired[c] = struct{}{}
	}
	s.mu.Unlock()
	c.loseWhenIdle(&UnreachableError{Machine: s.cfg.Name, Stage: StageConnection, Err: errors.New("retired")}, func() {
		s.mu.Lock()
		delete(s.retired, c)
		s.mu.Unlock()
	})
}

// timeoutError is a deadline of ours, told with its length.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return "no answer within " + e.after.String() }

func (e *timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }
