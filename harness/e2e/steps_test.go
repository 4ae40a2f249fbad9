package e2e

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"offload-e2e/harness/check"
	"offload-e2e/harness/internal/machinetest"
	"offload-e2e/harness/nixos"
)

const (
	newKey  = "cache.local:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
	oldKey  = "cache.local:AAAAdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
	nixosOf = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
)

// The desktop's key is handed over as by a user who puts it in the place of the one
// before: whatever the configuration has, it is in force, and the first of its name.
func TestTrustCacheKey(t *testing.T) {
	for _, test := range []struct {
		name, module string
		want         []string // in this order, of all
	}{
		{"no key in the configuration", "{ }", []string{newKey, nixosOf}},
		{"an older one of the name", fmt.Sprintf("{ nix.settings.trusted-public-keys = [ %q ]; }", oldKey), []string{newKey, oldKey}},
		{"an older one, by the client's option", fmt.Sprintf("{ services.laptop-offload-client.cachePublicKeys = [ %q ]; }", oldKey), []string{newKey, oldKey}},
		{"an older one that wants to be first", fmt.Sprintf("{ lib, ... }: { nix.settings.trusted-public-keys = lib.mkBefore [ %q ]; }", oldKey), []string{newKey, oldKey}},
		{"keys that are forced", fmt.Sprintf("{ lib, ... }: { nix.settings.trusted-public-keys = lib.mkForce [ %q ]; }", oldKey), []string{newKey, oldKey}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t)
			s.evaluates(t, test.module)
			s.desktop.On("cat "+check.CachePublicKeyPath, machinetest.Out(newKey+"\n"))
			must(t, s.TrustCacheKey(t.Context()))
			keys := strings.Fields(fmt.Sprint(s.Configurations[nixos.Laptop].NixConf["trusted-public-keys"]))
			at := -1
			for _, want := range test.want {
				i := slices.Index(keys, want)
				if i <= at {
					t.Errorf("the laptop trusts %q, and not in this order %q", keys, test.want)
				}
				at = i
			}
			if imports := s.Recorder.Report().Run.Imports["laptop"]; !strings.Contains(strings.Join(imports, "\n"), newKey) {
				t.Errorf("the report does not say what was set: %q", imports)
			}
		})
	}
}

// Nothing is handed over where only written keys count, nor where there is none.
func TestTrustNoCacheKey(t *testing.T) {
	s := newStage(t)
	s.Exchange = false
	must(t, s.TrustCacheKey(t.Context()))
	if len(s.desktop.Asked) > 0 {
		t.Errorf("the desktop was asked %q", s.desktop.Asked)
	}
	if !s.Bench().KeysWritten {
		t.Error("the checks do not know")
	}
	s.Exchange = true
	s.desktop.On("cat "+check.CachePublicKeyPath, machinetest.Said(1, "no such file\n"))
	must(t, s.TrustCacheKey(t.Context()))
}

func TestMakeBuilderKey(t *testing.T) {
	s := newStage(t)
	s.laptop.On("bash -c *", machinetest.Out(""))
	must(t, s.MakeBuilderKey(t.Context()))
	if !strings.HasSuffix(s.laptop.Asked[0], " key /etc/nix/builder_key") || !strings.Contains(s.laptop.Asked[0], `[ -e "$1" ]`) {
		t.Errorf("the laptop was asked %q", s.laptop.Asked)
	}
}

// The laptop's line is appended as it is, with a newline at its end.
func TestAuthorize(t *testing.T) {
	const line = "ssh-ed25519 AAAA nix-builder@laptop-to-desktop"
	s := newStage(t)
	s.laptop.On("cat /etc/nix/builder_key.pub", machinetest.Out(line+"\n"))
	s.desktop.On("bash -c *", machinetest.Out(""))
	s.laptop.On("bash -c timeout 15 bash -c * penalized 192.168.15.7", machinetest.Out(""))
	must(t, s.Authorize(t.Context()))
	if s.desktop.Input[0] != line+"\n" || !strings.HasSuffix(s.desktop.Asked[0], "authorize /var/lib/nix-builder/.ssh/authorized_keys nix-builder") {
		t.Errorf("the desktop got %q by %q", s.desktop.Input, s.desktop.Asked)
	}
	s.laptop.On("cat /etc/nix/builder_key.pub", machinetest.Said(1, "no such file\n"))
	if err := s.Authorize(t.Context()); err == nil || !strings.Contains(err.Error(), "laptop: cat /etc/nix/builder_key.pub") {
		t.Errorf("got %v", err)
	}
}

// A key that is there is not overwritten.
func TestMakeCacheKeys(t *testing.T) {
	for answer, present := range map[string]int{"n\n": 0, "y\n": 1} {
		s := newStage(t)
		s.desktop.On("test -s /var/cache-priv-key.pem", machinetest.Said(present, ""))
		s.desktop.On("timeout * offload-generate-cache-keys", machinetest.Out("✅ Signing key: all is well\n"))
		// Something listens on port 5000, proc_pid_net(5).
		s.desktop.On("cat /proc/net/tcp /proc/net/tcp6", machinetest.Out("  sl  local_address rem_address   st\n   0: 00000000:1388 00000000:0000 0A\n"))
		must(t, s.MakeCacheKeys(t.Context()))
		if i := slices.IndexFunc(s.desktop.Asked, func(line string) bool { return strings.HasSuffix(line, "offload-generate-cache-keys") }); i < 0 || s.desktop.Input[i] != answer {
			t.Errorf("typed %q to %q", s.desktop.Input, s.desktop.Asked)
		}
	}
}

// Whoever is turned away waits; an sshd that answers, or none at all, keeps nobody.
func TestPenalized(t *testing.T) {
	for _, test := range []struct {
		name, says string
		want       int
	}{{"it answers", "SSH-2.0-OpenSSH_10.0\r\n", 0}, {"it turns away", "Not allowed at this time\r\n", 1}, {"it closes", "", 1}} {
		t.Run(test.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = io.WriteString(c, test.says)
					_ = c.Close()
				}
			}()
			_, port, _ := net.SplitHostPort(l.Addr().String())
			script := strings.ReplaceAll(penalized, "/22", "/"+port)
			err = exec.CommandContext(t.Context(), "bash", "-c", script, "penalized", "127.0.0.1").Run()
			if (err != nil) != (test.want != 0) {
				t.Errorf("it ends with %v", err)
			}
			l.Close()
			if err := exec.CommandContext(t.Context(), "bash", "-c", script, "penalized", "127.0.0.1").Run(); err != nil {
				t.Errorf("where nobody listens it ends with %v", err)
			}
		})
	}
}
