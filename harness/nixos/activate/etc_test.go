package activate

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"offload-e2e/harness/nixos"
)

func TestEtcModes(t *testing.T) {
	m := newMachine(t)
	m.write("/etc/motd/debian", "a folder of Debian's", 0o644)
	m.write("/etc/exports", "Debian's", 0o644)
	c := &nixos.Configuration{
		Etc: map[string]nixos.Etc{
			"exports":     {Text: ptr("ours\n")},
			"motd":        {Source: ptr(motdPath), Mode: "symlink"},
			"direct":      {Source: ptr(motdPath), Mode: "direct-symlink"},
			"direct-text": {Text: ptr("x\n"), Mode: "direct-symlink"},
			"copy":        {Source: ptr(motdPath), Mode: "0400", User: "+0", Group: "+0"},
			"setuid":      {Text: ptr("x\n"), Mode: "4755", User: "sshd", Group: "shadow"},
			"a/b/c":       {Text: ptr("deep\n")},
		},
		StoreFiles: map[string]nixos.Text{motdPath: {Text: "welcome\n"}},
	}
	result := m.must(c)
	for path, want := range map[string]string{"/etc/exports": "ours\n", "/etc/motd": "welcome\n", "/etc/direct": "welcome\n",
		"/etc/direct-text": "x\n", "/etc/copy": "welcome\n", "/etc/setuid": "x\n", "/etc/a/b/c": "deep\n"} {
		if got := m.read(path); got != want {
			t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
	for path, want := range map[string]string{"/etc/exports": "/etc/static/exports", "/etc/motd": "/etc/static/motd",
		"/etc/direct": motdPath, "/etc/direct-text": result.Toplevel + "/etc/direct-text"} {
		if got := m.readlink(path); got != want {
			t.Errorf("%s is a link to %s, want %s", path, got, want)
		}
	}
	for path, want := range map[string]fs.FileMode{"/etc/copy": 0o400, "/etc/setuid": 0o755 | fs.ModeSetuid} {
		if got := m.mode(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	// One of each changes, a copy becomes a link and a link a folder.
	c.Etc["exports"] = nixos.Etc{Text: ptr("theirs\n")}
	c.Etc["copy"] = nixos.Etc{Source: ptr(motdPath)}
	delete(c.Etc, "motd")
	c.Etc["motd/part"] = nixos.Etc{Text: ptr("part\n")}
	delete(c.Etc, "a/b/c")
	c.Etc["a/b"] = nixos.Etc{Text: ptr("file\n")}
	again := m.must(c)
	wantActions(t, again, "etc", "exports written", "copy written", "motd removed", "motd/part written", "a/b/c removed", "a/b written")
	for path, want := range map[string]string{"/etc/exports": "theirs\n", "/etc/motd/part": "part\n", "/etc/a/b": "file\n"} {
		if got := m.read(path); got != want {
			t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
	if m.readlink("/etc/copy") != "/etc/static/copy" {
		t.Error("the copy is no link")
	}
}

func TestEtcErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		etc  nixos.Etc
		want string
	}{
		"mode":  {nixos.Etc{Text: ptr(""), Mode: "rw"}, `/etc/bad: mode "rw"`},
		"user":  {nixos.Etc{Text: ptr(""), Mode: "0400", User: "nobody-there"}, `/etc/bad: /etc/passwd has no "nobody-there"`},
		"group": {nixos.Etc{Text: ptr(""), Mode: "0400", Group: "nobody-there"}, `/etc/bad: /etc/group has no "nobody-there"`},
		"copy":  {nixos.Etc{Source: ptr("/root/none"), Mode: "0400"}, "/etc/bad: "},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			c := host()
			c.Etc["bad"] = tc.etc
			_, err := m.switchTo(c)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
			// The rest is done all the same, as NixOS does.
			if m.read("/etc/exports") == "" || m.units["greet.service"] != "active" {
				t.Error("the rest of the switch was not done")
			}
		})
	}
}

// A file that somebody put in place of a link is theirs.
func TestEtcOfTheirOwn(t *testing.T) {
	m := newMachine(t)
	m.must(host())
	if err := os.Remove(m.root + "/etc/exports"); err != nil {
		t.Fatal(err)
	}
	m.write("/etc/exports", "by hand\n", 0o644)
	c := host()
	delete(c.Etc, "exports")
	result := m.must(c)
	if got := m.read("/etc/exports"); got != "by hand\n" {
		t.Errorf("exports holds %q", got)
	}
	wantActions(t, result, "etc")
}

func TestResolvConf(t *testing.T) {
	m := newMachine(t)
	with := func(servers ...string) *nixos.Configuration {
		return &nixos.Configuration{Network: nixos.Network{Nameservers: servers}}
	}
	const guests = "nameserver 192.168.15.1\n"
	for _, step := range []struct {
		c    *nixos.Configuration
		want string
		acts []string
	}{
		{with(), guests, nil},
		{with("9.9.9.9"), "nameserver 9.9.9.9\n", []string{"resolv.conf written"}},
		{with("9.9.9.9"), "nameserver 9.9.9.9\n", nil},
		{with("9.9.9.9", "1.1.1.1"), "nameserver 9.9.9.9\nnameserver 1.1.1.1\n", []string{"resolv.conf written"}},
		{with(), guests, []string{"resolv.conf written"}},
		{with(), guests, nil},
	} {
		result := m.must(step.c)
		if got := m.read("/etc/resolv.conf"); got != step.want {
			t.Errorf("with %v it holds %q, want %q", step.c.Network.Nameservers, got, step.want)
		}
		wantActions(t, result, "etc", step.acts...)
	}
	own := with("9.9.9.9")
	own.Etc = map[string]nixos.Etc{"resolv.conf": {Text: ptr("options edns0\n")}}
	m.must(own)
	if got := m.read("/etc/resolv.conf"); got != "options edns0\n" {
		t.Errorf("environment.etc is not what counts: %q", got)
	}
	if again := m.must(own); len(again.Changes) != 0 {
		t.Errorf("changes %v", again.Changes)
	}
}

func TestSnippets(t *testing.T) {
	m := newMachine(t)
	say := func(name, text string) nixos.ActivationScript {
		return nixos.ActivationScript{Name: name, Text: ptr(strings.ReplaceAll(text, "OUT", m.root+"/root/out"))}
	}
	c := host()
	c.ActivationScripts = []nixos.ActivationScript{
		{Name: "users"}, // NixOS's own, which the switch does itself
		say("first", "echo first $systemConfig $(umask) >OUT"),
		say("it's \"$bad\"", "false\necho goes on >>OUT"),
		say("last", "echo last $HOME >>OUT"),
	}
	result, err := m.switchTo(c)
	if err == nil || !strings.Contains(err.Error(), `Activation script snippet 'it's "$bad"' failed (1)`) {
		t.Errorf("error %v", err)
	}
	if strings.Contains(err.Error(), "'last' failed") || strings.Contains(err.Error(), "'first' failed") {
		t.Errorf("others are blamed: %v", err)
	}
	if got, want := m.read("/root/out"), "first /run/current-system 0022\ngoes on\nlast /root\n"; got != want {
		t.Errorf("they said %q, want %q", got, want)
	}
	if m.units["greet.service"] != "active" || result.Generation != 1 {
		t.Error("a failed snippet keeps the rest from being done")
	}
	wantActions(t, result, "activation", "first ran", "it's \"$bad\" ran", "last ran")
	if m.exists("/run/offload-e2e-activate") {
		t.Error("the script is left")
	}
	// They run at each switch; only what is new is a change.
	c.ActivationScripts = []nixos.ActivationScript{say("first", "echo again >OUT"), say("last", "echo last $HOME >>OUT")}
	wantActions(t, m.must(c), "activation", "first ran")
	if again := m.must(c); len(again.Changes) != 0 {
		t.Errorf("changes %v", again.Changes)
	}
	if got := m.read("/root/out"); got != "again\nlast /root\n" {
		t.Errorf("they said %q", got)
	}
	c.ActivationScripts = []nixos.ActivationScript{say("exits", "exit 3")}
	if _, err := m.switchTo(c); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v", err)
	}
}

func TestWrappers(t *testing.T) {
	m := newMachine(t)
	c := host()
	source := func(program string) nixos.Wrapper {
		return nixos.Wrapper{Source: program, Owner: "root", Group: "users", Permissions: "u+rx,g+x,o+x"}
	}
	setuid, capable, plain := source(helloPath+"/bin/hello"), source("/usr/bin/hello"), source("/usr/bin/hello")
	setuid.Setuid, setuid.Program = true, ptr("greet")
	capable.Capabilities = "cap_net_raw+ep"
	away, lacking := source("/opt/none"), source(sudoPath+"/bin/visudo")
	c.Wrappers["greeting"], c.Wrappers["ping"], c.Wrappers["plain"], c.Wrappers["away"], c.Wrappers["visudo"] = setuid, capable, plain, away, lacking
	result := m.must(c)

	for name, want := range map[string]string{
		"sudo":  "/usr/bin/sudo", // setuid as it is
		"plain": "/usr/bin/hello",
		"greet": privilegedDir + "/greet",
		"ping":  privilegedDir + "/ping",
	} {
		if got := m.readlink("/run/wrappers/bin/" + name); got != want {
			t.Errorf("%s is a link to %s, want %s", name, got, want)
		}
	}
	if got := m.read("/run/wrappers/bin/greet"); got != "program hello" {
		t.Errorf("greet is %q", got)
	}
	for _, want := range []string{
		"chown root:users " + privilegedDir + "/greet", "chmod u+s,g-s,u+rx,g+x,o+x " + privilegedDir + "/greet",
		"chown root:users " + privilegedDir + "/ping", "chmod u-s,g-s,u+rx,g+x,o+x " + privilegedDir + "/ping",
		"setcap cap_net_raw+ep " + privilegedDir + "/ping",
	} {
		if !slices.Contains(m.log, want) {
			t.Errorf("%q was not run, but %q", want, m.commands("ch"))
		}
	}
	for _, name := range []string{"away", "visudo"} {
		if m.exists("/run/wrappers/bin/" + name) {
			t.Errorf("%s is a wrapper of nothing", name)
		}
	}
	if want := []string{"visudo of sudo", "away of security.wrappers"}; !slices.Equal(result.Missing, want) {
		t.Errorf("missing %q, want %q", result.Missing, want)
	}
	if again := m.must(c); len(again.Changes) != 0 {
		t.Errorf("the same again changes %v", again.Changes)
	}
	m.fails["setcap"] = "operation not permitted"
	if _, err := m.switchTo(c); err == nil || !strings.Contains(err.Error(), "wrapper ping: setcap") {
		t.Errorf("error %v", err)
	}
	if m.exists("/run/wrappers/bin/ping") {
		t.Error("a program without its capabilities is offered")
	}
	clear(m.fails)
	c.Wrappers = map[string]nixos.Wrapper{"sudo": c.Wrappers["sudo"]}
	m.must(c)
	for _, path := range []string{"/run/wrappers/bin/greet", privilegedDir + "/greet", "/run/wrappers/bin/plain"} {
		if m.exists(path) {
			t.Errorf("%s is still there", path)
		}
	}
	if m.read("/usr/bin/hello") != "program hello" {
		t.Error("Debian's own program is gone")
	}
}

func TestCertificates(t *testing.T) {
	m := newMachine(t)
	m.write("/usr/share/offload-e2e/ca-bundle.crt", "HARNESS", 0o644)
	c := host()
	c.Certificates = []string{"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n\n", "-----BEGIN CERTIFICATE-----\nB\n-----END CERTIFICATE-----"}
	block := certificatesMark + "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nB\n-----END CERTIFICATE-----\n"
	result := m.must(c)
	for path, guests := range map[string]string{"/etc/ssl/certs/ca-certificates.crt": "DEBIAN\n", "/usr/share/offload-e2e/ca-bundle.crt": "HARNESS\n"} {
		if got := m.read(path); got != guests+block {
			t.Errorf("%s holds %q", path, got)
		}
		if mode := m.mode(path); mode != 0o644 {
			t.Errorf("%s is %v", path, mode)
		}
	}
	wantActions(t, result, "certificates", "/etc/ssl/certs/ca-certificates.crt written", "/usr/share/offload-e2e/ca-bundle.crt written")
	if again := m.must(c); len(again.Changes) != 0 {
		t.Errorf("the same again changes %v", again.Changes)
	}
	c.Certificates = c.Certificates[:1]
	m.must(c)
	if got := m.read("/etc/ssl/certs/ca-certificates.crt"); strings.Contains(got, "\nB\n") || !strings.Contains(got, "\nA\n") {
		t.Errorf("the bundle holds %q", got)
	}
	m.must(host())
	if got := m.read("/etc/ssl/certs/ca-certificates.crt"); got != "DEBIAN\n" {
		t.Errorf("the bundle holds %q", got)
	}
}
