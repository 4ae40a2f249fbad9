package nixserve

import (
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/nix-community/go-nix/pkg/storepath"

	"offload-e2e/harness/nixserve/daemon"
)

// buildLog sends the log of a derivation, or of the derivation that made an
// output. Where there is none the answer is 200 and empty: nix-serve pipes
// what "nix log" prints, and does not look at how it exits.
func (s *Server) buildLog(w http.ResponseWriter, r *http.Request, name string) {
	w.Header().Set("Content-Type", plain)
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return
	}
	content, err := s.openLog(r.Context(), name)
	if err != nil {
		s.logError(r, http.StatusOK, err)
		w.WriteHeader(http.StatusOK)
		return
	}
	defer content.Close()
	if _, err := io.Copy(w, content); err != nil {
		s.logError(r, http.StatusOK, fmt.Errorf("build log of %s cut: %w", name, err))
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) openLog(ctx context.Context, name string) (io.ReadCloser, error) {
	if _, err := storepath.FromString(name); err != nil {
		return nil, fmt.Errorf("there is no build log of %s: it is no name of a store path", name)
	}
	if !strings.HasSuffix(name, ".drv") {
		deriver, err := s.deriver(ctx, name)
		if err != nil {
			return nil, err
		}
		name = deriver
	}
	// As LocalFSStore::getBuildLogExact looks for it. A name begins with its hash
	// and has no slash: it stays in the directory.
	for _, file := range []string{filepath.Join(name[:2], name[2:]), name} {
		file = filepath.Join(s.opts.LogDir, "drvs", file)
		f, err := os.Open(file)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("build log: %w", err)
		}
		if f, err = os.Open(file + ".bz2"); err == nil {
			return struct {
				io.Reader
				io.Closer
			}{bzip2.NewReader(f), f}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("build log: %w", err)
		}
	}
	return nil, fmt.Errorf("there is no build log of %s", name)
}

// deriver is the base name of the derivation an output came from.
func (s *Server) deriver(ctx context.Context, name string) (string, error) {
	conn, done, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	info, err := conn.QueryPathInfo(ctx, s.opts.StoreDir+"/"+name)
	if errors.Is(err, daemon.ErrInvalidPath) || err == nil && info.Deriver == "" {
		return "", fmt.Errorf("nobody knows which derivation %s came from", name)
	}
	if err != nil {
		return "", err
	}
	return filepath.Base(info.Deriver), nil
}
