// Package internet is the content side of the internet's stand-in: a signed
// binary cache, over TLS under a test authority, that says it is
// cache.nixos.org. Nothing of it touches the real one.
//
// A guest that is to use it has [Server.CACertPEM] in its trust store, and
// finds the name at the address whose listener [Server.Serve] got. As for the
// signing key there are two ways. A guest that has [Server.PublicKey] in place
// of the real key of that name verifies signatures as it does in the world. A
// configuration that has the real key, and must not be changed, cannot verify
// them; it still takes paths whose content address is told, which need no
// signature: see [Options.ContentAddressed].
package internet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"offload-e2e/harness/nixserve"
)

// Host is the name of the world's cache.
const Host = "cache.nixos.org"

// DefaultPriority is what cache.nixos.org says of itself.
const DefaultPriority = 40

// Compression of what is downloaded.
type Compression string

const (
	XZ   Compression = "xz" // as cache.nixos.org has it
	None Compression = "none"
)

func (c Compression) suffix() string {
	if c == XZ {
		return ".xz"
	}
	return ""
}

// Options of a server. The zero value is cache.nixos.org with a new identity.
type Options struct {
	// Names are the host names and IP addresses that the certificate is for;
	// empty is [Host].
	Names []string
	// StoreDir is the store directory served; empty is /nix/store.
	StoreDir string
	// Priority in nix-cache-info; 0 is [DefaultPriority].
	Priority int
	// Compression of NARs; empty is [XZ].
	Compression Compression
	// ContentAddressed tells the content address of paths that have one, as
	// cache.nixos.org does of sources. Nix takes those whatever keys it trusts:
	// a proof about keys must leave this off.
	ContentAddressed bool
	// Identity is what guests trust; nil is a new one.
	Identity *Identity
	// Dir keeps compressed NARs on disk; empty keeps them in memory.
	Dir string
	// Stall is how long a client may take nothing; 0 is a minute.
	Stall time.Duration
	// Grace is how long running answers have at the end; 0 is 2 s.
	Grace time.Duration
	// Log gets complaints, a line each; nil drops them.
	Log io.Writer
}

// Access is one answered request.
type Access = nixserve.Access

// Server is a binary cache and its access log. It is an [http.Handler].
type Server struct {
	opts    Options
	cert    tls.Certificate
	handler http.Handler

	mu       sync.RWMutex
	byHash   map[string]*entry
	byURL    map[string]*entry
	accesses []Access
}

// New makes a server with nothing in it.
func New(opts Options) (*Server, error) {
	if len(opts.Names) == 0 {
		opts.Names = []string{Host}
	}
	if opts.StoreDir == "" {
		opts.StoreDir = "/nix/store"
	}
	if opts.Priority == 0 {
		opts.Priority = DefaultPriority
	}
	switch opts.Compression {
	case "":
		opts.Compression = XZ
	case XZ, None:
	default:
		return nil, fmt.Errorf("internet: compression %q: there is %s and %s", opts.Compression, XZ, None)
	}
	if opts.Stall == 0 {
		opts.Stall = time.Minute
	}
	if opts.Grace == 0 {
		opts.Grace = 2 * time.Second
	}
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	if opts.Dir != "" {
		if err := os.MkdirAll(opts.Dir, 0o755); err != nil {
			return nil, fmt.Errorf("internet: make the directory of its NARs: %w", err)
		}
	}
	if opts.Identity == nil {
		id, err := NewIdentity()
		if err != nil {
			return nil, fmt.Errorf("internet: %w", err)
		}
		opts.Identity = id
	}
	cert, err := opts.Identity.issue(opts.Names)
	if err != nil {
		return nil, fmt.Errorf("internet: %w", err)
	}
	s := &Server{opts: opts, cert: cert, byHash: map[string]*entry{}, byURL: map[string]*entry{}}
	s.handler = nixserve.Recorded(http.HandlerFunc(s.route), opts.Stall, s.record)
	return s, nil
}

// CACertPEM is the certificate of the authority, for a guest's trust store.
func (s *Server) CACertPEM() []byte { return s.opts.Identity.CACertPEM() }

// PublicKey is the key that verifies its paths, as trusted-public-keys has it.
func (s *Server) PublicKey() string { return s.opts.Identity.PublicKey() }

// Paths are the store paths served, sorted.
func (s *Server) Paths() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]string, 0, len(s.byHash))
	for _, e := range s.byHash {
		list = append(list, e.path.StorePath)
	}
	slices.Sort(list)
	return list
}

// Accesses are the requests answered so far, in the order they ended.
func (s *Server) Accesses() []Access {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.accesses)
}

// Fetched are the store paths whose NARs were served whole, once for each time.
func (s *Server) Fetched() []string {
	var paths []string
	for _, a := range s.Accesses() {
		if what, path := s.Requested(a); what == nixserve.NAR && path != "" && a.Status == http.StatusOK && a.Method == http.MethodGet {
			paths = append(paths, path)
		}
	}
	return paths
}

// Requested tells what a request asked for, and the store path it was about;
// that is empty for a path that is not served.
func (s *Server) Requested(a Access) (resource nixserve.Resource, storePath string) {
	path, _, _ := strings.Cut(a.Path, "?")
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.byURL[path]; e != nil {
		return nixserve.NAR, e.path.StorePath
	}
	resource, hashPart := a.Resource()
	if e := s.byHash[hashPart]; e != nil && resource == nixserve.NarInfo {
		return resource, e.path.StorePath
	}
	return resource, ""
}

func (s *Server) record(a Access) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accesses = append(s.accesses, a)
}

func (s *Server) serves(storePath string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, e := range s.byHash {
		if e.path.StorePath == storePath {
			return true
		}
	}
	return false
}

// ServeHTTP answers one request, whatever host it is for.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "a binary cache is read only", http.StatusMethodNotAllowed)
		return
	}
	if r.URL.Path == "/nix-cache-info" {
		text(w, "text/x-nix-cache-info", fmt.Sprintf("StoreDir: %s\nWantMassQuery: 1\nPriority: %d\n", s.opts.StoreDir, s.opts.Priority))
		return
	}
	hashPart, isNarInfo := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/"), ".narinfo")
	s.mu.RLock()
	info, file := s.byHash[hashPart], s.byURL[r.URL.Path]
	s.mu.RUnlock()
	switch {
	case isNarInfo && info != nil:
		text(w, "text/x-nix-narinfo", info.narinfo)
	case file != nil:
		s.send(w, r, file)
	default:
		http.NotFound(w, r)
	}
}

func text(w http.ResponseWriter, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = io.WriteString(w, body) // the access log tells of a client that is gone
}

// send sends a NAR; parts of it too, as Nix asks for when it resumes, where
// the source can seek.
func (s *Server) send(w http.ResponseWriter, r *http.Request, e *entry) {
	content, err := e.open()
	if err != nil {
		fmt.Fprintf(s.opts.Log, "internet: %s: %v\n", e.path.StorePath, err)
		http.Error(w, "the content cannot be read", http.StatusInternalServerError)
		return
	}
	defer content.Close()
	w.Header().Set("Content-Type", "application/x-nix-nar")
	if seeker, ok := content.(io.ReadSeeker); ok {
		http.ServeContent(w, r, "", time.Time{}, seeker)
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(e.size, 10))
	if r.Method == http.MethodHead {
		return
	}
	if n, err := io.Copy(w, content); err != nil || n != e.size {
		fmt.Fprintf(s.opts.Log, "internet: %s: sent %d of %d bytes: %v\n", e.path.StorePath, n, e.size, err)
		panic(http.ErrAbortHandler)
	}
}

// Serve answers over TLS on a listener until ctx ends, then lets running
// answers end within [Options.Grace]. It closes the listener. A stop that was
// asked for is no error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, func(srv *http.Server) error { return srv.ServeTLS(l, "", "") })
}

// ServePlain is Serve without TLS, as port 80 of the world's cache has it.
func (s *Server) ServePlain(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, func(srv *http.Server) error { return srv.Serve(l) })
}

func (s *Server) serve(ctx context.Context, l net.Listener, accept func(*http.Server) error) error {
	srv := &http.Server{
		Handler:           s,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: s.opts.Stall,
		ReadTimeout:       s.opts.Stall,
		WriteTimeout:      s.opts.Stall, // every write renews it
		IdleTimeout:       s.opts.Stall,
		ErrorLog:          log.New(s.opts.Log, "internet: ", 0),
	}
	done := make(chan error, 1)
	go func() { done <- accept(srv) }()
	select {
	case err := <-done:
		return fmt.Errorf("internet: serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Grace)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		_ = srv.Close() // cuts what is left
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("internet: serve on %s: %w", l.Addr(), err)
	}
	return nil
}
