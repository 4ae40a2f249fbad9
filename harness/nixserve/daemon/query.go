package daemon

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nix-community/go-nix/pkg/wire"
)

// ErrInvalidPath: the store does not have that path (any more).
var ErrInvalidPath = errors.New("path is not valid in the store")

// PathInfo is what the store knows of a valid path.
type PathInfo struct {
	Path       string   // absolute
	Deriver    string   // absolute; empty when not known
	NarHash    []byte   // SHA-256, 32 bytes
	References []string // absolute, in the daemon's order, which is sorted
	Registered time.Time
	NarSize    uint64 // bytes
	Ultimate   bool   // built here
	Signatures []string
	CA         string // content address; empty for input-addressed paths
}

// QueryPathFromHashPart finds the path whose base name begins with a hash. The
// answer is empty when the store has none. A hash of the wrong length is an
// [*Error]: the daemon itself refuses it.
func (c *Conn) QueryPathFromHashPart(ctx context.Context, hash string) (string, error) {
	path, err := c.pathFromHashPart(hash)
	if err != nil {
		return "", c.explain(ctx, "query path from hash part "+hash, err)
	}
	return path, nil
}

func (c *Conn) pathFromHashPart(hash string) (string, error) {
	if err := c.call(opQueryPathFromHashPart, hash); err != nil {
		return "", err
	}
	path, err := wire.ReadString(c.r, maxString)
	if err != nil || path == "" {
		return "", err
	}
	return path, c.checkPath(path)
}

// QueryPathInfo gets a path's metadata, or [ErrInvalidPath].
func (c *Conn) QueryPathInfo(ctx context.Context, path string) (*PathInfo, error) {
	info, err := c.pathInfo(path)
	if errors.Is(err, ErrInvalidPath) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err != nil {
		return nil, c.explain(ctx, "query path info of "+path, err)
	}
	return info, nil
}

func (c *Conn) pathInfo(path string) (*PathInfo, error) {
	if err := c.call(opQueryPathInfo, path); err != nil {
		return nil, err
	}
	valid, err := wire.ReadBool(c.r)
	if err != nil {
		return nil, err
	}
	if !valid {
		return nil, ErrInvalidPath
	}
	f := fields{conn: c}
	info := &PathInfo{Path: path}
	info.Deriver = f.text()
	info.NarHash = f.sha256()
	info.References = f.texts()
	info.Registered = time.Unix(int64(f.number()), 0)
	info.NarSize = f.number()
	info.Ultimate = f.number() != 0
	info.Signatures = f.texts()
	info.CA = f.text()
	if f.err != nil {
		return nil, f.err
	}
	for _, p := range info.References {
		if err := c.checkPath(p); err != nil {
			return nil, err
		}
	}
	if info.Deriver != "" {
		if err := c.checkPath(info.Deriver); err != nil {
			return nil, err
		}
	}
	return info, nil
}

// checkPath refuses what is not a direct child of the store: the path is about
// to be opened, and sent to others.
func (c *Conn) checkPath(path string) error {
	base, ok := strings.CutPrefix(path, c.client.storeDir()+"/")
	if !ok || base == "" || base == "." || base == ".." || strings.ContainsAny(base, "/\n\x00") {
		return fmt.Errorf("%w: %q is not a path of the store %s: is NIX_STORE_DIR the daemon's?", ErrProtocol, path, c.client.storeDir())
	}
	return nil
}

// fields reads the parts of a reply; after the first error it reads nothing.
type fields struct {
	conn *Conn
	err  error
}

func (f *fields) number() (n uint64) {
	if f.err == nil {
		n, f.err = wire.ReadUint64(f.conn.r)
	}
	return n
}

func (f *fields) text() (s string) {
	if f.err == nil {
		s, f.err = wire.ReadString(f.conn.r, maxString)
	}
	return s
}

func (f *fields) texts() []string {
	n := f.count()
	var list []string
	for i := uint64(0); i < n && f.err == nil; i++ {
		list = append(list, f.text())
	}
	return list
}

func (f *fields) count() uint64 {
	n := f.number()
	if f.err == nil && n > maxItems {
		f.err = fmt.Errorf("%w: a list of %d items", ErrProtocol, n)
	}
	return n
}

// sha256 reads a hash as the protocol has it: hexadecimal, no algorithm.
func (f *fields) sha256() []byte {
	s := f.text()
	if f.err != nil {
		return nil
	}
	sum, err := hex.DecodeString(strings.TrimPrefix(s, "sha256:"))
	if err != nil || len(sum) != 32 {
		f.err = fmt.Errorf("%w: NAR hash %q is not SHA-256", ErrProtocol, s)
	}
	return sum
}

// Kinds of message a daemon sends before its answer (worker-protocol.hh).
const (
	stderrNext          = 0x6f6c6d67
	stderrRead          = 0x64617461
	stderrWrite         = 0x64617416
	stderrLast          = 0x616c7473
	stderrError         = 0x63787470
	stderrStartActivity = 0x53545254
	stderrStopActivity  = 0x53544f50
	stderrResult        = 0x52534c54
)

// drain reads the daemon's log messages up to its answer, or to its error.
func (c *Conn) drain() error {
	for range maxItems {
		f := fields{conn: c}
		switch kind := f.number(); {
		case f.err != nil:
		case kind == stderrLast:
			return nil
		case kind == stderrError:
			return f.failure()
		case kind == stderrNext:
			f.text()
		case kind == stderrStartActivity:
			f.number() // activity
			f.number() // level
			f.number() // type
			f.text()
			f.logFields()
			f.number() // parent
		case kind == stderrStopActivity:
			f.number()
		case kind == stderrResult:
			f.number() // activity
			f.number() // type
			f.logFields()
		case kind == stderrRead, kind == stderrWrite:
			return fmt.Errorf("%w: it wants to move data that nobody asked for", ErrProtocol)
		default:
			return fmt.Errorf("%w: message of unknown kind %#x", ErrProtocol, kind)
		}
		if f.err != nil {
			return f.err
		}
	}
	return fmt.Errorf("%w: log messages without end", ErrProtocol)
}

func (f *fields) logFields() {
	n := f.count()
	for i := uint64(0); i < n && f.err == nil; i++ {
		switch kind := f.number(); {
		case f.err != nil:
		case kind == 0:
			f.number()
		case kind == 1:
			f.text()
		default:
			f.err = fmt.Errorf("%w: log field of unknown kind %d", ErrProtocol, kind)
		}
	}
}

// failure reads an error as versions from 1.26 have it: type, level, name,
// message, no position, traces.
func (f *fields) failure() error {
	f.text()
	f.number()
	f.text()
	message := f.text()
	f.number()
	n := f.count()
	for i := uint64(0); i < n && f.err == nil; i++ {
		f.number()
		f.text()
	}
	if f.err != nil {
		return f.err
	}
	return &Error{Message: message}
}
