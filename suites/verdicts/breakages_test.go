//go:build labs

package verdicts

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"offload-e2e/harness/report"
)

// breakages are ten ways in which hands break the reference: a text in one of its
// files, or a module more on one machine.
var breakages = []struct {
	name string
	// file is edited, or made where it is one of e2e/.
	file, from, to string
	labels         string
	check, code    string
}{
	{"the desktop has another address than the laptop was told", client, `default = "192.168.15.7";`, `default = "192.168.15.6";`,
		onLaptop, "EV.addresses", "network.wrong-desktop-address"},
	{"the cache's key has another name", "e2e/desktop.nix", "", `{ services.offload-server.cacheKeyName = "cache-key"; }`,
		onDesktop, "CH.key-files", "cache.key-name"},
	{"distributedBuilds is off, and the builders are a default", "e2e/laptop.nix", "", `{ lib, ... }: {
  nix.distributedBuilds = lib.mkForce false;
  nix.settings.builders = lib.mkDefault [ "ssh://nix-builder@192.168.15.7 x86_64-linux /etc/nix/builder_key 4 1" ];
}`, onLaptop, "EV.builders", "builder.not-configured"},
	{"the cache's port is closed", server, "openFirewall = true;", "openFirewall = false;",
		onDesktop, "PT.cache", "cache.port-filtered"},
	{"the builder is not trusted", server, "{ trusted-users = [ cfg.builderUser ]; }", "{ }",
		onDesktop, "EV.builder-trusted", "builder.untrusted"},
	{"nothing is exported", "e2e/desktop.nix", "", `{ lib, ... }: { services.nfs.server.exports = lib.mkForce ""; }`,
		onDesktop, "NF.export-store", "nfs.not-exported"},
	{"there is no fallback", settings, "fallback = true;", "fallback = false;",
		onLaptop, "OF.settings", "nix.fallback-off"},
	{"everybody may write authorized_keys", "e2e/desktop.nix", "", `{ systemd.tmpfiles.rules = [ "z /var/lib/nix-builder/.ssh/authorized_keys 0666 - - -" ]; }`,
		exchanged, "SR.login", "ssh.strict-modes"},
	{"the builders name a key that nobody made", builders, "sshKey = cfg.builderKeyPath;", `sshKey = "/etc/nix/other_key";`,
		onLaptop, "EV.builder-key", "keys.missing"},
	{"the laptop speaks TLS to the cache", builders, `cacheURL = "http://`, `cacheURL = "https://`,
		onLaptop, "EV.substituters", "cache.scheme"},
}

// Whoever breaks the reference is told what they broke, and nothing else before it.
func TestBreakages(t *testing.T) {
	breaking(t, func(labels string) bool { return labels != onLaptop })
}

// These are found by evaluation alone, too: harness/e2e, TestBrokenConfigurations.
func TestLaptopBreakages(t *testing.T) {
	breaking(t, func(labels string) bool { return labels == onLaptop })
}

func breaking(t *testing.T, these func(labels string) bool) {
	for _, b := range breakages {
		if !these(b.labels) {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			config := reference(t)
			if b.from == "" {
				write(t, filepath.Join(config, b.file), b.to)
			} else {
				edit(t, filepath.Join(config, b.file), b.from, b.to)
			}
			cause := p.run("--config", config, "--labels", b.labels).first(b.code)
			if !slices.Contains(cause.Explains, b.check) {
				t.Errorf("%s explains %q, and not %s", cause.Code, cause.Explains, b.check)
			}
		})
	}
}

// A configuration as people write them evaluates, and its defects are named.
func TestFieldConfiguration(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	o := p.run("--config", filepath.Join(p.root, "fixtures", "configurations", "field"), "--labels", "!fallback")
	cause := o.first("builder.not-configured")
	if want := client + ":13"; !strings.HasSuffix(cause.Source, want) {
		t.Errorf("%s is blamed, not %s", cause.Source, want)
	}
	for _, code := range []string{"nfs.hard-mount", "nfs.write-denied"} {
		if !slices.ContainsFunc(o.report.RootCauses, func(c report.RootCause) bool { return c.Code == code }) {
			t.Errorf("%s is no root cause", code)
		}
	}
	for _, line := range []string{"✅ SSH builder access working", "✅ Remote build test successful"} {
		if !slices.ContainsFunc(o.report.Disagreements, func(d report.Disagreement) bool { return d.Said == line }) {
			t.Errorf("no disagreement about %q: %+v", line, o.report.Disagreements)
		}
	}
}
