package hosts_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"

	"offload-e2e/harness/provider/conformance"
	"offload-e2e/harness/provider/conformance/containers"
	"offload-e2e/harness/provider/hosts"
)

// bed reaches containers as a user reaches machines: by ssh, at ports of loopback.
type bed struct {
	*containers.Bed
}

// lab is a lab whose machines run already; those named in silent have nobody at their
// port.
func (b bed) lab(t *testing.T, silent string) (*conformance.Lab, error) {
	t.Helper()
	made := b.Up(t)
	dir := t.TempDir()
	known, named := "", map[string]hosts.Host{}
	var forwards []*containers.Forward
	for name, dial := range made.Dial {
		if name == silent {
			dial = func(context.Context) (net.Conn, error) { return nil, os.ErrClosed }
		}
		f := containers.NewForward(t, dial)
		forwards = append(forwards, f)
		known += knownhosts.Line([]string{knownhosts.Normalize(f.Addr.String())}, b.HostKey) + "\n"
		named[name] = hosts.Host{SSH: fmt.Sprintf("ssh://root@127.0.0.1:%d", f.Addr.Port), Identity: b.KeyFile, KnownHosts: filepath.Join(dir, "known")}
	}
	if err := os.WriteFile(filepath.Join(dir, "known"), []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	p := hosts.New(named)
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	_, err := p.Create(t.Context(), conformance.Request(dir))
	return &conformance.Lab{Provider: p, Left: func(t *testing.T) []string {
		t.Helper()
		return goneSoon(t, forwards)
	}}, err
}

// goneSoon are connections that do not end when the provider hangs up.
func goneSoon(t *testing.T, forwards []*containers.Forward) (left []string) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		left = nil
		for _, f := range forwards {
			left = append(left, f.Left()...)
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline.Done():
			return left
		}
	}
}

func TestConformance(t *testing.T) {
	b := bed{containers.New(t)}
	conformance.Run(t, conformance.Bed{
		Boot: 2 * time.Minute,
		Up: func(t *testing.T) *conformance.Lab {
			l, err := b.lab(t, "")
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
		Fail: func(t *testing.T) (*conformance.Lab, error) { return b.lab(t, conformance.Laptop) },
	})
}

// One machine cannot be both.
func TestOneMachine(t *testing.T) {
	b := bed{containers.New(t)}
	made := b.Up(t)
	f := containers.NewForward(t, made.Dial[conformance.Desktop])
	known := filepath.Join(t.TempDir(), "known")
	if err := os.WriteFile(known, []byte(knownhosts.Line([]string{knownhosts.Normalize(f.Addr.String())}, b.HostKey)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := hosts.Host{SSH: fmt.Sprintf("ssh://root@127.0.0.1:%d", f.Addr.Port), Identity: b.KeyFile, KnownHosts: known}
	p := hosts.New(map[string]hosts.Host{conformance.Desktop: h, conformance.Laptop: h})
	_, err := p.Create(t.Context(), conformance.Request(t.TempDir()))
	wantAccess(t, err, conformance.Laptop, "same machine as the desktop", "two machines")
	if left := goneSoon(t, []*containers.Forward{f}); left != nil {
		t.Errorf("left behind: %v", left)
	}
}
