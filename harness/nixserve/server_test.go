package nixserve_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nix-community/go-nix/pkg/narinfo/signature"

	"offload-e2e/harness/nixserve"
	"offload-e2e/harness/nixserve/daemon"
	"offload-e2e/harness/nixserve/daemon/daemontest"
)

const zeros = "00000000000000000000000000000000"

// sparse makes a store with one path, a file of size zeros of which the disk
// holds none, and options to serve it from a fake daemon.
func sparse(t testing.TB, size int64) (nixserve.Options, *daemontest.Daemon) {
	t.Helper()
	dir := t.TempDir()
	path := dir + "/" + zeros + "-sparse"
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(nil) // not its hash; nobody here looks
	const frame = 112         // what a NAR has around one file, whose size is a multiple of 8
	d := &daemontest.Daemon{Paths: []daemon.PathInfo{{Path: path, NarHash: sum[:], NarSize: uint64(size) + frame}}}
	client := d.Client(t)
	client.StoreDir = dir
	return nixserve.Options{StoreDir: dir, Daemon: client}, d
}

func TestDaemonThatFails(t *testing.T) {
	tests := map[string]struct {
		at   func(daemontest.Stage, net.Conn) []byte
		dial error
		says string
	}{
		"socket denied": {dial: errors.New("address family not supported by protocol"), says: "address family"},
		"refuses":       {at: func(_ daemontest.Stage, c net.Conn) []byte { c.Close(); return nil }, says: "allowed-users"},
		"reports": {at: func(s daemontest.Stage, _ net.Conn) []byte {
			if s == daemontest.HashPart {
				return daemontest.Fail("database is locked")
			}
			return nil
		}, says: "database is locked"},
		"stalls": {at: func(s daemontest.Stage, c net.Conn) []byte {
			if s == daemontest.Info {
				_, _ = io.Copy(io.Discard, c)
			}
			return nil
		}, says: "no answer in time"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			opts, d := sparse(t, 1024)
			d.At = tt.at
			opts.Daemon.Timeout = 100 * time.Millisecond
			if tt.dial != nil {
				opts.Daemon.Dial = func(context.Context) (net.Conn, error) { return nil, tt.dial }
			}
			url, log := serve(t, opts)
			if resp, _ := get(t, url+"/nix-cache-info"); resp.StatusCode != 200 {
				t.Errorf("nix-cache-info: status %d", resp.StatusCode)
			}
			for _, at := range []string{"/" + zeros + ".narinfo", "/nar/" + zeros + ".nar"} {
				if resp, body := get(t, url+at); resp.StatusCode != 500 || string(body) != "Internal Server Error" {
					t.Errorf("%s: status %d, %q", at, resp.StatusCode, body)
				}
			}
			if n := strings.Count(log.String(), tt.says); n != 2 {
				t.Errorf("the log says %q %d times, not twice:\n%s", tt.says, n, log)
			}
		})
	}
}

// A path is collected between the two questions about it.
func TestPathCollectedBetweenQuestions(t *testing.T) {
	opts, d := sparse(t, 1024)
	d.At = func(s daemontest.Stage, _ net.Conn) []byte {
		if s == daemontest.Info {
			return daemontest.Numbers(0x616c7473, 0)
		}
		return nil
	}
	url, _ := serve(t, opts)
	for _, at := range []string{"/" + zeros + ".narinfo", "/nar/" + zeros + ".nar"} {
		if resp, body := get(t, url+at); resp.StatusCode != 404 || string(body) != "No such path.\n" {
			t.Errorf("%s: status %d, %q", at, resp.StatusCode, body)
		}
	}
}

// A key that is none: nix-serve starts, and fails to sign.
func TestKeyThatIsNone(t *testing.T) {
	for name, key := range map[string]string{
		"no name": ":" + strings.Repeat("A", 88), "no base64": "cache.local:***", "public": "cache.local:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "blank": "\n",
	} {
		opts, _ := sparse(t, 1024)
		opts.SecretKey = key
		url, log := serve(t, opts)
		if resp, _ := get(t, url+"/nix-cache-info"); resp.StatusCode != 200 {
			t.Errorf("%s: nix-cache-info: status %d", name, resp.StatusCode)
		}
		if resp, _ := get(t, url+"/"+zeros+".narinfo"); resp.StatusCode != 500 {
			t.Errorf("%s: narinfo: status %d", name, resp.StatusCode)
		}
		if strings.Count(log.String(), "NIX_SECRET_KEY_FILE") != 2 {
			t.Errorf("%s: log:\n%s", name, log)
		}
	}
}

func TestSignature(t *testing.T) {
	secret, public, err := signature.GenerateKeypair("cache.local", nil)
	if err != nil {
		t.Fatal(err)
	}
	info := &daemon.PathInfo{Path: "/nix/store/" + zeros + "-a", NarHash: bytes.Repeat([]byte{1}, 32), NarSize: 120,
		References: []string{"/nix/store/" + zeros + "-b", "/nix/store/" + zeros + "-a"}, Signatures: []string{"other:AAAA"}}
	text, err := nixserve.Render(info, zeros, &secret)
	if err != nil {
		t.Fatal(err)
	}
	values, _ := fields(t, text)
	sig, err := signature.ParseSignature(values["Sig"])
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := "1;/nix/store/" + zeros + "-a;" + values["NarHash"] + ";120;/nix/store/" + zeros + "-a,/nix/store/" + zeros + "-b"
	if !public.Verify(fingerprint, sig) {
		t.Errorf("the signature is not of %s", fingerprint)
	}
}

func TestAnyMethodAndHead(t *testing.T) {
	opts, _ := sparse(t, 1<<20)
	url, log := serve(t, opts)
	for at, length := range map[string]int64{"/" + zeros + ".narinfo": 300, "/nar/" + zeros + ".nar": 1<<20 + 112, "/nix-cache-info": 40} {
		resp, err := http.Head(url + at)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || resp.ContentLength < length/2 {
			t.Errorf("HEAD %s: status %d, length %d", at, resp.StatusCode, resp.ContentLength)
		}
	}
	resp, err := http.Post(url+"/nix-cache-info", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("POST: status %d; nix-serve does not look at the method", resp.StatusCode)
	}
	if a := lastAccess(t, log, "/nar/"+zeros+".nar"); a.Method != "HEAD" || a.Bytes != 0 || a.Aborted {
		t.Errorf("HEAD of a NAR is logged as %v", a)
	}
}

// A client that stops reading is cut off, and says so in the log.
func TestClientThatStopsReading(t *testing.T) {
	opts, _ := sparse(t, 1<<30)
	opts.Stall = 200 * time.Millisecond
	url, log := serve(t, opts)
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /nar/%s.nar HTTP/1.1\r\nHost: x\r\n\r\n", zeros)
	wait(t, "the cut", func() bool { return lastAccess(t, log, "/nar/"+zeros+".nar").Aborted })
	if a := lastAccess(t, log, "/nar/"+zeros+".nar"); a.Bytes >= 1<<30 || a.Status != 200 {
		t.Errorf("logged as %v", a)
	}
}

func TestClientThatSaysNothing(t *testing.T) {
	opts, _ := sparse(t, 1024)
	opts.Stall = 100 * time.Millisecond
	url, _ := serve(t, opts)
	for name, says := range map[string]string{"nothing": "", "half a header": "GET / HTTP/1.1\r\nHo"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, says)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("%s: the connection is held: %v", name, err)
		}
		conn.Close()
	}
}

// A slow client that does read is not cut, however long the whole takes.
func TestClientThatIsSlow(t *testing.T) {
	opts, _ := sparse(t, 24<<20)
	opts.Stall = 300 * time.Millisecond
	opts.Daemon.Timeout = 300 * time.Millisecond
	url, _ := serve(t, opts)
	resp, err := http.Get(url + "/nar/" + zeros + ".nar")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	start := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var total int64
	for err == nil {
		<-tick.C
		var n int64
		n, err = io.CopyN(io.Discard, resp.Body, 256<<10)
		total += n
	}
	if !errors.Is(err, io.EOF) || total != resp.ContentLength || time.Since(start) < 3*opts.Stall {
		t.Errorf("%d of %d bytes in %s: %v", total, resp.ContentLength, time.Since(start), err)
	}
}

func TestWorkersBoundConnections(t *testing.T) {
	opts, d := sparse(t, 1024)
	opts.Workers = 2
	var open, most atomic.Int32
	release := make(chan struct{})
	d.At = func(s daemontest.Stage, _ net.Conn) []byte {
		if s == daemontest.HashPart {
			n := open.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-release
			open.Add(-1)
		}
		return nil
	}
	url, _ := serve(t, opts)
	results := make(chan int, 8)
	for range 8 {
		go func() {
			resp, err := http.Get(url + "/" + zeros + ".narinfo")
			if err != nil {
				results <- 0
				return
			}
			resp.Body.Close()
			results <- resp.StatusCode
		}()
	}
	wait(t, "two questions", func() bool { return open.Load() == 2 })
	close(release)
	for range 8 {
		if status := <-results; status != 200 {
			t.Errorf("status %d", status)
		}
	}
	if most.Load() > 2 {
		t.Errorf("%d connections to the daemon at a time, want 2", most.Load())
	}
}

// Stopping lets an answer end, and takes no new ones.
func TestStopsGracefully(t *testing.T) {
	opts, d := sparse(t, 1024)
	asked, release := make(chan struct{}), make(chan struct{})
	d.At = func(s daemontest.Stage, _ net.Conn) []byte {
		if s == daemontest.HashPart {
			close(asked)
			<-release
		}
		return nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- nixserve.New(opts).Serve(ctx, l) }()
	status := make(chan int, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String() + "/" + zeros + ".narinfo")
		if err != nil {
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-asked
	stop()
	wait(t, "the listener to close", func() bool {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	close(release)
	if got := <-status; got != 200 {
		t.Errorf("the running answer ended with status %d", got)
	}
	if err := <-done; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestStopsInTime(t *testing.T) {
	opts, _ := sparse(t, 1<<30)
	opts.Grace = 50 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- nixserve.New(opts).Serve(ctx, l) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/nar/" + zeros + ".nar")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("serve: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a client that does not read keeps the server from stopping")
	}
}

// A NAR of 256 MiB passes through with next to nothing allocated.
func TestNARIsNotHeldInMemory(t *testing.T) {
	const size = 256 << 20
	opts, _ := sparse(t, size)
	url, _ := serve(t, opts)
	fetch(t, url) // warm
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fetch(t, url)
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 2<<20 {
		t.Errorf("%d bytes were allocated for a NAR of %d", allocated, size)
	}
}

func fetch(t testing.TB, url string) {
	t.Helper()
	resp, err := http.Get(url + "/nar/" + zeros + ".nar")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != resp.ContentLength {
		t.Fatalf("%d of %d bytes: %v", n, resp.ContentLength, err)
	}
}

// BenchmarkNAR shows that memory does not grow with a NAR, and the throughput.
func BenchmarkNAR(b *testing.B) {
	for _, size := range []int64{1 << 20, 64 << 20, 1 << 30} {
		b.Run(fmt.Sprintf("%dMiB", size>>20), func(b *testing.B) {
			opts, _ := sparse(b, size)
			url, _ := serve(b, opts)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				fetch(b, url)
			}
		})
	}
}
