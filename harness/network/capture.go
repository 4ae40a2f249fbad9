package network

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Bounds of a capture file where the configuration says nothing.
const (
	defaultCaptureFull = 64 << 20
	defaultCaptureMax  = 512 << 20
	// captureSnap is how much of a frame is kept once the file holds
	// CaptureFull bytes: all headers, and the start of what they carry.
	captureSnap = 160
	// captureFlush is how far the file may lag behind.
	captureFlush = time.Second
)

// pcapng block types, options and constants (IETF draft-ietf-opsawg-pcapng).
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockStats     = 5
	blockPacket    = 6
	byteOrderMagic = 0x1a2b3c4d
	linkEthernet   = 1
	optComment     = 1
	optName        = 2
	optTSResol     = 9
	optUserAppl    = 4
	optReceived    = 4
	nanoseconds    = 9
)

// Capture is a pcapng file of frames, one interface a cable, in the order in
// which the switch took them. Its size is bounded: whole frames up to full
// bytes, then only their first captureSnap bytes, up to max bytes, then
// nothing; the frame at which that begins has a comment saying so. A nil
// Capture takes everything and keeps nothing.
type Capture struct {
	full, max int64

	mu       sync.Mutex
	file     io.WriteCloser
	out      *bufio.Writer
	size     int64
	head     []byte
	options  []byte
	tail     [4]byte
	frames   []uint64
	snapping bool
	stopped  bool
	err      error

	done chan struct{}
	work sync.WaitGroup
}

// newCapture creates the file at path. Zero bounds mean the defaults.
func newCapture(path string, full, maximum int64, interfaces []string) (*Capture, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	if full <= 0 {
		full = defaultCaptureFull
	}
	if maximum <= 0 {
		maximum = defaultCaptureMax
	}
	c := &Capture{
		full: min(full, maximum), max: maximum,
		file: file, out: bufio.NewWriterSize(file, 256<<10),
		frames: make([]uint64, len(interfaces)), done: make(chan struct{}),
	}
	c.begin(blockSection)
	c.u32(byteOrderMagic)
	c.u32(1) // version 1.0
	c.u32(0xffffffff)
	c.u32(0xffffffff) // section length unknown
	c.option(optUserAppl, "offload-e2e")
	c.finish(nil)
	for _, name := range interfaces {
		c.begin(blockInterface)
		c.u32(linkEthernet)
		c.u32(0) // no limit
		c.option(optName, name)
		c.option(optTSResol, string([]byte{nanoseconds}))
		c.finish(nil)
	}
	if err := c.Flush(); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	c.work.Go(c.flushing)
	return c, nil
}

// flushing keeps the file readable for whoever looks while the run lasts, and
// after a kill.
func (c *Capture) flushing() {
	tick := time.NewTicker(captureFlush)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = c.Flush() // kept in c.err, and told by Close
		case <-c.done:
			return
		}
	}
}

// write adds a frame. A comment is the fault that stopped it.
func (c *Capture) write(id int, now time.Time, frame []byte, comment string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames[id]++
	if c.stopped || c.err != nil {
		return
	}
	keep := len(frame)
	if comment != "" {
		comment = "stopped by: " + comment
	}
	switch {
	case c.size+int64(captureSnap)+512 > c.max:
		c.stopped = true
		keep = min(keep, captureSnap)
		comment += fmt.Sprintf(" [the capture ends here: it has reached its bound of %d bytes]", c.max)
	case c.size > c.full:
		if !c.snapping {
			comment += fmt.Sprintf(" [from here on only the first %d bytes of a frame are kept: the capture has reached %d bytes]", captureSnap, c.full)
		}
		c.snapping = true
		keep = min(keep, captureSnap)
	}
	c.begin(blockPacket)
	c.u32(uint32(id))
	ns := uint64(now.UnixNano())
	c.u32(uint32(ns >> 32))
	c.u32(uint32(ns))
	c.u32(uint32(keep))
	c.u32(uint32(len(frame)))
	if comment != "" {
		c.option(optComment, comment)
	}
	c.finish(frame[:keep])
}

// begin starts a block; its length is filled in by finish.
func (c *Capture) begin(kind uint32) {
	c.head, c.options = c.head[:0], c.options[:0]
	c.u32(kind)
	c.u32(0)
}

func (c *Capture) u32(v uint32) { c.head = binary.LittleEndian.AppendUint32(c.head, v) }

// option adds an option, padded to 32 bits.
func (c *Capture) option(code uint16, value string) {
	c.options = binary.LittleEndian.AppendUint16(c.options, code)
	c.options = binary.LittleEndian.AppendUint16(c.options, uint16(len(value)))
	c.options = append(c.options, value...)
	for len(c.options)%4 != 0 {
		c.options = append(c.options, 0)
	}
}

// finish writes the block: what it begins with, its data, its options.
func (c *Capture) finish(data []byte) {
	pad := (4 - len(data)%4) % 4
	// Options end with opt_endofopt, four zero bytes.
	total := len(c.head) + len(data) + pad + len(c.options) + 4 + 4
	binary.LittleEndian.PutUint32(c.head[4:], uint32(total))
	c.tail = [4]byte{}
	c.put(c.head)
	c.put(data)
	c.put(c.tail[:pad])
	c.put(c.options)
	c.put(c.tail[:])
	c.put(binary.LittleEndian.AppendUint32(c.tail[:0], uint32(total)))
	c.size += int64(total)
}

func (c *Capture) put(b []byte) {
	if c.err == nil {
		if _, err := c.out.Write(b); err != nil {
			c.err = fmt.Errorf("capture: %w; the run goes on without it", err)
		}
	}
}

// Flush writes what is buffered to the file.
func (c *Capture) Flush() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && c.file != nil {
		if err := c.out.Flush(); err != nil {
			c.err = fmt.Errorf("capture: %w; the run goes on without it", err)
		}
	}
	return c.err
}

// Close ends the file with the number of frames of each cable, and returns the
// first error writing it met. It is idempotent.
func (c *Capture) Close() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	if c.file == nil {
		c.mu.Unlock()
		return nil
	}
	c.stopped = true
	close(c.done)
	ns := uint64(time.Now().UnixNano())
	for id, n := range c.frames {
		c.begin(blockStats)
		c.u32(uint32(id))
		c.u32(uint32(ns >> 32))
		c.u32(uint32(ns))
		c.option(optReceived, string(binary.LittleEndian.AppendUint64(nil, n)))
		c.finish(nil)
	}
	c.mu.Unlock()
	c.work.Wait()
	err := c.Flush()
	c.mu.Lock()
	defer c.mu.Unlock()
	if closeErr := c.file.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("capture: %w", closeErr)
	}
	c.file = nil
	return err
}
