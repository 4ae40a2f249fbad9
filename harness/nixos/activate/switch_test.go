package activate

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"offload-e2e/harness/nixos"
)

func TestFirstSwitch(t *testing.T) {
	m := newMachine(t)
	result := m.must(host())

	if result.Generation != 1 || !strings.HasSuffix(result.Toplevel, "-nixos-system-desktop") {
		t.Errorf("generation %d, toplevel %s", result.Generation, result.Toplevel)
	}
	if got := m.readlink("/run/current-system"); got != result.Toplevel {
		t.Errorf("current-system is %s, want %s", got, result.Toplevel)
	}
	if got := m.readlink("/run/booted-system"); got != result.Toplevel {
		t.Errorf("booted-system is %s", got)
	}
	if got := m.readlink("/nix/var/nix/profiles/system"); got != "system-1-link" {
		t.Errorf("profile is %s", got)
	}
	if got := m.readlink("/nix/var/nix/profiles/system-1-link"); got != result.Toplevel {
		t.Errorf("generation 1 is %s", got)
	}
	if m.exists(switchRoot) {
		t.Error("the root of the switch outlives it")
	}
	for path, want := range map[string]string{
		"/etc/exports":      "/nix/store 192.168.15.0/24(ro)\n",
		"/etc/nix/nix.conf": "builders-use-substitutes = true\n\n!include /etc/offload-e2e/nix.conf\n",
		"/etc/motd":         "welcome\n",
		"/etc/sudoers":      "root ALL=(ALL:ALL) SETENV: ALL\n",
		"/etc/systemd/system/multi-user.target.wants/greet.service": "[Service]\nExecStart=" + startPath + "/bin/greet-start\n",
		"/run/current-system/sw/bin/hello":                          "program hello",
		"/run/wrappers/bin/sudo":                                    "program sudo",
		startPath + "/bin/greet-start":                              "#!" + bashPath + "/bin/bash\n" + helloPath + "/bin/hello\n",
		"/proc/sys/kernel/hostname":                                 "desktop\n",
	} {
		if got := m.read(path); got != want {
			t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
	if mode := m.mode("/etc/sudoers"); mode != 0o440 {
		t.Errorf("sudoers is %v", mode)
	}
	if m.units["greet.service"] != "active" {
		t.Error("greet.service does not run")
	}
	for _, p := range []string{bashPath, helloPath, startPath, motdPath, result.Toplevel} {
		if !m.valid[p] {
			t.Errorf("%s is not in Nix's database", p)
		}
	}
	wantActions(t, result, "user", "nix-builder created", "nix-builder home created", "root written")
	wantActions(t, result, "group", "nix-builder created")
	wantActions(t, result, "hostname", "desktop written")
	wantActions(t, result, "profile", "system-1-link written")
	wantActions(t, result, "wrapper", "sudo written")
	wantActions(t, result, "unit", "greet.service started", "greet.service written", "multi-user.target.wants/greet.service written")
	if want := []string{"visudo of sudo"}; !slices.Equal(result.Missing, want) {
		t.Errorf("missing %q, want %q", result.Missing, want)
	}
	if len(result.Failed) != 0 || len(result.Warnings) != 0 {
		t.Errorf("failed %v, warnings %v", result.Failed, result.Warnings)
	}
}

func TestSecondSwitchChangesNothing(t *testing.T) {
	m := newMachine(t)
	first := m.must(host())
	before := m.snapshot()
	again := m.must(host())

	if len(again.Changes) != 0 {
		t.Errorf("changes %v", again.Changes)
	}
	if d := differences(before, m.snapshot()); d != nil {
		t.Errorf("files differ:\n%s", strings.Join(d, "\n"))
	}
	if again.Generation != 1 || again.Toplevel != first.Toplevel {
		t.Errorf("generation %d of %s", again.Generation, again.Toplevel)
	}
	if !slices.Equal(again.Missing, first.Missing) {
		t.Errorf("missing %v, before %v: what is missing is missing still", again.Missing, first.Missing)
	}
	for _, l := range m.log {
		if !strings.HasPrefix(l, "systemctl list-units") {
			t.Errorf("ran %q", l)
		}
	}
}

// What a host had, and has no more, goes; what Debian brought stays.
func TestRemoved(t *testing.T) {
	m := newMachine(t)
	m.must(host())
	c := host()
	delete(c.Users, "nix-builder")
	delete(c.Groups, "nix-builder")
	delete(c.Groups, "users")
	delete(c.Etc, "exports")
	delete(c.Etc, "sudoers")
	c.UnitFiles, c.Wrappers = nil, nil
	result := m.must(c)

	for _, path := range []string{"/etc/exports", "/etc/sudoers", "/etc/systemd/system/greet.service",
		"/etc/systemd/system/multi-user.target.wants/greet.service", "/run/wrappers/bin/sudo"} {
		if m.exists(path) {
			t.Errorf("%s is still there", path)
		}
	}
	if m.units["greet.service"] != "" {
		t.Error("greet.service still runs")
	}
	for _, table := range []string{"/etc/passwd", "/etc/shadow", "/etc/group"} {
		if l := m.line(table, "nix-builder"); l != "" {
			t.Errorf("%s has %q", table, l)
		}
	}
	if m.line("/etc/group", "users") == "" {
		t.Error("a group that only NixOS spoke of is gone from Debian")
	}
	if !m.exists("/var/lib/nix-builder") {
		t.Error("the home of a removed user is gone: NixOS keeps it")
	}
	wantActions(t, result, "user", "nix-builder removed")
	wantActions(t, result, "group", "nix-builder removed")
	wantActions(t, result, "wrapper", "sudo removed")
	wantActions(t, result, "etc", "exports removed", "sudoers removed")
	wantActions(t, result, "unit", "greet.service removed", "greet.service stopped", "multi-user.target.wants/greet.service removed")
	if result.Generation != 2 {
		t.Errorf("generation %d", result.Generation)
	}
	// And back: a new generation, as nix-env makes one, of paths that are there.
	back := m.must(host())
	if back.Generation != 3 || m.readlink("/nix/var/nix/profiles/system-3-link") != m.readlink("/nix/var/nix/profiles/system-1-link") {
		t.Errorf("back is generation %d", back.Generation)
	}
	wantActions(t, back, "store")
}

// After a rollback the next generation has a new number: none is overwritten.
func TestGenerationAfterRollback(t *testing.T) {
	m := newMachine(t)
	m.must(host())
	c := host()
	c.HostName = "two"
	m.must(c)
	second := m.readlink("/nix/var/nix/profiles/system-2-link")
	if err := (&Switcher{Root: m.root}).link("system-1-link", profile); err != nil {
		t.Fatal(err)
	}
	c.HostName = "three"
	if result := m.must(c); result.Generation != 3 {
		t.Errorf("generation %d, want 3", result.Generation)
	}
	if got := m.readlink("/nix/var/nix/profiles/system-2-link"); got != second {
		t.Errorf("generation 2 is %s now", got)
	}
}

func TestAssertionChangesNothing(t *testing.T) {
	m := newMachine(t)
	before := m.snapshot()
	c := host()
	c.Assertions = []string{"the cache port must be open", "no root file system"}
	result, err := m.switchTo(c)
	if !errors.Is(err, ErrAssertions) || !strings.Contains(err.Error(), "- the cache port must be open\n- no root") {
		t.Errorf("error %v", err)
	}
	if len(result.Changes) != 0 || len(m.log) != 0 {
		t.Errorf("changes %v, ran %v", result.Changes, m.log)
	}
	if d := differences(before, m.snapshot()); d != nil {
		t.Errorf("files differ: %v", d)
	}
}

// What cannot be written without harm is refused before anything changes.
func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(c *nixos.Configuration)
		want string
	}{
		"etc out of /etc":     {func(c *nixos.Configuration) { c.Etc["../tmp/x"] = nixos.Etc{Text: ptr("")} }, `environment.etc: "../tmp/x"`},
		"etc itself":          {func(c *nixos.Configuration) { c.Etc["."] = nixos.Etc{Text: ptr("")} }, `environment.etc: "."`},
		"unit with a slash":   {func(c *nixos.Configuration) { c.UnitFiles["a/b.service"] = nixos.Unit{} }, "has a slash"},
		"alias out of folder": {func(c *nixos.Configuration) { c.UnitFiles["a.service"] = nixos.Unit{Aliases: []string{"../x"}} }, `"../x"`},
		"colon in passwd":     {func(c *nixos.Configuration) { c.Users["eve"] = nixos.User{Description: "x:0:0:"} }, "users.users.eve.description"},
		"line in passwd":      {func(c *nixos.Configuration) { c.Users["eve"] = nixos.User{Home: "/a\nroot::0:0"} }, "users.users.eve.home"},
		"colon in a group":    {func(c *nixos.Configuration) { c.Groups["a:b"] = nixos.Group{} }, "users.groups"},
		"comma in a member":   {func(c *nixos.Configuration) { c.Groups["a"] = nixos.Group{Members: []string{"b,c"}} }, "has a comma"},
		"no store path":       {func(c *nixos.Configuration) { c.StoreFiles["/etc/passwd"] = nixos.Text{} }, "is no store path"},
		"out of the store":    {func(c *nixos.Configuration) { c.StoreFiles[motdPath+"/../../x"] = nixos.Text{} }, "is no store path"},
		"wrapper":             {func(c *nixos.Configuration) { c.Wrappers["../x"] = nixos.Wrapper{} }, "security.wrappers"},
		"host name":           {func(c *nixos.Configuration) { c.HostName = "../x" }, "networking.hostName"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			before := m.snapshot()
			c := host()
			tc.edit(c)
			if _, err := m.switchTo(c); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
			if d := differences(before, m.snapshot()); d != nil || len(m.log) != 0 {
				t.Errorf("changed %v, ran %v", d, m.log)
			}
		})
	}
}

func TestBoot(t *testing.T) {
	m := newMachine(t)
	c := host()
	c.ActivationScripts = []nixos.ActivationScript{{Name: "mark", Text: ptr("echo booted >>" + m.root + "/root/mark")}}
	result := m.must(c)
	// What a boot forgets.
	if err := errors.Join(os.RemoveAll(m.root+"/run"), os.Mkdir(m.root+"/run", 0o755)); err != nil {
		t.Fatal(err)
	}
	m.write("/proc/sys/kernel/hostname", "(none)\n", 0o644)
	m.boot()
	for _, path := range []string{"/run/current-system", "/run/booted-system"} {
		if got := m.readlink(path); got != result.Toplevel {
			t.Errorf("%s is %s", path, got)
		}
	}
	if got := m.read("/run/wrappers/bin/sudo"); got != "program sudo" {
		t.Errorf("sudo is %q", got)
	}
	if got := m.read("/proc/sys/kernel/hostname"); got != "desktop\n" {
		t.Errorf("host name %q", got)
	}
	if got := m.read("/root/mark"); got != "booted\nbooted\n" {
		t.Errorf("the snippet ran %q", got)
	}
	if got := m.commands("systemctl"); got != nil {
		t.Errorf("ran %v", got)
	}
	if again := m.must(c); len(again.Changes) != 0 {
		t.Errorf("a switch after the boot changes %v", again.Changes)
	}
}

func TestBootWithoutGeneration(t *testing.T) {
	m := newMachine(t)
	err := m.switcher().Boot(context.Background())
	if err == nil || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "system profile") {
		t.Errorf("error %v", err)
	}
}

// A machine whose plug was pulled in the middle of a switch boots the generation
// it had, without what the other one left, and can be switched again.
func TestSwitchCutOff(t *testing.T) {
	m := newMachine(t)
	old := m.must(host())
	c := host()
	c.Etc["new"] = nixos.Etc{Text: ptr("new\n")}
	c.UnitFiles["new.service"] = nixos.Unit{Text: "[Service]\nExecStart=/usr/bin/hello\n", Enable: true}
	s := m.switcher()
	cut := &state{Switcher: s, new: c, old: s.current()}
	// Registering is where it ends: paths are there that Nix does not know.
	m.fails["sh -c"] = "killed"
	if _, err := cut.realise(context.Background()); err == nil {
		t.Fatal("registering did not fail")
	}
	top := filepath.Join("/nix/store", filepath.Base(m.readlink(switchRoot)))
	cut.activate(context.Background(), top)
	clear(m.fails)
	if !m.exists("/etc/new") || !m.exists("/etc/systemd/system/new.service") {
		t.Fatal("the cut switch did nothing")
	}
	if err := errors.Join(os.RemoveAll(m.root+"/run"), os.Mkdir(m.root+"/run", 0o755)); err != nil {
		t.Fatal(err)
	}
	m.boot()
	if got := m.readlink("/run/current-system"); got != old.Toplevel {
		t.Errorf("booted %s, want %s", got, old.Toplevel)
	}
	if m.exists("/etc/new") || m.exists("/etc/systemd/system/new.service") {
		t.Error("files of the switch that was cut off are still there")
	}
	result := m.must(c)
	if !m.valid[result.Toplevel] {
		t.Error("paths that the cut switch made are not in Nix's database")
	}
	if got := m.read("/etc/new"); got != "new\n" {
		t.Errorf("/etc/new holds %q", got)
	}
}

func TestMissingPath(t *testing.T) {
	m := newMachine(t)
	c := host()
	c.UnitFiles["greet.service"] = nixos.Unit{Text: "[Service]\nExecStart=/nix/store/0000000000000000000000000000000z-away/bin/x\n", Enable: true}
	_, err := m.switchTo(c)
	if err == nil || !strings.Contains(err.Error(), "0000000000000000000000000000000z-away") || !strings.Contains(err.Error(), "neither the guest nor the evaluation has it") {
		t.Errorf("error %v", err)
	}
	if m.exists("/run/current-system") || m.exists("/etc/exports") || m.units["greet.service"] != "" {
		t.Error("the machine was changed all the same")
	}
}

// Programs are Debian's, whatever the PATH of who calls is.
func TestRunsDebiansPrograms(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	out, err := (&Switcher{}).run(context.Background(), "sh", "-c", "cat /dev/null && echo $PATH")
	if err != nil || out != guestPath+"\n" {
		t.Errorf("said %q, %v", out, err)
	}
	_, err = (&Switcher{}).run(context.Background(), "sh", "-c", "echo why >&2; exit 3")
	if err == nil || err.Error() != "sh -c echo why >&2; exit 3: exit status 3: why" {
		t.Errorf("error %v", err)
	}
	if _, err := (&Switcher{}).run(context.Background(), "no-such-program"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}
