// Package daemon asks a Nix daemon about store paths, over its unix socket.
//
// It speaks the client's side of the worker protocol, as libstore's
// remote-store.cc, worker-protocol.cc and worker-protocol-connection.cc define
// it, and of its operations only the two that a cache server asks.
package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/nix-community/go-nix/pkg/wire"
)

// Where Nix has its things unless it is told otherwise.
const (
	DefaultStoreDir = "/nix/store"
	DefaultSocket   = "/nix/var/nix/daemon-socket/socket"
)

// DefaultTimeout bounds a dial, the handshake, and each question.
const DefaultTimeout = 30 * time.Second

// Constants of worker-protocol.hh.
const (
	magicClient = 0x6e697863
	magicDaemon = 0x6478696f

	// Ours is below 1.38, where an exchange of feature names begins that
	// nothing here needs. Daemons answer in the older of the two versions.
	ourVersion = 1<<8 | 37
	// Below 1.26 errors had another form. Nix 2.4 (2021) speaks 1.32.
	oldestMinor = 26

	opQueryPathInfo         = 26
	opQueryPathFromHashPart = 29
)

// Bounds on what a daemon may make us hold in memory.
const (
	maxString = 1 << 20 // bytes
	maxItems  = 1 << 16 // strings in a list, fields of a log message
)

// Client finds the daemon. The zero value is Nix's default installation.
type Client struct {
	// Socket is the daemon's socket; empty is [DefaultSocket].
	Socket string
	// StoreDir is the store's directory; empty is [DefaultStoreDir].
	StoreDir string
	// Timeout bounds each step; 0 is [DefaultTimeout].
	Timeout time.Duration
	// Dial replaces the dial of the socket; nil dials it.
	Dial func(ctx context.Context) (net.Conn, error)
}

// Errors that tell where it went wrong. What [Client.Open] and a [Conn]'s
// methods return matches one of them, or is an [*Error].
var (
	// ErrUnreachable: no connection to the socket.
	ErrUnreachable = errors.New("cannot connect")
	// ErrRefused: connected, and hung up on before any greeting. The daemon does
	// so to users that its allowed-users leaves out, or when it crashes.
	ErrRefused = errors.New("hung up before its greeting")
	// ErrProtocol: connected, and what came back was not the protocol.
	ErrProtocol = errors.New("protocol error")
	// ErrTimeout: no answer within [Client.Timeout].
	ErrTimeout = errors.New("no answer in time")
)

// Error is an error the daemon itself reported, in its words.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

// Conn is one connection to a daemon. It serves one goroutine.
type Conn struct {
	client  *Client
	net     net.Conn
	r       *bufio.Reader
	w       *bufio.Writer
	minor   uint64 // the version both sides speak is 1.minor
	version string // of the daemon's Nix
	stop    func() bool
	greeted bool
}

func (c *Client) socket() string {
	if c.Socket == "" {
		return DefaultSocket
	}
	return c.Socket
}

func (c *Client) storeDir() string {
	if c.StoreDir == "" {
		return DefaultStoreDir
	}
	return strings.TrimRight(c.StoreDir, "/")
}

// Budget is how long each step may take: [Client.Timeout], or its default.
func (c *Client) Budget() time.Duration {
	if c.Timeout <= 0 {
		return DefaultTimeout
	}
	return c.Timeout
}

// Open connects and shakes hands. The connection lives no longer than ctx.
func (c *Client) Open(ctx context.Context) (*Conn, error) {
	dialCtx, cancel := context.WithTimeout(ctx, c.Budget())
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", c.socket())
		}
	}
	nc, err := dial(dialCtx)
	if err != nil {
		return nil, fmt.Errorf("nix daemon at %s: %w: %w%s", c.socket(), ErrUnreachable, err, hint(err))
	}
	conn := &Conn{client: c, net: nc, r: bufio.NewReader(nc), w: bufio.NewWriter(nc)}
	conn.stop = context.AfterFunc(ctx, func() { nc.Close() })
	if err := conn.handshake(); err != nil {
		conn.Close()
		return nil, conn.explain(ctx, "handshake", err)
	}
	return conn, nil
}

// Close ends the connection.
func (c *Conn) Close() error {
	c.stop()
	return c.net.Close()
}

// NixVersion is the version of the daemon's Nix; empty where it tells none.
func (c *Conn) NixVersion() string { return c.version }

func (c *Conn) handshake() error {
	c.arm()
	if err := c.send(magicClient); err != nil {
		return err
	}
	magic, err := wire.ReadUint64(c.r)
	if err != nil {
		return err
	}
	if magic != magicDaemon {
		return fmt.Errorf("%w: greeting %#x is not a nix daemon's", ErrProtocol, magic)
	}
	c.greeted = true
	theirs, err := wire.ReadUint64(c.r)
	if err != nil {
		return err
	}
	if theirs>>8 != ourVersion>>8 || theirs&0xff < oldestMinor {
		return fmt.Errorf("%w: it speaks version %d.%d, this program 1.%d to 1.%d; Nix 2.4 or newer is needed",
			ErrProtocol, theirs>>8, theirs&0xff, oldestMinor, ourVersion&0xff)
	}
	c.minor = min(theirs&0xff, ourVersion&0xff)
	// Our version, no CPU affinity, no reserved space: fields that history left.
	if err := c.send(ourVersion, 0, 0); err != nil {
		return err
	}
	if c.minor >= 33 {
		if c.version, err = wire.ReadString(c.r, maxString); err != nil {
			return err
		}
	}
	if c.minor >= 35 { // does it trust us: nothing here depends on it
		if _, err := wire.ReadUint64(c.r); err != nil {
			return err
		}
	}
	return c.drain()
}

// arm gives the next step its time.
func (c *Conn) arm() { _ = c.net.SetDeadline(time.Now().Add(c.client.Budget())) }

func (c *Conn) send(numbers ...uint64) error {
	for _, n := range numbers {
		if err := wire.WriteUint64(c.w, n); err != nil {
			return err
		}
	}
	return c.w.Flush()
}

// call asks one question that has one string as its argument, and reads up to
// where the answer begins.
func (c *Conn) call(op uint64, argument string) error {
	c.arm()
	if err := wire.WriteUint64(c.w, op); err != nil {
		return err
	}
	if err := wire.WriteString(c.w, argument); err != nil {
		return err
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	return c.drain()
}

// explain turns an error of a step into what a person can act on.
func (c *Conn) explain(ctx context.Context, step string, err error) error {
	var reported *Error
	var timeout net.Error
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("%w (the request ended: %w)", err, context.Cause(ctx))
	case errors.As(err, &reported), errors.Is(err, ErrProtocol):
	case errors.As(err, &timeout) && timeout.Timeout():
		err = fmt.Errorf("%w: %w after %s: is the daemon stuck?", ErrTimeout, err, c.client.Budget())
	case !c.greeted && gone(err):
		err = fmt.Errorf("%w (%w): add this program's user to the daemon's allowed-users, or see why it died: journalctl -u nix-daemon", ErrRefused, err)
	default:
		err = fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return fmt.Errorf("nix daemon at %s: %s: %w", c.client.socket(), step, err)
}

func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// hint is the way out of a failed dial.
func hint(err error) string {
	switch {
	case errors.Is(err, syscall.EAFNOSUPPORT):
		return ": unix sockets are denied to this service: its RestrictAddressFamilies= must have AF_UNIX"
	case errors.Is(err, os.ErrPermission):
		return ": this user may not open the socket: see the mode and group of the socket and its directory"
	case errors.Is(err, os.ErrNotExist):
		return ": there is no socket: is nix-daemon.socket active, and visible to this service?"
	case errors.Is(err, syscall.ECONNREFUSED):
		return ": nothing listens there: systemctl status nix-daemon.socket"
	}
	return ""
}
