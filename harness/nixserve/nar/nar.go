// Package nar writes NARs, Nix's archive format, from a file system.
//
// It follows Nix's own dumpPath (libutil/archive.cc): entries in byte order of
// their names, executable when the owner may execute, no times, no owners.
// go-nix's nar.DumpPath is not used because it takes a name that begins with
// two dots ("..data") for a way up, and because the reader behind it may go
// away: here every error of the writer ends the walk at once.
package nar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"

	"github.com/nix-community/go-nix/pkg/wire"
)

const magic = "nix-archive-1"

// chunk is how much of a file is held in memory at a time, in bytes.
const chunk = 64 << 10

// ErrChanged is returned when a file had another size when it was read than
// when it was looked at: the path is being written or removed.
var ErrChanged = errors.New("file changed while it was archived")

// source is where nodes come from; paths are relative to its root, "" is it.
type source interface {
	lstat(name string) (fs.FileInfo, error)
	readlink(name string) (string, error)
	names(name string) ([]string, error)
	open(name string) (io.ReadCloser, error)
}

// DumpPath writes the NAR of a file, symlink or directory on disk. It holds
// one chunk of one file in memory, however big the path is. The error of a
// path that is not there matches [fs.ErrNotExist].
func DumpPath(ctx context.Context, w io.Writer, root string) error {
	return dump(ctx, w, disk{root})
}

// DumpFS writes the NAR of one name in a file system; "." is all of it.
// Symlinks need a file system that is a [fs.ReadLinkFS].
func DumpFS(ctx context.Context, w io.Writer, fsys fs.FS, root string) error {
	return dump(ctx, w, tree{fsys, root})
}

type dumper struct {
	ctx context.Context
	w   io.Writer
	src source
	buf []byte
}

func dump(ctx context.Context, w io.Writer, src source) error {
	d := &dumper{ctx: ctx, w: w, src: src, buf: make([]byte, chunk)}
	if err := d.tokens(magic); err != nil {
		return err
	}
	return d.node("")
}

// tokens writes strings, each as NARs have them: length, bytes, zeros to 8.
func (d *dumper) tokens(tokens ...string) error {
	for _, token := range tokens {
		if err := wire.WriteString(d.w, token); err != nil {
			return fmt.Errorf("write nar: %w", err)
		}
	}
	return nil
}

func (d *dumper) node(name string) error {
	if err := d.ctx.Err(); err != nil {
		return err
	}
	info, err := d.src.lstat(name)
	if err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return d.file(name, info)
	case mode.IsDir():
		return d.directory(name)
	case mode&fs.ModeSymlink != 0:
		target, err := d.src.readlink(name)
		if err != nil {
			return err
		}
		return d.tokens("(", "type", "symlink", "target", target, ")")
	default:
		return fmt.Errorf("archive %q: a store has files, directories and symlinks only, this is %s", name, mode.Type())
	}
}

func (d *dumper) directory(name string) error {
	if err := d.tokens("(", "type", "directory"); err != nil {
		return err
	}
	entries, err := d.src.names(name)
	if err != nil {
		return err
	}
	sort.Strings(entries)
	for _, entry := range entries {
		if err := d.tokens("entry", "(", "name", entry, "node"); err != nil {
			return err
		}
		// path.Join would clean names away that only look like dots.
		child := entry
		if name != "" {
			child = name + "/" + entry
		}
		if err := d.node(child); err != nil {
			return err
		}
		if err := d.tokens(")"); err != nil {
			return err
		}
	}
	return d.tokens(")")
}

func (d *dumper) file(name string, info fs.FileInfo) error {
	if err := d.tokens("(", "type", "regular"); err != nil {
		return err
	}
	if info.Mode()&0o100 != 0 {
		if err := d.tokens("executable", ""); err != nil {
			return err
		}
	}
	f, err := d.src.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := d.tokens("contents"); err != nil {
		return err
	}
	contents, err := wire.NewBytesWriter(d.w, uint64(info.Size()))
	if err != nil {
		return fmt.Errorf("write nar: %w", err)
	}
	if err := d.copy(contents, f, info.Size()); err != nil {
		return fmt.Errorf("archive %q: %w", name, err)
	}
	if err := contents.Close(); err != nil {
		return fmt.Errorf("write nar: %w", err)
	}
	return d.tokens(")")
}

// copy moves exactly size bytes, looking at the context between chunks.
func (d *dumper) copy(w io.Writer, r io.Reader, size int64) error {
	for left := size; left > 0; {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(d.buf[:min(left, int64(len(d.buf)))])
		if n > 0 {
			if _, err := w.Write(d.buf[:n]); err != nil {
				return err
			}
			left -= int64(n)
		}
		if left > 0 && errors.Is(err, io.EOF) {
			return fmt.Errorf("%d of %d bytes are gone: %w", left, size, ErrChanged)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

// disk reads with plain paths: names in a store need not be UTF-8, which
// [fs.ValidPath], and with it [os.DirFS], asks for.
type disk struct{ root string }

func (d disk) at(name string) string {
	if name == "" {
		return d.root
	}
	return d.root + "/" + name
}

func (d disk) lstat(name string) (fs.FileInfo, error)  { return os.Lstat(d.at(name)) }
func (d disk) readlink(name string) (string, error)    { return os.Readlink(d.at(name)) }
func (d disk) open(name string) (io.ReadCloser, error) { return os.Open(d.at(name)) }

func (d disk) names(name string) ([]string, error) {
	dir, err := os.Open(d.at(name))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

type tree struct {
	fsys fs.FS
	root string
}

func (t tree) at(name string) string                   { return path.Join(t.root, name) }
func (t tree) lstat(name string) (fs.FileInfo, error)  { return fs.Lstat(t.fsys, t.at(name)) }
func (t tree) readlink(name string) (string, error)    { return fs.ReadLink(t.fsys, t.at(name)) }
func (t tree) open(name string) (io.ReadCloser, error) { return t.fsys.Open(t.at(name)) }

func (t tree) names(name string) ([]string, error) {
	entries, err := fs.ReadDir(t.fsys, t.at(name))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, nil
}
