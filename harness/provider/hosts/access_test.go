package hosts_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"offload-e2e/harness/provider"
	"offload-e2e/harness/provider/conformance"
	"offload-e2e/harness/provider/hosts"
)

// wantAccess compares an error with what it has to tell.
func wantAccess(t *testing.T, err error, machine, what, wayOut string) {
	t.Helper()
	var access *hosts.AccessError
	if !errors.As(err, &access) {
		t.Fatalf("no AccessError: %v", err)
	}
	if access.Machine != machine || !strings.Contains(access.Error(), what) || !strings.Contains(access.WayOut, wayOut) {
		t.Errorf("of the %s: %q, way out %q; want %q, %q", access.Machine, access, access.WayOut, what, wayOut)
	}
}

// keyFile writes a private key, and gives its public half.
func keyFile(t *testing.T, passphrase string) (string, ssh.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, signer.PublicKey(), private
}

// Whoever cannot be entered is told of with a way in, before anything is tried.
func TestNoAccess(t *testing.T) {
	key, public, _ := keyFile(t, "")
	locked, _, _ := keyFile(t, "secret")
	t.Setenv("SSH_AUTH_SOCK", "")
	// Nobody listens there: it was just closed.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	_ = listener.Close()
	_, port, _ := net.SplitHostPort(closed)
	known := filepath.Join(t.TempDir(), "known")
	line := "[127.0.0.1]:" + port + " " + string(ssh.MarshalAuthorizedKey(public))
	if err := os.WriteFile(known, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	here := "ssh://root@127.0.0.1:" + port
	for name, c := range map[string]struct {
		host         hosts.Host
		what, wayOut string
	}{
		"no destination":      {hosts.Host{SSH: "-oProxyCommand=touch /tmp/x"}, "ssh does not understand", "root@192.168.15.7"},
		"nobody but root":     {hosts.Host{SSH: "cypher@127.0.0.1"}, "is entered as cypher", "root@127.0.0.1"},
		"an unknown host key": {hosts.Host{SSH: "root@127.0.0.1", Identity: key, KnownHosts: filepath.Join(t.TempDir(), "none")}, "no host key that is known", "ssh root@127.0.0.1"},
		"no key at all":       {hosts.Host{SSH: here, Identity: filepath.Join(t.TempDir(), "none"), KnownHosts: known}, "there is no key here", "ssh-keygen"},
		"a locked key":        {hosts.Host{SSH: here, Identity: locked, KnownHosts: known}, "passphrase", "ssh-add " + locked},
		"nobody answers":      {hosts.Host{SSH: here, Identity: key, KnownHosts: known}, "cannot be entered at " + closed, "ssh " + here},
	} {
		t.Run(name, func(t *testing.T) {
			p := hosts.New(map[string]hosts.Host{conformance.Desktop: c.host})
			_, err := p.Create(t.Context(), conformance.Request(t.TempDir()))
			wantAccess(t, err, conformance.Desktop, c.what, c.wayOut)
		})
	}
}

// A key with a passphrase is taken from the agent, and no other one of the agent's,
// where a file is named.
func TestAgent(t *testing.T) {
	locked, public, private := keyFile(t, "secret")
	_, _, other := keyFile(t, "")
	keyring := agent.NewKeyring()
	if err := errors.Join(keyring.Add(agent.AddedKey{PrivateKey: other}), keyring.Add(agent.AddedKey{PrivateKey: private})); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", socket)
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
			go func() { _ = agent.ServeAgent(keyring, c) }()
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", socket)
	offered, err := hosts.Offered(t.Context(), hosts.Host{SSH: "root@127.0.0.1", Identity: locked})
	if err != nil || len(offered) != 1 || string(offered[0].Marshal()) != string(public.Marshal()) {
		t.Errorf("%d keys are offered: %v", len(offered), err)
	}
}

var _ provider.Provider = (*hosts.Provider)(nil)
