package nar_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	gonar "github.com/nix-community/go-nix/pkg/nar"

	"offload-e2e/harness/nixserve/nar"
)

// world is a tree on disk, and the same in memory.
func world(t *testing.T) (string, fs.FS) {
	t.Helper()
	memory := fstest.MapFS{
		"tree":             {Mode: fs.ModeDir | 0o755},
		"tree/a/x":         {Data: []byte("x"), Mode: 0o644},
		"tree/a-b":         {Data: []byte("12345678"), Mode: 0o444},
		"tree/a.b":         {Data: []byte("123456789"), Mode: 0o444},
		"tree/empty":       {Mode: fs.ModeDir | 0o755},
		"tree/empty-file":  {Mode: 0o444},
		"tree/bin/run":     {Data: []byte("#!/bin/sh\n"), Mode: 0o755},
		"tree/group-runs":  {Data: []byte("no"), Mode: 0o654},
		"tree/link":        {Data: []byte("/nowhere"), Mode: fs.ModeSymlink | 0o777},
		"tree/big/content": {Data: bytes.Repeat([]byte("big"), 100000), Mode: 0o444},
	}
	root := t.TempDir()
	for name, file := range memory {
		path := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case file.Mode.IsDir():
			err = os.MkdirAll(path, 0o755)
		case file.Mode&fs.ModeSymlink != 0:
			err = os.Symlink(string(file.Data), path)
		default:
			if err = os.WriteFile(path, file.Data, 0o600); err == nil {
				err = os.Chmod(path, file.Mode)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root, memory
}

func TestSameFromDiskMemoryAndGoNix(t *testing.T) {
	root, memory := world(t)
	for _, name := range []string{"tree", "tree/a-b", "tree/bin/run", "tree/empty", "tree/empty-file", "tree/link"} {
		var want, disk, mem bytes.Buffer
		if err := gonar.DumpPath(&want, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
		if err := nar.DumpPath(t.Context(), &disk, filepath.Join(root, name)); err != nil || !bytes.Equal(disk.Bytes(), want.Bytes()) {
			t.Errorf("%s on disk: %v, %d bytes, go-nix has %d", name, err, disk.Len(), want.Len())
		}
		if err := nar.DumpFS(t.Context(), &mem, memory, name); err != nil || !bytes.Equal(mem.Bytes(), want.Bytes()) {
			t.Errorf("%s in memory: %v, %d bytes, go-nix has %d", name, err, mem.Len(), want.Len())
		}
	}
}

// failing takes some bytes, then fails.
type failing struct{ left int }

var errFull = errors.New("full")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriterThatFailsAnywhere(t *testing.T) {
	root, _ := world(t)
	var whole bytes.Buffer
	if err := nar.DumpPath(t.Context(), &whole, root+"/tree"); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < whole.Len(); at += 1 + at/50 {
		if err := nar.DumpPath(t.Context(), &failing{at}, root+"/tree"); !errors.Is(err, errFull) {
			t.Fatalf("after %d bytes: %v", at, err)
		}
	}
	if err := nar.DumpPath(t.Context(), &failing{whole.Len()}, root+"/tree"); err != nil {
		t.Error(err)
	}
}

func TestRefusesWhatIsNoStoreContent(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", dir+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := nar.DumpPath(t.Context(), io.Discard, dir); err == nil {
		t.Error("a socket was archived")
	}
	if err := nar.DumpPath(t.Context(), io.Discard, dir+"/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such path: %v", err)
	}
}

// shrinking says a file has more bytes than it gives.
type shrinking struct{ fstest.MapFS }

func (s shrinking) Lstat(name string) (fs.FileInfo, error) {
	info, err := s.MapFS.Lstat(name)
	return bigger{info}, err
}

type bigger struct{ fs.FileInfo }

func (b bigger) Size() int64 { return b.FileInfo.Size() + 1 }

func TestFileThatShrinks(t *testing.T) {
	fsys := shrinking{fstest.MapFS{"f": {Data: []byte("abc"), Mode: 0o444}}}
	if err := nar.DumpFS(t.Context(), io.Discard, fsys, "f"); !errors.Is(err, nar.ErrChanged) {
		t.Errorf("error %v", err)
	}
}

func TestEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(dir + "/sparse")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 40); err != nil { // a tebibyte: an hour's reading
		t.Skipf("no sparse files here: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := nar.DumpPath(ctx, io.Discard, dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}
