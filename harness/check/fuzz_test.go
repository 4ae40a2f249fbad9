package check

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"offload-e2e/harness/report"
)

func FuzzParseBuilders(f *testing.F) {
	for _, s := range []string{"", "ssh://a@b x86_64-linux,i686-linux /k 4 1 kvm - -", "a ; b # c\n@/etc/nix/machines", "ssh://a x ssh://b", "- - -", "ssh://u@[fe80::1]:22?ssh-key=/k - - 0 0.5 a,b c AAAA", "/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		builders, err := ParseBuilders(text)
		for _, b := range builders {
			if b.Raw == "" || b.Scheme == "" || b.MaxJobs < 0 || strings.ContainsAny(b.Raw, "\n;#") {
				t.Fatalf("%q has the builder %+v", text, b)
			}
			// What was read reads the same again.
			again, err := ParseBuilders(b.Raw)
			if err != nil || len(again) != 1 || !again[0].same(b) || again[0].MaxJobs != b.MaxJobs {
				t.Fatalf("%q reads as %+v, then as %+v (%v)", text, b, again, err)
			}
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Fatalf("error %q", err)
		}
	})
}

func FuzzNixSettings(f *testing.F) {
	f.Add([]byte(`{"a":{"value":["x"]},"b":{"value":true},"c":{"value":3},"d":{"value":"x y"},"e":{},"f":{"value":{"x":1}}}`), "a")
	f.Add([]byte(`{"a":{"value":null}}`), "a")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		var s NixSettings
		if json.Unmarshal(text, &s) != nil {
			return
		}
		if s.Bool(name) && s.Text(name) != "true" {
			t.Fatalf("%s of %s is true and %q", name, text, s.Text(name))
		}
		s.Int(name)
		s.List(name)
	})
}

func FuzzParsePublicKey(f *testing.F) {
	for _, s := range []string{"cache.local:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=", "a:b:c", ":", "x:AAAA", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParsePublicKey(text)
		if err == nil {
			if again, err := ParsePublicKey(k.String()); err != nil || again != k {
				t.Fatalf("%q is %+v, and then %+v (%v)", text, k, again, err)
			}
		}
		_, _, _ = secretKeyHalf(text)
		fingerprint(text)
		named(text)
	})
}

func FuzzParseExports(f *testing.F) {
	for _, s := range []string{"/nix/store 192.168.15.0/24(ro)\n", "\"/a b\" -rw *(ro) # x", "/a\\040b x/y(", "/a 10.0.0.0/255.0.0.0(fsid=0)", "\\\n", "\""} {
		f.Add(s)
	}
	laptop := netip.MustParseAddr("192.168.15.9")
	f.Fuzz(func(t *testing.T, text string) {
		for _, e := range ParseExports(text) {
			if !strings.HasPrefix(e.Path, "/") {
				t.Fatalf("%q exports %+v", text, e)
			}
			if !exportsPath(text, e.Path) {
				t.Fatalf("%q has %+v and does not export it", text, e)
			}
			e.admits(laptop)
			e.squashes()
			e.writable()
			e.root()
		}
		exportedPaths(text)
	})
}

func FuzzParseMountInfo(f *testing.F) {
	f.Add(mountTable)
	f.Add("1 2 3 4 /x 6 - nfs4 a:b")
	f.Add(" - \n1 2 3 4 5 6 - - - -")
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range parseMountInfo(text) {
			if m.Type == "" || m.Options == "" {
				t.Fatalf("%q has %+v", text, m)
			}
		}
	})
}

func FuzzDisagreements(f *testing.F) {
	for _, l := range fieldLines {
		f.Add(l.good+"\n"+l.bad, "offload-status")
	}
	f.Add("✅❌\r\n\x00✅ Cache accessible", "offload-test-build")
	findings := []report.Finding{finding("CH.info", report.Broken), finding("SR.login", report.Holds), finding("RB.build", report.Broken), finding("OF.build-x", report.Holds)}
	f.Fuzz(func(t *testing.T, text, name string) {
		for _, d := range Disagreements(typed(name, text, time.Time{}), findings) {
			if d.Said == "" || d.Check == "" || d.Proof == "" || strings.Contains(d.Said, "\n") {
				t.Fatalf("%q: %+v", text, d)
			}
		}
	})
}

// FuzzWords reads what programs on a guest say.
func FuzzWords(f *testing.F) {
	f.Add("error:\n  a\n b\n\nerror: c")
	f.Add("The fingerprint\nSHA256:abc.\nOffending ED25519 key in /x:1\n")
	f.Add("required (system, features): (x86_64-linux, [kvm])\n([x], 4, [a], [b])")
	f.Fuzz(func(t *testing.T, text string) {
		w := words(text)
		for _, line := range []string{nixError(w), lastLine(text), ignoredOption(w), oneLine(text)} {
			if strings.Contains(line, "\n") {
				t.Fatalf("%q is not one line", line)
			}
		}
		featureMissing("kvm, x", []Builder{{Required: []string{"y"}}}, text)
		desktopLacks(w)
		if c := clip(text); utf8.ValidString(text) && !utf8.ValidString(c) || len(c) > 3*4000 {
			t.Fatalf("clipped to %d bytes", len(c))
		}
		cachePriority(text)
		properties(text)
	})
}
