package nixserve_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"offload-e2e/harness/internal/nixtest"
	"offload-e2e/harness/nixserve"
)

// What a server answers while its store changes under it, with a real daemon.
// The subtests share a store and damage it: order matters.
func TestStoreThatChanges(t *testing.T) {
	s := nixtest.New(t)
	f := &fixture{Store: s, keyFile: s.Root + "/secret", public: s.Root + "/public"}
	s.Run(t, "nix-store", "--generate-binary-cache-key", "cache.local", f.keyFile, f.public)
	s.StartDaemon(t)
	write(t, s.Root+"/world.nix", `
		let make = name: script: derivation {
			inherit name; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/usr/bin:/bin"; args = [ "-ec" script ];
		}; in {
			logged = make "logged" "echo a line in the log; echo x > $out";
			big = make "big" "head -c 3000000 /dev/zero > $out";
			shrunk = make "shrunk" "head -c 3000000 /dev/zero > $out";
			grown = make "grown" "echo grown > $out";
			lost = make "lost" "mkdir $out; echo x > $out/file";
		}`)
	path := func(attribute string) string {
		return s.Run(t, "nix-build", "--no-out-link", s.Root+"/world.nix", "-A", attribute)
	}
	url, log := serve(t, f.options(t))
	narOf := func(t *testing.T, path string) string {
		t.Helper()
		resp, body := get(t, url+"/"+hashPart(path)+".narinfo")
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("narinfo of %s: status %d", path, resp.StatusCode)
		}
		values, _ := fields(t, string(body))
		return url + "/" + values["URL"]
	}
	rewrite := func(t *testing.T, path string, change func([]byte) []byte) {
		t.Helper()
		content, err := os.ReadFile(path)
		if err == nil {
			err = os.Chmod(path, 0o644)
		}
		if err == nil {
			err = os.WriteFile(path, change(content), 0o444)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	public, err := os.ReadFile(f.public)
	if err != nil {
		t.Fatal(err)
	}
	// substitute copies from the server into another store, checking signatures.
	substitute := func(t *testing.T, key, path string) (string, error) {
		_, stderr, err := s.Try(t, "nix", "copy", "--from", url, "--to", "local?root="+s.Dir(t),
			"--option", "trusted-public-keys", key, "--option", "narinfo-cache-positive-ttl", "0", path)
		return stderr, err
	}

	t.Run("cache info", func(t *testing.T) {
		resp, body := get(t, url+"/nix-cache-info")
		want := "StoreDir: " + s.StoreDir + "\nWantMassQuery: 1\nPriority: 30\n"
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain" || string(body) != want {
			t.Errorf("status %d, type %q, %q", resp.StatusCode, resp.Header.Get("Content-Type"), body)
		}
	})

	t.Run("nix substitutes a path that the trusted key signs", func(t *testing.T) {
		if stderr, err := substitute(t, string(public), path("logged")); err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
	})

	t.Run("nix refuses it when it trusts another key", func(t *testing.T) {
		other := s.Root + "/other"
		s.Run(t, "nix-store", "--generate-binary-cache-key", "cache.local", other, other+".pub")
		key, err := os.ReadFile(other + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		stderr, err := substitute(t, string(key), path("logged"))
		if err == nil || !strings.Contains(stderr, "signature") {
			t.Errorf("error %v\n%s", err, stderr)
		}
	})

	t.Run("without a key the store's signatures pass through", func(t *testing.T) {
		opts := f.options(t)
		opts.SecretKey = ""
		url, _ := serve(t, opts)
		_, before := get(t, url+"/"+hashPart(path("logged"))+".narinfo")
		if strings.Contains(string(before), "Sig:") {
			t.Fatalf("a path that nobody signed has a signature:\n%s", before)
		}
		for _, name := range []string{"first", "second"} {
			s.Run(t, "nix-store", "--generate-binary-cache-key", name, s.Root+"/"+name, s.Root+"/"+name+".pub")
			s.Run(t, "nix", "store", "sign", "--key-file", s.Root+"/"+name, path("logged"))
		}
		_, after := get(t, url+"/"+hashPart(path("logged"))+".narinfo")
		sigs, _ := fields(t, string(after))
		if n := strings.Count(sigs["Sig"], "\n") + 1; n != 2 || !strings.Contains(sigs["Sig"], "first:") || !strings.Contains(sigs["Sig"], "second:") {
			t.Errorf("signatures %q", sigs["Sig"])
		}
		// A server with a key gives its own alone.
		withKey, err := os.ReadFile(f.keyFile)
		if err != nil {
			t.Fatal(err)
		}
		opts.SecretKey = string(withKey)
		url, _ = serve(t, opts)
		_, own := get(t, url+"/"+hashPart(path("logged"))+".narinfo")
		if values, _ := fields(t, string(own)); !strings.HasPrefix(values["Sig"], "cache.local:") || strings.Contains(values["Sig"], "\n") {
			t.Errorf("signatures %q, want the server's alone", values["Sig"])
		}
	})

	t.Run("build logs", func(t *testing.T) {
		drv := s.Run(t, "nix-instantiate", s.Root+"/world.nix", "-A", "logged")
		for _, of := range []string{drv, path("logged")} {
			resp, body := get(t, url+"/log/"+strings.TrimPrefix(of, s.StoreDir+"/"))
			if resp.StatusCode != 200 || string(body) != "a line in the log\n" {
				t.Errorf("%s: status %d, %q", of, resp.StatusCode, body)
			}
		}
		resp, body := get(t, url+"/log/"+strings.Repeat("0", 32)+"-nothing.drv")
		if resp.StatusCode != 200 || len(body) != 0 {
			t.Errorf("log of nothing: status %d, %q; nix-serve gives an empty 200", resp.StatusCode, body)
		}
	})

	t.Run("a flipped byte is sent as it is, and nix sees it", func(t *testing.T) {
		p := path("big")
		nar := narOf(t, p)
		_, before := get(t, nar)
		rewrite(t, p, func(b []byte) []byte { b[1500000] ^= 1; return b })
		resp, after := get(t, nar)
		if resp.StatusCode != 200 || len(after) != len(before) || bytes.Equal(before, after) {
			t.Errorf("status %d, %d bytes of %d, equal %t", resp.StatusCode, len(after), len(before), bytes.Equal(before, after))
		}
		if stderr, err := substitute(t, string(public), p); err == nil || !strings.Contains(stderr, "hash mismatch") {
			t.Errorf("nix: %v\n%s", err, stderr)
		}
	})

	for _, left := range []int{1000000, 10} {
		t.Run(fmt.Sprintf("a file that lost all but %d bytes cuts the connection", left), func(t *testing.T) {
			p := path("shrunk")
			nar := narOf(t, p)
			rewrite(t, p, func(b []byte) []byte { return b[:left] })
			resp, err := http.Get(nar)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			n, err := io.Copy(io.Discard, resp.Body)
			if resp.StatusCode != 200 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("status %d, %d bytes, error %v", resp.StatusCode, n, err)
			}
			wait(t, "the cut in the log", func() bool {
				return strings.Contains(log.String(), "smaller than") && lastAccess(t, log, nar).Aborted
			})
		})
	}

	t.Run("a file that gained bytes sends no more than was announced", func(t *testing.T) {
		p := path("grown")
		nar := narOf(t, p)
		_, before := get(t, nar)
		rewrite(t, p, func(b []byte) []byte { return bytes.Repeat(b, 1000) })
		resp, after := get(t, nar)
		if resp.StatusCode != 200 || len(after) != len(before) || bytes.Equal(before, after) {
			t.Errorf("status %d, %d bytes of %d", resp.StatusCode, len(after), len(before))
		}
	})

	t.Run("files that are gone while the database has them", func(t *testing.T) {
		p := path("lost")
		nar := narOf(t, p)
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(p); err != nil {
			t.Fatal(err)
		}
		if resp, body := get(t, nar); resp.StatusCode != 404 || string(body) != "No such path.\n" {
			t.Errorf("status %d, %q", resp.StatusCode, body)
		}
	})

	t.Run("hashes the store refuses or has not", func(t *testing.T) {
		for at, want := range map[string]int{
			"/" + strings.Repeat("0", 32) + ".narinfo": 404,
			"/abc.narinfo": 500, // the daemon's words: "invalid hash part"
			"/nar/" + strings.Repeat("0", 32) + "-" + strings.Repeat("0", 52) + ".nar":  404,
			"/nar/" + hashPart(path("logged")) + "-" + strings.Repeat("0", 52) + ".nar": 404,
			"/nar/" + hashPart(path("logged")) + ".nar.xz":                              404,
			"/": 404,
		} {
			if resp, body := get(t, url+at); resp.StatusCode != want {
				t.Errorf("%s: status %d, want %d: %s", at, resp.StatusCode, want, body)
			}
		}
	})

	t.Run("a path collected after its narinfo", func(t *testing.T) {
		p := path("logged")
		nar := narOf(t, p)
		s.Run(t, "nix-store", "--delete", p)
		if resp, body := get(t, nar); resp.StatusCode != 404 || string(body) != "No such path.\n" {
			t.Errorf("NAR: status %d, %q", resp.StatusCode, body)
		}
		if resp, _ := get(t, url+"/"+hashPart(p)+".narinfo"); resp.StatusCode != 404 {
			t.Errorf("narinfo: status %d", resp.StatusCode)
		}
	})

	accesses, err := nixserve.ParseAccessLog(strings.NewReader(log.String()))
	if err != nil || len(accesses) < 20 {
		t.Errorf("%d requests in the log, error %v", len(accesses), err)
	}
}
