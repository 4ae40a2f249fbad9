package check

import (
	"testing"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

func awayCases() []broken {
	ssh := (&Bench{}).Services()[0]
	pings := func(status int, text string) func(w *world) {
		return func(w *world) {
			w.laptop.on("bash -c dev=$(ip -o route get *", provider.Result{ExitStatus: status, Stdout: []byte(text)})
		}
	}
	const limit = "-A nixos-fw -p tcp -m tcp --dport 22 -m state --state NEW -m recent --update --seconds 60 --hitcount 4 --name DEFAULT -j DROP"
	limited := func(w *world) {
		w.desktop.on("iptables -S", out("-P INPUT ACCEPT\n"+limit+"\n-A nixos-fw -p tcp -m tcp --dport 22 -j nixos-fw-accept\n"))
	}
	firewalled := func(s PortState) func(w *world) {
		return func(w *world) { w.away(s); w.neighbour("lladdr 52:54:00:00:00:07 REACHABLE") }
	}
	return []broken{
		{name: "W3 dropped", check: PortOpen(ssh), code: "network.dropped", says: []string{"ARP"}, change: firewalled(Filtered)},
		{name: "W3 dropped, as ping sees it", check: Ping(), code: "network.dropped", change: firewalled(Filtered)},
		{name: "W3 rejected", check: PortOpen(ssh), code: "network.rejected", says: []string{"ARP"}, change: firewalled(Unreachable)},
		{name: "W3 absent", check: PortOpen(ssh), code: "network.unreachable", change: func(w *world) { w.away(Unreachable) }},
		{name: "W3 absent, and slow to say so", check: Ping(), code: "network.unreachable", change: func(w *world) { w.away(Filtered) }},
		{name: "W7 large packets vanish", check: PathMTU(), code: "network.mtu-blackhole", says: []string{"1500", "1400"},
			change: pings(1, "mtu 1500\n3 packets transmitted, 0 received\npasses 1400\n")},
		{name: "S9 a limit, seen by many connections", check: Repeated(), code: "ssh.rate-limited", says: []string{"hitcount 4"}, change: func(w *world) {
			limited(w)
			w.laptop.on("bash -c for i in 1 2 3 4 5*", provider.Result{ExitStatus: 1, Stdout: []byte("4\n")})
		}},
		{name: "S9 a limit, seen by one", check: PortOpen(ssh), code: "ssh.rate-limited", change: func(w *world) { limited(w); w.port(22, Filtered) }},
		{name: "S9 a limit that nobody finds", check: Repeated(), code: "ssh.rate-limited", says: []string{"the 4. fails"},
			change: func(w *world) {
				w.laptop.on("bash -c for i in 1 2 3 4 5*", provider.Result{ExitStatus: 1, Stdout: []byte("4\n")})
			}},
		{name: "the first login of many fails", check: Repeated(), code: "ssh.port-filtered", change: func(w *world) {
			w.laptop.on("bash -c for i in 1 2 3 4 5*", provider.Result{ExitStatus: 1, Stdout: []byte("1\n")})
		}},
		{name: "N6 no threads", check: PortOpen((&Bench{}).Services()[2]), code: "nfs.no-threads", says: []string{"active"}, change: func(w *world) {
			w.port(2049, Refused)
			w.desktop.on("ss -Hltn *", out(""))
			w.desktop.on("cat /proc/fs/nfsd/threads", out("0\n"))
		}},
	}
}

func sessionCases() []broken {
	config := func(text string) func(w *world) {
		return func(w *world) {
			w.laptop.on("env HOME=/root ssh -G *", out("hostname 192.168.15.7\n"+text))
		}
	}
	const shared = "controlmaster auto\ncontrolpath /root/.ssh/cm-%C\nconnecttimeout none\nserveraliveinterval 0\n"
	hangs := func(w *world) {
		w.laptop.on("timeout --kill-after=5 20 env -u SSH_AUTH_SOCK HOME=/root ssh *", said(124, ""))
	}
	tracking := func(seconds string) func(w *world) {
		return func(w *world) {
			config(shared)(w)
			w.laptop.on("sh -c for f in netfilter/*", out("nf_conntrack_tcp_timeout_established "+seconds+"\ntcp_keepalive_time 7200\n"))
		}
	}
	return []broken{
		{name: "S5 stale master", check: LoginEnds(), code: "ssh.stale-master", says: []string{"/root/.ssh/cm-"}, change: func(w *world) {
			config(shared)(w)
			hangs(w)
			w.laptop.on("timeout 5 env HOME=/root ssh -O check *", said(0, "Master running (pid=123)\n"))
		}},
		{name: "no timeout", check: LoginEnds(), code: "ssh.no-timeout", says: []string{"ConnectTimeout none"}, change: func(w *world) {
			config("connecttimeout none\n")(w)
			hangs(w)
		}},
		{name: "no master any more", check: LoginEnds(), code: "ssh.no-timeout", change: func(w *world) {
			config(shared)(w)
			hangs(w)
			w.laptop.on("timeout 5 env HOME=/root ssh -O check *", said(255, "Control socket connect(/root/.ssh/cm-x): No such file or directory\n"))
		}},
		{name: "M4 two sessions", check: Sessions(), code: "ssh.few-sessions", says: []string{"MaxSessions 2", "4 builds"}, change: func(w *world) {
			config(shared)(w)
			w.desktop.on("sshd -T -C *", out("maxsessions 2\n"))
		}},
		{name: "T3 the laptop's firewall forgets", check: Keepalive(), code: "ssh.no-keepalive", says: []string{"laptop's firewall", "50 s"}, change: tracking("50")},
		{name: "T3 it forgets before the keepalive", check: Keepalive(), code: "ssh.no-keepalive", says: []string{"ServerAliveInterval 60"}, change: func(w *world) {
			tracking("50")(w)
			config("serveraliveinterval 60\n")(w)
		}},
		{name: "no keepalive", check: Keepalive(), code: "ssh.no-keepalive", state: report.Warns, says: []string{"hours"}, change: config(shared)},
	}
}

func lastingCases() []broken {
	build := func(status int, stderr string) func(w *world) {
		return func(w *world) { w.laptop.on("*timeout * nix-build *", said(status, stderr)) }
	}
	rooms := func(f func(w *world) *fake, kib, inodes string) func(w *world) {
		return func(w *world) {
			build(1, "error: writing to file: No space left on device\n")(w)
			f(w).on("df -k *", out("Avail IFree\n"+kib+" "+inodes+"\n1000000 90000\n"))
		}
	}
	desktop, laptop := func(w *world) *fake { return w.desktop }, func(w *world) *fake { return w.laptop }
	const accepted = "building '/nix/store/x.drv' on 'ssh-ng://nix-builder@192.168.15.7'...\n"
	return []broken{
		{name: "O3 lost after it was accepted", check: LongBuild(), code: "builder.lost", says: []string{"does not try again"},
			change: func(w *world) {
				w.builds("lost")
				w.away(Unreachable)
				w.laptop.on("timeout 45 *", said(255, "ssh: connect to host 192.168.15.7 port 22: No route to host\n"))
			}},
		{name: "M2 upload lock, as a build sees it", check: RemoteBuild(), code: "builder.upload-locked", says: []string{"process 77"}, change: build(124, accepted)},
		{name: "M2 upload lock", check: BuildEnds(), code: "builder.upload-locked", says: []string{"process 77"}, change: build(124, accepted)},
		{name: "M5 somebody else's lock", check: TwoClients(), code: "builder.output-locked", says: []string{"/nix/store/x"},
			change: build(124, accepted+"waiting for lock on '/nix/store/x'\n")},
		{name: "a build without an end", check: BuildEnds(), code: "builder.hangs", says: []string{"copying path"}, change: func(w *world) {
			build(137, accepted+"copying path x\n")(w)
			w.laptop.on("bash -c for f in *", out("/nix/var/nix/current-load/main-lock held by process 3 (nix)\n"))
		}},
		{name: "Q1 bytes of the desktop", check: RemoteBuild(), code: "builder.store-full", says: []string{"12 KiB", "desktop"}, change: rooms(desktop, "12", "100000")},
		{name: "Q3 inodes of the desktop", check: RemoteBuild(), code: "builder.no-inodes", says: []string{"3 inodes"}, change: rooms(desktop, "900000", "3")},
		{name: "the laptop is the one", check: RemoteBuild(), code: "nix.store-full", says: []string{"laptop", "40 KiB"}, change: rooms(laptop, "40", "100000")},
		{name: "inodes of the laptop", check: RemoteBuild(), code: "nix.no-inodes", change: rooms(laptop, "900000", "3")},
		{name: "Q3 where builds are made", check: Room(nixos.Desktop), code: "builder.no-inodes", says: []string{"desktop's /tmp"}, change: func(w *world) {
			w.desktop.on("df -k *", out("Avail IFree\n900000 90000\n60000 0\n"))
		}},
		{name: "Q1 no room", check: Room(nixos.Desktop), code: "builder.store-full", change: rooms(desktop, "12", "100000")},
		{name: "Q1 as the cache's checks meet it", check: CacheSignature(), code: "builder.store-full", change: func(w *world) {
			w.desktop.on("timeout * nix-build *", said(1, "error: writing to file: No space left on device\n"))
			w.desktop.on("df -k *", out("Avail IFree\n0 100\n0 100\n"))
		}},
		{name: "inodes, for what comes from the cache", check: CacheHit(), code: "nix.no-inodes", change: func(w *world) {
			w.laptop.on("timeout * nix-store --realise *", said(1, "error: creating directory: No space left on device\n"))
			w.laptop.on("df -k *", out("Avail IFree\n900000 0\n900000 900\n"))
		}},
		{name: "T1 collected", check: CacheHit(), code: "cache.collected", says: []string{made}, change: func(w *world) {
			w.desktop.on("sh -c cat \"$1\" 2>/dev/null && rm *", out(made+"\n"))
			w.desktop.on("nix-store --check-validity "+made, said(1, "error: path is not valid\n"))
			w.laptop.on("timeout * nix-store --realise *", said(1, "error: there is no substituter that can build it\n"))
			w.http("/"+hashPart(made)+".narinfo", 404, "No such path.")
			w.desktop.on("journalctl --no-pager --output=cat *", out(access("/"+hashPart(made)+".narinfo", 404)))
		}},
		{name: "C5 as the laptop's keys see it", check: TrustedKeys(), code: "cache.stale-key", says: []string{"not restarted"}, change: func(w *world) {
			_, next := cacheKey(w.t, "cache.local", 8)
			w.desktop.on("cat "+CachePublicKeyPath, out(next.String()))
		}},
		{name: "C7 asked too early", check: CacheHitAfterMiss(), code: "cache.negative-cached", change: func(w *world) {
			w.laptop.on("timeout * nix-store --realise *", said(1, "error: there is no substituter that can build it\n"))
			w.desktop.on("journalctl --no-pager --output=cat *", out(access("/nix-cache-info", 200)))
		}},
	}
}

func slowCases() []broken {
	store, offload := Shares[0], Shares[1]
	took := func(d time.Duration) provider.Result {
		return provider.Result{Stdout: []byte(made + "\n"), Duration: d}
	}
	mounted := func(super string) func(w *world) {
		return func(w *world) {
			w.laptop.on("cat /proc/self/mountinfo", out("61 60 0:56 / /nix/store-remote ro,relatime - nfs4 192.168.15.7:/nix/store "+super+"\n"))
		}
	}
	unit := func(text string) nixos.Unit {
		return nixos.Unit{Enable: true, WantedBy: []string{"sleep.target"}, Text: text}
	}
	return []broken{
		{name: "W5 the way is slow", check: BuildOverhead(), code: "builder.slower-than-local", says: []string{"402 ms", "10 %"}, change: func(w *world) {
			w.laptop.on("ping -n -c 20 *", out("20 packets transmitted, 18 received, 10% packet loss\nrtt min/avg/max/mdev = 400.1/402.5/410.0/1.0 ms\n"))
			w.laptop.on("*timeout * nix-build *", took(time.Second))
			w.laptop.on("*timeout * nix-build * --max-jobs 0", took(16*time.Second))
		}},
		{name: "the desktop is slow", check: BuildOverhead(), code: "builder.slower-than-local", says: []string{"29.0 s", "12 s are the limit"}, change: func(w *world) {
			w.laptop.on("*timeout * nix-build *", took(time.Second))
			w.laptop.on("*timeout * nix-build * --max-jobs 0", took(30*time.Second))
		}},
		{name: "M1 two slots", check: Slots(), code: "builder.few-slots", says: []string{"of 8 builds", "4 slots"}, change: func(w *world) {
			w.laptop.on("cat /nix/store/slot1 /nix/store/slot2", out("100\n100\n107\n107\n114\n114\n121\n121\n"))
		}},
		{name: "N8 small blocks", check: ShareSpeed(store), code: "nfs.small-blocks", says: []string{"rsize=8192", "MB/s"}, change: mounted("ro,vers=4.2,rsize=8192,wsize=8192,hard")},
		{name: "N8 and the desktop does not say what it could", check: ShareSpeed(store), code: "nfs.small-blocks", change: func(w *world) {
			mounted("ro,rsize=8192")(w)
			w.desktop.on("cat /proc/fs/nfsd/max_block_size", said(1, ""))
		}},
		{name: "a slow share", check: ShareSpeed(store), code: "nfs.slow", says: []string{"0.4 MB/s"}, change: func(w *world) {
			w.laptop.does("timeout 60 dd *", func([]string) provider.Result { return provider.Result{Duration: 20 * time.Second} })
		}},
		{name: "N6 looking hangs", check: ShareEnds(store), code: "nfs.waits-forever", says: []string{"mounted hard"}, change: func(w *world) { w.laptop.on("timeout --kill-after=2 30 ls *", said(124, "")) }},
		{name: "looking hangs where nothing is mounted", check: ShareEnds(store), code: "nfs.waits-forever", says: []string{"not mounted"}, change: func(w *world) {
			w.laptop.on("timeout --kill-after=2 30 ls *", said(137, ""))
			w.laptop.on("cat /proc/self/mountinfo", out(""))
		}},
		{name: "N7 an open file is gone", check: OpenFiles(store), code: "nfs.stale-handle", says: []string{"process 9 (tail)"}, change: func(w *world) {
			w.laptop.on("bash -c find /proc/*", out("/nix/store-remote/x/file: process 9 (tail): Stale file handle\n"))
		}},
		{name: "the share itself is gone", check: Mounted(offload), code: "nfs.stale-handle", change: func(w *world) {
			w.laptop.on("timeout --kill-after=5 40 stat *", said(1, "stat: cannot read file system information for '/x': Stale file handle\n"))
			w.laptop.on("bash -c d=$(mktemp -d) *", out(""))
		}},
		{name: "W5 a mount has no time", check: Mounted(store), code: "nfs.mount-timeout", says: []string{"over 10s", "402 ms", "10 %"}, change: func(w *world) {
			w.laptop.on("cat /proc/self/mountinfo", out(""))
			w.laptop.on("timeout --kill-after=5 40 stat *", said(1, "stat: No such device\n"))
			w.laptop.on("bash -c d=$(mktemp -d) *", out(""))
			w.laptop.on(`systemctl show nix-store\x2dremote.mount *`, out("Result=timeout\nTimeoutUSec=10s\n"))
			w.laptop.on("ping -n -c 20 *", out("20 packets transmitted, 18 received, 10% packet loss\nrtt min/avg/max/mdev = 400.1/402.5/410.0/1.0 ms\n"))
		}},
		{name: "O2 the automount is over", check: Mounted(store), code: "nfs.automount-dead", says: []string{`nix-store\x2dremote.automount`, "failed/mount-start-limit-hit"}, change: func(w *world) {
			w.laptop.on("cat /proc/self/mountinfo", out(""))
			w.laptop.on("timeout --kill-after=5 40 stat *", said(1, "stat: No such device\n"))
			w.laptop.on(`systemctl show nix-store\x2dremote.automount *`, out("LoadState=loaded\nActiveState=failed\nResult=mount-start-limit-hit\n"))
		}},
		{name: "W8 no internet", check: DesktopAlone(), code: "builder.waits-for-internet", says: []string{"connect-timeout = 0"}, change: func(w *world) {
			w.desktopNix = with(w.desktopNix, "connect-timeout", 0)
			w.desktop.on("curl -sSf --max-time 10 *", said(6, "curl: (6) Could not resolve host\n"))
		}},
		{name: "W8 while there is", check: DesktopAlone(), code: "builder.waits-for-internet", state: report.Warns, says: []string{"fallback = false"}, change: func(w *world) {
			w.desktopNix = with(w.desktopNix, "fallback", false)
		}},
		{name: "O4 once only", check: SleepUnits(), code: "power.sleep-once", says: []string{"unmount-shares.service", "sleep.target"}, change: func(w *world) {
			w.bench.Client.UnitFiles = map[string]nixos.Unit{"unmount-shares.service": unit("[Service]\nType=oneshot\nRemainAfterExit=true\n")}
		}},
	}
}

// What does not fit the words of a setting holds too.
func TestSleepUnitsThatEnd(t *testing.T) {
	for _, text := range []string{"[Service]\nType=oneshot\n", "[Unit]\nStopWhenUnneeded=true\n[Service]\nRemainAfterExit=yes\n"} {
		w := newWorld(t)
		w.bench.Client.UnitFiles = map[string]nixos.Unit{"a.service": {Enable: true, WantedBy: []string{"suspend.target"}, Text: text}}
		if f := w.bench.Run(t.Context(), SleepUnits()); f.State != report.Holds {
			t.Errorf("%q: %s %+v", text, f.State, f.Diagnosis)
		}
	}
}

func TestMostTogether(t *testing.T) {
	for text, want := range map[string]int{"": 0, "100\n": 1, "100\n101\n": 2, "100\n106\n112\n": 1, "100\n100\n106\n107\nx\n": 2} {
		if got := mostTogether(text); got != want {
			t.Errorf("%q: %d together, want %d", text, got, want)
		}
	}
}

// A build that asks for its time says so to the machine.
func TestUserCommands(t *testing.T) {
	w := newWorld(t)
	for _, c := range UserCommands() {
		w.laptop.on("timeout * "+c.Name, out(""))
		w.desktop.on("timeout * "+c.Name, out(""))
		if f := w.bench.Run(t.Context(), CommandEnds(c)); f.State != report.Holds {
			t.Errorf("%s: %s %+v", c.Name, f.State, f.Diagnosis)
		}
	}
}

// Under emulation the first mount may take longer than it is given.
func TestMountedAtTheSecondLook(t *testing.T) {
	for slow, want := range map[float64]report.State{1: report.Broken, 1.5: report.Holds} {
		w := newWorld(t)
		w.bench.Slow = slow
		looks := 0
		w.laptop.does("timeout --kill-after=5 40 stat *", func([]string) provider.Result {
			if looks++; looks > 1 {
				return out("nfs\n")
			}
			return said(1, "stat: cannot read file system information: No such device\n")
		})
		w.laptop.does("cat /proc/self/mountinfo", func([]string) provider.Result {
			if looks > 1 {
				return out(mountTable)
			}
			return out("")
		})
		w.laptop.on("bash -c d=$(mktemp -d) *", out(""))
		if f := w.bench.Run(t.Context(), Mounted(Shares[0])); f.State != want {
			t.Errorf("slow %g: %s %+v", slow, f.State, f.Diagnosis)
		}
	}
}
