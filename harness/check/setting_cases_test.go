package check

import (
	"encoding/json"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

func settingCases() []broken {
	declare := func(w *world, option, value string) { w.bench.Server.Declared[option] = json.RawMessage(value) }
	laptop := func(name string, value any) func(w *world) {
		return func(w *world) { w.laptopNix = with(w.laptopNix, name, value) }
	}
	keys := func(texts ...string) func(w *world) {
		return func(w *world) {
			w.laptopNix = with(w.laptopNix, "trusted-public-keys", append([]string{"cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="}, texts...))
		}
	}
	subs := func(list ...string) func(w *world) { return laptop("substituters", list) }
	return []broken{
		{name: "server off", check: ServerEnabled(), code: "config.not-enabled", change: func(w *world) { declare(w, "services.offload-server.enable", "false") }},
		{name: "server has no such option", check: ServerEnabled(), code: "config.not-enabled", says: []string{"not declared"},
			change: func(w *world) { delete(w.bench.Server.Declared, "services.offload-server.enable") }},
		{name: "server without NFS", check: ServerEnabled(), code: "nfs.not-enabled", change: func(w *world) { declare(w, "services.offload-server.enableNFS", "false") }},
		{name: "S3 builder not trusted", check: BuilderTrusted(), code: "builder.untrusted", says: []string{"nix-builder"},
			change: func(w *world) { w.desktopNix = with(w.desktopNix, "trusted-users", []string{"root", "@wheel"}) }},
		{name: "edited and not switched to", check: InForce(nixos.Laptop), code: "config.not-in-force", state: report.Warns, says: []string{"connect-timeout"}, remedy: "nixos-rebuild switch",
			change: func(w *world) { w.bench.Client.NixConf["connect-timeout"] = "3" }},
		{name: "X11 no sandbox", check: DesktopSandbox(), code: "nix.sandbox-off", change: func(w *world) { w.desktopNix = with(w.desktopNix, "sandbox", "relaxed") }},

		{name: "X1 distributedBuilds off", check: BuildersConfigured(), code: "builder.not-configured", says: []string{"nix.distributedBuilds is false", "mkDefault"},
			change: func(w *world) { laptop("builders", "")(w); w.bench.Client.Machines = nil }},
		{name: "X1 distributedBuilds off with buildMachines", check: BuildersConfigured(), code: "builder.not-configured", says: []string{"nix.buildMachines"},
			change: laptop("builders", "")},
		{name: "nothing defined", check: BuildersConfigured(), code: "builder.not-configured", says: []string{"nothing defines"},
			change: func(w *world) { w.bench.Client.Machines = nil }},
		{name: "X2 list beside buildMachines", check: BuildersConfigured(), code: "builder.machines-shadowed",
			change: laptop("builders", "ssh://nix-builder@192.168.15.7 x86_64-linux - 1")},
		{name: "two builders joined", check: BuildersConfigured(), code: "builder.list-swallowed", says: []string{"ssh://b"},
			change: laptop("builders", "ssh://a x86_64-linux ssh://b x86_64-linux")},
		{name: "two builders joined, as another check sees it", check: BuilderUserExists(), code: "builder.list-swallowed",
			change: laptop("builders", "ssh://a x86_64-linux - 1 1 kvm - - ssh://b x86_64-linux")},
		{name: "X10 another system", check: BuildersConfigured(), code: "builder.system-mismatch", says: []string{"aarch64-linux", "x86_64-linux"},
			change: func(w *world) { w.machines("ssh://nix-builder@192.168.15.7 aarch64-linux - 4\n") }},
		{name: "no slots", check: BuildersConfigured(), code: "builder.no-slots", change: func(w *world) { w.machines("ssh://nix-builder@192.168.15.7 x86_64-linux - 0\n") }},
		{name: "S10 builder user", check: BuilderUserExists(), code: "builder.user-unknown", says: []string{"builder"},
			change: func(w *world) { w.machines("ssh://builder@192.168.15.7 x86_64-linux - 4\n") }},

		{name: "builders name a key nobody made", check: BuilderKeyExists(), code: "keys.missing", says: []string{"/etc/nix/other_key"}, change: func(w *world) {
			w.machines("ssh://nix-builder@192.168.15.7 x86_64-linux /etc/nix/other_key 4\n")
			w.laptop.on("test -s /etc/nix/other_key", said(1, ""))
		}},
		{name: "wrong address of the builder", check: Addresses(), code: "network.wrong-desktop-address", says: []string{"builder"},
			change: func(w *world) { w.laptop.on("env HOME=/root ssh -G *", out("hostname 192.168.15.8\n")) }},
		{name: "wrong address of the substituter", check: Addresses(), code: "network.wrong-desktop-address", says: []string{"substituter"},
			change: subs("http://192.168.15.8:5000", "https://cache.nixos.org")},
		{name: "wrong address of a mount", check: Addresses(), code: "network.wrong-desktop-address", says: []string{"/nix/store-remote"},
			change: func(w *world) { w.bench.Client.Fstab[0].Device = "192.168.15.8:/nix/store" }},

		{name: "C3 doubled prefix", check: TrustedKeys(), code: "cache.key-malformed", says: []string{"every signature check"},
			change: keys("cache.local:cache.local:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=")},
		{name: "short key", check: TrustedKeys(), code: "cache.key-malformed", change: keys("cache.local:AAAA")},
		{name: "C2 another name", check: TrustedKeys(), code: "cache.key-name",
			change: func(w *world) { _, k := cacheKey(w.t, "cache-key", 7); keys(k.String())(w) }},
		{name: "another key of the name", check: TrustedKeys(), code: "cache.key-untrusted", says: []string{"another key of the name"},
			change: func(w *world) { _, k := cacheKey(w.t, "cache.local", 8); keys(k.String())(w) }},
		{name: "no key", check: TrustedKeys(), code: "cache.key-untrusted", change: keys()},
		{name: "no key, and nobody hands it over", check: TrustedKeys(), code: "cache.key-untrusted", remedy: "KEYS=exchange",
			change: func(w *world) { keys()(w); w.bench.KeysWritten = true }},
		{name: "another key of the name before it", check: TrustedKeys(), code: "cache.key-shadowed", says: []string{"Nix takes the first"},
			change: func(w *world) {
				_, k := cacheKey(w.t, "cache.local", 8)
				keys(k.String(), w.verifier.String())(w)
			}},
		{name: "another key of the name after it", check: TrustedKeys(), state: report.Warns, code: "cache.key-unused",
			change: func(w *world) {
				_, k := cacheKey(w.t, "cache.local", 8)
				keys(w.verifier.String(), k.String())(w)
			}},
		{name: "a key too many", check: TrustedKeys(), state: report.Warns, code: "cache.key-unused",
			change: func(w *world) { _, k := cacheKey(w.t, "old.example", 9); keys(w.verifier.String(), k.String())(w) }},

		{name: "no substituter", check: Substituters(), code: "cache.not-configured", change: subs("https://cache.nixos.org")},
		{name: "C4 https", check: Substituters(), code: "cache.scheme", change: subs("https://192.168.15.7:5000", "https://cache.nixos.org")},
		{name: "wrong port", check: Substituters(), code: "cache.wrong-port", change: subs("http://192.168.15.7:8080")},
		{name: "no port", check: Substituters(), code: "cache.wrong-port", change: subs("http://192.168.15.7")},
		{name: "C9 priority of the URL", check: Substituters(), code: "cache.order", says: []string{"priority 50"},
			change: subs("http://192.168.15.7:5000?priority=50", "https://cache.nixos.org")},
		{name: "priority of three digits", check: Substituters(), code: "cache.order", says: []string{"priority 100"},
			change: subs("http://192.168.15.7:5000?priority=100", "https://cache.nixos.org")},
		{name: "equal priority, configured later", check: Substituters(), code: "cache.order", says: []string{"priority 40"},
			change: subs("https://cache.nixos.org", "http://192.168.15.7:5000?priority=40")},
		{name: "priority the cache says itself", check: Substituters(), code: "cache.order", says: []string{"priority 45"},
			change: func(w *world) {
				w.laptop.on("curl -sSf * http://192.168.15.7:5000/nix-cache-info", out("StoreDir: /nix/store\nPriority: 45\n"))
			}},
		{name: "another cache of priority 10", check: Substituters(), code: "cache.order", says: []string{"http://10.0.0.1"},
			change: func(w *world) {
				w.laptop.on("curl -sSf * http://10.0.0.1/nix-cache-info", out("StoreDir: /nix/store\nPriority: 10\n"))
				subs("http://192.168.15.7:5000", "http://10.0.0.1")(w)
			}},

		{name: "X5 fallback", check: OfflineSettings(), code: "nix.fallback-off", change: laptop("fallback", false)},
		{name: "X4 max-jobs", check: OfflineSettings(), code: "nix.no-local-capacity", change: laptop("max-jobs", 0)},
		{name: "X6 connect-timeout", check: OfflineSettings(), code: "nix.connect-timeout", says: []string{"30"}, change: laptop("connect-timeout", 30)},
		{name: "no connect-timeout", check: OfflineSettings(), code: "nix.connect-timeout", change: laptop("connect-timeout", 0)},
		{name: "hard mount", check: BootSafe(), code: "nfs.hard-mount", says: []string{"/nix/store-remote"},
			change: func(w *world) { w.bench.Client.Fstab[0].Options = []string{"ro", "hard"} }},
		{name: "the line to mend", check: OfflineSettings(), code: "nix.fallback-off", change: func(w *world) {
			laptop("fallback", false)(w)
			w.explains("nix.settings.fallback", "/etc/nixos/modules/x.nix", 12)
		}},
	}
}

// skipped are checks that have nothing to look at.
func skipped() []broken {
	return []broken{
		{name: "sudo asks", check: Sudo("cypher"), change: func(w *world) { w.desktop.on("runuser *", said(1, "sudo: a password is required\n")) }},
		{name: "no builder", check: BuilderUserExists(), change: func(w *world) { w.laptopNix = with(w.laptopNix, "builders", "") }},
		{name: "no key to compare", check: TrustedKeys(), change: func(w *world) { w.desktop.on("cat "+CachePublicKeyPath, said(1, "")) }},
		{name: "not mounted: read", check: Readable(Shares[0]), change: func(w *world) { w.laptop.on("cat /proc/self/mountinfo", out("")) }},
		{name: "not mounted: read-only", check: ReadOnly(Shares[0]), change: func(w *world) { w.laptop.on("cat /proc/self/mountinfo", out("")) }},
		{name: "not mounted: write", check: Writable(Shares[1]), change: func(w *world) { w.laptop.on("cat /proc/self/mountinfo", out("")) }},
		{name: "the desktop has no kvm", check: BuildNeeding("kvm"), change: func(w *world) {
			w.laptop.on("*timeout * nix-build *", said(1, "error: build of '/nix/store/x.drv' on 'ssh://nix-builder@192.168.15.7' failed: a 'x86_64-linux' with features {kvm} is required to build '/nix/store/x.drv', but I am a 'x86_64-linux' with features {benchmark}\n"))
		}},
	}
}

// holding are changes that a check should not mind.
func holding() []broken {
	laptop := func(name string, value any) func(w *world) {
		return func(w *world) { w.laptopNix = with(w.laptopNix, name, value) }
	}
	return []broken{
		{name: "a group is trusted", check: BuilderTrusted(), change: func(w *world) { w.desktopNix = with(w.desktopNix, "trusted-users", []string{"root", "@nix-builder"}) }},
		{name: "everybody is trusted", check: BuilderTrusted(), change: func(w *world) { w.desktopNix = with(w.desktopNix, "trusted-users", "root *") }},
		{name: "who logs in finds no Nix, which is another check's", check: Login(), change: func(w *world) {
			w.laptop.does("timeout 45 * -- echo *", func(argv []string) provider.Result {
				return provider.Result{ExitStatus: 127, Stdout: []byte(echoed(argv) + "\n"), Stderr: []byte(recorded(w.t, "ssh/login.txt") + "bash: line 1: nix-store: command not found\n")}
			})
		}},
		{name: "one builder of two fits", check: BuildersConfigured(), change: func(w *world) {
			w.machines("ssh://nix-builder@192.168.15.7 aarch64-linux - 4\nssh://nix-builder@192.168.15.7 x86_64-linux,i686-linux - 4\n")
		}},
		{name: "the same list twice", check: BuildersConfigured(), change: func(w *world) { laptop("builders", *w.bench.Client.Machines)(w) }},
		{name: "a file among the builders", check: BuildersConfigured(), change: laptop("builders", "ssh://a aarch64-linux ; @/etc/nix/machines")},
		{name: "a lower priority, later", check: Substituters(), change: laptop("substituters", []string{"https://cache.nixos.org", "http://192.168.15.7:5000"})},
		{name: "priority 9 is before 40", check: Substituters(), change: laptop("substituters", []string{"https://cache.nixos.org", "http://192.168.15.7:5000?priority=9"})},
		{name: "the cache is silent now", check: Substituters(), change: func(w *world) {
			w.laptop.on("curl -sSf * http://192.168.15.7:5000/nix-cache-info", said(7, "curl: (7)\n"))
		}},
		{name: "a proxy speaks TLS", check: Substituters(), change: func(w *world) {
			w.bench.Server.Firewall.AllowedTCPPorts = append(w.bench.Server.Firewall.AllowedTCPPorts, 443)
			w.laptop.on("curl -sk * https://192.168.15.7/nix-cache-info", out(cacheInfo))
			w.laptop.on("curl -sSf * https://192.168.15.7/nix-cache-info", out(cacheInfo))
			laptop("substituters", []string{"https://192.168.15.7", "https://cache.nixos.org"})(w)
		}},
		{name: "a public cache and its key", check: TrustedKeys(), change: func(w *world) {
			_, k := cacheKey(w.t, "nix-community.cachix.org-1", 9)
			laptop("substituters", []string{"http://192.168.15.7:5000", "https://nix-community.cachix.org"})(w)
			laptop("trusted-public-keys", []string{w.verifier.String(), k.String()})(w)
		}},
		{name: "names and other networks", check: Addresses(), change: func(w *world) {
			w.laptop.on("env HOME=/root ssh -G *", out("hostname desktop.lan\n"))
			w.bench.Client.Fstab[0].Device = "desktop:/nix/store"
			laptop("substituters", []string{"http://10.1.1.1:5000"})(w)
		}},
		{name: "a key elsewhere", check: BuilderKey(), change: func(w *world) {
			w.bench.Client.Declared = map[string]json.RawMessage{"services.laptop-builder-client.builderKeyPath": json.RawMessage(`"/root/.ssh/builder"`)}
			for _, a := range []string{"stat -L -c %a %U ", "ssh-keygen -y -P  -f ", "cat "} {
				text := map[bool]string{true: "400 root\n", false: w.public}[a[:4] == "stat"]
				w.laptop.on(a+"/root/.ssh/builder", out(text))
			}
			w.laptop.on("cat /root/.ssh/builder.pub", out(w.public))
		}},
		{name: "root squashed where nobody owns the folder", check: Writable(Shares[1]), change: func(w *world) {
			w.desktop.on("exportfs -s", out("/var/lib/nix-offload 192.168.15.9(rw,root_squash)\n"))
		}},
	}
}
