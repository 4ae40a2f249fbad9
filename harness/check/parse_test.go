package check

import (
	"encoding/json"
	"net/netip"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
)

func TestParseBuilders(t *testing.T) {
	const hostKey = "c3NoLWVkMjU1MTkgQUFBQQ=="
	tests := []struct {
		name, text string
		want       []Builder
		err        string
	}{
		{name: "nothing", text: " \n; # a comment\n@/etc/nix/machines"},
		{name: "a name", text: "desktop", want: []Builder{{Scheme: "ssh", Host: "desktop", MaxJobs: 1}}},
		{name: "all fields", text: "ssh-ng://nix-builder@192.168.15.7 x86_64-linux,i686-linux /etc/nix/builder_key 4 2.5 kvm,benchmark big-parallel " + hostKey,
			want: []Builder{{Scheme: "ssh-ng", User: "nix-builder", Host: "192.168.15.7", Systems: []string{"x86_64-linux", "i686-linux"}, Key: "/etc/nix/builder_key",
				MaxJobs: 4, Features: []string{"kvm", "benchmark"}, Required: []string{"big-parallel"}, HostKey: hostKey}}},
		{name: "dashes", text: "ssh://a - - - - - - -", want: []Builder{{Scheme: "ssh", Host: "a", MaxJobs: 1}}},
		{name: "semicolons and lines", text: "a x ; b y # c\nc", want: []Builder{
			{Scheme: "ssh", Host: "a", Systems: []string{"x"}, MaxJobs: 1}, {Scheme: "ssh", Host: "b", Systems: []string{"y"}, MaxJobs: 1}, {Scheme: "ssh", Host: "c", MaxJobs: 1}}},
		{name: "a comment does not hide a semicolon", text: "# a ; b", want: []Builder{{Scheme: "ssh", Host: "b", MaxJobs: 1}}},
		{name: "a port", text: "ssh://u@a:2222", want: []Builder{{Scheme: "ssh", User: "u", Host: "a", Port: "2222", MaxJobs: 1}}},
		{name: "IPv6", text: "ssh://u@[fe80::1]", want: []Builder{{Scheme: "ssh", User: "u", Host: "fe80::1", MaxJobs: 1}}},
		{name: "keys in the URI", text: "ssh://a?ssh-key=/k&base64-ssh-public-host-key=" + hostKey, want: []Builder{{Scheme: "ssh", Host: "a", Key: "/k", HostKey: hostKey, MaxJobs: 1}}},
		{name: "a field before the URI", text: "ssh://a?ssh-key=/k - /l", want: []Builder{{Scheme: "ssh", Host: "a", Key: "/l", MaxJobs: 1}}},
		{name: "no other machine", text: "/mnt/store\nauto\nlocal?root=/x", want: []Builder{{Scheme: "local", MaxJobs: 1}, {Scheme: "local", MaxJobs: 1}, {Scheme: "local", MaxJobs: 1}}},

		{name: "two joined by a space", text: "ssh://a x86_64-linux ssh://b", err: "second builder (ssh://b)"},
		{name: "two of all fields, joined", text: "ssh://a - - 1 1 - - - b@c x", err: "second builder (b@c)"},
		{name: "two of seven fields, joined", text: "ssh://a x - 1 1 - - ssh://b x - 1 1 - -", err: "second builder"},
		{name: "those before are kept", text: "a\nb x - many", want: []Builder{{Scheme: "ssh", Host: "a", MaxJobs: 1}}, err: `"many" is no number`},
		{name: "negative jobs", text: "a x - -1", err: "number"},
		{name: "speed", text: "a x - 1 fast", err: "speed factor"},
		{name: "negative speed", text: "a x - 1 -1", err: "speed factor"},
		{name: "host key", text: "a x - 1 1 - - ssh-ed25519", err: "base64"},
		{name: "no URI", text: "- x86_64-linux", err: "no store URI"},
		{name: "no scheme", text: "/://", err: "no scheme"},
		{name: "no URI at all", text: "ssh://%zz", err: "builder"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseBuilders(tt.text)
			for i := range got {
				got[i].Raw = ""
				// An empty list is as good as none.
				for _, l := range []*[]string{&got[i].Systems, &got[i].Features, &got[i].Required} {
					if len(*l) == 0 {
						*l = nil
					}
				}
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func TestBuilderDestination(t *testing.T) {
	for text, want := range map[string]string{"ssh://u@a:2": "u@a:2", "a": "a", "ssh-ng://u@a": "u@a"} {
		builders, err := ParseBuilders(text)
		if err != nil || builders[0].Destination() != want {
			t.Errorf("%s goes to %v (%v), want %s", text, builders, err, want)
		}
	}
}

func TestFollowFiles(t *testing.T) {
	w := newWorld(t)
	w.laptop.on("cat /a", out("one\n@/b\n"))
	w.laptop.on("cat /b", out("two ; @/a\n"))
	p := &Proof{Bench: w.bench}
	got, err := ParseBuilders(p.followFiles(t.Context(), "zero ; @/a", 3))
	var hosts []string
	for _, b := range got {
		hosts = append(hosts, b.Host)
	}
	// A circle ends after three files.
	if want := []string{"zero", "one", "two", "one"}; err != nil || !slices.Equal(hosts, want) {
		t.Errorf("builders %q, %v", hosts, err)
	}
}

func TestNixSettings(t *testing.T) {
	var s NixSettings
	if err := json.Unmarshal([]byte(recorded(t, "nix/config-show.json")), &s); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"builders": "@/etc/nix/machines", "max-jobs": "1", "fallback": "false", "sandbox": "true", "connect-timeout": "0",
		"substituters": "https://cache.nixos.org/", "allowed-users": "*", "system": "x86_64-linux", "trusted-substituters": "", "no-such-setting": ""} {
		if got := s.Text(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := s.List("system-features"); !slices.Equal(got, []string{"benchmark", "big-parallel", "kvm", "nixos-test", "uid-range"}) {
		t.Errorf("system-features are %q", got)
	}
	if s.Bool("fallback") || !s.Bool("sandbox") || s.Int("connect-timeout") != 0 || s.Int("builders") != -1 || s.Int("no-such-setting") != -1 || s.List("no-such-setting") != nil {
		t.Error("booleans or numbers are not read")
	}
	if err := json.Unmarshal([]byte(`{"substituters":{"value":"a  b"}}`), &s); err != nil || !slices.Equal(s.List("substituters"), []string{"a", "b"}) {
		t.Errorf("a list in one text is not read: %q", s.List("substituters"))
	}
}

func TestNixUsers(t *testing.T) {
	for _, tt := range []struct {
		list string
		want bool
	}{{"root", false}, {"root me", true}, {"*", true}, {"@wheel", false}, {"@builders", true}, {"builders", false}, {"", false}} {
		if got := nixUsers(strings.Fields(tt.list), "me", []string{"builders"}); got != tt.want {
			t.Errorf("%q holds me: %v", tt.list, got)
		}
	}
}

func TestParseSubstituters(t *testing.T) {
	subs := ParseSubstituters([]string{"http://192.168.15.7:5000?priority=9", "daemon", "https://cache.nixos.org", "http://desktop", "http://desktop.local:1", "http://192.168.16.7", ":"})
	lan := netip.MustParsePrefix("192.168.15.0/24")
	var got []string
	for _, s := range subs {
		if s.Local(lan) {
			got = append(got, s.Raw)
		}
	}
	if want := []string{"http://192.168.15.7:5000?priority=9", "http://desktop", "http://desktop.local:1"}; !slices.Equal(got, want) || len(subs) != 5 {
		t.Errorf("of the LAN are %q, of %d", got, len(subs))
	}
	if n, ok := subs[0].fixed(); n != 9 || !ok {
		t.Errorf("priority %d, %v", n, ok)
	}
	if _, ok := subs[1].fixed(); ok || subs[1].port() != "443" || subs[2].port() != "80" || subs[0].port() != "5000" {
		t.Error("ports or priorities are wrong")
	}
}

func TestCachePriority(t *testing.T) {
	for text, want := range map[string]int{cacheInfo: 30, "StoreDir: /nix/store\n": 0, "Priority: 100": 100, "Priority: high\n": 0, "X-Priority: 7\n": 0} {
		if got := cachePriority(text); got != want {
			t.Errorf("%q has priority %d, want %d", text, got, want)
		}
	}
}

func TestParsePublicKey(t *testing.T) {
	const material = "6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
	k, err := ParsePublicKey(" cache.local:" + material + "\n")
	if err != nil || k != (PublicKey{"cache.local", material}) || k.String() != "cache.local:"+material {
		t.Errorf("%+v, %v", k, err)
	}
	for _, bad := range []string{"", material, ":" + material, "cache.local", "cache.local:", "cache.local:AAAA", "a:b:" + material, "cache.local:" + material[1:], "cache.local: " + material} {
		if k, err := ParsePublicKey(bad); err == nil || !strings.Contains(err.Error(), "public key") {
			t.Errorf("%q is %+v, %v", bad, k, err)
		}
	}
}

func TestSecretKeyHalf(t *testing.T) {
	private, public := cacheKey(t, "cache.local", 3)
	name, material, err := secretKeyHalf(private.String() + "\n")
	if err != nil || name+":"+material != public.String() {
		t.Errorf("%s:%s, %v", name, material, err)
	}
	if _, _, err := secretKeyHalf(public.String()); err == nil || strings.Contains(err.Error(), material) {
		t.Errorf("a public key is no secret one: %v", err)
	}
}

func TestFingerprint(t *testing.T) {
	line := publicKey(t, 1, "me@laptop")
	if f := fingerprint(line); !strings.HasPrefix(f, "SHA256:") || !sameKey(line, `from="192.168.15.0/24",no-pty `+publicKey(t, 1, "other")) {
		t.Errorf("fingerprint %q", f)
	}
	for _, bad := range []string{"", "# " + line, "ssh-ed25519", "ssh-ed25519 AAAA x", "junk"} {
		if fingerprint(bad) != "" || sameKey(bad, bad) || named(bad) != "no key" {
			t.Errorf("%q has the fingerprint %q", bad, fingerprint(bad))
		}
	}
	if named(line) != fingerprint(line)+" (me@laptop)" || strings.Contains(named(publicKey(t, 1, "")), "(") {
		t.Errorf("named %q", named(line))
	}
}

// What a real ssh-keygen says of private keys is what the checks read.
func TestRealSSHKeygen(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("there is no ssh-keygen here")
	}
	keygen := func(file string) provider.Result {
		var stdout, stderr strings.Builder
		cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-y", "-P", "", "-f", file)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		res := provider.Result{Stdout: []byte(stdout.String()), Stderr: []byte(stderr.String())}
		if err != nil {
			res.ExitStatus = cmd.ProcessState.ExitCode()
		}
		return res
	}
	if res := keygen(privateKeyFile(t, 1, "")); !res.OK() || !sameKey(res.Text(), publicKey(t, 1, "")) {
		t.Errorf("a sound key: %s", res.Stderr)
	}
	if res := keygen(privateKeyFile(t, 1, "secret")); res.OK() || unusableKey("k", words(res.Stderr)).Code != "keys.passphrase" {
		t.Errorf("a key with a passphrase: %s", res.Stderr)
	}
	if res := keygen("/dev/null"); res.OK() || unusableKey("k", words(res.Stderr)).Code != "keys.invalid" {
		t.Errorf("no key: %s", res.Stderr)
	}
}

// The key is where phase 2 tells the user to make it, whatever a configuration names.
func TestBuilderKeyPath(t *testing.T) {
	b := newWorld(t).bench
	b.Client.Declared = map[string]json.RawMessage{"services.laptop-offload-client.builderKeyPath": json.RawMessage(`"/elsewhere"`)}
	if got := b.BuilderKeyPath(); got != "/etc/nix/builder_key" {
		t.Errorf("the key is %s", got)
	}
}

func TestConfiguredBuilders(t *testing.T) {
	text := "ssh://c"
	for want, c := range map[string]nixos.Configuration{
		"a b c": {NixConf: map[string]any{"builders": []any{"ssh://a x", 1, "ssh://b"}}, Machines: &text},
		"a b":   {NixConf: map[string]any{"builders": "ssh://a - - ; ssh://b x /in/text"}},
		"":      {},
	} {
		var hosts []string
		for _, b := range (&Bench{Client: &c}).configuredBuilders() {
			hosts = append(hosts, b.Host)
		}
		if got := strings.Join(hosts, " "); got != want {
			t.Errorf("configured are %q, want %q", got, want)
		}
	}
}

func TestDeclared(t *testing.T) {
	b := &Bench{Server: &nixos.Configuration{Declared: map[string]json.RawMessage{
		"services.offload-server.builderUser": json.RawMessage(`"builder"`), "services.offload-server.cachePort": json.RawMessage(`5001`), "services.offload-server.cacheKeyPath": json.RawMessage(`null`)},
		Users: map[string]nixos.User{"builder": {Home: "/var/empty"}}}}
	if b.BuilderUser() != "builder" || b.CachePort() != 5001 || b.CacheKeyPath() != "/var/cache-priv-key.pem" || b.BuilderHome() != "/var/lib/nix-builder" {
		t.Error(b.BuilderUser(), b.CachePort(), b.CacheKeyPath(), b.BuilderHome())
	}
	if (&Bench{}).BuilderUser() != "nix-builder" {
		t.Error("without a configuration there is no default")
	}
	b.Server.Declared["services.offload-server.cachePort"] = json.RawMessage(`"5001"`)
	if b.CachePort() != 5000 {
		t.Error("a value of another type is taken")
	}
}
