package check

import (
	"context"
	"errors"
	"time"

	"offload-e2e/harness/nixserve"
	"offload-e2e/harness/provider"
)

func buildCases() []broken {
	says := func(text string) func(w *world) {
		return func(w *world) { w.laptop.on("*timeout * nix-build *", said(100, text)) }
	}
	both := func(list ...func(w *world)) func(w *world) {
		return func(w *world) {
			for _, f := range list {
				f(w)
			}
		}
	}
	real := func(name string) func(w *world) { return func(w *world) { w.builds(name) } }
	laptop := func(name string, value any) func(w *world) {
		return func(w *world) { w.laptopNix = with(w.laptopNix, name, value) }
	}
	desktop := func(name string, value any) func(w *world) {
		return func(w *world) { w.desktopNix = with(w.desktopNix, name, value) }
	}
	const on = "error: build of '/nix/store/x.drv' on 'ssh://nix-builder@192.168.15.7' failed: "
	offline := Offline("unplugged", time.Minute)
	return []broken{
		{name: "S3 not trusted, no inputs", check: RemoteBuild(), code: "builder.untrusted", says: []string{"trusted-users", "root"},
			change: both(says(on+"you are not privileged to build input-addressed derivations\n"), desktop("trusted-users", []string{"root"}))},
		{name: "S3 not trusted, inputs", check: RemoteBuild(), code: "builder.untrusted",
			change: both(says("error: cannot add path '/nix/store/x' because it lacks a signature by a trusted key\n"), desktop("trusted-users", []string{"root"}))},
		{name: "daemon refuses the builder", check: RemoteBuild(), code: "builder.not-allowed", says: []string{"@wheel"},
			change: both(says("cannot build on 'ssh://nix-builder@192.168.15.7': error: user 'nix-builder' is not allowed to connect to the Nix daemon\n"), desktop("allowed-users", []string{"@wheel"}))},
		{name: "Q1 desktop full", check: RemoteBuild(), code: "builder.store-full", says: []string{"/nix/store/x"}, change: says("error: writing to file '/nix/store/x': No space left on device\n")},
		{name: "laptop's daemon dead", check: RemoteBuild(), code: "nix.daemon-dead", change: says("error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused\n")},
		{name: "X1 no builder", check: RemoteBuild(), code: "builder.not-configured", change: both(real("no-builder"), laptop("builders", ""))},
		{name: "X2 shadowed", check: RemoteBuild(), code: "builder.machines-shadowed", change: both(real("refused"), laptop("builders", "ssh://nix-builder@10.0.0.1"))},
		{name: "X10 other system", check: RemoteBuild(), code: "builder.system-mismatch", says: []string{"aarch64-linux"},
			change: both(real("other-system"), func(w *world) { w.machines("ssh://nix-builder@192.168.15.7 aarch64-linux - 4 1 kvm\n") })},
		{name: "X7 no kvm", check: BuildNeeding("kvm"), code: "builder.feature-missing", says: []string{"kvm", "[benchmark]"},
			change: both(real("no-kvm"), func(w *world) { w.machines("ssh://nix-builder@192.168.15.7 x86_64-linux - 4 1 benchmark\n") })},
		{name: "mandatory feature", check: BuildNeeding("kvm"), code: "builder.feature-missing", says: []string{"benchmark"},
			change: both(real("mandatory"), func(w *world) {
				w.machines("ssh://nix-builder@192.168.15.7 x86_64-linux - 4 1 kvm,benchmark benchmark\n")
			})},
		{name: "two builders joined", check: RemoteBuild(), code: "builder.list-swallowed", says: []string{"ssh://b"},
			change: both(real("two-builders"), laptop("builders", "ssh://a x86_64-linux - ssh://b x86_64-linux"))},
		{name: "a list only Nix finds wrong", check: RemoteBuild(), code: "builder.list-swallowed", change: real("two-builders")},
		{name: "connection refused", check: RemoteBuild(), code: "ssh.port-refused", change: both(real("refused"), func(w *world) {
			w.login("refused", 255)
			w.port(22, Refused)
			w.desktop.on("ss -Hltn *", out(""))
		})},
		{name: "S1 as a build sees it", check: RemoteBuild(), code: "ssh.key-unauthorized", change: both(real("refused"), func(w *world) {
			w.login("denied", 255)
			w.desktop.on("cat "+authorized, out(publicKey(w.t, 2, "kernel")+"\n"))
		})},
		{name: "X9 expression forbidden", check: RemoteBuild(), code: "nix.restrict-eval", says: []string{"forbidden in restricted mode"}, change: func(w *world) { w.laptop.on("*timeout * nix-build *", said(1, recorded(w.t, "nix/restricted.txt"))) }},
		{name: "X9 other expressions forbidden", check: RemoteBuild(), code: "nix.restrict-eval", change: both(laptop("restrict-eval", true), func(w *world) {
			w.laptop.on("nix-instantiate --eval *", said(1, recorded(w.t, "nix/restricted.txt")))
		})},
		{name: "X8 setting ignored", check: BuildAs("kernel", "--builders", "ssh://x"), code: "builder.setting-ignored", says: []string{"--builders"}, change: func(w *world) {
			w.laptop.on("*timeout * nix-build *", provider.Result{Stdout: []byte(made + "\n"),
				Stderr: []byte("warning: ignoring the client-specified setting 'builders', because it is a restricted setting and you are not a trusted user\n")})
			w.laptop.on("cat "+made, out(laptopBoot+"\n"))
		}},
		{name: "built locally", check: RemoteBuild(), code: "builder.built-locally", says: []string{laptopBoot, desktopBoot}, change: func(w *world) { w.laptop.on("cat "+made, out(laptopBoot+"\n")) }},
		{name: "M3 not in the desktop's store", check: RemoteBuild(), code: "builder.collected", change: func(w *world) { w.desktop.on("nix-store --check-validity *", said(1, "error: path is not valid\n")) }},
		{name: "something else", check: RemoteBuild(), code: "builder.build-failed", says: []string{"builder for x failed"}, change: says(on + "builder for x failed with exit code 1\n")},
		{name: "a client without a line is let in", check: MoreClients(), code: "ssh.key-too-early", change: func(w *world) {
			w.laptop.on("bash -c rm -rf *", out("a\nb\nc\nd\n"))
			w.laptop.on("rm -rf "+clientsDir, out(""))
			w.desktop.on("bash -c sed -i *", out(""))
			w.laptop.on("bash -c timeout 45 ssh *", out(""))
		}},
		{name: "too early", check: BuildRefused(), code: "ssh.key-too-early", change: func(*world) {}},
		{name: "built locally after the return", check: Resumed("unplugged"), code: "builder.built-locally", change: func(w *world) { w.laptop.on("cat "+made, out(laptopBoot+"\n")) }},

		{name: "X4 offline", check: offline, code: "nix.no-local-capacity", change: both(real("refused"), laptop("max-jobs", 0))},
		{name: "X5 offline", check: offline, code: "nix.fallback-off", change: both(laptop("fallback", false),
			says("error: some substitutes for the outputs of derivation '/nix/store/x.drv' failed (usually happens due to networking issues); try '--fallback' to build derivation from source\n"))},
		{name: "X6 offline without an end", check: offline, code: "nix.fallback-slow", says: []string{"over 180 s"}, change: func(w *world) { w.laptop.on("*timeout * nix-build *", said(124, "")) }},
		{name: "X6 offline over the budget", check: Offline("dropping packets", time.Minute), code: "nix.fallback-slow", change: func(w *world) {
			w.laptop.does("*timeout * nix-build *", func([]string) provider.Result {
				time.Sleep(2 * time.Minute) // virtual
				return out(made + "\n")
			})
			w.laptop.on("cat "+made, out(laptopBoot+"\n"))
		}},
		{name: "offline, and it names the desktop", check: offline, code: "nix.offline-build-failed", change: func(*world) {}},
		{name: "offline, something else", check: offline, code: "nix.offline-build-failed", says: []string{"out of memory"}, change: says("error: out of memory\n")},
	}
}

func cacheCases() []broken {
	pub := func(text string) func(w *world) {
		return func(w *world) { w.desktop.on("cat "+CachePublicKeyPath, out(text)) }
	}
	narinfo := "/" + hashPart(made) + ".narinfo"
	fails := func(w *world) { w.http(narinfo, 500, "Internal Server Error") }
	// missed is a laptop that does not get the path, and what it asked the cache for.
	missed := func(says string, asked string, more ...func(w *world)) func(w *world) {
		return func(w *world) {
			w.laptop.on("timeout * nix-store --realise *", said(1, says))
			w.desktop.on("journalctl --no-pager --output=cat *", out(asked))
			for _, f := range more {
				f(w)
			}
		}
	}
	const unsigned = "warning: ignoring substitute for '" + made + "' from 'http://192.168.15.7:5000', as it's not signed by any of the keys in 'trusted-public-keys'\nerror: path '" + made + "' is required, but there is no substituter that can build it\n"
	const nowhere = "error: path '" + made + "' is required, but there is no substituter that can build it\n"
	const corrupt = "error: hash mismatch importing path '" + made + "';\n  specified: sha256:0d71ygfwbmy1xjlbj1v027dfmy9cqavy4vsyb7c9n5csl4rwa0rk\n  got:       sha256:1d71ygfwbmy1xjlbj1v027dfmy9cqavy4vsyb7c9n5csl4rwa0rk\n"
	return []broken{
		{name: "no signing key", check: CacheKeyFiles(), code: "cache.key-file", change: func(w *world) { w.desktop.on("stat -c %a %s *", said(1, "")) }},
		{name: "signing key of all the world", check: CacheKeyFiles(), code: "cache.key-permissions", says: []string{"644"}, change: func(w *world) { w.desktop.on("stat -c %a %s *", out("644 99\n")) }},
		{name: "no public half", check: CacheKeyFiles(), code: "cache.key-file", change: pub("")},
		{name: "junk for a signing key", check: CacheKeyFiles(), code: "cache.key-file", change: func(w *world) { w.desktop.on("cat /var/cache-priv-key.pem", out("x")) }},
		{name: "halves of two keys", check: CacheKeyFiles(), code: "cache.key-file", change: func(w *world) { _, k := cacheKey(w.t, "cache.local", 8); pub(k.String())(w) }},
		{name: "halves of two names", check: CacheKeyFiles(), code: "cache.key-name", change: func(w *world) { _, k := cacheKey(w.t, "cache-key", 7); pub(k.String())(w) }},
		{name: "C2 a name nobody is told", check: CacheKeyFiles(), code: "cache.key-name", says: []string{"cache.local"}, change: func(w *world) {
			s, k := cacheKey(w.t, "cache-key", 7)
			pub(k.String())(w)
			w.desktop.on("cat /var/cache-priv-key.pem", out(s.String()))
		}},

		{name: "no names of the internet", check: InternetHit(), code: "cache.no-internet", says: []string{"Could not resolve host"}, change: func(w *world) {
			w.bench.Origin = &origin{}
			w.laptop.on("timeout * nix-store --realise *", said(1, nowhere))
			w.laptop.on("curl -sSf *", said(6, "curl: (6) Could not resolve host: cache.nixos.org\n"))
		}},
		{name: "the internet answers, and Nix finds nothing there", check: InternetHit(), code: "cache.no-internet", says: []string{"no substituter that can build it"}, change: func(w *world) {
			w.bench.Origin = &origin{}
			w.laptop.on("timeout * nix-store --realise *", said(1, nowhere))
			w.laptop.on("curl -sSf *", out("StoreDir: /nix/store\n"))
		}},
		{name: "the path came, and not from the internet", check: InternetHit(), code: "cache.no-internet", change: func(w *world) {
			w.bench.Origin = &origin{}
			w.laptop.on("timeout * nix-store --realise *", out(""))
			w.laptop.on("curl -sSf *", out("StoreDir: /nix/store\n"))
		}},
		{name: "info 500", check: CacheInfo(), code: "cache.http-error", says: []string{"500"}, change: func(w *world) { w.http("/nix-cache-info", 500, "x") }},
		{name: "info of something else", check: CacheInfo(), code: "cache.http-error", says: []string{"It works!"}, change: func(w *world) { w.http("/nix-cache-info", 200, "<h1>It works!</h1>") }},
		{name: "info refused", check: CacheInfo(), code: "cache.port-refused", change: func(w *world) {
			w.http("/nix-cache-info", 0, "")
			w.port(5000, Refused)
			w.desktop.on("ss -Hltn *", out(""))
			w.desktop.on("systemctl show * --value", out("failed\nfailed\nexit-code\n"))
		}},
		{name: "C11 info", check: CacheInfo(), code: "cache.bind-address", change: func(w *world) {
			w.http("/nix-cache-info", 0, "")
			w.port(5000, Refused)
			w.desktop.on("ss -Hltn *", out("LISTEN 0 4096 127.0.0.1:5000 0.0.0.0:*\n"))
		}},
		{name: "info filtered", check: CacheInfo(), code: "cache.port-filtered", change: func(w *world) { w.http("/nix-cache-info", 0, ""); w.port(5000, Filtered) }},
		{name: "info away", check: CacheInfo(), code: "network.unreachable", change: func(w *world) { w.http("/nix-cache-info", 0, ""); w.away(Unreachable) }},
		{name: "info silent", check: CacheInfo(), code: "cache.http-error", says: []string{"silence"}, change: func(w *world) { w.http("/nix-cache-info", 0, "") }},

		{name: "C1 AF_UNIX denied", check: CacheSignature(), code: "cache.daemon-unreachable", says: []string{"AF_INET AF_INET6", "AF_UNIX", "HTTP 500"}, change: func(w *world) {
			fails(w)
			w.desktop.on("systemctl show nix-serve.service --property=User,*", out("User=nix-serve\nRestrictAddressFamilies=AF_INET AF_INET6\n"))
		}},
		{name: "C1 AF_UNIX denied by name", check: CacheSignature(), code: "cache.daemon-unreachable", says: []string{"~AF_UNIX"}, change: func(w *world) {
			fails(w)
			w.desktop.on("systemctl show nix-serve.service --property=User,*", out("User=nix-serve\nRestrictAddressFamilies=~AF_UNIX AF_NETLINK\n"))
		}},
		{name: "C12 allowed-users", check: CacheSignature(), code: "cache.daemon-refuses", says: []string{"@wheel", "nix-serve"}, change: func(w *world) {
			fails(w)
			w.desktopNix = with(w.desktopNix, "allowed-users", []string{"@wheel", "nix-builder"})
			w.desktop.on("id -Gn nix-serve", out("nix-serve\n"))
		}},
		{name: "daemon dead", check: CacheSignature(), code: "nix.daemon-dead", says: []string{"inactive"}, change: func(w *world) {
			fails(w)
			w.desktop.on("systemctl is-active *", said(3, ""))
			w.desktop.on("systemctl is-active nix-daemon.socket", provider.Result{ExitStatus: 3, Stdout: []byte("inactive\n")})
		}},
		{name: "500 for no known reason", check: CacheSignature(), code: "cache.daemon-unreachable", says: []string{"cannot open connection"}, change: func(w *world) {
			fails(w)
			w.desktop.on("journalctl *--unit=nix-serve.service", out("nix-serve: cannot open connection to remote store 'daemon'\n"))
		}},
		{name: "404 for a path it has", check: CacheSignature(), code: "cache.http-error", says: []string{"404"}, change: func(w *world) { w.http(narinfo, 404, "No such path.\n") }},
		{name: "narinfo away", check: CacheSignature(), code: "cache.port-filtered", change: func(w *world) { w.http(narinfo, 0, ""); w.port(5000, Filtered) }},
		{name: "narinfo of junk", check: CacheSignature(), code: "cache.http-error", change: func(w *world) { w.http(narinfo, 200, "junk\n") }},
		{name: "no public key", check: CacheSignature(), code: "cache.key-file", change: pub("")},
		{name: "C10 unsigned", check: CacheSignature(), code: "cache.unsigned", change: func(w *world) { w.http(narinfo, 200, w.narinfo()) }},
		{name: "C5 stale key", check: CacheSignature(), code: "cache.stale-key", says: []string{"restarted"}, change: func(w *world) {
			old, _ := cacheKey(w.t, "cache.local", 9)
			w.http(narinfo, 200, w.narinfo(old))
		}},
		{name: "C5 stale key, renamed", check: CacheSignature(), code: "cache.signature", change: func(w *world) {
			old, _ := cacheKey(w.t, "before.local", 9)
			w.http(narinfo, 200, w.narinfo(old))
		}},
		{name: "signs as another", check: CacheSignature(), code: "cache.key-name", says: []string{"cache-key"}, change: func(w *world) {
			s, _ := cacheKey(w.t, "cache-key", 7)
			w.http(narinfo, 200, w.narinfo(s))
		}},
		{name: "file of another pair", check: CacheSignature(), code: "cache.signature", change: func(w *world) { _, k := cacheKey(w.t, "cache.local", 8); pub(k.String())(w) }},

		{name: "C2 hit", check: CacheHit(), code: "cache.key-name", says: []string{"cache-key"}, change: missed(unsigned, access(narinfo, 200), func(w *world) {
			_, k := cacheKey(w.t, "cache-key", 7)
			w.laptopNix = with(w.laptopNix, "trusted-public-keys", []string{k.String()})
		})},
		{name: "C3 hit", check: CacheHit(), code: "cache.key-malformed", change: missed("error: invalid character in Base64 string: ':'\n", "", func(w *world) {
			w.laptopNix = with(w.laptopNix, "trusted-public-keys", []string{"cache.local:" + w.verifier.String()})
		})},
		{name: "C5 hit", check: CacheHit(), code: "cache.stale-key", change: missed(unsigned, access(narinfo, 200), func(w *world) {
			old, _ := cacheKey(w.t, "cache.local", 9)
			w.http(narinfo, 200, w.narinfo(old))
		})},
		{name: "C10 hit", check: CacheHit(), code: "cache.unsigned", change: missed(unsigned, access(narinfo, 200), func(w *world) { w.http(narinfo, 200, w.narinfo()) })},
		{name: "unsigned for no known reason", check: CacheHit(), code: "cache.key-untrusted", change: missed(unsigned, access(narinfo, 200))},
		{name: "C4 hit", check: CacheHit(), code: "cache.scheme", change: missed("warning: error: unable to download 'https://192.168.15.7:5000/nix-cache-info': SSL connect error (35)\n", "", func(w *world) {
			w.laptopNix = with(w.laptopNix, "substituters", []string{"https://192.168.15.7:5000"})
		})},
		{name: "no substituter, hit", check: CacheHit(), code: "cache.not-configured", change: missed(nowhere, "", func(w *world) {
			w.laptopNix = with(w.laptopNix, "substituters", []string{"https://cache.nixos.org"})
		})},
		{name: "stale substituter, hit", check: CacheHit(), code: "network.wrong-desktop-address", change: missed(nowhere, "", func(w *world) {
			w.laptopNix = with(w.laptopNix, "substituters", []string{"http://192.168.15.8:5000"})
		})},
		{name: "C1 hit", check: CacheHit(), code: "cache.daemon-unreachable", change: missed(nowhere, access(narinfo, 500), func(w *world) {
			w.desktop.on("systemctl show nix-serve.service --property=User,*", out("User=nix-serve\nRestrictAddressFamilies=AF_INET\n"))
		})},
		{name: "C14 a byte flipped", check: CacheHitDespite(Interference{Name: "a byte of it was flipped", After: func(context.Context, string) error { return nil }}), code: "cache.nar-corrupt",
			says: []string{"sha256:0d71", "sha256:1d71"}, change: missed(corrupt, access(narinfo, 200)+access(narPath(), 200))},
		{name: "C8 garbage collected", check: CacheHitDespite(Interference{Name: "the desktop collected its garbage"}), code: "cache.nar-gone", change: missed("error: file 'nar/x.nar' does not exist in binary cache 'http://192.168.15.7:5000'\n", access(narPath(), 404))},
		{name: "C7 remembered as missing", check: CacheHitDespite(Interference{Name: "it was asked for before", Before: func(_ context.Context, path string) error {
			if path != made {
				return errors.New("not the path that will be made: " + path)
			}
			return nil
		}}), code: "cache.negative-cached", says: []string{narinfo}, change: missed(nowhere, access("/nix-cache-info", 200))},
		{name: "port closed, hit", check: CacheHit(), code: "cache.port-filtered", change: missed(nowhere, "", func(w *world) { w.http(narinfo, 0, ""); w.port(5000, Filtered) })},
		{name: "Q2 laptop full", check: CacheHit(), code: "nix.store-full", change: missed("error: writing to file '/nix/store/x': No space left on device\n", access(narinfo, 200))},
		{name: "asked and not taken", check: CacheHit(), code: "cache.not-used", change: missed(nowhere, access(narinfo, 200))},
		{name: "arrived from elsewhere", check: CacheHit(), code: "cache.not-used", says: []string{"no NAR"}, change: func(w *world) {
			w.desktop.on("journalctl --no-pager --output=cat *", out(nixserve.Access{Client: "192.168.15.10", Method: "GET", Path: narPath(), Status: 200}.String()+"\n"))
		}},
		{name: "C5 arrived, signed by the old key", check: CacheHit(), code: "cache.stale-key", change: func(w *world) {
			old, _ := cacheKey(w.t, "cache.local", 9)
			w.http(narinfo, 200, w.narinfo(old))
		}},
	}
}
