package docker_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// An engine that is reached by TCP alone may be on another host: no file of this one is
// one of its, and nothing it mounts is here.
func TestRemoteEngine(t *testing.T) {
	const socket = "/var/run/docker.sock"
	if _, err := os.Stat(socket); err != nil || os.Getenv("DOCKER_HOST") != "" {
		t.Skip("the engine is no local one of Docker's: TestConformance reaches it as it is")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go pipe(t, c, socket)
		}
	}()
	// testcontainers-go reads where the engine is once a process.
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^TestConformance$/^(output|files|the_two|snapshots|closing)")
	child.Env = append(os.Environ(), "DOCKER_HOST=tcp://"+listener.Addr().String())
	said, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "--- PASS: TestConformance/snapshots") {
		t.Errorf("%v\n%s", err, said)
	}
}

// pipe carries a connection to a unix socket, and the end of each direction.
func pipe(t *testing.T, c net.Conn, socket string) {
	defer c.Close()
	far, err := net.Dial("unix", socket)
	if err != nil {
		t.Error(err)
		return
	}
	defer far.Close()
	there := make(chan struct{})
	go func() {
		defer close(there)
		_, _ = io.Copy(far, c)
		_ = far.(*net.UnixConn).CloseWrite()
	}()
	_, _ = io.Copy(c, far)
	_ = c.(*net.TCPConn).CloseWrite()
	<-there
}
