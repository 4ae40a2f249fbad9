package machine

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"

	"offload-e2e/harness/provider"
)

// smallFile is the size up to which a copy is one command, in bytes.
const smallFile = 1 << 20

// receive writes standard input to a temporary file $3 beside $1. When its size
// $4 is known it is put in place at once; a connection that broke looks to cat
// like the end of the file, so nothing is put in place without this check.
const receive = `set -eu
trap '[ -z "${tmp-}" ] || rm -f -- "$tmp"' EXIT
mkdir -p -- "${1%/*}/"
(umask 077; cat >"$3")
[ -n "$4" ] || exit 0
tmp=$3
` + putInPlace

// commit puts the temporary file of receive in place.
const commit = `set -eu
` + putInPlace

const putInPlace = `size=$(wc -c <"$3")
if [ "$size" -ne "$4" ]; then echo "received $size of $4 bytes" >&2; exit 1; fi
chmod -- "$2" "$3"
mv -f -T -- "$3" "$1"
`

// CopyTo writes content to an absolute path, as [provider.Machine] says: the
// file appears whole or not at all, owned by Config.User, missing parents are
// made. An error of content leaves the old file as it was.
func (s *SSH) CopyTo(ctx context.Context, content io.Reader, name string, mode fs.FileMode) error {
	fail := func(err error) error { return fmt.Errorf("copy to %s:%s: %w", s.cfg.Name, name, err) }
	if err := checkPath(name); err != nil {
		return fail(err)
	}
	perm := "0" + strconv.FormatUint(uint64(unixMode(mode)), 8)
	tmp := name + ".offload-e2e-" + rand.Text()[:10]

	start, err := io.ReadAll(io.LimitReader(content, smallFile+1))
	if err != nil {
		return fail(fmt.Errorf("read content: %w", err))
	}
	if len(start) <= smallFile {
		return wrap(fail, s.script(ctx, bytes.NewReader(start), receive, name, perm, tmp, strconv.Itoa(len(start))))
	}
	count := &counter{from: io.MultiReader(bytes.NewReader(start), content)}
	if err := s.script(ctx, count, receive, name, perm, tmp, ""); err == nil {
		err = s.script(ctx, nil, commit, name, perm, tmp, strconv.FormatInt(count.n, 10))
		if err == nil {
			return nil
		}
		return fail(errors.Join(err, s.remove(ctx, tmp)))
	} else {
		return fail(errors.Join(err, s.remove(ctx, tmp)))
	}
}

// CopyFrom streams the file at an absolute path to w. After an error w may
// have had a part of it.
func (s *SSH) CopyFrom(ctx context.Context, name string, w io.Writer) error {
	fail := func(err error) error { return fmt.Errorf("copy from %s:%s: %w", s.cfg.Name, name, err) }
	if err := checkPath(name); err != nil {
		return fail(err)
	}
	res, err := s.exec(ctx, provider.Cmd("cat", "--", name), w)
	if err != nil {
		return fail(err)
	}
	return wrap(fail, res.Err())
}

// script runs a shell script with positional arguments.
func (s *SSH) script(ctx context.Context, stdin io.Reader, script string, args ...string) error {
	cmd := provider.Cmd(append([]string{"/bin/sh", "-c", script, "sh"}, args...)...)
	cmd.Stdin = stdin
	res, err := s.Exec(ctx, cmd)
	if err != nil {
		return err
	}
	res.Argv = []string{"write it there"}
	return res.Err()
}

// remove takes a temporary file away, also when ctx is what ended the copy.
func (s *SSH) remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.KillTimeout)
	defer cancel()
	res, err := s.Exec(ctx, provider.Cmd("rm", "-f", "--", name))
	if err != nil {
		return fmt.Errorf("take away what was copied: %w", err)
	}
	return res.Err()
}

func checkPath(name string) error {
	if !path.IsAbs(name) || path.Clean(name) != name || name == "/" {
		return errors.New("the path must be absolute and clean")
	}
	return nil
}

// unixMode is mode as chmod(1) takes it.
func unixMode(mode fs.FileMode) uint32 {
	m := uint32(mode.Perm())
	for bit, unix := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&bit != 0 {
			m |= unix
		}
	}
	return m
}

func wrap(fail func(error) error, err error) error {
	if err == nil {
		return nil
	}
	return fail(err)
}

type counter struct {
	from io.Reader
	n    int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}
