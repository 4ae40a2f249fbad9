package nixserve_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/internal/nixtest"
	"offload-e2e/harness/nixserve"
	"offload-e2e/harness/nixserve/daemon"
)

// world is what the comparing tests look at: an attribute a path, each with
// what a NAR can have and a store path can be.
const world = `
let
  make = attrs: derivation ({ system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/usr/bin:/bin"; } // attrs // {
    args = [ "-ec" attrs.script ];
  });
in rec {
  text = builtins.toFile "text" "a text, by builtins.toFile\n";
  textWithReference = builtins.toFile "text-with-reference" "see ${text}\n";
  source = builtins.path { path = ./source; name = "source"; };
  file = make { name = "file"; script = "echo a file > $out"; };
  empty = make { name = "empty"; script = ": > $out"; };
  executable = make { name = "executable"; script = "echo '#!/bin/sh' > $out; chmod +x $out"; };
  symlink = make { name = "symlink"; script = "ln -s ${file} $out"; };
  emptyDirectory = make { name = "empty-directory"; script = "mkdir $out"; };
  tree = make {
    name = "tree-1.0+b_c?d=e.f";
    script = ''
      mkdir -p $out/bin $out/empty $out/a $out/..data "$out/with space" $out/a/deeper/still
      echo x > $out/a/x; echo y > $out/a-b; echo z > $out/a.b; echo w > $out/a0; echo d > $out/..data/..more
      echo u > $out/ä; printf q > "$(printf '%s/latin-\344' $out)"; echo A > $out/A; echo s > "$out/with space/in  it"
      echo '#!/bin/sh' > $out/bin/run; chmod 755 $out/bin/run
      echo group > $out/group-may-run; chmod 654 $out/group-may-run
      ln -s run $out/bin/alias; ln -s /nowhere/at/all $out/dangling; ln -s . $out/dot
      for n in 0 1 7 8 9 63 64 65 4096; do head -c $n /dev/zero > $out/size-$n; done
      i=0; while [ $i -lt 300 ]; do echo $i > $out/a/deeper/still/$i; i=$((i+1)); done
    '';
  };
  references = make {
    name = "references";
    script = "mkdir $out; echo ${tree} ${text} > $out/others; echo $out > $out/self; ln -s ${large}/big $out/link";
  };
  twoOutputs = make { name = "two-outputs"; outputs = [ "out" "dev" ]; script = "echo lib > $out; echo $out > $dev"; };
  large = make { name = "large"; script = "mkdir $out; head -c 41943047 /dev/zero | tr '\\0' x > $out/big"; };
  fixed = make {
    name = "fixed"; script = "printf fixed > $out";
    outputHashAlgo = "sha256"; outputHashMode = "flat"; outputHash = builtins.hashString "sha256" "fixed";
  };
  floating = make {
    name = "floating"; script = "mkdir $out; echo ${text} > $out/text";
    __contentAddressed = true; outputHashAlgo = "sha256"; outputHashMode = "recursive";
  };
}`

type fixture struct {
	*nixtest.Store
	paths   map[string]string // attribute -> store path
	keyFile string
	public  string
}

// build makes the world in a store with a running daemon.
func build(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{Store: nixtest.New(t), paths: map[string]string{}}
	f.keyFile, f.public = f.Root+"/secret", f.Root+"/public"
	f.Run(t, "nix-store", "--generate-binary-cache-key", "cache.local", f.keyFile, f.public)
	dir := f.Root + "/world"
	for name, content := range map[string]string{"default.nix": world, "source/a/file": "from a source tree\n", "source/b": "b\n"} {
		write(t, filepath.Join(dir, name), content)
	}
	f.StartDaemon(t)
	for _, line := range strings.Split(f.Run(t, "nix", "eval", "--raw", "--impure", "--expr",
		"let w = import "+dir+"; in builtins.concatStringsSep \"\\n\" (map (n: n + \" \" + (w.${n}.drvPath or (toString w.${n}))) (builtins.attrNames w))"), "\n") {
		name, path, _ := strings.Cut(line, " ")
		if strings.HasSuffix(path, ".drv") {
			outputs := strings.Fields(f.Run(t, "nix-store", "--realise", path))
			path = outputs[0]
			for _, more := range outputs[1:] {
				f.paths[name+"."+more[strings.LastIndex(more, "-")+1:]] = more
			}
		}
		f.paths[name] = path
	}
	return f
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// serve starts a server on loopback and returns its URL and its log.
func serve(t testing.TB, opts nixserve.Options) (string, *syncBuffer) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &syncBuffer{}
	opts.Log = log
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- nixserve.New(opts).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if t.Failed() {
			t.Logf("server's log:\n%s", log)
		}
	})
	return "http://" + l.Addr().String(), log
}

func (f *fixture) options(t testing.TB) nixserve.Options {
	t.Helper()
	key, err := os.ReadFile(f.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return nixserve.Options{
		StoreDir: f.StoreDir, LogDir: f.Root + "/log", SecretKey: string(key),
		Daemon: &daemon.Client{Socket: f.Socket, StoreDir: f.StoreDir, Timeout: 20 * time.Second},
	}
}

func get(t testing.TB, url string) (*http.Response, []byte) {
	t.Helper()
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return resp, body
}

func hashPart(path string) string { return filepath.Base(path)[:32] }

// fields reads a narinfo; a field that comes twice keeps both values.
func fields(t testing.TB, text string) (map[string]string, []string) {
	t.Helper()
	values, order := map[string]string{}, []string{}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("narinfo line %q has no colon", line)
		}
		value = strings.TrimSpace(value)
		if before, twice := values[key]; twice {
			value = before + "\n" + value
		} else {
			order = append(order, key)
		}
		values[key] = value
	}
	return values, order
}

// What nix-serve says and what "nix copy" writes of the same closure, signed
// with the same key: one truth.
func TestSameAsNixCopy(t *testing.T) {
	f := build(t)
	cache := f.Root + "/cache"
	all := make([]string, 0, len(f.paths))
	for _, path := range f.paths {
		all = append(all, path)
	}
	f.Run(t, "nix", append([]string{"copy", "--to", "file://" + cache + "?compression=none&secret-key=" + f.keyFile}, all...)...)
	url, _ := serve(t, f.options(t))

	for name, path := range f.paths {
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(cache + "/" + hashPart(path) + ".narinfo")
			if err != nil {
				t.Fatal(err)
			}
			wantFields, _ := fields(t, string(want))
			resp, body := get(t, url+"/"+hashPart(path)+".narinfo")
			gotFields, order := fields(t, string(body))
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/x-nix-narinfo" || resp.ContentLength != int64(len(body)) {
				t.Errorf("status %d, type %q, length %d of %d", resp.StatusCode, resp.Header.Get("Content-Type"), resp.ContentLength, len(body))
			}
			for _, field := range []string{"StorePath", "Compression", "NarHash", "NarSize", "References", "Deriver", "Sig"} {
				if gotFields[field] != wantFields[field] {
					t.Errorf("%s: %q, nix copy has %q", field, gotFields[field], wantFields[field])
				}
			}
			if got := gotFields["URL"]; got != "nar/"+hashPart(path)+"-"+strings.TrimPrefix(gotFields["NarHash"], "sha256:")+".nar" {
				t.Errorf("URL: %q", got)
			}
			known := []string{"StorePath", "URL", "Compression", "NarHash", "NarSize", "References", "Deriver", "Sig"}
			if !slices.IsSortedFunc(order, func(a, b string) int { return slices.Index(known, a) - slices.Index(known, b) }) ||
				slices.ContainsFunc(order, func(s string) bool { return !slices.Contains(known, s) }) {
				t.Errorf("fields %v are not nix-serve's in its order", order)
			}
			wantNAR, err := os.ReadFile(cache + "/" + wantFields["URL"])
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []string{"/" + gotFields["URL"], "/nar/" + hashPart(path) + ".nar"} {
				resp, nar := get(t, url+at)
				if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain" || resp.ContentLength != int64(len(wantNAR)) {
					t.Errorf("%s: status %d, type %q, length %d", at, resp.StatusCode, resp.Header.Get("Content-Type"), resp.ContentLength)
				}
				if !bytes.Equal(nar, wantNAR) {
					t.Errorf("%s: NAR of %d bytes differs from nix copy's of %d", at, len(nar), len(wantNAR))
				}
			}
		})
	}

	// The table proves what it says only if the world has these cases.
	for attribute, want := range map[string]string{"references": "References", "tree": "Deriver", "floating": "References"} {
		narinfo, _ := os.ReadFile(cache + "/" + hashPart(f.paths[attribute]) + ".narinfo")
		if values, _ := fields(t, string(narinfo)); values[want] == "" {
			t.Errorf("%s has no %s: the fixture is not what it should be", attribute, want)
		}
	}
	if len(f.paths) < 15 {
		t.Errorf("only %d paths were compared", len(f.paths))
	}
}
