package internet_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/nix-community/go-nix/pkg/narinfo"
	"github.com/nix-community/go-nix/pkg/narinfo/signature"
	"github.com/ulikunitz/xz"

	"offload-e2e/harness/internet"
	"offload-e2e/harness/nixserve"
	"offload-e2e/harness/nixserve/nar"
)

func newServer(t testing.TB, opts internet.Options) *internet.Server {
	t.Helper()
	s, err := internet.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start serves over TLS on loopback and returns the port's address.
func start(t testing.TB, s *internet.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// client finds every name at the server, and trusts its authority alone.
func client(t testing.TB, s *internet.Server, address string) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CACertPEM())
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections) // before the server waits for them
	return &http.Client{Timeout: 30 * time.Second, Transport: transport}
}

func get(t testing.TB, c *http.Client, url string) (*http.Response, []byte) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

var tree = fstest.MapFS{"d/b": {Data: []byte("b\n"), Mode: 0o644}}

// What Nix 2.26 computes for builtins.toFile and builtins.path.
func TestStorePathsAreNixs(t *testing.T) {
	s := newServer(t, internet.Options{})
	hello, err := s.AddText("internet-hello", "hello\n")
	if want := "/nix/store/4spk9hysiznsxl81hg3vcx3jjhsc90ad-internet-hello"; err != nil || hello != want {
		t.Errorf("text: %s, %v, want %s", hello, err, want)
	}
	ref, err := s.AddText("internet-ref", "see "+hello+"\n", hello)
	if want := "/nix/store/3y831fjy4bsflyfcgkr8vdly7g42mlh5-internet-ref"; err != nil || ref != want {
		t.Errorf("text with a reference: %s, %v, want %s", ref, err, want)
	}
	source, err := s.AddTree("internet-tree", tree)
	if want := "/nix/store/7h8mxa92xm7f33fsb92nkb8a2rp29ci0-internet-tree"; err != nil || source != want {
		t.Errorf("tree: %s, %v, want %s", source, err, want)
	}
	if got := s.Paths(); len(got) != 3 {
		t.Errorf("paths %v", got)
	}
}

func TestServesSignedPaths(t *testing.T) {
	for _, compression := range []internet.Compression{internet.XZ, internet.None} {
		for _, dir := range []string{"", t.TempDir()} {
			t.Run(fmt.Sprintf("%s, on disk %t", compression, dir != ""), func(t *testing.T) {
				s := newServer(t, internet.Options{Compression: compression, Dir: dir, ContentAddressed: true})
				hello, err := s.AddText("hello", "hello\n")
				if err != nil {
					t.Fatal(err)
				}
				path, err := s.AddTree("tree", tree, hello)
				if err != nil {
					t.Fatal(err)
				}
				c := client(t, s, start(t, s))
				resp, body := get(t, c, "https://cache.nixos.org/nix-cache-info")
				if want := "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 40\n"; resp.StatusCode != 200 || string(body) != want {
					t.Errorf("status %d, %q", resp.StatusCode, body)
				}
				resp, body = get(t, c, "https://cache.nixos.org/"+filepath.Base(path)[:32]+".narinfo")
				if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/x-nix-narinfo" || resp.ProtoMajor != 2 {
					t.Fatalf("%s: status %d, type %q", resp.Proto, resp.StatusCode, resp.Header.Get("Content-Type"))
				}
				info, err := narinfo.Parse(bytes.NewReader(body))
				if err == nil {
					err = info.Check()
				}
				if err != nil {
					t.Fatalf("narinfo: %v\n%s", err, body)
				}
				key, err := signature.ParsePublicKey(s.PublicKey())
				if err != nil || key.Name != "cache.nixos.org-1" || !signature.VerifyFirst(info.Fingerprint(), info.Signatures, []signature.PublicKey{key}) {
					t.Errorf("key %s, %v does not verify\n%s", s.PublicKey(), err, body)
				}
				if info.StorePath != path || len(info.References) != 1 || "/nix/store/"+info.References[0] != hello || !strings.HasPrefix(info.CA, "fixed:r:sha256:") {
					t.Errorf("narinfo:\n%s", body)
				}
				_, file := get(t, c, "https://cache.nixos.org/"+info.URL)
				if uint64(len(file)) != info.FileSize {
					t.Errorf("the file has %d bytes, its narinfo says %d", len(file), info.FileSize)
				}
				got := file
				if compression == internet.XZ {
					r, err := xz.NewReader(bytes.NewReader(file))
					if err != nil {
						t.Fatal(err)
					}
					if got, err = io.ReadAll(r); err != nil {
						t.Fatal(err)
					}
				}
				var want bytes.Buffer
				if err := nar.DumpFS(t.Context(), &want, tree, "."); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want.Bytes()) || uint64(len(got)) != info.NarSize {
					t.Errorf("the NAR has %d bytes, want %d", len(got), want.Len())
				}
				if resp, _ := get(t, c, "https://cache.nixos.org/"+strings.Repeat("0", 32)+".narinfo"); resp.StatusCode != 404 {
					t.Errorf("a path that is not there: status %d", resp.StatusCode)
				}
				checkAccesses(t, s, path, int64(len(file)))
			})
		}
	}
}

func checkAccesses(t *testing.T, s *internet.Server, path string, size int64) {
	t.Helper()
	want := []struct {
		resource nixserve.Resource
		path     string
		status   int
	}{{nixserve.CacheInfo, "", 200}, {nixserve.NarInfo, path, 200}, {nixserve.NAR, path, 200}, {nixserve.NarInfo, "", 404}}
	var got []internet.Access
	// A request is recorded after its answer is read.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); len(got) < len(want) && time.Now().Before(deadline); <-tick.C {
		got = s.Accesses()
	}
	if len(got) != len(want) {
		t.Fatalf("%d requests: %v", len(got), got)
	}
	for i, a := range got {
		resource, path := s.Requested(a)
		if resource != want[i].resource || path != want[i].path || a.Status != want[i].status || a.Client != "127.0.0.1" || a.Method != "GET" {
			t.Errorf("request %d is %s of %q: %v", i, resource, path, a)
		}
	}
	if got[2].Bytes != size {
		t.Errorf("%d bytes of a file of %d", got[2].Bytes, size)
	}
}

func TestAnswers(t *testing.T) {
	s := newServer(t, internet.Options{Names: []string{internet.Host, "127.0.0.1"}})
	path, err := s.AddText("text", strings.Repeat("text ", 10000))
	if err != nil {
		t.Fatal(err)
	}
	address := start(t, s)
	c := client(t, s, address)
	if resp, _ := get(t, c, "https://"+address+"/nix-cache-info"); resp.StatusCode != 200 {
		t.Errorf("by address: status %d", resp.StatusCode)
	}
	if resp, err := c.Get("https://example.com/nix-cache-info"); err == nil {
		resp.Body.Close()
		t.Error("the certificate is taken for another name")
	}
	resp, err := c.Post("https://cache.nixos.org/nix-cache-info", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 405 {
		t.Errorf("POST: status %d", resp.StatusCode)
	}
	_, body := get(t, c, "https://cache.nixos.org/"+filepath.Base(path)[:32]+".narinfo")
	info, err := narinfo.Parse(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if info.CA != "" {
		t.Errorf("the content address is told, and nobody asked for that:\n%s", body)
	}
	url := "https://cache.nixos.org/" + info.URL
	_, whole := get(t, c, url)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=10-")
	resp, err = c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	rest, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 206 || !bytes.Equal(rest, whole[10:]) {
		t.Errorf("resumed: status %d, %d bytes of %d, %v", resp.StatusCode, len(rest), len(whole)-10, err)
	}
	for _, at := range []string{"/", "/nar/", "/.narinfo", "/nar/x.nar.xz", "/../etc/passwd"} {
		if resp, _ := get(t, c, "https://cache.nixos.org"+at); resp.StatusCode != 404 {
			t.Errorf("%s: status %d", at, resp.StatusCode)
		}
	}
}

func TestRefusesToAdd(t *testing.T) {
	s := newServer(t, internet.Options{})
	zeros := strings.Repeat("0", 32)
	content := internet.Bytes([]byte("nar"))
	tests := map[string]struct {
		path internet.Path
		says string
	}{
		"another store":     {internet.Path{StorePath: "/gnu/store/" + zeros + "-a", NAR: content}, "not in the store"},
		"no hash":           {internet.Path{StorePath: "/nix/store/a", NAR: content}, "no store path"},
		"letters not of it": {internet.Path{StorePath: "/nix/store/" + strings.Repeat("e", 32) + "-a", NAR: content}, "no store path"},
		"inside a path":     {internet.Path{StorePath: "/nix/store/" + zeros + "-a/b", NAR: content}, "no store path"},
		"no content":        {internet.Path{StorePath: "/nix/store/" + zeros + "-a"}, "no NAR"},
		"content missing":   {internet.Path{StorePath: "/nix/store/" + zeros + "-a", NAR: internet.File("/nonexistent")}, "no such file"},
		"open reference":    {internet.Path{StorePath: "/nix/store/" + zeros + "-a", NAR: content, References: []string{"/nix/store/" + zeros[1:] + "1-b"}}, "add that first"},
		"bad deriver":       {internet.Path{StorePath: "/nix/store/" + zeros + "-a", NAR: content, Deriver: "x.drv"}, "not in the store"},
	}
	for name, tt := range tests {
		if err := s.Add(tt.path); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
	if _, err := s.AddText(".hidden", ""); err == nil {
		t.Error("a name that begins with a dot is taken")
	}
	if _, err := s.AddTree("a b", tree); err == nil {
		t.Error("a name with a space is taken")
	}
	if got := s.Paths(); len(got) != 0 {
		t.Errorf("refused, and served: %v", got)
	}
	// A path may refer to itself, and be replaced.
	self := internet.Path{StorePath: "/nix/store/" + zeros + "-a", NAR: content, References: []string{"/nix/store/" + zeros + "-a"}}
	for range 2 {
		if err := s.Add(self); err != nil {
			t.Error(err)
		}
	}
	if _, err := internet.New(internet.Options{Compression: "zip"}); err == nil {
		t.Error("compression zip is taken")
	}
}

// Content that fails under way ends the connection, not the server.
func TestContentThatFailsUnderWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nar")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 100000), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s := newServer(t, internet.Options{Compression: internet.None, Log: &log})
	// Without Seek, as a pipe is.
	open := func() (io.ReadCloser, error) {
		f, err := os.Open(file)
		return struct{ io.ReadCloser }{f}, err
	}
	if err := s.Add(internet.Path{StorePath: "/nix/store/" + strings.Repeat("0", 32) + "-a", NAR: open}); err != nil {
		t.Fatal(err)
	}
	c := client(t, s, start(t, s))
	_, body := get(t, c, "https://cache.nixos.org/"+strings.Repeat("0", 32)+".narinfo")
	info, err := narinfo.Parse(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 5000); err != nil {
		t.Fatal(err)
	}
	resp, err := c.Get("https://cache.nixos.org/" + info.URL)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("half of the content is taken for whole")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if resp, _ := get(t, c, "https://cache.nixos.org/"+info.URL); resp.StatusCode != 500 {
		t.Errorf("content that is gone: status %d", resp.StatusCode)
	}
}

func TestIdentityOutlivesARun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "identity.pem")
	ids := make([]*internet.Identity, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			id, err := internet.LoadIdentity(file)
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, id := range ids {
		if id.PublicKey() != ids[0].PublicKey() || !bytes.Equal(id.CACertPEM(), ids[0].CACertPEM()) {
			t.Fatal("processes that begin at the same time have different identities")
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	// A guest that trusts it from before talks to a server of today.
	before := newServer(t, internet.Options{Identity: ids[0]})
	today, err := internet.LoadIdentity(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, internet.Options{Identity: today})
	if resp, _ := get(t, client(t, before, start(t, s)), "https://cache.nixos.org/nix-cache-info"); resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{"empty": nil, "cut": content[:len(content)/2], "no key": bytes.Replace(content, []byte("PRIVATE"), []byte("OTHER"), 2)} {
		if err := os.WriteFile(file, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := internet.LoadIdentity(file); err == nil || !strings.Contains(err.Error(), "remove the file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
