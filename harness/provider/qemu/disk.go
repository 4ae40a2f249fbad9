package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// imageToolTimeout bounds one run of qemu-img, which takes some 20 ms.
const imageToolTimeout = time.Minute

// createOverlay makes an empty qcow2 whose content is that of backing.
func createOverlay(ctx context.Context, tool, overlay, backing, backingFormat string) error {
	ctx, cancel := context.WithTimeout(ctx, imageToolTimeout)
	defer cancel()
	argv := []string{"create", "-q", "-f", "qcow2", "-F", backingFormat, "-b", backing, overlay}
	cmd := exec.CommandContext(ctx, tool, argv...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// Ctrl-C in a terminal is for the run to notice, which ends this then.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s (is the disk full, or the image damaged?)",
			tool, strings.Join(argv, " "), err, strings.TrimSpace(out.String()))
	}
	return nil
}

// castagnoli is the polynomial processors compute in hardware (SSE 4.2): the
// sum is against damage, not malice, and must not cost a restore its speed.
func newChecksum() *checksumWriter {
	return &checksumWriter{table: crc32.MakeTable(crc32.Castagnoli)}
}

type checksumWriter struct {
	table *crc32.Table
	sum   uint32
	size  int64
}

func (c *checksumWriter) Write(p []byte) (int, error) {
	c.sum = crc32.Update(c.sum, c.table, p)
	c.size += int64(len(p))
	return len(p), nil
}

// fileSum is a file's size in bytes and its CRC-32C.
type fileSum struct {
	Size   int64  `json:"size"`
	CRC32C uint32 `json:"crc32c"`
}

func (c *checksumWriter) fileSum() fileSum { return fileSum{Size: c.size, CRC32C: c.sum} }

// copySummed copies all of r to w, and returns what it copied.
func copySummed(w io.Writer, r io.Reader) (fileSum, error) {
	sum := newChecksum()
	// Structs hide ReadFrom and WriteTo, which would leave the buffer unused.
	_, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(w, sum)}, struct{ io.Reader }{r}, make([]byte, 1<<20))
	return sum.fileSum(), err
}

// sumFile reads a file to its end.
func sumFile(path string) (fileSum, error) {
	f, err := os.Open(path)
	if err != nil {
		return fileSum{}, err
	}
	sum, err := copySummed(io.Discard, f)
	return sum, errors.Join(err, f.Close())
}

// copyFile copies a file to a new one.
func copyFile(from, to string) (sum fileSum, err error) {
	in, err := os.Open(from)
	if err != nil {
		return fileSum{}, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fileSum{}, err
	}
	sum, err = copySummed(out, in)
	return sum, errors.Join(err, out.Close())
}

// linkFile makes to the same file as from, by a hard link, so that it survives
// the removal of from; or, between file systems, a copy.
func linkFile(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EMLINK) {
		_, err = copyFile(from, to)
	}
	return err
}
