package network

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

type captured struct {
	gopacket.CaptureInfo
	data []byte
}

// readCapture reads a capture with an implementation that is not ours.
func readCapture(t *testing.T, path string) (frames []captured, interfaces []string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := pcapgo.NewNgReader(file, pcapgo.NgReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.LinkType() != layers.LinkTypeEthernet {
		t.Errorf("link type %s", r.LinkType())
	}
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, captured{info, data})
	}
	for i := range r.NInterfaces() {
		ifc, err := r.Interface(i)
		if err != nil {
			t.Fatal(err)
		}
		interfaces = append(interfaces, ifc.Name)
	}
	return frames, interfaces
}

func TestCaptureHasEachFrameOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.pcapng")
	l, dir := newLAN(t, func(c *Config) { c.Capture = path })
	d, lt := attach(t, l, dir, desktop), attach(t, l, dir, laptop)
	start := time.Now()
	var sent [][]byte
	for i := range 20 {
		frame := udpFrame(t, laptop, desktop, 1, 9, bytes.Repeat([]byte{byte(i)}, 7*i))
		sent = append(sent, frame)
		lt.send(frame)
	}
	drop := apply(t, l.Drop(Match{To: "desktop", Proto: UDP, Port: 10}))
	defer drop()
	refuse := apply(t, l.Refuse(Match{To: "desktop", Proto: TCP, Port: 22}))
	defer refuse()
	dropped := udpFrame(t, laptop, desktop, 1, 10, []byte("dropped"))
	syn := tcpFrame(t, laptop, desktop, layers.TCP{SrcPort: 40000, DstPort: 22, SYN: true, Seq: 1}, nil)
	last := udpFrame(t, laptop, desktop, 1, 11, nil)
	for _, frame := range [][]byte{dropped, syn, last} {
		lt.send(frame)
	}
	sent = append(sent, dropped, syn, nil, last)
	d.until(t, "the last frame", ofPort(11))
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	frames, interfaces := readCapture(t, path)
	if want := "gateway,lan0 of desktop,lan0 of laptop,switch"; strings.Join(interfaces, ",") != want {
		t.Errorf("interfaces %q, want %s", interfaces, want)
	}
	if len(frames) != len(sent) {
		t.Fatalf("%d frames captured, want %d", len(frames), len(sent))
	}
	for i, f := range frames {
		from := 2
		if sent[i] == nil {
			from = 3 // the RST is the switch's own
			var h packetHeader
			if h.parse(f.data); h.flags != flagRST|flagACK {
				t.Errorf("frame %d has flags %b, want a reset", i, h.flags)
			}
		} else if !bytes.Equal(f.data, sent[i]) || f.Length != len(sent[i]) {
			t.Errorf("frame %d is %x, want %x", i, f.data, sent[i])
		}
		if f.InterfaceIndex != from || f.Timestamp.Before(start.Truncate(time.Microsecond)) || f.Timestamp.After(time.Now()) {
			t.Errorf("frame %d is on interface %d at %s", i, f.InterfaceIndex, f.Timestamp)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, comment := range []string{"stopped by: drop udp port 10 to desktop", "stopped by: refuse tcp port 22 to desktop"} {
		if bytes.Count(raw, []byte(comment)) != 1 {
			t.Errorf("the comment %q is there %d times", comment, bytes.Count(raw, []byte(comment)))
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if again, _ := readCapture(t, path); len(again) != len(frames) {
		t.Errorf("after Close %d frames, want %d", len(again), len(frames))
	}
}

func TestCaptureOpensInTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed; pcapgo reads the same file in another test")
	}
	path := filepath.Join(t.TempDir(), "run.pcapng")
	l, dir := newLAN(t, func(c *Config) { c.Capture = path })
	d, lt := newGuest(t, l, dir, desktop), newGuest(t, l, dir, laptop)
	d.serveEcho(t, 5000)
	undo := apply(t, l.Drop(Match{To: "desktop", Proto: TCP, Port: 5000}))
	lt.want(t, desktop, 5000, filtered)
	undo()
	lt.want(t, desktop, 5000, open)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(deadline(t), tshark, "-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
		"-T", "fields", "-e", "frame.interface_name", "-e", "frame.comment", "-e", "tcp.flags.str", "-e", "tcp.checksum.status", "-e", "_ws.malformed").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"lan0 of laptop", "lan0 of desktop", "stopped by: drop tcp port 5000 to desktop"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("tshark does not show %q:\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "Malformed") {
		t.Errorf("tshark finds damage:\n%s", out)
	}
}

func TestCaptureIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.pcapng")
	const full, most = 20_000, 40_000
	c, err := newCapture(path, full, most, []string{"lan0"})
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 1000)
	for range 500 {
		c.write(0, time.Now(), frame, "")
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
	frames, _ := readCapture(t, path)
	whole, cut := 0, 0
	for _, f := range frames {
		switch {
		case f.Length != 1000:
			t.Fatalf("a frame of %d bytes", f.Length)
		case f.CaptureLength == 1000:
			whole++
		case f.CaptureLength == captureSnap:
			cut++
		}
	}
	if whole < 15 || whole > 21 || cut < 60 || whole+cut != len(frames) {
		t.Errorf("%d whole and %d cut frames of %d", whole, cut, len(frames))
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > most+1000 {
		t.Errorf("the file has %d bytes, its bound is %d", len(raw), most)
	}
	for _, comment := range []string{"only the first 160 bytes", "the capture ends here"} {
		if bytes.Count(raw, []byte(comment)) != 1 {
			t.Errorf("the comment %q is there %d times", comment, bytes.Count(raw, []byte(comment)))
		}
	}
}

func TestCaptureTellsOfAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full on this system")
	}
	// A link: what could not be begun is removed, and the device is the system's.
	path := filepath.Join(t.TempDir(), "lan.pcapng")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	c, err := newCapture(path, 0, 0, []string{"lan0"})
	if err == nil {
		_ = c.Close()
		t.Fatal("a capture on a full disk began")
	}
	if !strings.Contains(err.Error(), "no space left") {
		t.Errorf("it says %v", err)
	}
}
