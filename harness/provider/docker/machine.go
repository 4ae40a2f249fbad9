package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"offload-e2e/harness/provider"
)

// Machine is one container. Besides [provider.Machine] it is a
// [provider.PowerController], a [provider.Freezer] and a [provider.Journaler].
type Machine struct {
	name, mac string
	memoryMiB int
	lab       *Provider
	transport provider.Transport

	// power serialises whatever starts, stops or replaces the container.
	power sync.Mutex

	mu       sync.Mutex
	id       string // of the container; another after Restore
	pull     func() // pulls the cable
	cableErr error  // why the cable fell out
	resting  bool   // it is off because we said so
	frozen   bool
	watching context.CancelFunc
}

var (
	_ provider.Machine         = (*Machine)(nil)
	_ provider.PowerController = (*Machine)(nil)
	_ provider.Freezer         = (*Machine)(nil)
	_ provider.Journaler       = (*Machine)(nil)
)

// Name is the machine's role.
func (m *Machine) Name() string { return m.name }

func (m *Machine) image() Image { return m.lab.options.ImageOf(m.name) }

func (m *Machine) container() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id
}

// Exec runs a command; see [provider.Machine]. On a machine that is off it fails at
// once with provider.ErrOff.
func (m *Machine) Exec(ctx context.Context, cmd provider.Command) (result provider.Result, err error) {
	err = m.while("exec "+cmd.String(), func() error {
		result, err = m.transport.Exec(ctx, cmd)
		return err
	})
	return result, err
}

// CopyTo writes a file; see [provider.Machine].
func (m *Machine) CopyTo(ctx context.Context, content io.Reader, path string, mode fs.FileMode) error {
	return m.while("copy to "+path, func() error { return m.transport.CopyTo(ctx, content, path, mode) })
}

// CopyFrom reads a file; see [provider.Machine].
func (m *Machine) CopyFrom(ctx context.Context, path string, w io.Writer) error {
	return m.while("copy from "+path, func() error { return m.transport.CopyFrom(ctx, path, w) })
}

// while does what needs a machine that is on, and says so where it is off.
func (m *Machine) while(what string, do func() error) error {
	if m.off() {
		return fmt.Errorf("%s: %s: %w", m.name, what, provider.ErrOff)
	}
	err := do()
	if err != nil && !m.Running() {
		return fmt.Errorf("%s: %s: %w (%w)", m.name, what, provider.ErrOff, err)
	}
	return err
}

// Logs is the container's console so far, over all its boots.
func (m *Machine) Logs(ctx context.Context) (io.ReadCloser, error) {
	if f, err := os.Open(m.kept("console")); err == nil {
		return f, nil
	}
	logs, err := m.lab.engine.api.ContainerLogs(ctx, m.container(), client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return nil, fmt.Errorf("read the console of %s: %w", m.name, err)
	}
	return logs, nil
}

// Journal is what the machine's journal holds; one that is off has none to show.
func (m *Machine) Journal(ctx context.Context) (io.ReadCloser, error) {
	if f, err := os.Open(m.kept("journal")); err == nil {
		return f, nil
	}
	if m.transport == nil || !m.Running() {
		return nil, fmt.Errorf("the journal of %s: %w", m.name, fs.ErrNotExist)
	}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	var text bytes.Buffer
	_, err := m.transport.Exec(ctx, provider.Command{
		Argv: []string{"journalctl", "--no-pager", "--output=short-iso-precise", "--no-hostname"}, Stdout: &text})
	if err != nil {
		return nil, fmt.Errorf("the journal of %s: %w: %w", m.name, fs.ErrNotExist, err)
	}
	return io.NopCloser(&text), nil
}

func (m *Machine) kept(kind string) string {
	return filepath.Join(m.lab.stateDir, m.name+"-"+kind+".log")
}

// keepLogs keeps the console for after the container's end.
func (m *Machine) keepLogs(ctx context.Context) error {
	if m.container() == "" {
		return nil
	}
	r, err := m.Logs(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.Create(m.kept("console"))
	if err != nil {
		return fmt.Errorf("keep the console of %s: %w", m.name, err)
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// create makes the container from an image; it does not start it.
func (m *Machine) create(ctx context.Context, image string) error {
	program, err := os.ReadFile(m.lab.options.CableProgram)
	if err != nil {
		return fmt.Errorf("guest programs are missing (run `make build`): %w", err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// To its end: an engine that is no longer listened to goes on, and nobody would
	// know of the container.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	made, err := m.lab.engine.create(ctx, testcontainers.ContainerRequest{
		Image:              image,
		Labels:             map[string]string{labelOurs: "machine", labelLab: m.lab.options.Lab, labelMachine: m.name},
		Env:                map[string]string{"container": "docker", "container_uuid": machineID(m.name)},
		HostConfigModifier: grant(m.memoryMiB),
		ConfigModifier: func(c *container.Config) {
			c.Hostname, c.Tty, c.StopSignal = m.name, true, "SIGRTMIN+3"
			c.Entrypoint, c.Cmd = []string{"/bin/sh", "-c", first}, nil
			c.Volumes = map[string]struct{}{}
			for _, v := range volumes {
				c.Volumes[v] = struct{}{}
			}
		},
	})
	if made != nil {
		m.mu.Lock()
		m.id = made.GetContainerID()
		m.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("create the container: %w", err)
	}
	if err := m.put(ctx, noSSHDPath, []byte(noSSHD), 0o644); err != nil {
		return err
	}
	for name, text := range m.image().Keys {
		if err := m.put(ctx, path.Join(keysPath, name), text, 0o600); err != nil {
			return err
		}
	}
	return m.put(ctx, cablePath, program, 0o755)
}

// keysPath is where a container has the keys it is given: vmconfigs/modules/e2e-guest
// looks there.
const keysPath = "/usr/lib/offload-e2e"

// The guest's own sshd for the harness waits for a cable that containers have not;
// each connection has one of its own here.
const (
	noSSHDPath = "/usr/lib/systemd/system/offload-e2e-sshd.service.d/container.conf"
	noSSHD     = "[Unit]\nConditionVirtualization=!container\n"
)

// put writes a file into the container, which need not run.
func (m *Machine) put(ctx context.Context, path string, content []byte, mode int64) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	var errs []error
	for i, c := range path {
		if c == '/' && i > 0 {
			errs = append(errs, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path[1 : i+1], Mode: 0o755}))
		}
	}
	errs = append(errs, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(path, "/"), Mode: mode, Size: int64(len(content))}))
	_, err := w.Write(content)
	if err := errors.Join(append(errs, err, w.Close())...); err != nil {
		return fmt.Errorf("copy %s into the container: %w", path, err)
	}
	_, err = m.lab.engine.api.CopyToContainer(ctx, m.container(), client.CopyToContainerOptions{DestinationPath: "/", Content: &archive})
	if err != nil {
		return fmt.Errorf("copy %s into the container: %w", path, err)
	}
	return nil
}

// machineID is a fixed machine-id(5) for a machine.
func machineID(name string) string {
	return (hex.EncodeToString([]byte("e2e"+name)) + strings.Repeat("0", 32))[:32]
}

// booted succeeds once systemd has started what it starts, or, where
// one of its units takes its time, when $1 seconds have gone by (systemctl(1),
// is-system-running --wait).
const booted = `systemctl is-active --quiet basic.target && { timeout "$1" systemctl is-system-running --wait >/dev/null; true; }`

// waitReady waits until the machine has booted: a configuration that is switched to
// before would not know what runs.
func (m *Machine) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bootTimeout, fmt.Errorf("not up within %s", bootTimeout))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		attempt, stop := context.WithTimeout(ctx, settleTimeout+10*time.Second)
		result, err := m.transport.Exec(attempt, provider.Cmd("sh", "-c", booted, "booted", strconv.Itoa(int(settleTimeout.Seconds()))))
		stop()
		if err == nil && result.OK() {
			return m.plugged()
		}
		if !m.Running() {
			return fmt.Errorf("it ended while booting: %w\n%s", provider.ErrOff, m.lastLines(ctx))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w; last attempt: %q, %w\n%s", context.Cause(ctx), result.Text(), err, m.lastLines(context.WithoutCancel(ctx)))
		}
	}
}

// lastLines are the console's.
func (m *Machine) lastLines(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	logs, err := m.lab.engine.api.ContainerLogs(ctx, m.container(), client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "12"})
	if err != nil {
		return err.Error()
	}
	defer logs.Close()
	text, _ := io.ReadAll(logs)
	return strings.TrimSpace(string(text))
}
