package check

import (
	"strings"

	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

func loginCases() []broken {
	as := func(name string, more ...func(w *world)) func(w *world) {
		return func(w *world) {
			w.login(name, 255)
			for _, f := range more {
				f(w)
			}
		}
	}
	config := func(text string) func(w *world) {
		return func(w *world) { w.laptop.on("env HOME=/root ssh -G *", out(text)) }
	}
	journal := func(line string) func(w *world) {
		return func(w *world) {
			w.desktop.on("journalctl *--identifier=sshd *", out("2025-11-23T00:00:00+00:00 desktop "+line+"\n"))
		}
	}
	modes := func(home, folder, file string) func(w *world) {
		return func(w *world) {
			w.desktop.on("stat -c %a %U %n *", out(home+" /var/lib/nix-builder\n"+folder+" "+sshHome+"\n"+file+" "+authorized+"\n"))
		}
	}
	keys := func(lines ...string) func(w *world) {
		return func(w *world) { w.desktop.on("cat "+authorized, out(strings.Join(lines, "\n")+"\n")) }
	}
	shell := func(path string) func(w *world) {
		return func(w *world) {
			w.desktop.on("getent passwd nix-builder", out("nix-builder:x:990:990::/var/lib/nix-builder:"+path+"\n"))
		}
	}
	known := func(w *world) {
		w.laptop.on("sed -n 1p /root/.ssh/known_hosts", out("192.168.15.7 "+recorded(w.t, "ssh/known_host_key.pub")))
	}
	ended := func(status int, stdout string) func(w *world) {
		return func(w *world) {
			w.laptop.on("timeout 45 env -u SSH_AUTH_SOCK HOME=/root ssh -v * -- echo *", provider.Result{ExitStatus: status, Stdout: []byte(stdout), Stderr: []byte(recorded(w.t, "ssh/login.txt"))})
		}
	}
	return []broken{
		// the way there
		{name: "port 22 filtered", check: Login(), code: "ssh.port-filtered", change: as("refused", func(w *world) {
			w.laptop.on("timeout 45 * -- echo *", said(255, "ssh: connect to host 192.168.15.7 port 22: Connection timed out\n"))
			w.port(22, Filtered)
		})},
		{name: "port 22 filtered, and ssh has no timeout", check: Login(), code: "ssh.port-filtered", change: func(w *world) {
			w.laptop.on("timeout 45 * -- echo *", said(124, "debug1: Connecting to 192.168.15.7 [192.168.15.7] port 22.\n"))
			w.port(22, Filtered)
		}},
		{name: "sshd stopped", check: Login(), code: "ssh.port-refused", change: as("refused", func(w *world) {
			w.port(22, Refused)
			w.desktop.on("ss -Hltn *", out(""))
			w.desktop.on("systemctl show *", out("inactive\ndead\nsuccess\n"))
		})},
		{name: "no cable", check: Login(), code: "network.unreachable", change: func(w *world) {
			w.laptop.on("timeout 45 * -- echo *", said(255, "ssh: connect to host 192.168.15.7 port 22: No route to host\n"))
			w.away(Unreachable)
		}},
		{name: "the builder's address is stale", check: Login(), code: "network.wrong-desktop-address", says: []string{"192.168.15.8"},
			change: as("refused", config("hostname 192.168.15.8\n"))},
		{name: "the builder's name has no address", check: Login(), code: "network.wrong-desktop-address",
			change: as("resolve", func(w *world) { w.machines("ssh://nix-builder@nosuchhost.invalid - " + keyPath + "\n") })},
		{name: "a builder with a port, which is no part of ssh's name", check: Login(), code: "network.wrong-desktop-address",
			change: as("resolve", func(w *world) { w.machines("ssh://nix-builder@desktop:2222 - " + keyPath + "\n") })},
		{name: "no banner", check: Login(), code: "ssh.banner-timeout", change: as("banner")},
		{name: "no banner, and ssh has no timeout", check: Login(), code: "ssh.banner-timeout", change: func(w *world) { w.login("silent", 124) }},
		// host keys
		{name: "host key unknown", check: Login(), code: "ssh.host-key-unknown", says: []string{"SHA256:P47iPaioAtADElR/NwqLXVALhOjXtZeU7ZSYsnlec78"}, change: as("unknown")},
		{name: "S7 host key changed", check: Login(), code: "ssh.host-key-changed", says: []string{"SHA256:P47iPaioAtADElR/NwqLXVALhOjXtZeU7ZSYsnlec78", "made anew"}, change: as("changed", known)},
		{name: "another machine in the desktop's place", check: Login(), code: "ssh.host-key-changed", says: []string{"another machine"}, change: as("changed", known, func(w *world) {
			w.desktop.on("sh -c cat /etc/ssh/*", out(publicKey(w.t, 50, "root@desktop")))
		})},
		{name: "S7 host key changed, and nobody minds", check: Login(), code: "ssh.host-key-changed", says: []string{"all the same"}, change: func(w *world) {
			w.laptop.does("timeout 45 * -- echo *", func(argv []string) provider.Result {
				return provider.Result{Stdout: []byte(echoed(argv)), Stderr: []byte(recorded(w.t, "ssh/changed-ignored.txt"))}
			})
			known(w)
		}},
		{name: "host keys are not looked at", check: Login(), state: report.Warns, code: "ssh.host-key-unverified",
			change: config("hostname 192.168.15.7\nstricthostkeychecking false\nuserknownhostsfile /dev/null\n")},
		{name: "host keys are forgotten", check: Login(), state: report.Warns, code: "ssh.host-key-unverified",
			change: config("hostname 192.168.15.7\nstricthostkeychecking accept-new\nuserknownhostsfile /dev/null\n")},
		// the session
		{name: "control socket", check: Login(), code: "ssh.control-path", says: []string{"/root/.ssh/sockets"}, change: as("control-path")},
		{name: "S6 nologin", check: Login(), code: "ssh.no-shell", says: []string{"nologin"},
			change: func(w *world) {
				shell("/run/current-system/sw/bin/nologin")(w)
				ended(1, "This account is currently not available.\n")(w)
			}},
		{name: "S6 shell is false", check: Login(), code: "ssh.no-shell", says: []string{"/bin/false"},
			change: func(w *world) { shell("/bin/false")(w); ended(1, "")(w) }},
		{name: "a shell that fails", check: Login(), code: "ssh.login-failed", change: ended(3, "bash: cannot read its profile\n")},
		{name: "no nix-store on PATH", check: NixOnPath(), code: "ssh.no-nix", says: []string{"/usr/bin:/bin"}, change: func(w *world) {
			w.laptop.on("timeout 45 * -- echo * && nix-store --version", said(127, recorded(w.t, "ssh/login.txt")+"bash: line 1: nix-store: command not found\n"))
			w.laptop.on("timeout 45 * -- echo $PATH", out("/usr/bin:/bin\n"))
		}},
		{name: "no login, as seen by the next check", check: NixOnPath(), code: "ssh.key-unauthorized", change: as("denied", keys("# none yet"))},
		// denied
		{name: "S10 no such user", check: Login(), code: "builder.user-unknown", change: as("denied", func(w *world) { w.machines("ssh://builder@192.168.15.7 - " + keyPath + "\n") })},
		{name: "S1 the user's key", check: Login(), code: "ssh.key-unauthorized", says: []string{"/home/kernel/.ssh/id_ed25519.pub", "daemon", "SHA256:"}, change: func(w *world) {
			user := publicKey(w.t, 2, "kernel@kernelcore")
			as("denied", keys(user))(w)
			w.laptop.on("sh -c grep -Hs . /home/*", out("/home/kernel/.ssh/id_ed25519.pub:"+user+"\n"))
		}},
		{name: "somebody else's key", check: Login(), code: "ssh.key-unauthorized", says: []string{"other@laptop"}, change: func(w *world) { as("denied", keys(publicKey(w.t, 3, "other@laptop")))(w) }},
		{name: "no key", check: Login(), code: "ssh.key-unauthorized", change: as("denied", keys(""))},
		{name: "S2 file of all the world", check: Login(), code: "ssh.strict-modes", says: []string{"666 nix-builder", "600 nix-builder"},
			change: as("loose", modes("750 nix-builder", "700 nix-builder", "666 nix-builder"))},
		{name: "home of a group", check: Login(), code: "ssh.strict-modes", says: []string{"/var/lib/nix-builder is 770"}, change: as("loose", modes("770 nix-builder", "700 nix-builder", "600 nix-builder"))},
		{name: "folder of another", check: Login(), code: "ssh.strict-modes", says: []string{"700 cypher"}, change: as("loose", modes("750 nix-builder", "700 cypher", "600 nix-builder"))},
		{name: "a folder above", check: Login(), code: "ssh.strict-modes", says: []string{"directory /var/lib"},
			change: as("loose", journal("sshd-session[812]: Authentication refused: bad ownership or modes for directory /var/lib"))},
		{name: "a user sshd does not allow", check: Login(), code: "ssh.sshd-refuses", says: []string{"AllowUsers"},
			change: as("denied", journal("sshd-session[812]: User nix-builder from 192.168.15.9 not allowed because not listed in AllowUsers"))},
		{name: "keys read elsewhere", check: Login(), code: "ssh.sshd-refuses", says: []string{"/etc/ssh/authorized_keys.d/%u"},
			change: as("denied", func(w *world) {
				w.desktop.on("sshd -T *", out("pubkeyauthentication yes\nauthorizedkeysfile /etc/ssh/authorized_keys.d/%u\n"))
			})},
		{name: "no keys at all", check: Login(), code: "ssh.sshd-refuses", change: as("denied", func(w *world) { w.desktop.on("sshd -T *", out("pubkeyauthentication no\n")) })},
		{name: "denied all the same", check: Login(), code: "ssh.login-failed", says: []string{"denied"}, change: as("denied")},
		{name: "no authorized_keys", check: Login(), code: "ssh.no-authorized-keys", change: as("denied", func(w *world) {
			w.desktop.on("stat -c %a "+authorized, said(1, "stat: No such file or directory\n"))
			modes("750 nix-builder", "700 nix-builder", "")(w)
		})},
		{name: "the key is too early", check: LoginDenied(), code: "ssh.key-too-early", change: func(w *world) { w.laptop.on("timeout 45 * -- true", out("")) }},
		// the laptop's half
		{name: "K1 key of all the world", check: Login(), code: "keys.permissions", change: as("open-key", func(w *world) { w.laptop.on("stat -L *", out("644 root\n")) })},
		{name: "K2 passphrase", check: Login(), code: "keys.passphrase", change: as("encrypted", func(w *world) {
			w.laptop.on("ssh-keygen -y *", said(255, "Load key \""+keyPath+"\": incorrect passphrase supplied to decrypt private key\n"))
		})},
		{name: "K4 pair", check: Login(), code: "keys.pair-mismatch", change: as("pair", func(w *world) { w.laptop.on("cat "+keyPath+".pub", out(publicKey(w.t, 4, "old"))) })},
		{name: "no private key", check: Login(), code: "keys.invalid", change: as("junk", func(w *world) {
			w.laptop.on("ssh-keygen -y *", said(255, "Load key \""+keyPath+"\": error in libcrypto\n"))
		})},
		{name: "no key file", check: Login(), code: "keys.missing", change: as("denied", func(w *world) { w.laptop.on("stat -L *", said(1, "stat: No such file\n")) })},
		{name: "one of ssh's own keys", check: Login(), code: "keys.passphrase", says: []string{"/root/.ssh/id_ed25519"}, change: func(w *world) {
			w.machines("ssh://nix-builder@192.168.15.7\n")
			as("encrypted", config("hostname 192.168.15.7\nidentityfile ~/.ssh/id_rsa\nidentityfile ~/.ssh/id_ed25519\n"), func(w *world) {
				w.laptop.on("stat -L *", said(1, "stat: No such file\n"))
				w.laptop.on("stat -L *id_ed25519", out("600 root\n"))
				w.laptop.on("ssh-keygen -y *", said(255, "Load key: incorrect passphrase supplied to decrypt private key\n"))
			})(w)
		}},
		{name: "another key file", check: Login(), code: "keys.missing", says: []string{"/root/.ssh/id_ed25519", "/etc/nix/builder_key"}, change: func(w *world) {
			w.machines("ssh://nix-builder@192.168.15.7\n")
			as("denied", config("hostname 192.168.15.7\nidentityfile ~/.ssh/id_ed25519\nidentityfile ~/.ssh/id_rsa\n"), func(w *world) {
				w.laptop.on("stat -L *", said(1, "stat: No such file\n"))
			})(w)
		}},
	}
}

func keyCases() []broken {
	keys := func(body func(w *world) string) func(w *world) {
		return func(w *world) { w.desktop.on("cat "+authorized, out(body(w))) }
	}
	return []broken{
		{name: "K1 on the laptop", check: BuilderKey(), code: "keys.permissions", says: []string{"644 root"}, change: func(w *world) { w.laptop.on("stat -L *", out("644 root\n")) }},
		{name: "a user's key", check: BuilderKey(), code: "keys.permissions", change: func(w *world) { w.laptop.on("stat -L *", out("600 kernel\n")) }},
		{name: "K2 on the laptop", check: BuilderKey(), code: "keys.passphrase", change: func(w *world) {
			w.laptop.on("ssh-keygen -y *", said(255, "Load key \"x\": incorrect passphrase supplied to decrypt private key\n"))
		}},
		{name: "K4 on the laptop", check: BuilderKey(), code: "keys.pair-mismatch", says: []string{"SHA256:", "old"}, change: func(w *world) { w.laptop.on("cat "+keyPath+".pub", out(publicKey(w.t, 4, "old"))) }},
		{name: "no public half", check: BuilderKey(), code: "keys.pair-mismatch", change: func(w *world) { w.laptop.on("cat "+keyPath+".pub", said(1, "")) }},
		{name: "no key on the laptop", check: BuilderKey(), code: "keys.missing", change: func(w *world) { w.laptop.on("stat -L *", said(1, "")) }},
		{name: "junk on the laptop", check: BuilderKey(), code: "keys.invalid", change: func(w *world) { w.laptop.on("ssh-keygen -y *", said(255, "Load key \"x\": invalid format\n")) }},

		{name: "no .ssh", check: BuilderHomeModes(), code: "ssh.no-authorized-keys", change: func(w *world) { w.desktop.on("stat -c %a %U "+sshHome, said(1, "")) }},
		{name: "open .ssh", check: BuilderHomeModes(), code: "ssh.strict-modes", says: []string{"755 root"}, change: func(w *world) { w.desktop.on("stat -c %a %U "+sshHome, out("755 root\n")) }},

		{name: "no authorized_keys on the desktop", check: AuthorizedKey(), code: "ssh.no-authorized-keys", change: func(w *world) { w.desktop.on("stat -c %a %U "+authorized, said(1, "")) }},
		{name: "S2 on the desktop", check: AuthorizedKey(), code: "ssh.strict-modes", says: []string{"666 nix-builder"}, change: func(w *world) { w.desktop.on("stat -c %a %U "+authorized, out("666 nix-builder\n")) }},
		{name: "S1 on the desktop", check: AuthorizedKey(), code: "ssh.key-unauthorized", says: []string{"kernel@kernelcore"},
			change: keys(func(w *world) string { return publicKey(w.t, 2, "kernel@kernelcore") + "\n" })},
		{name: "another comment", check: AuthorizedKey(), code: "ssh.line-differs", change: keys(func(w *world) string { return publicKey(w.t, 1, "me") + "\n" })},
		{name: "joined lines", check: AuthorizedKey(), code: "ssh.line-differs", says: []string{"part of another line"},
			change: keys(func(w *world) string { return publicKey(w.t, 5, "x") + w.public + "\n" })},
		{name: "no newline", check: AuthorizedKey(), code: "ssh.line-differs", says: []string{"newline"}, change: keys(func(w *world) string { return w.public })},
		{name: "nothing to compare", check: AuthorizedKey(), code: "keys.missing", change: func(w *world) { w.laptop.on("cat "+keyPath+".pub", said(1, "")) }},
	}
}
