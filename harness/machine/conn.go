package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// conn is one SSH connection, until it is lost.
type conn struct {
	cfg    Config
	net    *countingConn
	client *ssh.Client
	slots  chan struct{} // one token a session

	lost  chan struct{} // closed when the connection has ended
	once  sync.Once
	cause error // why; readable once lost is closed
}

// stageMark notes how far a handshake has come, for the one who gives up.
type stageMark struct{ v atomic.Value }

func newStageMark() *stageMark {
	m := &stageMark{}
	m.v.Store(StageDial)
	return m
}

func (m *stageMark) set(s Stage) { m.v.Store(s) }
func (m *stageMark) get() Stage  { return m.v.Load().(Stage) }

// countingConn notes when the peer was last heard, and when it first was.
type countingConn struct {
	net.Conn
	first func()
	heard atomic.Int64 // monotonic nanoseconds since born; 0: never
	born  time.Time
	ended atomic.Bool // nothing can be read any more
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.heard.Swap(int64(time.Since(c.born))+1) == 0 {
		c.first()
	}
	if err != nil {
		c.ended.Store(true)
	}
	return n, err
}

// silence is how long the peer has sent nothing.
func (c *countingConn) silence() time.Duration {
	return time.Since(c.born) - time.Duration(c.heard.Load())
}

// dial makes a connection: TCP or whatever Config.Dial gives, then SSH. Closing
// the connection when ctx ends is what bounds every read and write of the
// handshake, with any kind of net.Conn.
func dial(ctx context.Context, cfg Config, stage *stageMark) (*conn, error) {
	fail := func(err error) error {
		if ctx.Err() != nil && !errors.Is(err, ErrHostKey) {
			err = context.Cause(ctx)
		}
		return &UnreachableError{Machine: cfg.Name, Stage: stage.get(), Err: err}
	}
	raw, err := dialNet(ctx, cfg)
	if err != nil {
		return nil, fail(err)
	}
	stage.set(StageBanner)
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	counted := &countingConn{Conn: raw, born: time.Now(), first: func() { stage.set(StageKeyExchange) }}

	sc, chans, reqs, err := ssh.NewClientConn(counted, cfg.Name, &ssh.ClientConfig{
		User: cfg.User,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(cfg.Signers...)},
		// The pinned key's own algorithms only: else a server with keys of
		// several kinds might show one we do not know.
		HostKeyAlgorithms: hostKeyAlgorithms(cfg.HostKey),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if !bytes.Equal(key.Marshal(), cfg.HostKey.Marshal()) {
				return fmt.Errorf("%w (it shows %s, not %s)",
					ErrHostKey, ssh.FingerprintSHA256(key), ssh.FingerprintSHA256(cfg.HostKey))
			}
			stage.set(StageAuthentication)
			return nil
		},
	})
	if err != nil {
		raw.Close()
		stop()
		var none *ssh.AlgorithmNegotiationError
		if errors.As(err, &none) && none.What == "host key" {
			err = fmt.Errorf("%w (it has none of kind %s)", ErrHostKey, cfg.HostKey.Type())
		}
		return nil, fail(err)
	}
	if !stop() {
		sc.Close()
		return nil, fail(ctx.Err())
	}
	c := &conn{
		cfg: cfg, net: counted, client: ssh.NewClient(sc, chans, reqs),
		slots: make(chan struct{}, cfg.MaxSessions), lost: make(chan struct{}),
	}
	go func() {
		err := c.client.Wait()
		c.lose(&UnreachableError{Machine: cfg.Name, Stage: StageConnection, Err: fmt.Errorf("connection lost: %w", err)})
	}()
	go c.ask()
	go c.watch()
	return c, nil
}

// dialNet calls Config.Dial, and does not wait for one that ignores its ctx.
func dialNet(ctx context.Context, cfg Config) (net.Conn, error) {
	type dialled struct {
		conn net.Conn
		err  error
	}
	got := make(chan dialled, 1)
	go func() {
		c, err := cfg.Dial(ctx)
		got <- dialled{c, err}
	}()
	select {
	case d := <-got:
		return d.conn, d.err
	case <-ctx.Done():
		go func() {
			if d := <-got; d.conn != nil {
				d.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

func hostKeyAlgorithms(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}

func (c *conn) alive() bool {
	select {
	case <-c.lost:
		return false
	default:
		return true
	}
}

// lose ends the connection; the first cause stays.
func (c *conn) lose(cause error) {
	c.once.Do(func() {
		c.cause = cause
		close(c.lost)
		c.net.Close()
	})
}

// ask sends the question whose answer, even a refusal, proves a living peer
// (as ServerAliveInterval does, ssh_config(5)).
func (c *conn) ask() {
	tick := time.NewTicker(c.cfg.Keepalive)
	defer tick.Stop()
	for {
		select {
		case <-c.lost:
			return
		case <-tick.C:
		}
		// A dead peer lets this block; watch ends that.
		if _, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil); err != nil {
			return
		}
	}
}

// watch gives the peer up that has sent nothing for too long. Any byte counts,
// so a busy line that delays an answer is no dead one.
func (c *conn) watch() {
	for {
		left := c.cfg.KeepaliveTimeout - c.net.silence()
		if left <= 0 {
			c.lose(&UnreachableError{Machine: c.cfg.Name, Stage: StageKeepalive,
				Err: fmt.Errorf("it sent nothing for %s", c.cfg.KeepaliveTimeout)})
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-c.lost:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// acquire takes one of the sessions that may be open at once.
func (c *conn) acquire(ctx context.Context) error {
	select {
	case c.slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-c.lost:
		return c.cause
	case <-ctx.Done():
		return fmt.Errorf("%d other commands are running there: %w", cap(c.slots), context.Cause(ctx))
	}
}

func (c *conn) release() { <-c.slots }

// loseWhenIdle loses the connection once no session uses it.
func (c *conn) loseWhenIdle(cause error, then func()) {
	go func() {
		for range cap(c.slots) {
			select {
			case c.slots <- struct{}{}:
			case <-c.lost:
			}
		}
		c.lose(cause)
		then()
	}()
}

// session is an open session channel (RFC 4254 6.1).
type session struct {
	ssh.Channel
	requests <-chan *ssh.Request
}

// open opens a session channel. When the channel is of no use any more, its
// requests drained or never opened, done is called; one that comes too late is
// closed first.
func (c *conn) open(ctx context.Context, done func()) (session, error) {
	type opened struct {
		session
		err error
	}
	got := make(chan opened, 1)
	go func() {
		ch, reqs, err := c.client.OpenChannel("session", nil)
		got <- opened{session{ch, reqs}, err}
	}()
	late := func() {
		if o := <-got; o.err == nil {
			o.Close()
			ssh.DiscardRequests(o.requests)
		}
		done()
	}
	select {
	case o := <-got:
		if o.err == nil {
			return o.session, nil
		}
		done()
		if refused := new(ssh.OpenChannelError); errors.As(o.err, &refused) {
			return session{}, o.err
		}
		c.lose(&UnreachableError{Machine: c.cfg.Name, Stage: StageConnection,
			Err: fmt.Errorf("connection lost: %w", o.err)})
		return session{}, c.cause
	case <-c.lost:
		go late()
		return session{}, c.cause
	case <-ctx.Done():
		go late()
		return session{}, context.Cause(ctx)
	}
}

// request sends a channel request, and waits for its answer if it has one.
func (c *conn) request(ctx context.Context, s session, name string, wantReply bool, payload any) error {
	got := make(chan error, 1)
	go func() {
		ok, err := s.SendRequest(name, wantReply, ssh.Marshal(payload))
		if err == nil && wantReply && !ok {
			err = fmt.Errorf("sshd refuses request %q", name)
		}
		got <- err
	}()
	select {
	case err := <-got:
		return err
	case <-c.lost:
		return c.cause
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
