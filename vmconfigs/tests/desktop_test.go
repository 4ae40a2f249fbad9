package tests

import (
	"net"
	"os"
	"strings"
	"testing"
)

const (
	firstKey  = "6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
	secondKey = "jIyev2N2vGx1cLZbuOvTpMPcTlx3l+R6HVKzO7eKhNE="
)

// sshServer introduces itself on loopback, and says no more.
func sshServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("SSH-2.0-OpenSSH_10.0\r\n"))
			conn.Close()
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// newDesktop is a desktop on which everything works.
func newDesktop(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	shared := w.mkdir("shared")
	w.mkdir("home", ".ssh")
	store := w.mkdir("store")
	w.write("# laptops\nssh-ed25519 AAAA one\nssh-ed25519 AAAA two\n", 0o600, "home", ".ssh", "authorized_keys")
	for name, value := range map[string]string{
		"SERVER_ADDRESS": "127.0.0.1", "NETWORK": "192.168.15.0/24", "SSH_PORT": sshServer(t), "CACHE_PORT": "5000",
		"CACHE_URL": "http://192.168.15.7:5000", "CACHE_KEY_NAME": "cache.local",
		"CACHE_KEY": w.path("priv-key.pem"), "CACHE_PUBLIC_KEY": w.path("pub-key.pem"),
		"BUILDER_USER": "nix-builder", "BUILDER_HOME": w.path("home"),
		"EXPORTS": store + " ro\n" + shared + " rw",
		"PASSWD":  w.path("passwd"), "NFSD_THREADS": w.path("threads"),
	} {
		w.env[name] = value
	}
	w.write("cache.local:secret-"+firstKey, 0o600, "priv-key.pem")
	w.write("cache.local:"+firstKey, 0o644, "pub-key.pem")
	w.write("nix-builder:x:999:999::/var/lib/nix-builder:/run/current-system/sw/bin/bash\n", 0o644, "passwd")
	w.write("8\n", 0o444, "threads")
	w.write(settings, 0o644, "settings")
	w.write("0", 0o644, "verify")
	w.write(laptopBoot, 0o644, "builder-boot")
	w.write(store+"  192.168.15.0/24(sync,wdelay,hide,no_subtree_check,sec=sys,ro,secure,root_squash)\n"+
		shared+"  192.168.15.0/24(sync,wdelay,hide,no_subtree_check,sec=sys,rw,secure,no_root_squash)\n", 0o644, "exported")

	w.program("stat", `for f; do :; done
case $2 in %u*) echo "0 $(stat -c %a "$f")" ;; %U*) echo "nix-builder $(stat -c %a "$f")" ;; esac`)
	w.program("readlink", "echo "+systemPath+"/bin/offload-server-status")
	w.program("nix", nixProgram)
	w.program("nix-build", nixBuildProgram)
	w.program("nix-store", `printf 'cache.local:secret-`+secondKey+`' >"$3"; printf 'cache.local:`+secondKey+`' >"$4"`)
	w.program("curl", curlProgram)
	w.program("systemctl", "exit 0")
	w.program("exportfs", `cat "$FAKE/exported"`)
	w.program("mount", "exit 0")
	w.program("umount", "exit 0")
	w.program("setpriv", "echo 'Trusted: 1'")
	w.program("find", "exit 0")
	return w
}

func inactive(unit string) func(w *world) {
	return func(w *world) {
		w.program("systemctl", `case "$*" in *`+unit+`*) exit 3 ;; esac`)
	}
}

func exported(old, new string) func(w *world) {
	return func(w *world) {
		w.write(strings.ReplaceAll(w.read("exported"), old, new), 0o644, "exported")
	}
}

func TestOffloadServerStatus(t *testing.T) {
	t.Parallel()
	check(t, "offload-server-status", newDesktop, []fault{
		{name: "healthy", status: 0, absent: []string{"❌"}, lines: []string{
			"✅ nix-serve: Running (port 5000)", "✅ sshd: Running (port ", "✅ NFS: Running (port 2049)",
			"✅ Cache signing key: Present", "   Public key: cache.local:" + firstKey, "✅ Cache accessible", "   StoreDir: /nix/store",
			"✅ Cache signs with the key in ", "   Authorized keys: 2", "✅ Nix trusts nix-builder", "✅ Storage /nix/store",
		}},
		{name: "nix-serve down", broken: inactive("nix-serve"), status: 1, lines: []string{"❌ nix-serve: Inactive", "✅ sshd: Running"}},
		{name: "sshd down", broken: inactive("sshd"), status: 1, lines: []string{"❌ sshd: Inactive"}},
		{name: "sshd by socket", broken: inactive("sshd.service"), status: 0, lines: []string{"✅ sshd: Running"}},
		{name: "nfs down", broken: inactive("nfs-server"), status: 1, lines: []string{"❌ NFS: Inactive"}, absent: []string{"✅ NFS"}},
		{name: "nfs without threads", broken: func(w *world) { os.Remove(w.path("threads")); w.write("0\n", 0o444, "threads") }, status: 1,
			lines: []string{"❌ NFS: nfs-server is active and has no threads"}},
		{name: "systemd hangs", broken: func(w *world) { w.program("systemctl", hangs); w.impatient() }, status: 1,
			lines: []string{"❌ nix-serve: Inactive", "✅ Cache accessible"}},
		{name: "key missing", broken: func(w *world) { os.Remove(w.path("priv-key.pem")) }, status: 1, lines: []string{"❌ Cache signing key: Missing"}},
		{name: "key open", broken: func(w *world) { os.Chmod(w.path("priv-key.pem"), 0o644) }, status: 1,
			lines: []string{"❌ Cache signing key: Present, and open to others"}},
		{name: "public key of another", broken: func(w *world) { w.write("cache.local:"+secondKey, 0o644, "pub-key.pem") }, status: 1,
			lines: []string{"❌ Cache signing key: Present, but "}},
		{name: "stale server", broken: func(w *world) { w.write("2", 0o644, "verify") }, status: 1,
			lines: []string{"✅ Cache accessible", "❌ Cache does not sign with the key in "}},
		{name: "content-addressed sample proves nothing", broken: func(w *world) {
			w.program("curl", strings.ReplaceAll(curlProgram, `StorePath: x\n`, `StorePath: x\nCA: text:sha256:abc\n`))
		}, status: 0, absent: []string{"Cache signs with"}},
		{name: "cache gone", broken: func(w *world) { w.program("curl", "exit 7") }, status: 1, lines: []string{"❌ Cache not accessible"}},
		{name: "cache without its daemon", broken: func(w *world) {
			w.program("curl", strings.ReplaceAll(curlProgram, "printf 404", "printf 500"))
		}, status: 1, lines: []string{"❌ Cache not accessible", "   HTTP 500"}},
		{name: "not a cache", broken: func(w *world) { w.program("curl", "echo '<html>'") }, status: 1, lines: []string{"❌ Cache not accessible"}},
		{name: "no keys yet", broken: func(w *world) { w.write("", 0o600, "home", ".ssh", "authorized_keys") }, status: 0,
			lines: []string{"   Authorized keys: 0"}},
		{name: "keys open to others", broken: func(w *world) { os.Chmod(w.path("home", ".ssh", "authorized_keys"), 0o666) }, status: 1,
			lines: []string{"❌ Builder user: "}, absent: []string{"Authorized keys:"}},
		{name: "no builder", broken: func(w *world) { w.write("", 0o644, "passwd") }, status: 1,
			lines: []string{"❌ Builder user: nix-builder does not exist"}},
		{name: "no shell", broken: func(w *world) {
			w.write("nix-builder:x:999:999::/var/lib/nix-builder:/run/current-system/sw/bin/nologin\n", 0o644, "passwd")
		}, status: 1, lines: []string{"❌ Builder user: nix-builder has no shell"}},
		{name: "not trusted", broken: setting("trusted-users", "root"), status: 1, lines: []string{"❌ Nix does not trust nix-builder"}},
		{name: "nothing exported", broken: func(w *world) { w.write("", 0o644, "exported") }, status: 1,
			absent: []string{"✅ NFS export"}, lines: []string{"✅ NFS: Running", "❌ NFS export "}},
		{name: "another network", broken: exported("192.168.15.0", "192.168.1.0"), status: 1, absent: []string{"✅ NFS export"}},
		{name: "root squashed", broken: exported("no_root_squash", "root_squash"), status: 1, lines: []string{"✅ NFS export ", "❌ NFS export "}},
		{name: "directory gone", broken: func(w *world) { os.Remove(w.path("shared")) }, status: 1, lines: []string{"❌ NFS export "}},
		{name: "without NFS", broken: func(w *world) { w.env["EXPORTS"] = ""; inactive("nfs-server")(w) }, status: 0,
			lines: []string{"   NFS: not enabled"}},
		{name: "disk full", broken: func(w *world) { w.program("df", "echo '9000 100 99% 100000 90000'") }, status: 1,
			lines: []string{"❌ Storage /nix/store: full"}},
		{name: "not root, no sudo", broken: func(w *world) { w.program("id", "echo 1000"); w.program("sudo", "exit 1") }, status: 2},
	})
}

func TestOffloadServerTest(t *testing.T) {
	t.Parallel()
	check(t, "offload-server-test", newDesktop, []fault{
		{name: "healthy", status: 0, absent: []string{"❌"}, lines: []string{
			"✅ SSH: a server answers", "✅ SSH: nix-builder reaches Nix", "✅ Cache: answers", "✅ Cache: a path was fetched",
			"✅ Local build: works", "✅ NFS export ",
		}},
		{name: "no sshd", broken: func(w *world) { w.env["SSH_PORT"] = closedPort(w.t) }, status: 1, lines: []string{"❌ SSH: no server answers"}},
		{name: "silent port", broken: func(w *world) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				w.t.Fatal(err)
			}
			w.t.Cleanup(func() { listener.Close() })
			_, w.env["SSH_PORT"], _ = net.SplitHostPort(listener.Addr().String())
			w.impatient()
		}, status: 1, lines: []string{"❌ SSH: no server answers"}},
		{name: "builder not trusted", broken: func(w *world) { w.program("setpriv", "echo 'Trusted: 0'") }, status: 1,
			lines: []string{"❌ SSH: nix-builder cannot build"}},
		{name: "damaged path", broken: func(w *world) { w.write("1", 0o644, "verify") }, status: 1,
			lines: []string{"❌ Cache: a path could not be fetched or verified"}},
		{name: "cache gone", broken: func(w *world) { w.program("curl", "exit 7") }, status: 1, lines: []string{"❌ Cache: "}},
		{name: "build fails", broken: func(w *world) { w.program("nix-build", "echo error >&2; exit 1") }, status: 1,
			lines: []string{"❌ Local build: failed", "   | error"}},
		{name: "build hangs", broken: func(w *world) { w.program("nix-build", hangs); w.impatient() }, status: 1,
			lines: []string{"❌ Local build: failed"}},
		{name: "mount denied", broken: func(w *world) { w.program("mount", "echo 'access denied' >&2; exit 32") }, status: 1,
			lines: []string{"❌ NFS export "}, absent: []string{"✅ NFS"}},
		{name: "mount hangs", broken: func(w *world) { w.program("mount", hangs); w.impatient() }, status: 1,
			lines: []string{"❌ NFS export "}, absent: []string{"✅ NFS"}},
		{name: "without NFS", broken: func(w *world) { w.env["EXPORTS"] = "" }, status: 0, absent: []string{"NFS"}},
	})
}

func TestOffloadServerTestUnmountsWhatItMounted(t *testing.T) {
	t.Parallel()
	w := newDesktop(t)
	w.program("find", "exit 1")
	w.run("offload-server-test", "").expect(t, 1, []string{"❌ NFS export "}, nil)
	calls := w.read("calls")
	if mounts, unmounts := strings.Count(calls, "\nmount "), strings.Count(calls, "\numount "); mounts != 2 || unmounts != 2 {
		t.Errorf("%d mounts and %d unmounts, want 2 of each:\n%s", mounts, unmounts, calls)
	}
}

func TestOffloadGenerateCacheKeys(t *testing.T) {
	t.Parallel()
	const command = "offload-generate-cache-keys"
	tests := []struct {
		name      string
		prepare   func(w *world)
		stdin     string
		arguments []string
		status    int
		public    string // what stands in the public file afterwards
		restarts  bool
		lines     []string
	}{
		{name: "first key", prepare: func(w *world) { os.Remove(w.path("priv-key.pem")); os.Remove(w.path("pub-key.pem")) },
			public: secondKey, restarts: true, lines: []string{"cache.local:" + secondKey}},
		{name: "nobody answers", status: 2, public: firstKey, lines: []string{"Nothing was changed", "cache.local:" + firstKey}},
		{name: "no", stdin: "n\n", public: firstKey},
		{name: "yes", stdin: "y\n", public: secondKey, restarts: true, lines: []string{"✅ nix-serve restarted"}},
		{name: "--yes", arguments: []string{"--yes"}, public: secondKey, restarts: true},
		{name: "--force", arguments: []string{"--force"}, public: secondKey, restarts: true},
		{name: "--if-missing keeps", arguments: []string{"--if-missing"}, public: firstKey},
		{name: "--if-missing completes", arguments: []string{"--if-missing"}, public: firstKey,
			prepare: func(w *world) { os.Remove(w.path("pub-key.pem")) }},
		{name: "--if-missing makes", arguments: []string{"--if-missing"}, public: secondKey,
			prepare: func(w *world) { os.Remove(w.path("priv-key.pem")) }},
		{name: "--if-missing, damaged", arguments: []string{"--if-missing"}, status: 1, public: firstKey,
			prepare: func(w *world) { w.write("rubbish", 0o600, "priv-key.pem") }},
		{name: "usage", arguments: []string{"--what"}, status: 2, public: firstKey},
		{name: "generation fails", arguments: []string{"--yes"}, status: 1, public: firstKey,
			prepare: func(w *world) { w.program("nix-store", "exit 1") }},
		{name: "generation hangs", arguments: []string{"--yes"}, status: 124, public: firstKey,
			prepare: func(w *world) { w.program("nix-store", hangs); w.impatient() }},
		{name: "server does not restart", arguments: []string{"--yes"}, status: 1, public: secondKey, restarts: true,
			prepare: func(w *world) { inactive("restart")(w) }, lines: []string{"❌ nix-serve did not restart"}},
		{name: "server does not answer", arguments: []string{"--yes"}, status: 1, public: secondKey, restarts: true,
			prepare: func(w *world) { w.program("curl", "exit 7") }, lines: []string{"❌ nix-serve restarted, and does not answer"}},
		{name: "not root", arguments: []string{"--yes"}, status: 2, public: firstKey,
			prepare: func(w *world) { w.program("id", "echo 1000"); w.program("sudo", "exit 1") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newDesktop(t)
			w.write("", 0o644, "calls")
			if test.prepare != nil {
				test.prepare(w)
			}
			w.run(command, test.stdin, test.arguments...).expect(t, test.status, test.lines, nil)
			if got := w.read("pub-key.pem"); got != "cache.local:"+test.public {
				t.Errorf("the public file holds %q, want key %q", got, test.public)
			}
			for name, mode := range map[string]os.FileMode{"priv-key.pem": 0o600, "pub-key.pem": 0o644} {
				if info, err := os.Stat(w.path(name)); err != nil || info.Mode().Perm() != mode {
					t.Errorf("%s: mode %v, error %v; want %v", name, info.Mode().Perm(), err, mode)
				}
			}
			if got := strings.Contains(w.read("calls"), "systemctl restart nix-serve.service"); got != test.restarts {
				t.Errorf("nix-serve restarted: %v, want %v", got, test.restarts)
			}
			entries, err := os.ReadDir(w.dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if strings.HasPrefix(entry.Name(), ".offload") || strings.HasPrefix(entry.Name(), "pub-key.pem.") {
					t.Errorf("%s was left behind", entry.Name())
				}
			}
		})
	}
}

func TestCacheStatus(t *testing.T) {
	t.Parallel()
	create := func(t *testing.T) *world {
		w := newLaptop(t)
		w.env["CACHE_USED"] = "1"
		w.program("id", "echo 1000")
		return w
	}
	check(t, "cache-status", create, []fault{
		{name: "healthy", status: 0, absent: []string{"❌", "⚠"}, lines: []string{
			"✅ Local cache reachable at http://192.168.15.7:5000", "✅ Timeout: 3 s", "✅ Fallback", "   Active substituters: http://192.168.15.7:5000 https://cache.nixos.org/",
			"✅ Local cache is an active substituter",
		}},
		{name: "away", broken: func(w *world) { w.program("curl", "exit 28") }, status: 1, lines: []string{"❌ Local cache not reachable"}},
		{name: "hangs", broken: func(w *world) { w.program("curl", hangs); w.impatient() }, status: 1, lines: []string{"❌ Local cache not reachable"}},
		{name: "no timeout", broken: setting("connect-timeout", "0"), status: 1, lines: []string{"❌ Timeout"}},
		{name: "long timeout", broken: setting("connect-timeout", "30"), status: 1, lines: []string{"❌ Timeout"}},
		{name: "no fallback", broken: setting("fallback", "false"), status: 1, lines: []string{"❌ Fallback"}},
		{name: "not a substituter", broken: setting("substituters", "https://192.168.15.7:5000 https://cache.nixos.org/"), status: 1,
			lines: []string{"❌ Local cache http://192.168.15.7:5000 is no active substituter"}},
		{name: "with a priority", broken: setting("substituters", "http://192.168.15.7:5000/?priority=10"), status: 0},
		{name: "only served here", broken: func(w *world) {
			w.env["CACHE_USED"] = "0"
			setting("substituters", "https://cache.nixos.org/")(w)
		}, status: 0},
		{name: "malformed key", broken: setting("trusted-public-keys", "cache.local:cache.local:"+firstKey), status: 1,
			lines: []string{"❌ Trusted key \"cache.local:cache.local:"}},
		{name: "no key of the LAN's", broken: setting("trusted-public-keys", "cache.nixos.org-1:"+firstKey), status: 0,
			lines: []string{"⚠️  no key but cache.nixos.org's"}},
		{name: "nix hangs", broken: func(w *world) { w.program("nix", hangs); w.impatient() }, status: 1, lines: []string{"❌ Nix settings"}},
	})
}
