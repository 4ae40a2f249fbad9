// Command lan-cable plugs a container into the LAN of a lab: it makes a network
// interface in the container, and carries its frames over standard input and
// output, each after its length in 4 bytes, big endian, as QEMU's stream sockets do.
//
//	lan-cable lan0 52:54:00:0f:00:07
//
// The interface is there as long as the program runs. It ends when its standard
// input does.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// maxFrame is the longest frame: what is longer is no Ethernet of ours.
const maxFrame = 64 << 10

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "lan-cable:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("usage: lan-cable <interface> <hardware address>")
	}
	tap, err := openTAP(args[0])
	if err != nil {
		return err
	}
	for _, words := range [][]string{{"address", args[1]}, {"mtu", "1500"}, {"up"}} {
		argv := append([]string{"link", "set", "dev", args[0]}, words...)
		if said, err := exec.Command("ip", argv...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip link set %v: %w: %s", words, err, said)
		}
	}
	ended := make(chan error, 2)
	go func() { ended <- frames(tap, out) }()
	go func() { ended <- deliver(in, tap) }()
	return <-ended
}

// openTAP makes an interface for whole Ethernet frames. No offload is agreed on,
// so the kernel hands over frames of at most the MTU, with their checksums.
func openTAP(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make the interface %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// frames sends what the interface sends, until it cannot.
func frames(tap io.Reader, out io.Writer) error {
	buf := make([]byte, 4+maxFrame)
	for {
		n, err := tap.Read(buf[4:])
		if err != nil {
			return fmt.Errorf("read a frame: %w", err)
		}
		binary.BigEndian.PutUint32(buf, uint32(n)) //nolint:gosec // at most maxFrame
		if _, err := out.Write(buf[:4+n]); err != nil {
			return fmt.Errorf("send a frame: %w", err)
		}
	}
}

// deliver gives the interface what comes, until nothing comes any more.
func deliver(in io.Reader, tap io.Writer) error {
	r := bufio.NewReaderSize(in, 256<<10)
	frame := make([]byte, maxFrame)
	for {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("receive a frame: %w", err)
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > maxFrame {
			return fmt.Errorf("receive a frame: %d bytes is no frame's length", n)
		}
		if _, err := io.ReadFull(r, frame[:n]); err != nil {
			return fmt.Errorf("receive a frame: %w", err)
		}
		// An interface that is down takes none: the frame is lost, as on a wire.
		if _, err := tap.Write(frame[:n]); err != nil && !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("deliver a frame: %w", err)
		}
	}
}
