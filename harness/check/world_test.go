package check

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nix-community/go-nix/pkg/narinfo"
	"github.com/nix-community/go-nix/pkg/narinfo/signature"
	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/machine"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/nixserve"
	"offload-e2e/harness/provider"
)

const (
	desktopBoot = "11111111-aaaa-4aaa-8aaa-111111111111"
	laptopBoot  = "22222222-bbbb-4bbb-8bbb-222222222222"
	made        = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-offload-e2e-x"
	keyPath     = "/etc/nix/builder_key"
	sshHome     = "/var/lib/nix-builder/.ssh"
	authorized  = sshHome + "/authorized_keys"
)

// world is two machines of which everything the contract promises is true. A case
// changes it by adding answers, or by changing its configuration before build.
type world struct {
	t               *testing.T
	desktop, laptop *fake
	bench           *Bench
	// settings are what Nix has in force, beside its defaults.
	desktopNix, laptopNix map[string]any
	// builder is the laptop's key pair; public its line.
	public   string
	signing  signature.SecretKey
	verifier signature.PublicKey
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, desktop: newFake(t, "desktop"), laptop: newFake(t, "laptop"), public: publicKey(t, 1, "nix-builder@laptop-to-desktop")}
	w.signing, w.verifier = cacheKey(t, "cache.local", 7)
	exports := "/nix/store 192.168.15.0/24(ro,no_subtree_check)\n/var/lib/nix-offload 192.168.15.0/24(rw,no_root_squash,no_subtree_check)\n"
	machines := "ssh://nix-builder@192.168.15.7 x86_64-linux " + keyPath + " 4 1 benchmark,big-parallel,kvm - -\n"
	w.bench = &Bench{
		Desktop: machine.Wrap(w.desktop), Laptop: machine.Wrap(w.laptop), Phase: "phase4", Slow: 1,
		DesktopAddr: netip.MustParseAddr("192.168.15.7"), LaptopAddr: netip.MustParseAddr("192.168.15.9"),
		Server: &nixos.Configuration{Exports: &exports,
			Firewall: nixos.Firewall{Enable: true, AllowedTCPPorts: []int{22, 5000, 2049, 111}},
			Users:    map[string]nixos.User{"nix-builder": {Home: "/var/lib/nix-builder"}},
			Declared: map[string]json.RawMessage{"services.offload-server.enable": json.RawMessage("true"), "services.offload-server.enableNFS": json.RawMessage("true")}},
		Client: &nixos.Configuration{Machines: &machines, NixConf: map[string]any{}, Fstab: []nixos.FileSystem{
			{Device: "192.168.15.7:/nix/store", MountPoint: "/nix/store-remote", FsType: "nfs", Options: []string{"ro", "nofail", "x-systemd.automount"}},
			{Device: "192.168.15.7:/var/lib/nix-offload", MountPoint: "/var/lib/nix-offload-remote", FsType: "nfs", Options: []string{"rw", "noauto"}},
			{Device: "/dev/vda", MountPoint: "/", FsType: "ext4"},
		}},
	}
	w.desktopNix = map[string]any{"trusted-users": []string{"root", "nix-builder"}, "fallback": true, "connect-timeout": 5}
	w.laptopNix = map[string]any{
		"builders": "@/etc/nix/machines", "fallback": true, "connect-timeout": 5, "max-jobs": 2,
		"substituters":        []string{"http://192.168.15.7:5000", "https://cache.nixos.org"},
		"trusted-public-keys": []string{"cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=", w.verifier.String()},
	}
	w.settings(w.desktop, &w.desktopNix)
	w.settings(w.laptop, &w.laptopNix)
	w.desktopAnswers()
	w.laptopAnswers()
	return w
}

// defaults are the settings of a real Nix.
var defaults = sync.OnceValues(func() (map[string]json.RawMessage, error) {
	text, err := os.ReadFile("testdata/nix/config-show.json")
	if err != nil {
		return nil, err
	}
	all := map[string]json.RawMessage{}
	return all, json.Unmarshal(text, &all)
})

// settings lets a machine's Nix show its settings: real output, with some changed.
func (w *world) settings(f *fake, changed *map[string]any) {
	f.does("nix --extra-experimental-features nix-command config show --json", func([]string) provider.Result {
		all, err := defaults()
		if err != nil {
			w.t.Fatal(err)
		}
		all = maps.Clone(all)
		for name, value := range *changed {
			if all[name] == nil {
				w.t.Fatalf("Nix has no setting %s", name)
			}
			if all[name], err = json.Marshal(map[string]any{"value": value, "aliases": []string{}}); err != nil {
				w.t.Fatal(err)
			}
		}
		text, err := json.Marshal(all)
		if err != nil {
			w.t.Fatal(err)
		}
		return out(string(text))
	})
}

func (w *world) desktopAnswers() {
	d := w.desktop
	d.on("date +@%s*", out("@1763856000\n"))
	d.on("id *", said(1, "id: no such user\n"))
	d.on("id nix-builder", out("uid=990(nix-builder) gid=990(nix-builder)\n"))
	d.on("id -Gn *", out("nix-builder\n"))
	d.on("getent passwd *", said(2, ""))
	d.on("getent passwd nix-builder", out("nix-builder:x:990:990:Builds for laptops:/var/lib/nix-builder:/run/current-system/sw/bin/bash\n"))
	d.on("runuser -u cypher -- /run/wrappers/bin/sudo -n true", out(""))
	d.on("cat /proc/sys/kernel/random/boot_id /proc/self/mountinfo", out(desktopBoot+"\n21 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"))
	d.on("journalctl *", out(""))
	d.on("systemctl show nix-serve.service --property=User,RestrictAddressFamilies", out("User=nix-serve\nRestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n"))
	d.on("systemctl show * --property=ActiveState,SubState,Result --value", out("active\nrunning\nsuccess\n"))
	d.on("systemctl is-active nix-daemon.socket", out("active\n"))
	d.on("iptables -S", out("-P INPUT ACCEPT\n-A nixos-fw -p tcp -m tcp --dport 22 -j nixos-fw-accept\n"))
	d.on("curl -sSf --max-time 10 https://cache.nixos.org/nix-cache-info", out(cacheInfo))
	d.on("df -k *", out("    Avail    IFree\n 1048576 100000\n  524288 90000\n"))
	d.on("sh -c for f in netfilter/*", out("nf_conntrack_tcp_timeout_established 432000\ntcp_keepalive_time 7200\n"))
	d.on("readlink -f /run/current-system", out(made+"\n"))
	d.on("bash -c setsid *", out("started\n"))
	d.does("ss -Hltn *", func(argv []string) provider.Result {
		return out("LISTEN 0 4096 0.0.0.0" + strings.TrimPrefix(argv[2], "sport = ") + " 0.0.0.0:*\n")
	})
	d.on("ip -o -4 addr show scope global", out("2: lan0    inet 192.168.15.7/24 brd 192.168.15.255 scope global lan0\\       valid_lft forever preferred_lft forever\n"+
		"3: mgmt0    inet 10.0.2.15/24 brd 10.0.2.255 scope global mgmt0\\       valid_lft forever preferred_lft forever\n"))
	// keys and logins
	d.on("stat -c %a %U "+sshHome, out("700 nix-builder\n"))
	d.on("stat -c %a %U "+authorized, out("600 nix-builder\n"))
	d.on("stat -c %a "+authorized, out("600\n"))
	d.on("stat -c %a %U %n *", out("750 nix-builder /var/lib/nix-builder\n700 nix-builder "+sshHome+"\n600 nix-builder "+authorized+"\n"))
	d.on("cat "+authorized, out(w.public+"\n"))
	d.on("sh -c cat /etc/ssh/ssh_host_*_key.pub", out(recorded(w.t, "ssh/desktop_host_key.pub")))
	d.on("sshd -T -C *", out("port 22\nmaxsessions 10\nclientaliveinterval 0\npubkeyauthentication yes\nauthorizedkeysfile .ssh/authorized_keys /etc/ssh/authorized_keys.d/%u\n"))
	// builds
	d.on("timeout * nix-build *", out(made+"\n"))
	d.on("bash -c nix-store --query --outputs *", out(made+"\n"))
	d.on("nix-store --check-validity *", out(""))
	// cache
	d.on("stat -c %a %s /var/cache-priv-key.pem", out("600 99\n"))
	d.on("cat /var/cache-priv-key.pem", out(w.signing.String()))
	d.on("cat "+CachePublicKeyPath, out(w.verifier.String()))
	d.on("journalctl --no-pager --output=cat --unit=nix-serve.service --since *", out(access("/"+hashPart(made)+".narinfo", 200)+access(narPath(), 200)))
	// NFS
	d.on("sh -c cat \"$1\" 2>/dev/null && rm *", said(1, ""))
	d.on("cat /proc/fs/nfsd/threads", out("8\n"))
	d.on("cat /proc/fs/nfsd/max_block_size", out("1048576\n"))
	d.on("dd if=/dev/zero *", out(""))
	d.on("rm -f *", out(""))
	d.on("test -d *", out(""))
	d.does("cat /etc/exports", func([]string) provider.Result { return out(*w.bench.Server.Exports) })
	d.on("exportfs -s", out("/nix/store  192.168.15.0/24(sync,wdelay,hide,no_subtree_check,sec=sys,ro,secure,root_squash,no_all_squash)\n"+
		"/var/lib/nix-offload  192.168.15.0/24(sync,wdelay,hide,no_subtree_check,sec=sys,rw,secure,no_root_squash,no_all_squash)\n"))
	d.on("bash -o pipefail -c nix-store --dump *", out(strings.Repeat("a", 64)+"  -\n"))
}

func (w *world) laptopAnswers() {
	l := w.laptop
	l.on("uname -m", out("x86_64\n"))
	l.on("id -u *", out("1000\n"))
	l.does("cat /etc/nix/machines", func([]string) provider.Result {
		if w.bench.Client.Machines == nil {
			return said(1, "cat: /etc/nix/machines: No such file or directory\n")
		}
		return out(*w.bench.Client.Machines)
	})
	l.on("timeout 5 bash -c exec 3<>*", out(""))
	l.does("bash -c * answers 192.168.15.7 *", func(argv []string) provider.Result {
		var answering string
		for _, port := range argv[5:] {
			if s := portState(l.answer(append([]string{"timeout", "5", "bash", "-c", `exec 3<>"/dev/tcp/$1/$2"`, "probe"}, argv[4], port))); s == Open || s == Refused {
				answering += port + " answers\n"
			}
		}
		return out(answering)
	})
	l.on("sh -c read -r name path *", said(1, ""))
	l.on("sh -c ip neigh flush *", out("192.168.15.7 dev lan0 lladdr 52:54:00:00:00:07 REACHABLE\n"))
	l.on("bash -c dev=$(ip -o route get *", out("mtu 1500\n3 packets transmitted, 3 received, 0% packet loss\n"))
	l.on("bash -c for i in 1 2 3 4 5*", out(""))
	l.on("ping -n -c 20 *", out("20 packets transmitted, 20 received, 0% packet loss, time 1905ms\nrtt min/avg/max/mdev = 0.412/0.613/1.204/0.120 ms\n"))
	l.on("ping *", out("2 packets transmitted, 2 received\n"))
	l.on("systemctl *", out(""))
	l.on("journalctl *", out(""))
	l.does("findmnt --fstab *", func(argv []string) provider.Result {
		for _, m := range w.bench.Mounts() {
			if m.MountPoint == argv[len(argv)-1] {
				return out(m.Device + " " + strings.Join(m.Options, ",") + "\n")
			}
		}
		return said(1, "")
	})
	// keys and logins
	l.on("env HOME=/root ssh -G *", out("user nix-builder\nhostname 192.168.15.7\nidentityfile "+keyPath+"\nstricthostkeychecking accept-new\nuserknownhostsfile /var/lib/nix-offload-client/known_hosts\ncontrolmaster false\ncontrolpath /root/.ssh/sockets/%C\nconnecttimeout 5\nserveraliveinterval 5\n"))
	l.on("test -s "+keyPath, out(""))
	l.on("stat -L -c %a %U "+keyPath, out("600 root\n"))
	l.on("ssh-keygen -y -P  -f "+keyPath, out(w.public+"\n"))
	l.on("cat "+keyPath+".pub", out(w.public+"\n"))
	l.on("sh -c grep -Hs . /home/*", said(2, ""))
	l.does("timeout 45 env -u SSH_AUTH_SOCK HOME=/root ssh -v * -- echo *", func(argv []string) provider.Result {
		return provider.Result{Stdout: []byte(echoed(argv) + "\nnix-store (Nix) 2.26.3\n"), Stderr: []byte(recorded(w.t, "ssh/login.txt"))}
	})
	l.on("timeout 45 env -u SSH_AUTH_SOCK HOME=/root ssh -v * -- nix-store --version", out("nix-store (Nix) 2.26.3\n"))
	l.on("timeout 45 env -u SSH_AUTH_SOCK HOME=/root ssh -v * -- true", said(255, recorded(w.t, "ssh/denied.txt")))
	l.on("timeout --kill-after=5 20 env -u SSH_AUTH_SOCK HOME=/root ssh *", out(""))
	l.on("sh -c for f in netfilter/*", out("nf_conntrack_tcp_timeout_established 432000\ntcp_keepalive_time 7200\n"))
	// builds
	l.on("*timeout * nix-build *", out(made+"\n"))
	l.on("*timeout * nix-build --no-out-link --expr [ *", out("/nix/store/slot1\n/nix/store/slot2\n"))
	l.on("cat /nix/store/slot1 /nix/store/slot2", out("100\n100\n101\n101\n107\n107\n108\n108\n"))
	l.on("df -k *", out("    Avail    IFree\n 1048576 100000\n  524288 90000\n"))
	l.on("bash -c for f in *", out("/nix/var/nix/current-load/ssh-ng___x.upload-lock held by process 77 (flock)\n"))
	l.on("cat "+made, out(desktopBoot+"\n"))
	l.on("cat /proc/sys/kernel/random/boot_id /proc/self/mountinfo", out(laptopBoot+"\n"+mountTable))
	// cache
	l.on("timeout * nix-store --realise "+made, out(made+"\n"))
	l.on("curl -sSf * https://*/nix-cache-info", said(35, "curl: (35) error\n"))
	l.on("curl -sSf * http://192.168.15.7:5000/nix-cache-info", out(cacheInfo))
	w.http("/nix-cache-info", 200, cacheInfo)
	w.http("/"+hashPart(made)+".narinfo", 200, w.narinfo(w.signing))
	// NFS
	l.on("timeout --kill-after=5 40 stat -f -c %T *", out("nfs\n"))
	l.on("cat /proc/self/mountinfo", out(mountTable))
	l.on("timeout 110 bash -o pipefail -c nix-store --dump *", out(strings.Repeat("a", 64)+"  -\n"))
	l.on("timeout 110 touch *", said(1, "touch: cannot touch: Read-only file system\n"))
	l.on("rm -f *", out(""))
	l.on("bash -c find /proc/*", out(""))
	l.on("timeout --kill-after=2 30 ls *", out("x\n"))
	l.does("timeout 60 dd *", func([]string) provider.Result { return provider.Result{Duration: 200 * time.Millisecond} })
	l.on("bash -c d=$(mktemp -d) *", out(""))
	l.does("timeout 110 bash -c echo *", func(argv []string) provider.Result {
		w.desktop.on("cat /var/lib/nix-offload/.offload-e2e-"+argv[6], out(argv[6]+"\n"))
		return out("")
	})
	for _, c := range []string{"offload-status", "offload-server-status", "offload-test-build"} {
		l.on("timeout * "+c, out("✅ all is well\n"))
		w.desktop.on("timeout * "+c, out("✅ all is well\n"))
	}
}

const cacheInfo = "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n"

const mountTable = `21 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
60 21 0:55 / /nix/store-remote rw,relatime shared:30 - autofs systemd-1 rw,fd=52
61 60 0:56 / /nix/store-remote ro,relatime shared:31 - nfs4 192.168.15.7:/nix/store ro,vers=4.2,rsize=262144,wsize=262144,hard
62 21 0:57 / /var/lib/nix-offload-remote rw,relatime shared:32 - nfs4 192.168.15.7:/var/lib/nix-offload rw,vers=4.2,rsize=262144,wsize=262144,soft
`

// http lets the desktop's cache answer a path, as curl on the laptop sees it.
func (w *world) http(path string, status int, body string) {
	res := out(fmt.Sprintf("%s\n%03d", body, status))
	if status == 0 {
		res = provider.Result{ExitStatus: 7, Stdout: []byte("\n000"), Stderr: []byte("curl: (7) Failed to connect\n")}
	}
	w.laptop.on("curl -sS --noproxy * --max-time 20 * http://192.168.15.7:5000"+path, res)
}

// narinfo is what the cache says of the path made, signed with keys.
func (w *world) narinfo(keys ...signature.SecretKey) string {
	const text = "StorePath: " + made + "\nURL: nar/x.nar\nCompression: none\nNarHash: sha256:0d71ygfwbmy1xjlbj1v027dfmy9cqavy4vsyb7c9n5csl4rwa0rk\nNarSize: 152\nReferences: \n"
	ni, err := narinfo.Parse(strings.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, k := range keys {
		sig, err := k.Sign(nil, ni.Fingerprint())
		if err != nil {
			w.t.Fatal(err)
		}
		ni.Signatures = append(ni.Signatures, sig)
	}
	return ni.String()
}

func narPath() string {
	return "/nar/" + hashPart(made) + "-0d71ygfwbmy1xjlbj1v027dfmy9cqavy4vsyb7c9n5csl4rwa0rk.nar"
}

// access is a line of the cache's log.
func access(path string, status int) string {
	return nixserve.Access{Client: "192.168.15.9", Method: "GET", Path: path, Status: status, Bytes: 100}.String() + "\n"
}

// port lets the desktop's port be in a state, as the laptop's probe meets it.
func (w *world) port(n int, s PortState) {
	res := map[PortState]provider.Result{
		Open: out(""), Filtered: said(124, ""),
		Refused:     said(1, "probe: connect: Connection refused\nprobe: line 1: /dev/tcp/192.168.15.7/22: Connection refused\n"),
		Unreachable: said(1, "probe: connect: No route to host\nprobe: line 1: /dev/tcp/192.168.15.7/22: No route to host\n"),
	}[s]
	w.laptop.on(fmt.Sprintf("timeout 5 bash -c exec 3<>* probe 192.168.15.7 %d", n), res)
}

// away lets every port of the desktop be in a state, and the desktop itself be
// silent.
func (w *world) away(s PortState) {
	for _, n := range []int{22, 5000, 2049, 111} {
		w.port(n, s)
	}
	w.laptop.on("ping *", said(1, "2 packets transmitted, 0 received\n"))
	w.neighbour("FAILED")
}

// neighbour lets the desktop answer ARP, or not.
func (w *world) neighbour(state string) {
	w.laptop.on("sh -c ip neigh flush *", out("192.168.15.7 dev lan0 "+state+"\n"))
}

// login lets the builder's login end as a real one did.
func (w *world) login(name string, status int) {
	for _, command := range []string{"echo *", "nix-store --version"} {
		w.laptop.on("timeout 45 env -u SSH_AUTH_SOCK HOME=/root ssh -v * -- "+command, said(status, recorded(w.t, "ssh/"+name+".txt")))
	}
}

// echoed is what a login's command echoes first.
func echoed(argv []string) string { return argv[slices.Index(argv, "echo")+1] }

// builds lets nix-build on the laptop end as a real one did.
func (w *world) builds(name string) {
	w.laptop.on("*timeout * nix-build *", said(1, recorded(w.t, "nix/"+name+".txt")))
}

// machines sets the laptop's machines file.
func (w *world) machines(text string) { w.bench.Client.Machines = &text }

// explains lets options tell how they came by their value.
func (w *world) explains(option, file string, line int) {
	w.bench.Explain = func(_ context.Context, _ nixos.Role, asked string) (nixos.Option, error) {
		if asked != option {
			return nixos.Option{}, nil
		}
		return nixos.Option{Definitions: []nixos.Definition{{File: file, Line: &line, Priority: 100, Wins: true, Value: json.RawMessage("1")}}}, nil
	}
}

// with is a copy of settings with one changed.
func with(settings map[string]any, name string, value any) map[string]any {
	settings = maps.Clone(settings)
	settings[name] = value
	return settings
}

// publicKey is a line of a .pub file, always the same for a seed.
func publicKey(t *testing.T, seed byte, comment string) string {
	t.Helper()
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public))) + " " + comment
}

// cacheKey is a pair of signing keys, always the same for a seed.
func cacheKey(t *testing.T, name string, seed byte) (signature.SecretKey, signature.PublicKey) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
	private, err := signature.LoadSecretKey(name + ":" + base64.StdEncoding.EncodeToString(key))
	if err != nil {
		t.Fatal(err)
	}
	return private, private.ToPublicKey()
}

// privateKeyFile writes an OpenSSH private key, for a real ssh-keygen.
func privateKeyFile(t *testing.T, seed byte, passphrase string) string {
	t.Helper()
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
	block, err := ssh.MarshalPrivateKey(key, "test")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
