package check

import (
	"slices"
	"strings"
	"testing"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// What the user's modules say and a machine has not is told, wherever it stands; what
// it has besides, or NixOS says, is no difference.
func TestInForce(t *testing.T) {
	configured := func(role nixos.Role, name, value string) func(*world) {
		return func(w *world) { w.bench.configuration(role).NixConf = map[string]any{name: value} }
	}
	for _, c := range []struct {
		name   string
		role   nixos.Role
		change func(*world)
		says   []string // "" where it holds
	}{
		{"a setting", nixos.Laptop, configured(nixos.Laptop, "connect-timeout", "3"), []string{`connect-timeout "5"`, `"3"`}},
		{"a list that lacks one", nixos.Laptop, configured(nixos.Laptop, "substituters", "http://192.168.15.7:5000 http://192.168.15.7:5001"), []string{"5001"}},
		{"an addition that is missing", nixos.Desktop, configured(nixos.Desktop, "extra-trusted-users", "cypher"), []string{"cypher", `trusted-users "root nix-builder"`}},
		{"a list that has more", nixos.Desktop, configured(nixos.Desktop, "trusted-users", "nix-builder"), nil},
		{"a value that Nix finds out", nixos.Laptop, configured(nixos.Laptop, "max-jobs", "auto"), nil},
		{"a setting this Nix has not", nixos.Laptop, configured(nixos.Laptop, "new-in-nix-9", "1"), nil},
		{"a setting of NixOS's alone", nixos.Laptop, func(w *world) {
			configured(nixos.Laptop, "connect-timeout", "3")(w)
			w.explains("nix.settings.other", "/etc/nixos/x.nix", 1)
		}, nil},
		{"a builder", nixos.Laptop, func(w *world) {
			w.laptop.on("cat /etc/nix/machines", out("ssh://nix-builder@192.168.15.8 x86_64-linux - 4\n"))
		}, []string{"192.168.15.7", "192.168.15.8"}},
		{"no builders at all", nixos.Laptop, func(w *world) { w.laptop.on("cat /etc/nix/machines", said(1, "")) }, []string{"no /etc/nix/machines"}},
		{"an export", nixos.Desktop, func(w *world) { w.desktop.on("cat /etc/exports", out("/srv *(ro)\n")) }, []string{"/srv *(ro)", "1 difference more"}},
		{"a mount", nixos.Laptop, func(w *world) { w.laptop.on("findmnt *", said(1, "")) }, []string{"no line of fstab for /nix/store-remote"}},
		{"a mount's option", nixos.Laptop, func(w *world) {
			w.laptop.does("findmnt *", func([]string) provider.Result { return out("192.168.15.7:/nix/store ro,nofail\n") })
		}, []string{"x-systemd.automount"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			f := w.bench.Run(t.Context(), InForce(c.role))
			switch {
			case c.says == nil && f.State != report.Holds:
				t.Errorf("%s: %+v", f.State, f.Diagnosis)
			case c.says == nil:
			case f.State != report.Warns || f.Diagnosis.Code != "config.not-in-force":
				t.Errorf("%s: %s %+v", f.State, f.Reason, f.Diagnosis)
			default:
				for _, words := range c.says {
					if !strings.Contains(f.Diagnosis.Sentence, words) {
						t.Errorf("%q is not said: %s", words, f.Diagnosis.Sentence)
					}
				}
			}
		})
	}
}

// What the configuration says already is not to be said once more, but switched to.
func TestBlameOfWhatIsNotInForce(t *testing.T) {
	w := newWorld(t)
	w.laptopNix = with(w.laptopNix, "fallback", false)
	for says, remedy := range map[string]string{"true": "nixos-rebuild switch", "false": Catalogue["nix.fallback-off"].Remedy} {
		w.bench.Client.NixConf["fallback"] = says
		if f := w.bench.Run(t.Context(), OfflineSettings()); f.State != report.Broken || !strings.Contains(f.Diagnosis.Remedy, remedy) {
			t.Errorf("the configuration says %s: %+v", says, f.Diagnosis)
		}
	}
}

// On machines that are somebody's own a check does what is allowed, and nothing more.
func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		allowed Allowed
		check   Check
		skipped string // the reason, in part
	}{
		{nil, LongBuild(), ""},
		{Allowed{}, Login(), ""},
		{Allowed{}, RemoteBuild(), "allow: [build]"},
		{Allowed{Mounts}, RemoteBuild(), "allow: [build]"},
		{Allowed{Builds}, RemoteBuild(), ""},
		{Allowed{Builds}, Readable(Shares[0]), "allow: [build, mount]"},
		{Allowed{Builds, Mounts}, Readable(Shares[0]), ""},
		{Allowed{Builds, Mounts}, LongBuild(), "PROVIDER=qemu"},
		{Allowed{Builds, Mounts}, Offline("unplugged", 1), "PROVIDER=qemu"},
		{Allowed{Builds, Mounts}, LoginDenied(), "PROVIDER=qemu"},
	} {
		w := newWorld(t)
		w.bench.Allowed = c.allowed
		f := w.bench.Run(t.Context(), c.check)
		if c.skipped == "" && f.State == report.Skipped || c.skipped != "" && (f.State != report.Skipped || !strings.Contains(f.Reason, c.skipped)) {
			t.Errorf("%s where %q is allowed: %s %s", c.check.Name, c.allowed, f.State, f.Reason)
		}
		if asked := slices.Concat(w.desktop.Asked, w.laptop.Asked); f.State == report.Skipped && len(asked) > 0 {
			t.Errorf("%s is skipped, and does %q", c.check.Name, asked)
		}
	}
	var change Change
	if err := change.UnmarshalText([]byte("everything")); err == nil || change.UnmarshalText([]byte("mount")) != nil || change != Mounts {
		t.Errorf("%v, %q", err, change)
	}
}

// A cache that logs nothing is no cache that was not asked: where a path came from is
// told by the signature that it got on its way.
func TestCacheWithoutLog(t *testing.T) {
	silent := func(desktop, laptop int) *world {
		w := newWorld(t)
		w.desktop.on("journalctl --no-pager --output=cat --unit=nix-serve.service --since *", out("Starman: Accepting connections\n"))
		w.desktop.on("journalctl --no-pager --output=cat --boot *", out("Starman: Accepting connections\n"))
		w.desktop.on("nix * store verify *", said(desktop, ""))
		w.laptop.on("nix * store verify *", said(laptop, ""))
		return w
	}
	for _, c := range []struct {
		desktop, laptop int
		state           report.State
	}{{2, 0, report.Holds}, {2, 2, report.Broken}, {0, 0, report.Skipped}, {1, 0, report.Errored}, {2, 1, report.Errored}} {
		f := silent(c.desktop, c.laptop).bench.Run(t.Context(), CacheHit())
		if f.State != c.state || f.State == report.Broken && f.Diagnosis.Code != "cache.not-used" {
			t.Errorf("%d %d: %s %s %+v", c.desktop, c.laptop, f.State, f.Reason, f.Diagnosis)
		}
	}
	w := silent(2, 0)
	w.laptop.on("timeout * nix-store --realise "+made, said(1, "error: path '"+made+"' does not exist\n"))
	if f := w.bench.Run(t.Context(), CacheHit()); f.State != report.Broken || f.Diagnosis.Code == "cache.negative-cached" {
		t.Errorf("a cache without a log was not \"not asked\": %s %+v", f.State, f.Diagnosis)
	}
}
