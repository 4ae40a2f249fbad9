package tests

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	laptopBoot  = "11111111-1111-1111-1111-111111111111"
	desktopBoot = "77777777-7777-7777-7777-777777777777"
	systemPath  = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-desktop-26.05"
)

// settings is what `nix config show` prints on a healthy laptop.
var settings = strings.Join([]string{
	"builders = @$FAKE/machines",
	"builders-use-substitutes = true",
	"connect-timeout = 3",
	"download-attempts = 2",
	"fallback = true",
	"max-jobs = 4",
	"substituters = http://192.168.15.7:5000 https://cache.nixos.org/",
	"trusted-public-keys = cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY= cache.local:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=",
	"trusted-users = root nix-builder",
}, "\n") + "\n"

// nixProgram answers `config show` from the file settings and `store verify`
// with the exit status in the file verify.
const nixProgram = `case "$*" in
*"config show"*) sed "s|\$FAKE|$FAKE|" "$FAKE/settings" ;;
*"store verify"*) echo "error: verify" >&2; exit "$(cat "$FAKE/verify")" ;;
*"store info"*) echo "Store URL: daemon"; echo "Trusted: 1" ;;
*"convert-secret-to-public"*) sed -n 's/^cache\.local:secret-/cache.local:/p' | tr -d '\n'; ;;
*) exit 9 ;;
esac`

// curlProgram is a healthy cache: status 404 for what nobody has.
const curlProgram = `case "$*" in
*nix-cache-info*) printf 'StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n' ;;
*--write-out*) printf 404 ;;
*.narinfo*) printf 'StorePath: x\nSig: cache.local:abc\n' ;;
*) exit 9 ;;
esac`

// nixBuildProgram writes what the derivation would, by the machine in the file
// builder-boot.
const nixBuildProgram = `for word; do last=$word; done
nonce=$(printf '%s' "$last" | sed -n 's/.*name = "offload-\(.*\)";/\1/p')
printf '%s %s\n' "$nonce" "$(cat "$FAKE/builder-boot")" >"$FAKE/out"
echo "$FAKE/out"`

// newLaptop is a laptop on which everything works.
func newLaptop(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	store, shared := w.mkdir("store-remote"), w.mkdir("offload-remote")
	w.mkdir("store-remote", "0123456789abcdfghijklmnpqrsvwxyz-hello")
	for name, value := range map[string]string{
		"DESKTOP_IP": "127.0.0.1", "LAPTOP_IP": "", "SSH_PORT": closedPort(t), "CACHE_PORT": closedPort(t), "NFS_PORT": openPort(t),
		"CACHE_URL": "http://192.168.15.7:5000", "BUILDER_USER": "nix-builder",
		"BUILDER_KEY": w.path("builder_key"), "KNOWN_HOSTS": w.path("known_hosts"),
		"SHARES":    store + " 192.168.15.7:/nix/store ro\n" + shared + " 192.168.15.7:/var/lib/nix-offload rw",
		"MOUNTINFO": w.path("mountinfo"), "BOOT_ID": w.path("boot-id"),
	} {
		w.env[name] = value
	}
	w.write(laptopBoot+"\n", 0o644, "boot-id")
	w.write(desktopBoot, 0o644, "builder-boot")
	w.write(settings, 0o644, "settings")
	w.write("0", 0o644, "verify")
	w.write("ssh-ng://nix-builder@127.0.0.1 x86_64-linux /etc/nix/builder_key 4 2 kvm - -\n", 0o644, "machines")
	w.write("private", 0o600, "builder_key")
	w.write("ssh-ed25519 AAAAkey nix-builder@laptop-to-desktop\n", 0o644, "builder_key.pub")
	w.write(mountinfo(store, "192.168.15.7:/nix/store", "nfs4")+mountinfo(shared, "192.168.15.7:/var/lib/nix-offload", "nfs4"), 0o644, "mountinfo")

	w.program("stat", `case $2 in %u*) for f; do :; done; echo "0 $(stat -c %a "$f")" ;; esac`)
	w.program("nix", nixProgram)
	w.program("nix-build", nixBuildProgram)
	w.program("curl", curlProgram)
	w.program("ping", "exit 0")
	w.program("ssh-keygen", "echo ssh-ed25519 AAAAkey")
	w.program("ssh", `case "$*" in
*"store info"*) echo "Trusted: 1"; echo `+systemPath+` ;;
*check-validity*) echo `+desktopBoot+` ;;
esac`)
	w.program("systemctl", "exit 0")
	w.program("systemd-escape", `for f; do :; done; echo "unit-of-$(basename "$f")"`)
	w.program("journalctl", "echo 'mount.nfs: access denied'")
	w.program("umount", `: >"$FAKE/mountinfo"`)
	w.program("find", `exec /usr/bin/find "$@"`)
	return w
}

func mountinfo(at, source, kind string) string {
	return "31 24 0:27 / " + at + " rw,relatime shared:1 - autofs systemd-1 rw\n" +
		fmt.Sprintf("62 31 0:50 / %s rw,nosuid shared:2 - %s %s rw,vers=4.2\n", at, kind, source)
}

// listen opens a port of this machine.
func listen(t *testing.T) (_ net.Listener, port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err = net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return listener, port
}

// openPort is one that accepts until the test ends.
func openPort(t *testing.T) string {
	t.Helper()
	listener, port := listen(t)
	t.Cleanup(func() { listener.Close() })
	return port
}

// closedPort is one where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, port := listen(t)
	listener.Close()
	return port
}

// A fault breaks one thing in a world, and says how a command must tell it.
type fault struct {
	name   string
	broken func(w *world)
	status int
	lines  []string
	absent []string
}

func sshFails(message string) func(w *world) {
	return func(w *world) { w.program("ssh", "echo '"+message+"' >&2; exit 255") }
}

func setting(name, value string) func(w *world) {
	return func(w *world) {
		var kept []string
		for line := range strings.Lines(settings) {
			if !strings.HasPrefix(line, name+" = ") {
				kept = append(kept, line)
			}
		}
		w.write(strings.Join(kept, "")+name+" = "+value+"\n", 0o644, "settings")
	}
}

func away(w *world) { w.program("ping", "exit 1") }

func check(t *testing.T, command string, create func(*testing.T) *world, faults []fault) {
	t.Helper()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := create(t)
			if f.broken != nil {
				f.broken(w)
			}
			w.run(command, "").expect(t, f.status, f.lines, f.absent)
		})
	}
}

func TestOffloadStatus(t *testing.T) {
	t.Parallel()
	check(t, "offload-status", newLaptop, []fault{
		{name: "healthy", status: 0, lines: []string{
			"✅ Desktop reachable at 127.0.0.1", "✅ Nix sends builds to 127.0.0.1", "✅ SSH builder access working",
			"✅ Desktop's Nix trusts nix-builder", "✅ Desktop cache accessible",
			"✅ Desktop cache signs with a key this laptop trusts", "✅ Storage /nix/store", "✅ Offload: all is well",
		}, absent: []string{"❌", "⚠"}},
		{name: "desktop away", broken: away, status: 1,
			lines:  []string{"❌ Desktop unreachable at 127.0.0.1", "❌ SSH builder access", "❌ Desktop cache not accessible"},
			absent: []string{"✅ SSH", "✅ Desktop", "mounted\n   "}},
		{name: "ping blocked, port open", broken: func(w *world) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				w.t.Fatal(err)
			}
			w.t.Cleanup(func() { listener.Close() })
			_, w.env["SSH_PORT"], _ = net.SplitHostPort(listener.Addr().String())
			away(w)
		}, status: 0, lines: []string{"✅ Desktop reachable at 127.0.0.1"}},
		{name: "key not authorized", broken: sshFails("nix-builder@127.0.0.1: Permission denied (publickey)."), status: 1,
			lines:  []string{"❌ SSH builder access failed", "   the desktop does not accept this laptop"},
			absent: []string{"✅ SSH"}},
		{name: "host key changed", broken: sshFails("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @"), status: 1,
			lines: []string{"❌ SSH builder access failed", "   sudo ssh-keygen -R 127.0.0.1 -f "}},
		{name: "ssh hangs", broken: func(w *world) { w.program("ssh", hangs); w.impatient() }, status: 1,
			lines: []string{"❌ SSH builder access failed", "✅ Desktop cache accessible"}},
		{name: "no shell", broken: func(w *world) {
			w.program("ssh", "echo 'This account is currently not available.'; exit 1")
		}, status: 1, lines: []string{"❌ SSH builder access: nix-builder logs in, and cannot use Nix there"}},
		{name: "builder not trusted", broken: func(w *world) { w.program("ssh", "echo 'Trusted: 0'") }, status: 1,
			lines: []string{"✅ SSH builder access working", "❌ Desktop's Nix does not trust nix-builder"}},
		{name: "builder key open", broken: func(w *world) { w.write("private", 0o644, "builder_key") }, status: 1,
			lines: []string{"❌ SSH builder access: "}, absent: []string{"✅ SSH"}},
		{name: "builder key missing", broken: func(w *world) { os.Remove(w.path("builder_key")) }, status: 1,
			lines: []string{"❌ SSH builder access: "}, absent: []string{"✅ SSH"}},
		{name: "passphrase", broken: func(w *world) { w.program("ssh-keygen", "exit 255") }, status: 1,
			lines: []string{"❌ SSH builder access: "}},
		{name: "mismatched pair", broken: func(w *world) { w.program("ssh-keygen", "echo ssh-ed25519 AAAAother") }, status: 1,
			lines: []string{"❌ SSH builder access: "}},
		{name: "builders empty", broken: setting("builders", ""), status: 1,
			lines: []string{"❌ Nix does not offload: the effective setting"}},
		{name: "builders name another machine", broken: setting("builders", "ssh-ng://nix-builder@127.0.0.11 x86_64-linux"), status: 1,
			lines: []string{"❌ Nix does not offload: the desktop 127.0.0.1 is not in builders"}},
		{name: "builders in a list", broken: setting("builders", "ssh://nix-builder@127.0.0.1?compress=true x86_64-linux"), status: 0,
			lines: []string{"✅ Nix sends builds to 127.0.0.1"}},
		{name: "no local jobs", broken: setting("max-jobs", "0"), status: 0, lines: []string{"⚠️  max-jobs is 0"}},
		{name: "nix does not answer", broken: func(w *world) { w.program("nix", "exit 1") }, status: 1,
			lines: []string{"❌ Nix settings"}},
		{name: "share not mounted", broken: func(w *world) { w.write("", 0o644, "mountinfo") }, status: 1,
			absent: []string{"remote mounted"}, lines: []string{"   expected there: 192.168.15.7:/nix/store over NFS; found: none"}},
		{name: "something else is mounted", broken: func(w *world) {
			text := strings.ReplaceAll(w.read("mountinfo"), " nfs4 ", " ext4 ")
			w.write(text, 0o644, "mountinfo")
		}, status: 1, lines: []string{"   expected there: 192.168.15.7:/nix/store over NFS; found: none"}, absent: []string{"remote mounted"}},
		{name: "writes denied", broken: func(w *world) { w.program("mktemp", "exit 1") }, status: 1,
			lines: []string{"   does the desktop export it read-write"}},
		{name: "no NFS server", broken: func(w *world) {
			w.env["NFS_PORT"] = "1" // tcpmux(RFC 1078): nobody has it
			w.program("find", hangs)
		}, status: 1, lines: []string{"   nothing answers at port 1 of the desktop"}, absent: []string{"remote mounted\n"}},
		{name: "shares hang", broken: func(w *world) { w.program("find", hangs); w.impatient() }, status: 1,
			lines: []string{"✅ Desktop cache accessible"}, absent: []string{"remote mounted\n"}},
		{name: "cache refuses", broken: func(w *world) { w.program("curl", "echo 'curl: (7) refused' >&2; exit 7") }, status: 1,
			lines: []string{"❌ Desktop cache not accessible"}},
		{name: "cache hangs", broken: func(w *world) { w.program("curl", hangs); w.impatient() }, status: 1,
			lines: []string{"❌ Desktop cache not accessible"}},
		{name: "cache without its daemon", broken: func(w *world) {
			w.program("curl", strings.ReplaceAll(curlProgram, "printf 404", "printf 500"))
		}, status: 1, lines: []string{"❌ Desktop cache not accessible", "   HTTP 500 for a narinfo: the cache server cannot reach its Nix daemon"}},
		{name: "key not trusted", broken: func(w *world) { w.write("2", 0o644, "verify") }, status: 1,
			lines: []string{"✅ Desktop cache accessible", "❌ Desktop cache signs with no key this laptop trusts"}},
		{name: "malformed key", broken: func(w *world) { w.write("1", 0o644, "verify") }, status: 1,
			lines: []string{"❌ Desktop cache: its signature cannot be checked"}},
		{name: "disk full", broken: func(w *world) { w.program("df", "echo '9000 100 99% 100000 90000'") }, status: 1,
			lines: []string{"❌ Storage /nix/store: full"}},
		{name: "inodes used up", broken: func(w *world) { w.program("df", "echo '9000 5000 45% 100000 3'") }, status: 1,
			lines: []string{"❌ Storage /nix/store: out of inodes"}},
		{name: "not root, no sudo", broken: func(w *world) { w.program("id", "echo 1000"); w.program("sudo", "exit 1") }, status: 2,
			lines: []string{"offload-status: needs root"}, absent: []string{"✅"}},
	})
}

func TestOffloadStatusIsQuickWhenTheDesktopIsAway(t *testing.T) {
	t.Parallel()
	w := newLaptop(t)
	w.program("ping", hangs)
	w.program("ssh", hangs)
	w.program("curl", hangs)
	got := w.run("offload-status", "")
	got.expect(t, 1, []string{"❌ Desktop unreachable at 127.0.0.1"}, nil)
	if got.took > 15*time.Second {
		t.Errorf("it took %s, want less than 15 s", got.took)
	}
	if calls := w.read("calls"); strings.Contains(calls, "ssh ") || strings.Contains(calls, "curl ") {
		t.Errorf("it tried a desktop it knew to be away:\n%s", calls)
	}
}

func TestOffloadTestBuild(t *testing.T) {
	t.Parallel()
	success := "✅ Remote build test successful"
	failure := []string{"❌ Remote build test failed!"}
	check(t, "offload-test-build", newLaptop, []fault{
		{name: "healthy", status: 0, lines: []string{success}},
		{name: "desktop away", broken: away, status: 1, lines: failure, absent: []string{success}},
		{name: "no builders", broken: setting("builders", ""), status: 1, lines: failure},
		{name: "nobody takes it", broken: func(w *world) {
			w.program("nix-build", "echo 'error: unable to start any build; ' >&2; exit 1")
		}, status: 1, lines: append([]string{"   no builder took it"}, failure...)},
		{name: "not trusted", broken: func(w *world) {
			w.program("nix-build", "echo \"error: path lacks a signature by a trusted key\" >&2; exit 1")
		}, status: 1, lines: append([]string{"   the desktop's Nix does not trust nix-builder"}, failure...)},
		{name: "restricted", broken: func(w *world) {
			w.program("nix-build", "echo \"error: access is forbidden in restricted mode\" >&2; exit 1")
		}, status: 1, lines: append([]string{"   this laptop's Nix has restrict-eval on"}, failure...)},
		{name: "hangs", broken: func(w *world) { w.program("nix-build", hangs); w.impatient() }, status: 1,
			lines: failure, absent: []string{success}},
		{name: "built here", broken: func(w *world) { w.write(laptopBoot, 0o644, "builder-boot") }, status: 1,
			lines: failure, absent: []string{success}},
		{name: "not valid on the desktop", broken: func(w *world) { w.program("ssh", "exit 1") }, status: 1,
			lines: failure, absent: []string{success}},
		{name: "an old output", broken: func(w *world) {
			w.program("nix-build", `echo "other `+desktopBoot+`" >"$FAKE/out"; echo "$FAKE/out"`)
		}, status: 1, lines: failure, absent: []string{success}},
		{name: "not root", broken: func(w *world) { w.program("id", "echo 1000"); w.program("ssh", "exit 255") }, status: 0,
			lines: []string{success}},
		{name: "not root, built here", broken: func(w *world) {
			w.program("id", "echo 1000")
			w.write(laptopBoot, 0o644, "builder-boot")
		}, status: 1, lines: failure, absent: []string{success}},
	})
}

func TestOffloadTestBuildForbidsLocalBuilds(t *testing.T) {
	t.Parallel()
	w := newLaptop(t)
	w.run("offload-test-build", "").expect(t, 0, nil, nil)
	calls := w.read("calls")
	if !strings.Contains(calls, "--max-jobs 0") {
		t.Errorf("local builds were not forbidden:\n%s", calls)
	}
	if strings.Contains(calls, "--builders") || strings.Contains(calls, "nixpkgs") {
		t.Errorf("it overrode the daemon's builders, or needs nixpkgs:\n%s", calls)
	}
}

func TestOffloadMountAndUnmount(t *testing.T) {
	t.Parallel()
	check(t, "offload-mount", newLaptop, []fault{
		{name: "mount", status: 0, absent: []string{"❌"}, lines: []string{"✅ Shares: all is well"}},
		{name: "mount, desktop away", broken: away, status: 1, absent: []string{"remote mounted"}},
		{name: "mount denied", broken: func(w *world) { w.write("", 0o644, "mountinfo") }, status: 1,
			lines: []string{"   | mount.nfs: access denied"}, absent: []string{"remote mounted"}},
		{name: "mount, systemd hangs", broken: func(w *world) {
			w.program("systemctl", hangs)
			w.write("", 0o644, "mountinfo")
			w.impatient()
		}, status: 1, absent: []string{"remote mounted"}},
		{name: "mount, none configured", broken: func(w *world) { w.env["SHARES"] = "" }, status: 2},
	})
	check(t, "offload-unmount", newLaptop, []fault{
		{name: "unmount", status: 0, absent: []string{"❌"}},
		{name: "unmount, busy for good", broken: func(w *world) { w.program("umount", "exit 1") }, status: 1,
			absent: []string{"remote unmounted"}},
		{name: "unmount hangs", broken: func(w *world) {
			w.program("umount", hangs)
			w.program("systemctl", hangs)
			w.impatient()
		}, status: 1, absent: []string{"remote unmounted"}},
	})
}

func TestOffloadSetup(t *testing.T) {
	t.Parallel()
	create := func(t *testing.T) *world {
		w := newLaptop(t)
		w.program("offload-status", "exit 0")
		w.program("offload-test-build", "exit 0")
		return w
	}
	check(t, "offload-setup", create, []fault{
		{name: "healthy", status: 0, lines: []string{"✅ Builder key: ", "✅ SSH builder access working", "✅ Set-up: all is well"}},
		{name: "makes a key", broken: func(w *world) {
			os.Remove(w.path("builder_key"))
			os.Remove(w.path("builder_key.pub"))
			w.program("ssh-keygen", `case "$*" in *-t*) umask 077; echo k >"$FAKE/builder_key"; echo "ssh-ed25519 AAAAnew" >"$FAKE/builder_key.pub" ;; *) echo "ssh-ed25519 AAAAnew" ;; esac`)
			sshFails("Permission denied (publickey).")(w)
		}, status: 1, lines: []string{"✅ Builder key: ", "❌ SSH builder access failed", "ssh-ed25519 AAAAnew"}},
		{name: "passphrase", broken: func(w *world) { w.program("ssh-keygen", "exit 1") }, status: 1, lines: []string{"❌ Builder key: "}},
		{name: "desktop away", broken: away, status: 1, lines: []string{"❌ Desktop unreachable"}},
		{name: "status is not well", broken: func(w *world) { w.program("offload-status", "exit 1") }, status: 1},
		{name: "test build fails", broken: func(w *world) { w.program("offload-test-build", "exit 1") }, status: 1},
	})
}

func TestOffloadSetupNeverReplacesAKey(t *testing.T) {
	t.Parallel()
	w := newLaptop(t)
	w.program("offload-status", "exit 0")
	w.program("offload-test-build", "exit 0")
	w.run("offload-setup", "").expect(t, 0, nil, nil)
	if got := w.read("builder_key"); got != "private" {
		t.Errorf("the key is now %q", got)
	}
	if strings.Contains(w.read("calls"), "ssh-keygen -q") {
		t.Errorf("it made a key:\n%s", w.read("calls"))
	}
}
