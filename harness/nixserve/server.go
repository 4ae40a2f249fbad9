// Package nixserve is a binary cache server for a machine's own Nix store: the
// HTTP interface, flags and environment of Perl nix-serve, for guests whose
// distribution has none.
//
// It follows nix-serve.psgi (github.com/edolstra/nix-serve) answer for answer:
// status codes, content types, fields and their order. Where that dies, and
// Starman answers 500, this answers 500 and says why in the log. Metadata is
// asked from the Nix daemon, the content is read from the store's files, with
// the rights of the user it runs as.
package nixserve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nix-community/go-nix/pkg/narinfo/signature"
	"golang.org/x/sync/errgroup"

	"offload-e2e/harness/nixserve/daemon"
)

// DefaultWorkers is how many daemon connections are open at a time: Starman's
// own number of workers.
const DefaultWorkers = 5

// Options of a server. The zero value serves /nix/store, unsigned.
type Options struct {
	// StoreDir, empty is /nix/store.
	StoreDir string
	// LogDir has the build logs; empty is /nix/var/log/nix.
	LogDir string
	// Daemon is whom to ask; nil is the daemon at its default socket.
	Daemon *daemon.Client
	// SecretKey is the content of a key file, "name:base64". With it, narinfos
	// carry its signature and no other; empty, they carry those of the store.
	SecretKey string
	// Workers bounds the connections to the daemon; 0 is [DefaultWorkers].
	Workers int
	// Stall is how long a client may take nothing, or send nothing of a request
	// it began, before it is cut off; 0 is a minute.
	Stall time.Duration
	// Grace is how long running answers have when the server stops; 0 is 10 s.
	Grace time.Duration
	// Log gets the access log and errors, a line each; nil drops them.
	Log io.Writer
}

// Server answers as nix-serve does. It is an [http.Handler], log included.
type Server struct {
	opts    Options
	key     *signature.SecretKey
	keyErr  error
	slots   chan struct{}
	handler http.Handler

	mu  sync.Mutex // of opts.Log: a line at a time
	out io.Writer
}

// New makes a server. A secret key that is no key is not an error here, as it
// is none for nix-serve: cache info is served, and every narinfo is a 500. It
// is logged at once.
func New(opts Options) *Server {
	opts.StoreDir = strings.TrimRight(or(opts.StoreDir, daemon.DefaultStoreDir), "/")
	opts.LogDir = or(opts.LogDir, "/nix/var/log/nix")
	opts.Workers = or(opts.Workers, DefaultWorkers)
	opts.Stall = or(opts.Stall, time.Minute)
	opts.Grace = or(opts.Grace, 10*time.Second)
	if opts.Daemon == nil {
		opts.Daemon = &daemon.Client{StoreDir: opts.StoreDir}
	}
	s := &Server{opts: opts, slots: make(chan struct{}, opts.Workers), out: opts.Log}
	if opts.SecretKey != "" {
		key, err := signature.LoadSecretKey(strings.TrimSpace(opts.SecretKey))
		if err != nil {
			s.keyErr = fmt.Errorf("sign: the file in NIX_SECRET_KEY_FILE has no key of the form name:base64: %w; make one with nix-store --generate-binary-cache-key", err)
			s.Logf("error reason=%s", logValue(s.keyErr.Error()))
		}
		s.key = &key
	}
	s.handler = Recorded(http.HandlerFunc(s.route), opts.Stall, func(a Access) { s.Logf("%s", a) })
	return s
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Logf writes a line to the server's log.
func (s *Server) Logf(format string, args ...any) {
	if s.out == nil {
		return
	}
	line := fmt.Sprintf(format, args...) + "\n"
	s.mu.Lock()
	defer s.mu.Unlock()
	// A log that cannot be written has nowhere else to complain.
	_, _ = io.WriteString(s.out, line)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve answers on the listeners until ctx ends, then lets running answers
// end within [Options.Grace], and cuts the rest. It closes the listeners. A
// stop that was asked for is no error.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.opts.Stall,
		ReadTimeout:       s.opts.Stall,
		// From the end of a request's header; every write of its answer renews it.
		WriteTimeout:   s.opts.Stall + s.opts.Daemon.Budget(),
		IdleTimeout:    s.opts.Stall,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       log.New(errorLog{s}, "", 0),
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		group.Go(func() error {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve on %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-groupCtx.Done()
		graceCtx, cancel := context.WithTimeout(context.Background(), s.opts.Grace)
		defer cancel()
		if err := srv.Shutdown(graceCtx); err != nil {
			s.Logf("stopping: answers still running after %s are cut", s.opts.Grace)
			return srv.Close()
		}
		return nil
	})
	return group.Wait()
}

// errorLog takes net/http's own complaints into the server's log.
type errorLog struct{ s *Server }

func (e errorLog) Write(p []byte) (int, error) {
	e.s.Logf("error reason=%s", logValue(strings.TrimSpace(string(p))))
	return len(p), nil
}
