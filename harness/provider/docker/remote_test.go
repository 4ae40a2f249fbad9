package docker_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"offload-e2e/harness/provider/conformance/containers"
	"offload-e2e/harness/provider/docker"
)

// givenHost is DOCKER_HOST before anybody connected, who sets it.
var givenHost = os.Getenv("DOCKER_HOST")

// An engine that is reached by TCP alone may be on another host: no file of this one is
// one of its, and nothing it mounts is here.
func TestRemoteEngine(t *testing.T) {
	const socket = "/var/run/docker.sock"
	if _, err := os.Stat(socket); err != nil || givenHost != "" {
		t.Skip("the engine is no local one of Docker's: TestConformance reaches it as it is")
	}
	there := containers.NewForward(t, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	})
	// testcontainers-go reads where the engine is once a process.
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^TestConformance$/^(output|files|the_two|snapshots|closing)")
	child.Env = append(os.Environ(), "DOCKER_HOST=tcp://"+there.Addr.String())
	said, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "--- PASS: TestConformance/snapshots") {
		t.Errorf("%v\n%s", err, said)
	}
}

// Who names an engine that is not there does not get another.
func TestNoSuchEngine(t *testing.T) {
	if engine, err := docker.Connect(t.Context()); err != nil {
		t.Skip(err)
	} else if err := engine.Close(); err != nil {
		t.Error(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^TestConformance$")
	child.Env = append(os.Environ(), "DOCKER_HOST=unix:///nowhere/docker.sock")
	if said, _ := child.CombinedOutput(); !strings.Contains(string(said), "/nowhere/docker.sock cannot be reached") {
		t.Errorf("%s", said)
	}
}
