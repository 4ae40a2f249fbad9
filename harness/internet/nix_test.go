package internet_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"offload-e2e/harness/internal/nixtest"
	"offload-e2e/harness/internet"
	"offload-e2e/harness/nixserve"
)

// world is what a server has in the tests with a real Nix.
type world struct {
	*nixtest.Store
	server        *internet.Server
	https, http   string
	caFile        string
	hello, script string
}

func newWorld(t *testing.T, opts internet.Options) *world {
	t.Helper()
	w := &world{Store: nixtest.New(t)}
	opts.StoreDir, opts.Names = w.StoreDir, []string{internet.Host, "127.0.0.1"}
	w.server = newServer(t, opts)
	var err error
	if w.hello, err = w.server.AddText("internet-hello", "hello from the internet\n"); err != nil {
		t.Fatal(err)
	}
	tree := fstest.MapFS{
		"bin/run": {Data: []byte("#!/bin/sh\ncat " + w.hello + "\n"), Mode: 0o755},
		"share/x": {Data: []byte(strings.Repeat("x", 300000)), Mode: 0o644},
	}
	if w.script, err = w.server.AddTree("internet-script", tree, w.hello); err != nil {
		t.Fatal(err)
	}
	w.https = "https://" + start(t, w.server)
	w.http = "http://" + startPlain(t, w.server)
	w.caFile = w.Root + "/ca.pem"
	if err := os.WriteFile(w.caFile, w.server.CACertPEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	return w
}

func startPlain(t testing.TB, s *internet.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.ServePlain(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// copyFrom has Nix copy a path with its closure into an empty store, whose
// root it returns.
func (w *world) copyFrom(t *testing.T, url, caFile, key, path string) (root, stderr string, err error) {
	t.Helper()
	root = w.Dir(t)
	_, stderr, err = w.Try(t, "nix", "copy", "--from", url, "--to", "local?root="+root,
		"--option", "ssl-cert-file", caFile, "--option", "trusted-public-keys", key,
		"--option", "narinfo-cache-positive-ttl", "0", path)
	return root, stderr, err
}

// inRoot is where a store in a root has a path, whatever the path is called.
func inRoot(root, path string) string {
	return filepath.Join(root, "nix/store", filepath.Base(path))
}

func TestNixSubstitutes(t *testing.T) {
	for _, compression := range []internet.Compression{internet.XZ, internet.None} {
		w := newWorld(t, internet.Options{Compression: compression})
		for scheme, url := range map[string]string{"https": w.https, "http": w.http} {
			t.Run(string(compression)+" by "+scheme, func(t *testing.T) {
				before := len(w.server.Accesses())
				root, stderr, err := w.copyFrom(t, url, w.caFile, w.server.PublicKey(), w.script)
				if err != nil {
					t.Fatalf("%v\n%s", err, stderr)
				}
				got, err := os.ReadFile(inRoot(root, w.hello))
				if err != nil || string(got) != "hello from the internet\n" {
					t.Errorf("the reference: %q, %v", got, err)
				}
				info, err := os.Stat(inRoot(root, w.script) + "/bin/run")
				if err != nil || info.Mode()&0o111 == 0 {
					t.Errorf("the program: %v, %v", info, err)
				}
				w.Run(t, "nix", "store", "verify", "--store", "local?root="+root, "--all",
					"--option", "trusted-public-keys", w.server.PublicKey())
				nars := map[string]bool{}
				for _, a := range w.server.Accesses()[before:] {
					if resource, path := w.server.Requested(a); resource == nixserve.NAR && a.Status == 200 && !a.Aborted {
						nars[path] = true
					}
				}
				if len(nars) != 2 || !nars[w.hello] || !nars[w.script] {
					t.Errorf("the log has NARs of %v", nars)
				}
			})
		}
	}
}

func TestNixVerifiesTheSignature(t *testing.T) {
	w := newWorld(t, internet.Options{})
	other, err := internet.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	// The same name, other material: what a guest has that trusts the real one.
	_, stderr, err := w.copyFrom(t, w.https, w.caFile, other.PublicKey(), w.hello)
	if err == nil || !strings.Contains(stderr, "signature") {
		t.Errorf("a path signed by nobody trusted is taken: %v\n%s", err, stderr)
	}
}

// A configuration that trusts other keys takes what has a content address.
func TestContentAddressNeedsNoKey(t *testing.T) {
	w := newWorld(t, internet.Options{ContentAddressed: true})
	other, err := internet.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if _, stderr, err := w.copyFrom(t, w.https, w.caFile, other.PublicKey(), w.script); err != nil {
		t.Errorf("%v\n%s", err, stderr)
	}
}

func TestNixRefusesAnotherAuthority(t *testing.T) {
	w := newWorld(t, internet.Options{})
	other, err := internet.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	caFile := w.Root + "/other.pem"
	if err := os.WriteFile(caFile, other.CACertPEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	_, stderr, err := w.copyFrom(t, w.https, caFile, w.server.PublicKey(), w.hello)
	if err == nil || !strings.Contains(strings.ToLower(stderr), "certificate") {
		t.Errorf("%v\n%s", err, stderr)
	}
}

// The paths are those that the same expressions have in Nix: a guest that
// evaluates them finds them here.
func TestNixComputesTheSamePaths(t *testing.T) {
	w := newWorld(t, internet.Options{})
	got := w.Run(t, "nix", "eval", "--raw", "--impure", "--expr", `builtins.toFile "internet-hello" "hello from the internet\n"`)
	if got != w.hello {
		t.Errorf("nix has %s, the server %s", got, w.hello)
	}
	dir := w.Root + "/tree"
	for name, content := range map[string]string{"a": "a\n", "d/b": "b\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	added, err := w.server.AddTree("internet-tree", os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	got = w.Run(t, "nix", "eval", "--raw", "--impure", "--expr", `"${builtins.path { path = `+dir+`; name = "internet-tree"; }}"`)
	if got != added {
		t.Errorf("nix has %s, the server %s", got, added)
	}
}
