package lab

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/internal/machinetest"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixos/activate"
	"offload-e2e/harness/provider"
)

// bare is a provider that can do only what each has to.
type bare struct {
	machines []provider.Machine
	request  provider.Request
	failure  error // of Create
	closed   int
}

func (b *bare) Name() string                 { return "fake" }
func (b *bare) Machines() []provider.Machine { return b.machines }

func (b *bare) Create(_ context.Context, req provider.Request) ([]provider.Machine, error) {
	b.request = req
	return b.machines, b.failure
}

func (b *bare) Close(context.Context) error { b.closed++; return nil }

// able is a provider with all abilities.
type able struct {
	bare
	restored bool
	why      string
	keeps    error // what SaveState ends in
	kept     []string
	cuts     map[string]map[string]string // what the machines' nonce files held
	lose     bool                         // restoring brings back something else
}

func (a *able) Restored() (bool, string) { return a.restored, a.why }

func (a *able) SaveState(_ context.Context, dir string) error {
	a.kept = append(a.kept, dir)
	return a.keeps
}

func (a *able) Snapshot(_ context.Context, name string) error {
	cut := map[string]string{}
	for _, m := range a.machines {
		cut[m.Name()] = m.(*strong).Copied[nonceFile]
	}
	a.cuts = map[string]map[string]string{name: cut}
	return nil
}

func (a *able) Restore(_ context.Context, name string) error {
	for _, m := range a.machines {
		nonce := a.cuts[name][m.Name()]
		if a.lose && m.Name() == "laptop" {
			nonce = "of another life"
		}
		m.(*strong).Copied[nonceFile] = nonce
	}
	return nil
}

// strong is a machine with all abilities.
type strong struct {
	*machinetest.Machine
	mu             sync.Mutex
	clocks         []time.Time
	off, frozen    bool
	hard           []bool
	switches       activate.Result
	switchesStatus int
}

func (s *strong) SetClock(_ context.Context, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clocks = append(s.clocks, now)
	return nil
}

func (s *strong) PowerOff(_ context.Context, hard bool) error {
	s.off, s.hard = true, append(s.hard, hard)
	return nil
}
func (s *strong) PowerOn(context.Context) error { s.off = false; return nil }
func (s *strong) Running() bool                 { return !s.off }
func (s *strong) Freeze(context.Context) error  { s.frozen = true; return nil }
func (s *strong) Thaw(context.Context) error    { s.frozen = false; return nil }

func newStrong(t *testing.T, name string) *strong {
	s := &strong{Machine: machinetest.New(t, name)}
	s.On("ssh-keygen -A", machinetest.Out(""))
	s.On("sync", machinetest.Out(""))
	s.On("systemctl try-restart offload-e2e-sshd.service", machinetest.Out(""))
	s.On("modprobe --all --quiet nfsd nfsv4", machinetest.Said(1, ""))
	s.Does("cat "+nonceFile, func([]string) provider.Result { return machinetest.Out(s.Copied[nonceFile] + "\n") })
	s.Does(guestPrograms+"/switch-to-configuration switch", func([]string) provider.Result {
		text, err := json.Marshal(s.switches)
		if err != nil {
			t.Error(err)
		}
		return provider.Result{ExitStatus: s.switchesStatus, Stdout: text, Stderr: []byte("starting x.service\n")}
	})
	return s
}

// parts are what a lab is made of: a provider with two machines, an image that has
// only keys, programs, and folders of the test's own.
func parts(t *testing.T) (Options, *able) {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(dir, "image")
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(priv, "")
	must(t, err)
	host, err := ssh.NewPublicKey(pub)
	must(t, err)
	for path, text := range map[string][]byte{
		filepath.Join(image, guest.KeyName):                    pem.EncodeToMemory(block),
		filepath.Join(image, guest.HostKeyName):                ssh.MarshalAuthorizedKey(host),
		filepath.Join(dir, "programs/management-sshd"):         []byte("enters"),
		filepath.Join(dir, "programs/nix-serve"):               []byte("serves"),
		filepath.Join(dir, "programs/switch-to-configuration"): []byte("switches"),
		filepath.Join(dir, "nixpkgs/default.nix"):              []byte("{ }"),
	} {
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, text, 0o600))
	}
	// Short, for the sockets in it.
	state, err := os.MkdirTemp("", "lab-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(state)) })
	artifacts := filepath.Join(dir, "artifacts")
	must(t, os.Mkdir(artifacts, 0o755))
	p := &able{bare: bare{machines: []provider.Machine{newStrong(t, "desktop"), newStrong(t, "laptop")}}}
	return Options{
		Images: images(&guest.Image{Dir: image, Keys: image, Manifest: guest.Manifest{Kind: guest.Embedded, ID: "0123"}}), StateDir: state, ArtifactsDir: artifacts,
		CacheDir: filepath.Join(dir, "cache"), Programs: filepath.Join(dir, "programs"), Nixpkgs: filepath.Join(dir, "nixpkgs"),
		Base:     map[nixos.Role]*nixos.Configuration{nixos.Desktop: {HostName: "desktop"}, nixos.Laptop: {HostName: "kernelcore"}},
		Provider: fake, fake: p,
	}, p
}

// images are one for both machines.
func images(img *guest.Image) map[nixos.Role]*guest.Image {
	return map[nixos.Role]*guest.Image{nixos.Desktop: img, nixos.Laptop: img}
}

// up brings a lab up, and takes it down when the test ends.
func up(t *testing.T, o Options) *Lab {
	t.Helper()
	l, err := Up(t.Context(), o)
	must(t, err)
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var errBroken = errors.New("it broke")
