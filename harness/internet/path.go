package internet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	gonar "github.com/nix-community/go-nix/pkg/nar"
	"github.com/nix-community/go-nix/pkg/narinfo"
	"github.com/nix-community/go-nix/pkg/narinfo/signature"
	"github.com/nix-community/go-nix/pkg/nixhash"
	"github.com/nix-community/go-nix/pkg/storepath"
	"github.com/ulikunitz/xz"

	"offload-e2e/harness/nixserve"
	"offload-e2e/harness/nixserve/nar"
)

// Path is a store path to serve.
type Path struct {
	// StorePath is absolute, in the server's store directory.
	StorePath string
	// References are absolute paths: itself, or paths added before.
	References []string
	// Deriver is an absolute path, or empty. It need not be served.
	Deriver string
	// CA is the path's content address, or empty. A narinfo tells it only where
	// [Options.ContentAddressed] says so.
	CA string
	// NAR opens the content, the same each time.
	NAR func() (io.ReadCloser, error)
}

// Bytes is a NAR held in memory.
func Bytes(nar []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return seekable{bytes.NewReader(nar)}, nil }
}

// File is a NAR on disk.
func File(name string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return os.Open(name) }
}

type seekable struct{ *bytes.Reader }

func (seekable) Close() error { return nil }

// tree is the NAR of a file system, written as it is read.
func tree(fsys fs.FS) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		r, w := io.Pipe() // closing r ends the writer
		go func() { w.CloseWithError(nar.DumpFS(context.Background(), w, fsys, ".")) }()
		return r, nil
	}
}

// entry is a path that is served.
type entry struct {
	path     Path
	narinfo  string
	url      string // below the cache's root
	size     int64  // of what is at the URL
	open     func() (io.ReadCloser, error)
	hashPart string
}

// AddText adds a text under the store path that builtins.toFile gives it.
func (s *Server) AddText(name, content string, references ...string) (string, error) {
	storePath, ca, err := textPath(s.opts.StoreDir, name, []byte(content), references)
	if err != nil {
		return "", err
	}
	archive, err := textNAR(content)
	if err != nil {
		return "", fmt.Errorf("add %s: %w", name, err)
	}
	return storePath, s.Add(Path{StorePath: storePath, References: references, CA: ca, NAR: Bytes(archive)})
}

// textNAR is the NAR of a file that nobody may execute.
func textNAR(content string) ([]byte, error) {
	var b bytes.Buffer
	w, err := gonar.NewWriter(&b)
	if err != nil {
		return nil, err
	}
	err = w.WriteHeader(&gonar.Header{Path: "/", Type: gonar.TypeRegular, Size: int64(len(content))})
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// AddTree adds a directory with all in it under the store path that
// builtins.path gives it. The file system is read again for every download
// that is not compressed, and must not change.
func (s *Server) AddTree(name string, fsys fs.FS, references ...string) (string, error) {
	content := tree(fsys)
	sum, _, err := digest(content)
	if err != nil {
		return "", fmt.Errorf("add %s: %w", name, err)
	}
	storePath, ca, err := sourcePath(s.opts.StoreDir, name, sum, references)
	if err != nil {
		return "", err
	}
	return storePath, s.Add(Path{StorePath: storePath, References: references, CA: ca, NAR: content})
}

// Add serves a path from now on. It reads the NAR once, and where it is to be
// compressed keeps the result, in memory or in [Options.Dir]. A path that is
// served already is replaced.
func (s *Server) Add(p Path) error {
	e, err := s.prepare(p)
	if err != nil {
		return fmt.Errorf("add %s to the internet's cache: %w", p.StorePath, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byHash[e.hashPart] = e
	s.byURL[e.url] = e
	return nil
}

func (s *Server) prepare(p Path) (*entry, error) {
	base, err := s.baseName(p.StorePath)
	if err != nil {
		return nil, err
	}
	if p.NAR == nil {
		return nil, errors.New("it has no NAR")
	}
	sum, narSize, err := digest(p.NAR)
	if err != nil {
		return nil, err
	}
	// Sorted, as Nix writes them and a fingerprint has them.
	p.References = slices.Compact(slices.Sorted(slices.Values(p.References)))
	info := &narinfo.NarInfo{
		StorePath:   p.StorePath,
		Compression: string(s.opts.Compression),
		NarHash:     hashOf(sum),
		NarSize:     uint64(narSize),
	}
	for _, reference := range p.References {
		name, err := s.baseName(reference)
		if err != nil {
			return nil, err
		}
		if reference != p.StorePath && !s.serves(reference) {
			return nil, fmt.Errorf("its reference %s is not served: add that first", reference)
		}
		info.References = append(info.References, name)
	}
	if p.Deriver != "" {
		if info.Deriver, err = s.baseName(p.Deriver); err != nil {
			return nil, err
		}
	}
	if s.opts.ContentAddressed {
		info.CA = p.CA
	}
	e := &entry{path: p, open: p.NAR, size: narSize, hashPart: base[:32]}
	fileSum := sum
	if s.opts.Compression == XZ {
		if e.open, fileSum, e.size, err = s.compress(p.NAR, base); err != nil {
			return nil, err
		}
	}
	info.FileHash, info.FileSize = hashOf(fileSum), uint64(e.size)
	info.URL = "nar/" + info.FileHash.Format(nixhash.NixBase32, false) + ".nar" + s.opts.Compression.suffix()
	e.url = "/" + info.URL
	sig, err := s.opts.Identity.nix.Sign(nil, nixserve.Fingerprint(p.StorePath, sum, uint64(narSize), p.References))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	info.Signatures = []signature.Signature{sig}
	e.narinfo = info.String()
	return e, nil
}

// baseName checks that a path is one of the store.
func (s *Server) baseName(p string) (string, error) {
	base, ok := strings.CutPrefix(p, s.opts.StoreDir+"/")
	if !ok {
		return "", fmt.Errorf("%s is not in the store %s", p, s.opts.StoreDir)
	}
	if len(base) < 34 || base[32] != '-' || !validName.MatchString(base[33:]) {
		return "", fmt.Errorf("%s is no store path", p)
	}
	if _, err := storepath.FromString(base); err != nil {
		return "", fmt.Errorf("%s is no store path: %w", p, err)
	}
	return base, nil
}

func hashOf(sum []byte) *nixhash.HashWithEncoding {
	return nixhash.MustNewHashWithEncoding(nixhash.SHA256, sum, nixhash.NixBase32, true)
}

// counter hashes and counts what passes.
type counter struct {
	hash.Hash
	size int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	return c.Hash.Write(p)
}

func digest(open func() (io.ReadCloser, error)) ([]byte, int64, error) {
	r, err := open()
	if err != nil {
		return nil, 0, fmt.Errorf("open the NAR: %w", err)
	}
	defer r.Close()
	c := &counter{Hash: sha256.New()}
	if _, err := io.Copy(c, r); err != nil {
		return nil, 0, fmt.Errorf("read the NAR: %w", err)
	}
	return c.Sum(nil), c.size, nil
}

// compress makes the .nar.xz of a NAR, and tells its hash and size.
func (s *Server) compress(open func() (io.ReadCloser, error), base string) (func() (io.ReadCloser, error), []byte, int64, error) {
	fail := func(err error) (func() (io.ReadCloser, error), []byte, int64, error) {
		return nil, nil, 0, fmt.Errorf("compress the NAR: %w", err)
	}
	r, err := open()
	if err != nil {
		return fail(err)
	}
	defer r.Close()
	var memory bytes.Buffer
	var out io.Writer = &memory
	reopen := func() (io.ReadCloser, error) { return seekable{bytes.NewReader(memory.Bytes())}, nil }
	closeOut := func() error { return nil }
	if s.opts.Dir != "" {
		f, err := os.Create(path.Join(s.opts.Dir, base+".nar.xz"))
		if err != nil {
			return fail(err)
		}
		out, closeOut, reopen = f, f.Close, File(f.Name())
	}
	c := &counter{Hash: sha256.New()}
	w, err := xz.NewWriter(io.MultiWriter(out, c))
	if err == nil {
		_, err = io.Copy(w, r)
		err = errors.Join(err, w.Close())
	}
	if err := errors.Join(err, closeOut()); err != nil {
		return fail(err)
	}
	return reopen, c.Sum(nil), c.size, nil
}
