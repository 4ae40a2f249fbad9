package activate

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/nixos"
)

// machine is a guest in a folder: a Debian's files, and programs that only play.
type machine struct {
	t    *testing.T
	root string
	// units that systemd has, with their state; "" is inactive.
	units map[string]string
	// types of services that are not simple.
	types map[string]string
	// broken units fail when they are started.
	broken map[string]bool
	// idle units have a condition that is not met: a start leaves them as they are.
	idle map[string]bool
	// fails makes a program fail, by the start of its command line.
	fails map[string]string
	log   []string
	valid map[string]bool // store paths in Nix's database
}

const (
	debianPasswd = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nsshd:x:998:65534::/run/sshd:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\nnixbld1:x:30001:999::/:/bin/false\nnixbld2:x:30002:999::/:/bin/false\n"
	debianGroup  = "root:x:0:\nadm:x:4:\nusers:x:100:\nnixbld:x:999:nixbld1,nixbld2\nshadow:x:42:\nnogroup:x:65534:\n"
	debianShadow = "root::20000:0:99999:7:::\ndaemon:*:20000:0:99999:7:::\nsshd:!*:20000::::::\nnobody:*:20000:0:99999:7:::\n"
)

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, root: filepath.Join(t.TempDir(), "guest"), broken: map[string]bool{}, idle: map[string]bool{}, fails: map[string]string{}, valid: map[string]bool{},
		units: map[string]string{"multi-user.target": "active", "sockets.target": "active", "local-fs.target": "active", "nix-daemon.socket": "active"}}
	m.write("/etc/passwd", debianPasswd, 0o644)
	m.write("/etc/group", debianGroup, 0o644)
	m.write("/etc/shadow", debianShadow, 0o640)
	m.write("/etc/ssl/certs/ca-certificates.crt", "DEBIAN\n", 0o644)
	m.write("/etc/resolv.conf", "nameserver 192.168.15.1\n", 0o644)
	m.write("/proc/sys/kernel/hostname", "(none)\n", 0o644)
	for name, mode := range map[string]fs.FileMode{"bash": 0o755, "hello": 0o755, "sudo": 0o755 | fs.ModeSetuid} {
		m.write("/usr/bin/"+name, "program "+name, mode)
	}
	for _, dir := range []string{"/run", "/root", "/nix/store", "/nix/var/nix/profiles"} {
		if err := os.MkdirAll(m.root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *machine) write(path, text string, mode fs.FileMode) {
	m.t.Helper()
	full := m.root + path
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Chmod(full, mode); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) switcher() *Switcher {
	return &Switcher{Root: m.root, Run: m.run, Say: func(format string, args ...any) { m.t.Logf(format, args...) }}
}

func (m *machine) switchTo(c *nixos.Configuration) (Result, error) {
	m.t.Helper()
	m.log = nil
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return m.switcher().Switch(ctx, c)
}

// must switches, and wants no error.
func (m *machine) must(c *nixos.Configuration) Result {
	m.t.Helper()
	result, err := m.switchTo(c)
	if err != nil {
		m.t.Fatalf("switch: %v", err)
	}
	return result
}

func (m *machine) boot() {
	m.t.Helper()
	m.log = nil
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := m.switcher().Boot(ctx); err != nil {
		m.t.Fatalf("boot: %v", err)
	}
}

func (m *machine) run(ctx context.Context, argv ...string) (string, error) {
	line := strings.ReplaceAll(strings.Join(argv, " "), m.root, "")
	m.log = append(m.log, line)
	for prefix, message := range m.fails {
		if strings.HasPrefix(line, prefix) {
			return "", fmt.Errorf("%s: exit status 1: %s", line, message)
		}
	}
	switch argv[0] {
	case "systemctl":
		return m.systemctl(argv[1], argv[2:])
	case "hostname":
		m.write("/proc/sys/kernel/hostname", argv[1]+"\n", 0o644)
	case "openssl":
		salt := "fresh"
		if i := slices.Index(argv, "-salt"); i >= 0 {
			salt = argv[i+1]
		}
		return "$6$" + salt + "$" + argv[len(argv)-1] + "\n", nil
	case "journalctl":
		return "last words of " + strings.TrimPrefix(argv[len(argv)-1], "--unit=") + "\n", nil
	case "sh":
		return "", m.register(argv[len(argv)-1])
	case "env":
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
	case "modprobe", "networkctl", "systemd-tmpfiles", "/usr/lib/systemd/systemd-sysctl", "chown", "chmod", "setcap", "getcap":
	default:
		m.t.Errorf("nobody plays %q", line)
	}
	return "", nil
}

func (m *machine) systemctl(verb string, rest []string) (string, error) {
	units := rest
	if i := slices.Index(rest, "--"); i >= 0 {
		units = rest[i+1:]
	}
	var failed []string
	switch verb {
	case "list-units":
		var out strings.Builder
		for _, u := range slices.Sorted(maps.Keys(m.units)) {
			switch state := m.units[u]; state {
			case "active":
				fmt.Fprintf(&out, "%s loaded active running The unit %s\n", u, u)
			case "failed":
				fmt.Fprintf(&out, "%s loaded failed failed The unit %s\n", u, u)
			case "auto-restart":
				fmt.Fprintf(&out, "%s loaded activating auto-restart The unit %s\n", u, u)
			default:
				fmt.Fprintf(&out, "%s loaded inactive dead The unit %s\n", u, u)
			}
		}
		return out.String(), nil
	case "start", "restart", "reload":
		for _, u := range units {
			if m.idle[u] {
				continue
			}
			if m.units[u] = "active"; m.broken[u] {
				m.units[u] = "failed"
				failed = append(failed, u)
			}
		}
	case "stop":
		for len(units) > 0 {
			u := units[0]
			units, m.units[u] = units[1:], ""
			for other, state := range m.units {
				file, _ := m.switcher().resolve("/etc/systemd/system/" + other)
				if text, _ := os.ReadFile(m.root + file); state != "" && strings.Contains(string(text), "\nRequires="+u+"\n") {
					units = append(units, other)
				}
			}
		}
	case "reset-failed":
		for u, state := range m.units {
			if state == "failed" {
				m.units[u] = ""
			}
		}
	case "daemon-reload":
	case "show":
		var types []string
		for _, u := range units {
			types = append(types, cmp.Or(m.types[u], "simple"))
		}
		return strings.Join(types, "\n\n") + "\n", nil
	default:
		m.t.Errorf("systemctl %s is not played", verb)
	}
	if failed != nil {
		return "", fmt.Errorf("systemctl %s: exit status 1: job failed for %s", verb, strings.Join(failed, " "))
	}
	return "", nil
}

// register is nix-store --register-validity: every reference has to be known.
func (m *machine) register(list string) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	refs := map[string][]string{}
	for len(lines) >= 3 {
		n := 0
		if _, err := fmt.Sscan(lines[2], &n); err != nil || lines[1] != "" || len(lines) < 3+n {
			return fmt.Errorf("%q is no registration", lines)
		}
		if _, err := os.Lstat(m.root + lines[0]); err != nil {
			return err
		}
		m.valid[lines[0]], refs[lines[0]] = true, lines[3:3+n]
		lines = lines[3+n:]
	}
	for path, list := range refs {
		for _, ref := range list {
			if !m.valid[ref] {
				return fmt.Errorf("path %s refers to %s, which is not valid", path, ref)
			}
		}
	}
	return nil
}

// commands are those that were run, by the start of their line.
func (m *machine) commands(prefix string) []string {
	var out []string
	for _, l := range m.log {
		if strings.HasPrefix(l, prefix) {
			out = append(out, l)
		}
	}
	return out
}

// read is a file of the machine's, found as the machine itself finds it.
func (m *machine) read(path string) string {
	m.t.Helper()
	real, err := m.switcher().resolve(path)
	if err != nil {
		m.t.Fatalf("%s: %v", path, err)
	}
	text, err := os.ReadFile(m.root + real)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(text)
}

func (m *machine) readlink(path string) string {
	m.t.Helper()
	target, err := os.Readlink(m.root + path)
	if err != nil {
		m.t.Fatal(err)
	}
	return target
}

func (m *machine) exists(path string) bool {
	_, err := os.Lstat(m.root + path)
	return err == nil
}

func (m *machine) mode(path string) fs.FileMode {
	m.t.Helper()
	info, err := os.Lstat(m.root + path)
	if err != nil {
		m.t.Fatal(err)
	}
	return info.Mode()
}

// line is the line of a table for a name, "" where there is none.
func (m *machine) line(path, name string) string {
	m.t.Helper()
	for l := range strings.Lines(m.read(path)) {
		if strings.HasPrefix(l, name+":") {
			return strings.TrimSuffix(l, "\n")
		}
	}
	return ""
}

// snapshot is every file of the machine with its mode and content.
func (m *machine) snapshot() map[string]string {
	m.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(m.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			body, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += string(body)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += target
		}
		out[strings.TrimPrefix(path, m.root)] = text
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

func differences(a, b map[string]string) []string {
	var out []string
	for _, path := range keys(a, b) {
		if a[path] != b[path] {
			out = append(out, fmt.Sprintf("%s: %q, then %q", path, a[path], b[path]))
		}
	}
	return out
}

// Store paths of a small host.
const (
	bashPath  = "/nix/store/00000000000000000000000000000001-bash-5.3"
	helloPath = "/nix/store/00000000000000000000000000000002-hello-2.12"
	sudoPath  = "/nix/store/00000000000000000000000000000003-sudo-1.9"
	startPath = "/nix/store/00000000000000000000000000000004-unit-script-greet-start"
	motdPath  = "/nix/store/00000000000000000000000000000005-motd"
)

func ptr[T any](v T) *T { return &v }

// host is a configuration with one of everything.
func host() *nixos.Configuration {
	return &nixos.Configuration{
		Schema: 1, HostName: "desktop",
		Users: map[string]nixos.User{
			"root":        {UID: ptr(0), Group: "root", Home: "/root", Shell: ptr(bashPath + "/bin/bash"), Description: "System administrator"},
			"nix-builder": {Group: "nix-builder", Home: "/var/lib/nix-builder", HomeMode: "700", CreateHome: true, IsSystemUser: true, Shell: ptr(bashPath + "/bin/bash")},
		},
		Groups: map[string]nixos.Group{
			"root": {GID: ptr(0), Implied: true}, "nix-builder": {}, "nixbld": {GID: ptr(30000), Members: []string{"nixbld1"}},
			"users": {GID: ptr(100), Implied: true},
		},
		Etc: map[string]nixos.Etc{
			"exports":      {Text: ptr("/nix/store 192.168.15.0/24(ro)\n"), Mode: "symlink", User: "+0", Group: "+0"},
			"nix/nix.conf": {Text: ptr("builders-use-substitutes = true\n"), Mode: "symlink"},
			"motd":         {Source: ptr(motdPath), Mode: "symlink"},
			"sudoers":      {Text: ptr("root ALL=(ALL:ALL) SETENV: ALL\n"), Mode: "0440", User: "+0", Group: "+0"},
		},
		UnitFiles: map[string]nixos.Unit{
			"greet.service": {Text: "[Service]\nExecStart=" + startPath + "/bin/greet-start\n", Enable: true, WantedBy: []string{"multi-user.target"}},
		},
		StoreFiles: map[string]nixos.Text{
			startPath + "/bin/greet-start": {Text: "#!" + bashPath + "/bin/bash\n" + helloPath + "/bin/hello\n", Executable: true},
			motdPath:                       {Text: "welcome\n"},
		},
		Packages: map[string]nixos.Package{
			bashPath:  {Pname: "bash", Version: "5.3", Programs: map[string]string{"bash": "/usr/bin/bash"}},
			helloPath: {Pname: "hello", Version: "2.12", Programs: map[string]string{"hello": "/usr/bin/hello"}},
			sudoPath:  {Pname: "sudo", Version: "1.9", Programs: map[string]string{"sudo": "/usr/bin/sudo", "visudo": "/usr/sbin/visudo"}},
		},
		SystemPath: []string{helloPath, bashPath},
		Wrappers: map[string]nixos.Wrapper{
			"sudo": {Program: ptr("sudo"), Source: sudoPath + "/bin/sudo", Owner: "root", Group: "root", Permissions: "u+rx,g+x,o+x", Setuid: true},
		},
	}
}

func actions(r Result, kind string) []string {
	var out []string
	for _, c := range r.Changes {
		if c.Kind == kind {
			out = append(out, c.Name+" "+c.Action)
		}
	}
	slices.Sort(out)
	return out
}

// wantActions compares what a switch says it did to one kind of thing.
func wantActions(t *testing.T, r Result, kind string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := actions(r, kind); !slices.Equal(got, want) {
		t.Errorf("changes of kind %s: %q, want %q", kind, got, want)
	}
}
