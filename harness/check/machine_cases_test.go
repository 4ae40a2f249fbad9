package check

import (
	"strings"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
)

func service(name string) Service {
	for _, s := range newBenchForNames().Services() {
		if s.Name == name {
			if s.Name == "cache" {
				s.Port = 5000
			}
			return s
		}
	}
	panic("no service " + name)
}

func portCases() []broken {
	const other = "2: lan0    inet 192.168.15.6/24 brd 192.168.15.255 scope global lan0\n"
	stopped := func(port, state string) func(w *world) {
		return func(w *world) {
			w.desktop.on("ss -Hltn *", out(""))
			w.desktop.on("systemctl show *", out("failed\nfailed\nexit-code\n"))
			n := map[string]int{"ssh": 22, "cache": 5000, "nfs": 2049, "rpcbind": 111}[port]
			w.port(n, PortState(state))
		}
	}
	closed := func(port int) func(w *world) {
		return func(w *world) {
			w.bench.Server.Firewall.AllowedTCPPorts = []int{9}
			w.port(port, Filtered)
		}
	}
	return []broken{
		{name: "sshd stopped", check: PortOpen(service("ssh")), code: "ssh.port-refused", says: []string{"failed/failed"}, change: stopped("ssh", "refused")},
		{name: "nix-serve stopped, firewall shut", check: PortOpen(service("cache")), code: "cache.port-refused", change: stopped("cache", "filtered")},
		{name: "NFS stopped", check: PortOpen(service("nfs")), code: "nfs.port-refused", change: stopped("nfs", "refused")},
		{name: "rpcbind stopped", check: PortOpen(service("rpcbind")), code: "nfs.rpcbind-closed", change: stopped("rpcbind", "refused")},
		{name: "ssh filtered", check: PortOpen(service("ssh")), code: "ssh.port-filtered", says: []string{"allows TCP 9"}, change: closed(22)},
		{name: "cache filtered", check: PortOpen(service("cache")), code: "cache.port-filtered", change: closed(5000)},
		{name: "N9 2049 closed", check: PortOpen(service("nfs")), code: "nfs.port-filtered", change: closed(2049)},
		{name: "111 closed", check: PortOpen(service("rpcbind")), code: "nfs.rpcbind-closed", change: closed(111)},
		{name: "refused by a firewall", check: PortOpen(service("cache")), code: "cache.port-filtered", says: []string{"refused"},
			change: func(w *world) { w.port(5000, Refused) }},
		{name: "C11 bound to loopback", check: PortOpen(service("cache")), code: "cache.bind-address", says: []string{"127.0.0.1:5000"},
			change: func(w *world) {
				w.port(5000, Refused)
				w.desktop.on("ss -Hltn *", out("LISTEN 0 4096 127.0.0.1:5000 0.0.0.0:*\nLISTEN 0 4096 [::1]:5000 [::]:*\n"))
			}},
		{name: "W1 the desktop is at .6", check: PortOpen(service("cache")), code: "network.wrong-desktop-address", says: []string{"192.168.15.6"},
			change: func(w *world) { w.away(Unreachable); w.desktop.on("ip -o -4 addr *", out(other)) }},
		{name: "W1 and the probe is slow", check: PortOpen(service("ssh")), code: "network.wrong-desktop-address",
			change: func(w *world) { w.away(Filtered); w.desktop.on("ip -o -4 addr *", out(other)) }},
		{name: "W1 as ping sees it", check: Ping(), code: "network.wrong-desktop-address",
			change: func(w *world) { w.away(Unreachable); w.desktop.on("ip -o -4 addr *", out(other)) }},
		{name: "no cable, and no address for it", check: PortOpen(service("ssh")), code: "network.unreachable", says: []string{"no address"}, change: func(w *world) {
			w.away(Filtered)
			w.desktop.on("ip -o -4 addr *", out("3: mgmt0    inet 192.0.2.7/24 scope global mgmt0\n"))
		}},
		{name: "everything dropped", check: PortOpen(service("cache")), code: "network.unreachable", change: func(w *world) { w.away(Filtered) }},
		{name: "no ping, and one port dropped", check: PortOpen(service("nfs")), code: "nfs.port-filtered", change: func(w *world) {
			w.laptop.on("ping *", said(1, ""))
			w.port(2049, Filtered)
		}},
		{name: "no cable", check: PortOpen(service("ssh")), code: "network.unreachable", change: func(w *world) { w.away(Unreachable) }},
		{name: "no cable, as ping sees it", check: Ping(), code: "network.unreachable", change: func(w *world) { w.away(Unreachable) }},
		{name: "everything dropped, as ping sees it", check: Ping(), code: "network.unreachable", change: func(w *world) { w.away(Filtered) }},
		{name: "off", check: PortOpen(service("ssh")), code: "network.unreachable", change: func(w *world) {
			w.away(Filtered)
			w.desktop.does("*", func([]string) provider.Result { return provider.Result{ExitStatus: 255} })
		}},
		{name: "nobody can look, and it refuses", check: PortOpen(service("ssh")), code: "ssh.port-refused", change: func(w *world) {
			w.away(Refused)
			w.desktop.on("*", said(255, ""))
		}},
		{name: "W4 ICMP blocked", check: Ping(), code: "network.icmp-blocked",
			change: func(w *world) { w.laptop.on("ping *", said(1, "")) }},
		{name: "W4 ICMP and ssh blocked", check: Ping(), code: "network.icmp-blocked",
			change: func(w *world) { w.laptop.on("ping *", said(1, "")); w.port(22, Filtered) }},
	}
}

func commandCases() []broken {
	typed := Typed(UserCommand{Name: "offload-status", Role: nixos.Laptop, Deadline: 45 * time.Second}, new(Said))
	ends := func(status int) func(w *world) {
		return func(w *world) {
			w.laptop.on("timeout * offload-status", provider.Result{ExitStatus: status, Stdout: []byte("checking the mounts\n")})
		}
	}
	return []broken{
		{name: "a command hangs", check: typed, code: "command.hangs", says: []string{"checking the mounts", "45 s"}, change: ends(124)},
		{name: "a command is killed", check: typed, code: "command.hangs", change: ends(137)},
		{name: "no command", check: typed, code: "command.missing", change: ends(127)},
	}
}

func nfsCases() []broken {
	store, offload := Shares[0], Shares[1]
	table := func(text string) func(w *world) {
		return func(w *world) { w.desktop.on("exportfs -s", out(text)) }
	}
	// unmounted is a laptop whose share is not there, and what mount(8) says.
	unmounted := func(says string, more ...func(w *world)) func(w *world) {
		return func(w *world) {
			w.laptop.on("cat /proc/self/mountinfo", out("21 1 253:0 / / rw - ext4 /dev/vda rw\n"))
			w.laptop.on("timeout --kill-after=5 40 stat *", said(1, "stat: cannot read file system information: No such device\n"))
			status := 32
			if says == "" {
				status = 0
			}
			w.laptop.on("bash -c d=$(mktemp -d) *", said(status, says))
			for _, f := range more {
				f(w)
			}
		}
	}
	mountinfo := func(line string) func(w *world) {
		return func(w *world) { w.laptop.on("cat /proc/self/mountinfo", out(line+"\n")) }
	}
	const denied, noent = "mount.nfs4: access denied by server while mounting 192.168.15.7:/nix/store\n", "mount.nfs4: mounting 192.168.15.7:/nix/store failed, reason given by server: No such file or directory\n"
	const foreign = "/nix/store 192.168.1.0/24(ro,root_squash)\n"
	return []broken{
		{name: "N4 no directory", check: Exported(offload), code: "nfs.no-directory", change: func(w *world) { w.desktop.on("test -d "+offload.Export, said(1, "")) }},
		{name: "not in the configuration", check: Exported(offload), code: "nfs.not-exported", says: []string{"configuration", "/nix/store"},
			change: func(w *world) {
				table("/nix/store 192.168.15.0/24(ro)\n")(w)
				exports := "/nix/store 192.168.15.0/24(ro)\n"
				w.bench.Server.Exports = &exports
			}},
		{name: "in the configuration only", check: Exported(offload), code: "nfs.no-export", says: []string{"/etc/exports", "nothing"}, change: table("")},
		{name: "N3 another network, on the desktop", check: Exported(store), code: "nfs.access-denied", says: []string{"192.168.1.0/24"}, change: table(foreign)},
		{name: "N3 another network", check: Mounted(store), code: "nfs.access-denied", says: []string{"192.168.1.0/24"}, change: unmounted(noent, table(foreign))},
		{name: "access denied all the same", check: Mounted(store), code: "nfs.access-denied", change: unmounted(denied)},
		{name: "N1 fsid=0", check: Mounted(store), code: "nfs.pseudo-root", says: []string{"fsid=0"},
			change: unmounted(noent, table("/nix/store 192.168.15.0/24(ro,fsid=0)\n/var/lib/nix-offload 192.168.15.0/24(rw)\n"))},
		{name: "not exported", check: Mounted(offload), code: "nfs.no-export", change: unmounted(noent, table("/nix/store *(ro)\n"))},
		{name: "directory gone, as the laptop sees it", check: Mounted(offload), code: "nfs.no-directory",
			change: unmounted(noent, func(w *world) { w.desktop.on("test -d "+offload.Export, said(1, "")) })},
		{name: "no line in fstab", check: Mounted(store), code: "nfs.no-mount", change: unmounted("", func(w *world) { w.bench.Client.Fstab = nil })},
		{name: "another export in fstab", check: Mounted(store), code: "nfs.no-export", says: []string{"/store"},
			change: unmounted("", func(w *world) { w.bench.Client.Fstab[0].Device = "192.168.15.7:/store" })},
		{name: "stale address in fstab", check: Mounted(store), code: "network.wrong-desktop-address",
			change: unmounted("", func(w *world) { w.bench.Client.Fstab[0].Device = "192.168.15.8:/nix/store" })},
		{name: "nobody knows why", check: Mounted(store), code: "nfs.not-mounted", says: []string{"No such device"}, change: unmounted("")},
		{name: "N7 stale handle", check: Mounted(store), code: "nfs.stale-handle", says: []string{"Stale file handle"}, change: func(w *world) {
			w.laptop.on("timeout --kill-after=5 40 stat *", said(1, "stat: cannot read file system information for '/nix/store-remote/.': Stale file handle\n"))
		}},
		{name: "NFS filtered", check: Mounted(store), code: "nfs.port-filtered", change: unmounted("", func(w *world) { w.port(2049, Filtered) })},
		{name: "NFS stopped", check: Mounted(store), code: "nfs.port-refused", change: unmounted("", func(w *world) {
			w.port(2049, Refused)
			w.desktop.on("ss -Hltn *", out(""))
			w.desktop.on("systemctl show *", out("inactive\ndead\nsuccess\n"))
		})},
		{name: "desktop away", check: Mounted(store), code: "network.unreachable", change: unmounted("", func(w *world) { w.away(Unreachable) })},
		{name: "N6 looking hangs", check: Mounted(store), code: "nfs.hangs", change: func(w *world) { w.laptop.on("timeout --kill-after=5 40 stat *", said(137, "")) }},
		{name: "not NFS", check: Mounted(store), code: "nfs.not-nfs", says: []string{"tmpfs"}, change: mountinfo("60 21 0:55 / /nix/store-remote rw - tmpfs tmpfs rw")},
		{name: "mounted from elsewhere", check: Mounted(store), code: "network.wrong-desktop-address", change: mountinfo("60 21 0:55 / /nix/store-remote ro - nfs4 192.168.15.8:/nix/store rw")},
		{name: "the other export", check: Mounted(store), code: "nfs.content", change: mountinfo("60 21 0:55 / /nix/store-remote ro - nfs4 192.168.15.7:/var/lib/nix-offload rw")},
		{name: "other content", check: Readable(store), code: "nfs.content", change: func(w *world) {
			w.laptop.on("timeout 110 bash -o pipefail -c nix-store --dump *", out(strings.Repeat("b", 64)+"  -\n"))
		}},
		{name: "cannot be read", check: Readable(store), code: "nfs.content", says: []string{"Input/output error"}, change: func(w *world) {
			w.laptop.on("timeout 110 bash -o pipefail -c nix-store --dump *", said(1, "error: reading: Input/output error\n"))
		}},
		{name: "reading hangs", check: Readable(store), code: "nfs.hangs", says: []string{"reading in"}, change: func(w *world) { w.laptop.on("timeout 110 bash -o pipefail *", said(124, "")) }},
		{name: "a write that should be refused hangs", check: ReadOnly(store), code: "nfs.hangs", change: func(w *world) { w.laptop.on("timeout 110 touch *", said(124, "")) }},
		{name: "writable store", check: ReadOnly(store), code: "nfs.not-read-only", change: func(w *world) { w.laptop.on("timeout 110 touch *", out("")) }},
		{name: "N2 root_squash", check: Writable(offload), code: "nfs.write-denied", says: []string{"root_squash", "nobody"}, change: func(w *world) {
			table("/nix/store 192.168.15.0/24(ro,no_root_squash)\n/var/lib/nix-offload 192.168.15.0/24(rw,root_squash)\n")(w)
			w.laptop.on("timeout 110 bash -c echo *", said(1, "write: line 1: /var/lib/nix-offload-remote/.x: Permission denied\n"))
		}},
		{name: "exported read-only", check: Writable(offload), code: "nfs.write-denied", says: []string{"not rw"}, change: func(w *world) {
			table("/var/lib/nix-offload 192.168.15.0/24(ro)\n")(w)
			w.laptop.on("timeout 110 bash -c echo *", said(1, "write: line 1: Read-only file system\n"))
		}},
		{name: "mounted read-only", check: Writable(offload), code: "nfs.write-denied", says: []string{"mounts it read-only"}, change: func(w *world) {
			mountinfo("62 21 0:57 / /var/lib/nix-offload-remote ro,relatime - nfs4 192.168.15.7:/var/lib/nix-offload rw")(w)
			w.laptop.on("timeout 110 bash -c echo *", said(1, "write: line 1: Read-only file system\n"))
		}},
		{name: "share full", check: Writable(offload), code: "nfs.full", change: func(w *world) {
			w.laptop.on("timeout 110 bash -c echo *", said(1, "write: line 1: echo: write error: No space left on device\n"))
		}},
		{name: "writing hangs", check: Writable(offload), code: "nfs.hangs", change: func(w *world) { w.laptop.on("timeout 110 bash -c echo *", said(124, "")) }},
		{name: "written elsewhere", check: Writable(offload), code: "nfs.content", change: func(w *world) {
			w.laptop.on("timeout 110 bash -c echo *", out(""))
			w.desktop.on("cat /var/lib/nix-offload/.offload-e2e-*", said(1, "cat: No such file or directory\n"))
		}},
		{name: "not there after the return", check: Remounted("unplugged"), code: "nfs.not-mounted", change: unmounted("")},
	}
}
