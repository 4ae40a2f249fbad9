// Package docker runs a lab's machines as containers with systemd as PID 1, on any
// engine that speaks Docker's API: of this host or another, Podman's too.
//
// A container has no network of the engine's. Its lan0 is an interface whose frames
// a small program carries to the lab's own LAN, through the engine's API, as QEMU's
// do through a socket. So the machines have the users' addresses whatever networks
// the engine's host is on, and every fault of the LAN is there. Commands take
// another way: an sshd for each connection, started and talked to through the API.
// Nothing is mounted from the engine's host, and no port of it is opened.
package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// engineTimeout bounds a question to the engine.
const engineTimeout = 20 * time.Second

// Engine is a connection to what runs containers.
type Engine struct {
	api *testcontainers.DockerClient
	// Version is what it says of itself: "Docker Engine 20.10.24, kernel 6.1".
	Version string
	// Host is where it listens.
	Host string
	// podman: it is Podman, which does some things otherwise than Docker.
	podman bool
}

// environment is prepared once: testcontainers-go reads it once a process.
var environment = sync.OnceValue(func() error { //nolint:gochecknoglobals // it guards the process's own environment
	log.SetDefault(silence{})
	// Its reaper is an image of a registry's; what we leave we clear away ourselves.
	err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
	if os.Getenv("DOCKER_HOST") != "" {
		return err
	}
	for _, socket := range []string{"/var/run/docker.sock", filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "podman/podman.sock"), "/run/podman/podman.sock"} {
		if info, e := os.Stat(socket); e == nil && info.Mode().Type() == os.ModeSocket {
			return errors.Join(err, os.Setenv("DOCKER_HOST", "unix://"+socket))
		}
	}
	return errors.Join(err, errNoEngine)
})

// errNoEngine is the absence of any engine.
var errNoEngine = errors.New("no container engine is here: DOCKER_HOST is not set, and neither Docker's socket nor Podman's is there")

// silence is testcontainers-go's log, which repeats what our own progress says.
type silence struct{}

func (silence) Printf(string, ...any) {}

// Connect finds the engine, by DOCKER_HOST or at the usual sockets, and asks it who
// it is. The error says what to do where there is none.
func Connect(ctx context.Context) (*Engine, error) {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	if err := environment(); err != nil {
		return nil, err
	}
	api, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach the container engine at %s: %w", os.Getenv("DOCKER_HOST"), err)
	}
	// testcontainers-go takes another engine where the one that is named is not there.
	if named, taken := os.Getenv("DOCKER_HOST"), api.DaemonHost(); named != taken {
		return nil, errors.Join(fmt.Errorf("the container engine at %s cannot be reached: DOCKER_HOST names it, and %s answers instead", named, taken), api.Close())
	}
	version, err := api.Client.ServerVersion(ctx, client.ServerVersionOptions{})
	var info client.SystemInfoResult
	if err == nil {
		info, err = api.Client.Info(ctx, client.InfoOptions{})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reach the container engine at %s: %w", os.Getenv("DOCKER_HOST"), err), api.Close())
	}
	if version.Os != "linux" || version.Arch != "amd64" {
		return nil, errors.Join(fmt.Errorf("the container engine runs %s/%s, the guests are linux/amd64", version.Os, version.Arch), api.Close())
	}
	name := "Docker Engine"
	podman := slices.ContainsFunc(version.Components, func(c system.ComponentVersion) bool { return strings.Contains(c.Name, "Podman") })
	if podman {
		name = "Podman"
	}
	return &Engine{api: api, podman: podman, Host: api.DaemonHost(), Version: fmt.Sprintf("%s %s, Linux %s", name, version.Version, info.Info.KernelVersion)}, nil
}

// Close ends the connection.
func (e *Engine) Close() error { return e.api.Close() }

// create makes a container, and does not start it.
func (e *Engine) create(ctx context.Context, req testcontainers.ContainerRequest) (testcontainers.Container, error) {
	var options []testcontainers.DockerProviderOption
	if !e.podman {
		// On an engine without its usual bridge it would make a network of its own, and
		// plug the container into that besides.
		options = append(options, testcontainers.WithDefaultBridgeNetwork("none"))
	}
	maker, err := testcontainers.NewDockerProvider(options...)
	if err != nil {
		return nil, err
	}
	return maker.CreateContainer(ctx, req)
}
