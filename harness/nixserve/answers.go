package nixserve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"

	"github.com/nix-community/go-nix/pkg/nixbase32"

	"offload-e2e/harness/nixserve/daemon"
	"offload-e2e/harness/nixserve/nar"
)

const (
	plain       = "text/plain"
	narinfoType = "text/x-nix-narinfo"
)

// Priority in nix-cache-info: before cache.nixos.org, which has 40.
const Priority = 30

// route answers any method alike, as nix-serve does.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	resource, name := parseResource(r.URL.Path)
	switch resource {
	case CacheInfo:
		reply(w, http.StatusOK, plain, fmt.Sprintf("StoreDir: %s\nWantMassQuery: 1\nPriority: %d\n", s.opts.StoreDir, Priority))
	case NarInfo:
		s.narinfo(w, r, name)
	case NAR:
		s.nar(w, r, name, narPath.FindStringSubmatch(r.URL.Path)[2])
	case Log:
		s.buildLog(w, r, name)
	default:
		reply(w, http.StatusNotFound, plain, "File not found.\n")
	}
}

func reply(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// The client may be gone; the access log says so.
	_, _ = io.WriteString(w, body)
}

// fail answers 500 with Starman's words, and tells the log why.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.logError(r, http.StatusInternalServerError, err)
	reply(w, http.StatusInternalServerError, plain, "Internal Server Error")
}

func (s *Server) logError(r *http.Request, status int, err error) {
	p := r.URL.RequestURI()
	s.Logf("error client=%s method=%s path=%s status=%d reason=%s", logValue(clientOf(r)),
		logValue(r.Method), logValue(p[:min(len(p), maxLoggedPath)]), status, strconv.QuoteToASCII(err.Error()))
}

// errNoSuchPath: the store has no path of that hash.
var errNoSuchPath = errors.New("no such path")

// query finds a path and its metadata by its hash part. It has a connection
// of its own, as nix-serve has for each request, so that a daemon that was
// restarted, or began to refuse, shows at once.
func (s *Server) query(ctx context.Context, hashPart string) (*daemon.PathInfo, error) {
	conn, done, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	storePath, err := conn.QueryPathFromHashPart(ctx, hashPart)
	if err != nil {
		return nil, err
	}
	if storePath == "" {
		return nil, errNoSuchPath
	}
	info, err := conn.QueryPathInfo(ctx, storePath)
	if errors.Is(err, daemon.ErrInvalidPath) { // collected between the two questions
		return nil, errNoSuchPath
	}
	return info, err
}

// open waits for one of the workers' places, then connects.
func (s *Server) open(ctx context.Context) (*daemon.Conn, func(), error) {
	wait, cancel := context.WithTimeout(ctx, s.opts.Daemon.Budget())
	defer cancel()
	select {
	case s.slots <- struct{}{}:
	case <-wait.Done():
		return nil, nil, fmt.Errorf("all %d connections to the nix daemon are in use: %w", s.opts.Workers, wait.Err())
	}
	conn, err := s.opts.Daemon.Open(ctx)
	if err != nil {
		<-s.slots
		return nil, nil, err
	}
	return conn, func() { conn.Close(); <-s.slots }, nil
}

func (s *Server) narinfo(w http.ResponseWriter, r *http.Request, hashPart string) {
	info, err := s.query(r.Context(), hashPart)
	if errors.Is(err, errNoSuchPath) {
		reply(w, http.StatusNotFound, plain, "No such path.\n")
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if s.keyErr != nil {
		s.fail(w, r, s.keyErr)
		return
	}
	text, err := Render(info, hashPart, s.key)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	reply(w, http.StatusOK, narinfoType, text)
}

// nar streams a path. wantHash is empty in the old form of the URL.
func (s *Server) nar(w http.ResponseWriter, r *http.Request, hashPart, wantHash string) {
	info, err := s.query(r.Context(), hashPart)
	if errors.Is(err, errNoSuchPath) {
		reply(w, http.StatusNotFound, plain, "No such path.\n")
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if wantHash != "" && nixbase32.EncodeToString(info.NarHash) != wantHash {
		reply(w, http.StatusNotFound, plain, "Incorrect NAR hash. Maybe the path has been recreated.\n")
		return
	}
	w.Header().Set("Content-Type", plain)
	w.Header().Set("Content-Length", strconv.FormatUint(info.NarSize, 10))
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return
	}
	sent, err := s.dump(r.Context(), w, info)
	if err == nil {
		return
	}
	if sent == 0 && r.Context().Err() == nil {
		w.Header().Del("Content-Length")
		if errors.Is(err, fs.ErrNotExist) { // collected after it was asked for
			s.logError(r, http.StatusNotFound, err)
			reply(w, http.StatusNotFound, plain, "No such path.\n")
			return
		}
		s.fail(w, r, err)
		return
	}
	if sent == info.NarSize { // more than was announced is not sent, the rest is whole
		s.logError(r, http.StatusOK, err)
		return
	}
	// The status is out: only a connection cut short tells the client. What is
	// still buffered goes first, so that it sees how far the answer came.
	s.logError(r, http.StatusOK, fmt.Errorf("nar cut after %d of %d bytes: %w", sent, info.NarSize, err))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// dump sends the store's files as they are: whether they still are what their
// hash says is the client's to see. It returns how many bytes went out.
func (s *Server) dump(ctx context.Context, w io.Writer, info *daemon.PathInfo) (uint64, error) {
	limited := &exact{w: w, size: info.NarSize}
	buffered := bufio.NewWriterSize(limited, 64<<10)
	// The daemon names the path; it was checked to be a child of the store.
	err := nar.DumpPath(ctx, buffered, path.Join(s.opts.StoreDir, path.Base(info.Path)))
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil && limited.sent != limited.size {
		err = fmt.Errorf("the path is smaller than the %d bytes its database entry says: run nix-store --verify --check-contents", limited.size)
	}
	return limited.sent, err
}

// exact lets no more bytes through than were announced.
type exact struct {
	w          io.Writer
	size, sent uint64
}

func (e *exact) Write(p []byte) (int, error) {
	fits := min(uint64(len(p)), e.size-e.sent)
	n, err := e.w.Write(p[:fits])
	e.sent += uint64(n)
	if err == nil && fits < uint64(len(p)) {
		err = fmt.Errorf("the path is bigger than the %d bytes its database entry says: run nix-store --verify --check-contents", e.size)
	}
	return n, err
}
