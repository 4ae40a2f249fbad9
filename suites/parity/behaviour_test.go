package parity

import (
	"context"
	"regexp"
	"testing"
	"time"

	"offload-e2e/harness/check"
)

// behaviour is what a command on the machine prints, and how it ends.
type behaviour struct {
	name  string
	argv  []string
	print string // a regular expression for all of its output
	fails bool   // with any status but 0
}

func sh(script string) []string { return []string{"sh", "-c", script} }

// login is a shell that a person has logged in to as a user.
func login(user, script string) []string { return []string{"runuser", "-l", user, "-c", script} }

// sections are the sections of a configuration, see the host in
// fixtures/configurations/parity.
var sections = map[string][]behaviour{
	"nix": {
		{"the daemon's settings are in force", sh("nix --extra-experimental-features nix-command config show | grep -E '^(max-jobs|keep-going) '"), `keep-going = true\nmax-jobs = 3`, false},
		{"who is trusted", sh("nix --extra-experimental-features nix-command config show trusted-users"), `root teller`, false},
	},
	"names": {
		{"the name of the machine", []string{"hostname"}, "parity", false},
		{"hosts are found by name", []string{"getent", "hosts", "shelf.lan"}, `192\.0\.2\.80 +shelf shelf\.lan`, false},
		{"the machine finds itself", []string{"getent", "hosts", "parity"}, `127\.0\.0\.2 +parity`, false},
		{"the time zone is set", []string{"date", "-d", "@0", "+%H:%M %z"}, `21:00 -0300`, false},
	},
	"users": {
		{"an account has its numbers and groups", []string{"id", "teller"}, `uid=4301\(teller\) gid=4300\(tellers\) groups=4300\(tellers\),\d+\(systemd-journal\)`, false},
		{"nobody gets in without a password", []string{"passwd", "-S", "teller"}, `teller L .*`, false},
		{"a hashed password is set", []string{"passwd", "-S", "keeper"}, `keeper P .*`, false},
		{"the home has its mode and owner", []string{"stat", "-c", "%a %U %G", "/home/teller"}, `710 teller tellers`, false},
		{"keys are kept by NixOS", sh("cat /etc/ssh/authorized_keys.d/teller && stat -Lc %a /etc/ssh/authorized_keys.d/teller"), `ssh-ed25519 \S+ teller\n+444`, false},
		{"a system account has the shell it was given", sh("getent passwd keeper | cut -d: -f7"), `.*/bin/bash`, false},
		{"a password somebody sets stays", sh("echo teller:open-sesame | chpasswd && passwd -S teller"), `teller P .*`, false},
	},
	"sudo": {
		{"the one command, without a password", login("teller", "sudo -n /run/current-system/sw/bin/id -un"), "root", false},
		{"nothing else", login("teller", "sudo -n /run/current-system/sw/bin/id -u"), `(?s).*password.*`, true},
	},
	"limits": {
		{"of a session", login("teller", "ulimit -n"), "2345", false},
	},
	"etc": {
		{"a file is a link into the store", sh("cat /etc/parity/plain; readlink -f /etc/parity/plain"), `plain\n/nix/store/.*`, false},
		{"a file with a mode is a copy", []string{"stat", "-c", "%F %a %U %G", "/etc/parity/owned"}, `regular file 640 teller tellers`, false},
	},
	"environment": {
		{"variables of a login shell", login("teller", `echo "$PARITY_WORD, $PARITY_SESSION"`), "two words, yes", false},
		{"aliases of an interactive shell", []string{"runuser", "-u", "teller", "--", "bash", "-lic", "parity-alias"}, `(?s).*aliased.*`, false},
		{"commands are installed", login("teller", "parity-tool box"), "tool box", false},
		{"and lie where NixOS has them", sh("command -v /run/current-system/sw/bin/parity-tool"), ".*", false},
	},
	"kernel": {
		{"sysctl", []string{"sysctl", "-n", "net.ipv4.tcp_fin_timeout"}, "37", false},
		{"options of modules are in force", sh("modprobe -c | grep '^options dummy numdummies=2'"), "options dummy numdummies=2", false},
	},
	"tmpfiles": {
		{"a folder", []string{"stat", "-c", "%F %a %U %G", "/srv/parity"}, "directory 751 teller tellers", false},
		{"a file with its text", sh("cat /srv/parity/seed; stat -c ' %a' /srv/parity/seed"), "seed 604", false},
		{"a link", []string{"readlink", "/srv/parity/link"}, "/srv/parity/seed", false},
	},
	"file systems": {
		{"a mount has its options", []string{"findmnt", "-no", "FSTYPE,OPTIONS", "/srv/ram"}, `tmpfs +\S*noexec\S*size=3072k,mode=705\S*`, false},
		{"its unit has systemd's name", []string{"systemctl", "show", "-P", "ActiveState", "srv-ram.mount"}, "active", false},
		{"a folder is bound to another place", sh("touch /srv/parity/through && ls /srv/bound/through"), "/srv/bound/through", false},
		{"swap is in use", sh("swapon --show=NAME,SIZE,PRIO --noheadings"), `(?s).*/var/parity-swap +16M +7.*`, false},
		{"a mount on demand is not there", sh("findmnt -no FSTYPE -t tmpfs /srv/on-demand-dir"), "", true},
		{"until somebody looks", sh("ls /srv/on-demand-dir && findmnt -no FSTYPE -t tmpfs /srv/on-demand-dir"), "tmpfs", false},
		{"and its unit's name is escaped", []string{"systemctl", "show", "-P", "ActiveState", `srv-on\x2ddemand\x2ddir.automount`}, "active", false},
	},
	"services": {
		{"programs that are not in `path` are missing", sh("test ! -e /run/parity-without && systemctl show -P Result without-path"), "success", false},
		{"PATH is NixOS's", []string{"head", "-n1", "/run/parity-path"}, `/nix/store/\w+-coreutils-[^:]*/bin:\S*findutils\S*:\S*gnugrep\S*:\S*gnused\S*:/nix/store/\w+-systemd-[^:]*/bin:\S*`, false},
		{"and what is on it runs", []string{"tail", "-n1", "/run/parity-path"}, `entries:\d+`, false},
		{"programs of `path` are found, scripts run in order", []string{"cat", "/run/parity-with"}, `pre\nip runs\nof the unit\npost`, false},
		{"a service is its user's, and confined", []string{"cat", "/var/lib/parity-state/who"}, "teller", false},
		{"a service that is off is masked", []string{"systemctl", "is-enabled", "switched-off"}, "masked", true},
		{"a slice limits what is in it", []string{"systemctl", "show", "-P", "MemoryHigh", "parity.slice"}, "67108864", false},
		{"a target brings what it wants", sh("systemctl show -P ActiveState held && systemctl show -P Slice held"), "active\nparity.slice", false},
		{"a socket starts a service for each caller", sh("timeout 20 perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(q(/run/parity.sock)) or die $!; print scalar <$s>'"), "hello", false},
		{"a path starts a service", sh("touch /run/parity-ask; for i in $(seq 150); do test -e /run/parity-seen && exec cat /run/parity-seen; sleep 0.2; done; exit 1"), "seen", false},
		{"a timer starts a service", sh("for i in $(seq 150); do test -e /run/parity-ticks && exec head -n1 /run/parity-ticks; sleep 0.2; done; exit 1"), "tick", false},
	},
	"activation": {
		{"snippets run in the order of their needs, after /etc is there", []string{"cat", "/run/parity-order"}, `first\nsecond`, false},
	},
	"sshd": {
		{"settings are in force", sh("sshd -T | grep -E '^(maxsessions|passwordauthentication) ' | sort"), "maxsessions 4\npasswordauthentication no", false},
		{"it is up", []string{"systemctl", "is-active", "sshd"}, "active", false},
	},
	"ssh": {
		{"hosts have their settings", sh("ssh -G shelf 2>/dev/null | grep -E '^(user|connecttimeout) ' | sort"), "connecttimeout 3\nuser keeper", false},
		{"hosts are known", sh("ssh-keygen -F shelf -f /etc/ssh/ssh_known_hosts | tail -n1"), `shelf ssh-ed25519 \S+`, false},
	},
	"nfs": {
		{"exports are in force", sh("exportfs -v"), `(?s)/srv/parity\s+192\.0\.2\.0/24\(\S*ro\S*`, false},
	},
	"journal": {
		{"settings are in force", sh("systemd-analyze cat-config systemd/journald.conf | grep -E '^SystemMaxUse='"), "SystemMaxUse=77M", false},
	},
}

// ports are those of the desktop as the laptop meets them: what is listening, and
// what the firewall says.
var ports = map[int]check.PortState{
	7001: check.Open,     // allowed
	7010: check.Open,     // allowed, in a range
	7020: check.Open,     // allowed on the interface of the LAN
	7011: check.Refused,  // allowed, and nobody listens
	7002: check.Filtered, // not allowed
	7030: check.Filtered, // allowed on another interface
	7003: check.Filtered, // not allowed, and nobody listens
}

// A machine does what its configuration says, section by section.
func TestBehaviour(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s := newStage(ctx, t)
	if len(s.switched.Failed) > 0 {
		t.Errorf("the switch leaves failed units: %v", s.switched.Failed)
	}
	for section, behaviours := range sections {
		t.Run(section, func(t *testing.T) {
			for _, b := range behaviours {
				t.Run(b.name, func(t *testing.T) { s.behaves(ctx, t, b) })
			}
		})
	}
	t.Run("firewall", func(t *testing.T) {
		for port, want := range ports {
			got, err := check.Probe(ctx, s.lab.Laptop.Machine, s.lab.Desktop.Addr, port)
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("port %d is %s to the laptop, not %s", port, got, want)
			}
		}
		if out, status := run(ctx, t, s.lab.Laptop, "ping", "-c1", "-W5", s.lab.Desktop.Addr.String()); status != 0 {
			t.Errorf("the desktop does not answer a ping: %s", out)
		}
	})
	// Last: the configuration goes, and what it made goes with it.
	t.Run("going back", func(t *testing.T) { s.goesBack(ctx, t) })
}

func (s *stage) behaves(ctx context.Context, t *testing.T, b behaviour) {
	t.Helper()
	out, status := run(ctx, t, s.lab.Desktop, b.argv...)
	if (status != 0) != b.fails {
		t.Fatalf("%q ends with status %d:\n%s", b.argv, status, out)
	}
	if !regexp.MustCompile(`^(?:` + b.print + `)$`).MatchString(out) {
		t.Errorf("%q prints\n%s\nand not %s", b.argv, out, b.print)
	}
}

// goesBack switches the desktop to its base and looks that nothing stays which
// NixOS takes away.
func (s *stage) goesBack(ctx context.Context, t *testing.T) {
	begin := time.Now()
	if _, err := s.lab.Desktop.Switch(ctx, s.base); err != nil {
		t.Fatal(err)
	}
	t.Logf("switched back in %s", time.Since(begin).Round(time.Millisecond))
	for _, b := range []behaviour{
		{"files of /etc", sh("ls -d /etc/parity/plain /etc/parity/owned"), "(?s).*", true},
		{"services", []string{"systemctl", "is-active", "held", "listening.socket", "ticked.timer", "greet.socket"}, "(inactive\n){3}inactive", true},
		{"mounts", []string{"findmnt", "/srv/ram"}, "", true},
		{"commands", []string{"ls", "/run/current-system/sw/bin/parity-tool"}, "(?s).*", true},
		{"sudo's rule", sh("sudo -l -U teller; true"), `(?s).*(not allowed|unknown user).*`, false},
	} {
		t.Run(b.name, func(t *testing.T) { s.behaves(ctx, t, b) })
	}
}
