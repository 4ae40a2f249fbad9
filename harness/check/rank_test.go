package check

import (
	"slices"
	"strings"
	"testing"

	"offload-e2e/harness/report"
)

// What a fault does to the whole stack comes to one root cause.
func TestRootCauses(t *testing.T) {
	denied := func(w *world) { w.login("denied", 255); w.builds("refused") }
	narinfo := func(w *world, status int) {
		w.http("/"+hashPart(made)+".narinfo", status, "Internal Server Error")
		w.laptop.on("timeout * nix-store --realise *", said(1, "error: path '"+made+"' is required, but there is no substituter that can build it\n"))
		w.desktop.on("journalctl --no-pager --output=cat *", out(access("/"+hashPart(made)+".narinfo", status)))
	}
	unmounted := func(w *world) {
		w.laptop.on("cat /proc/self/mountinfo", out(""))
		w.laptop.on("timeout --kill-after=5 40 stat *", said(1, "stat: No such device\n"))
		w.laptop.on("bash -c d=$(mktemp -d) *", said(32, "mount.nfs4: mounting failed, reason given by server: No such file or directory\n"))
	}
	for _, tt := range []struct {
		name, code, machine string
		change              func(w *world)
		explains            []string
	}{
		{"S1 the user's key", "ssh.key-unauthorized", "desktop", func(w *world) {
			denied(w)
			w.desktop.on("cat "+authorized, out(publicKey(t, 2, "kernel")+"\n"))
		}, []string{"SR.authorized-key", "SR.login", "SR.nix-on-path", "RB.build"}},
		{"S2 authorized_keys 666", "ssh.strict-modes", "desktop", func(w *world) {
			denied(w)
			w.desktop.on("stat -c %a %U "+authorized, out("666 nix-builder\n"))
			w.desktop.on("stat -c %a %U %n *", out("700 nix-builder /var/lib/nix-builder\n700 nix-builder "+sshHome+"\n666 nix-builder "+authorized+"\n"))
		}, []string{"SR.authorized-key", "SR.login", "RB.build"}},
		{"S10 builder user", "builder.user-unknown", "laptop", func(w *world) {
			denied(w)
			w.machines("ssh://builder@192.168.15.7 x86_64-linux " + keyPath + " 4 1 kvm\n")
		}, []string{"EV.builder-user", "SR.login", "RB.build"}},
		{"K4 the pair", "keys.pair-mismatch", "laptop", func(w *world) {
			denied(w)
			w.laptop.on("cat "+keyPath+".pub", out(publicKey(t, 4, "old")))
			w.desktop.on("cat "+authorized, out(publicKey(t, 4, "old")+"\n"))
		}, []string{"SR.builder-key", "SR.login", "RB.build"}},
		{"C12 allowed-users", "cache.daemon-refuses", "laptop", func(w *world) {
			narinfo(w, 500)
			w.desktopNix = with(w.desktopNix, "allowed-users", []string{"@wheel", "nix-builder"})
			w.desktop.on("id -Gn nix-serve", out("nix-serve\n"))
		}, []string{"CH.signature", "CH.hit"}},
		{"C11 loopback", "cache.bind-address", "laptop", func(w *world) {
			narinfo(w, 0)
			w.http("/nix-cache-info", 0, "")
			w.port(5000, Refused)
			w.desktop.on("ss -Hltn sport = :5000", out("LISTEN 0 4096 127.0.0.1:5000 0.0.0.0:*\n"))
		}, []string{"PT.cache", "CH.info", "CH.signature", "CH.hit"}},
		{"N3 another network", "nfs.access-denied", "desktop", func(w *world) {
			unmounted(w)
			w.desktop.on("exportfs -s", out("/nix/store 192.168.1.0/24(ro)\n/var/lib/nix-offload 192.168.1.0/24(rw)\n"))
		}, []string{"NF.export-store", "NF.export-offload", "NF.mount-store", "NF.mount-offload"}},
		{"N4 no directory", "nfs.no-directory", "desktop", func(w *world) {
			w.desktop.on("test -d /var/lib/nix-offload", said(1, ""))
			w.laptop.on("cat /proc/self/mountinfo", out(strings.ReplaceAll(mountTable, "/var/lib/nix-offload-remote", "/elsewhere")))
			w.laptop.on("timeout --kill-after=5 40 stat * /var/lib/nix-offload-remote/.", said(1, "stat: No such device\n"))
			w.laptop.on("bash -c d=$(mktemp -d) *", said(32, "mount.nfs4: No such file or directory\n"))
		}, []string{"NF.export-offload", "NF.mount-offload"}},
		{"no cable", "network.unreachable", "laptop", func(w *world) {
			w.away(Unreachable)
			unmounted(w)
			narinfo(w, 0)
			w.http("/nix-cache-info", 0, "")
			w.builds("refused")
			w.laptop.on("timeout 45 *", said(255, "ssh: connect to host 192.168.15.7 port 22: No route to host\n"))
		}, []string{"PT.ping", "PT.ssh", "PT.cache", "PT.nfs", "CH.info", "CH.hit", "SR.login", "RB.build", "NF.mount-store"}},
		{"W1 the desktop is at .6", "network.wrong-desktop-address", "laptop", func(w *world) {
			w.away(Unreachable)
			w.desktop.on("ip -o -4 addr *", out("2: lan0    inet 192.168.15.6/24 scope global lan0\n"))
			unmounted(w)
			narinfo(w, 0)
			w.http("/nix-cache-info", 0, "")
			w.builds("refused")
			w.laptop.on("timeout 45 *", said(255, "ssh: connect to host 192.168.15.7 port 22: No route to host\n"))
		}, []string{"PT.ping", "PT.ssh", "CH.info", "SR.login", "RB.build", "NF.mount-store"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.change(w)
			var findings []report.Finding
			for _, c := range healthy() {
				if c.Name != "SR.denied-before-exchange" {
					findings = append(findings, w.bench.Run(t.Context(), c))
				}
			}
			causes := report.Rank(findings)
			if len(causes) != 1 || causes[0].Code != tt.code || causes[0].Machine != tt.machine {
				for _, c := range causes {
					t.Errorf("cause %d: %s on the %s, of %v", c.Rank, c.Code, c.Machine, c.Explains)
				}
				t.Fatalf("it should be %s on the %s alone", tt.code, tt.machine)
			}
			for _, name := range tt.explains {
				if !slices.Contains(causes[0].Explains, name) {
					t.Errorf("%s does not explain %s, only %v", tt.code, name, causes[0].Explains)
				}
			}
		})
	}
}
