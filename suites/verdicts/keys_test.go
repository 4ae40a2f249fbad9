//go:build labs

package verdicts

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"encoding/base64"

	"offload-e2e/harness/report"
)

// signingKey is a new key pair of a binary cache, as `nix-store
// --generate-binary-cache-key` writes them.
func signingKey(t *testing.T, name string) (private, public string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return name + ":" + base64.StdEncoding.EncodeToString(priv), name + ":" + base64.StdEncoding.EncodeToString(pub)
}

// With KEYS=config what counts is what the configuration has written down: a desktop
// that brings its key, and a laptop that trusts it, or another one.
func TestWrittenKeys(t *testing.T) {
	private, public := signingKey(t, "cache.local")
	_, other := signingKey(t, "cache.local")
	for _, test := range []struct {
		name, keys string
		trusted    string
		code       string // of the first root cause, "" for none
		says       string
		warning    string
	}{
		{"the right one", "config", public, "", "", ""},
		{"another one", "config", other, "cache.key-untrusted", "another key of the name cache.local", ""},
		{"another one, and the new one is handed over", "exchange", other, "", "", "cache.key-unused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			config := reference(t)
			write(t, filepath.Join(config, "e2e", "desktop.nix"), fmt.Sprintf(`{
  # A key for tests; a real one stays out of the store, which everybody can read.
  system.activationScripts.cache-key = ''
    umask 077
    printf %%s %q > /var/cache-priv-key.pem
    printf %%s %q > /var/cache-pub-key.pem
  '';
}`, private, public))
			write(t, filepath.Join(config, "e2e", "laptop.nix"), fmt.Sprintf("{ services.laptop-offload-client.cachePublicKeys = [ %q ]; }\n", test.trusted))
			o := p.run("--config", config, "--keys", test.keys, "--labels", onLaptop)
			if test.code == "" {
				o.is(exitOK)
			} else if cause := o.first(test.code); !strings.Contains(cause.Sentence, test.says) || !strings.Contains(cause.Remedy, "KEYS=exchange") {
				t.Errorf("%s: %s: %s", cause.Code, cause.Sentence, cause.Remedy)
			}
			if o.report == nil {
				t.Fatal("there is no report")
			}
			warned := slices.ContainsFunc(o.report.Findings, func(f report.Finding) bool {
				return f.State == report.Warns && f.Diagnosis != nil && f.Diagnosis.Code == test.warning
			})
			if warned != (test.warning != "") {
				t.Errorf("warned of %q: %v", test.warning, warned)
			}
		})
	}
}
