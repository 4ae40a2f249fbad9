package network

import (
	"encoding/binary"
	"io"
	"net/netip"
	"path/filepath"
	"testing"
)

// BenchmarkFrames is the switch alone: full frames from one cable to another,
// with all that is counted and captured.
func BenchmarkFrames(b *testing.B) {
	for _, c := range []struct {
		name    string
		capture bool
		faults  int
	}{{"plain", false, 0}, {"capture", true, 0}, {"capture and 4 faults", true, 4}} {
		b.Run(c.name, func(b *testing.B) {
			l, dir := newLAN(b, func(config *Config) {
				if c.capture {
					config.Capture = filepath.Join(b.TempDir(), "run.pcapng")
				}
			})
			for i := range c.faults {
				apply(b, l.Drop(Match{From: "laptop", To: "desktop", Proto: TCP, Port: uint16(i + 1)}))
			}
			d, lt := attach(b, l, dir, desktop), attach(b, l, dir, laptop)
			frame := udpFrame(b, laptop, desktop, 1, 9, make([]byte, 1472))
			const window = 512
			var batch []byte
			for range window {
				batch = append(binary.BigEndian.AppendUint32(batch, uint32(len(frame))), frame...)
			}
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for sent := 0; sent < b.N; sent += window {
				n := min(window, b.N-sent)
				if _, err := lt.conn.Write(batch[:n*(4+len(frame))]); err != nil {
					b.Fatal(err)
				}
				if _, err := io.CopyN(io.Discard, d.in, int64(n*(4+len(frame)))); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}

// BenchmarkTCP is one connection between two guests, whose stacks run in this
// process too.
func BenchmarkTCP(b *testing.B) {
	l, dir := newLAN(b, func(config *Config) { config.Capture = filepath.Join(b.TempDir(), "run.pcapng") })
	d, lt := newGuest(b, l, dir, desktop), newGuest(b, l, dir, laptop)
	ln, err := d.listen(netip.AddrPortFrom(desktop.Addr, 2049))
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		block := make([]byte, 64<<10)
		for {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	}()
	conn, err := lt.dial(deadline(b), netip.AddrPortFrom(desktop.Addr, 2049))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	b.SetBytes(64 << 10)
	block := make([]byte, 64<<10)
	for b.Loop() {
		if _, err := io.ReadFull(conn, block); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(l.Lost("laptop")+l.Lost("desktop")), "lost-frames")
}
