package check

import (
	"strings"
	"testing"

	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// clients is a world whose laptop has keys for four clients; lines are what the desktop
// was given, and build answers for all builds of a moment.
func clients(t *testing.T, build func(expressions int) provider.Result) (w *world, lines *[]string, dropped *bool) {
	w, lines, dropped = newWorld(t), new([]string), new(bool)
	w.laptop.on("bash -c rm -rf *", out("ssh-ed25519 A offload-e2e-client\nssh-ed25519 B offload-e2e-client\nssh-ed25519 C offload-e2e-client\nssh-ed25519 D offload-e2e-client\n"))
	w.laptop.on("bash -c timeout 45 ssh *", said(255, "nix-builder@192.168.15.7: Permission denied (publickey).\n"))
	w.desktop.does("bash -c cat >>*", func(argv []string) provider.Result {
		*lines = append(*lines, argv[len(argv)-1])
		return out("")
	})
	w.desktop.does("bash -c sed -i *", func([]string) provider.Result {
		*dropped = true
		return out("")
	})
	w.laptop.on("rm -rf "+clientsDir, out(""))
	w.laptop.does("bash -c dir=*", func(argv []string) provider.Result { return build(len(argv) - 6) })
	return w, lines, dropped
}

// Each laptop costs one line, all have their builds, and nothing stays on the desktop.
func TestMoreClients(t *testing.T) {
	var at []int
	w, lines, dropped := clients(t, func(n int) provider.Result {
		at = append(at, n)
		return out(strings.Repeat(made+"\n", n))
	})
	f := w.bench.Run(t.Context(), MoreClients())
	if f.State != report.Holds || f.Promise == nil || f.Promise.Value != 4 || f.Promise.State != report.Holds {
		t.Fatalf("%s %s %+v", f.State, f.Reason, f.Promise)
	}
	if bars := f.Promise.Chart.Series[0].Points; len(bars) != 3 || bars[0].Label != "1 laptop" || bars[2].Label != "4 laptops" {
		t.Errorf("bars %+v", bars)
	}
	if len(at) != 3 || at[0] != 1 || at[1] != 2 || at[2] != 4 || len(*lines) != 4 || !*dropped {
		t.Errorf("builds at once %v, %d lines, taken back: %v", at, len(*lines), *dropped)
	}
}

// A build too few, one that failed, and one that the laptop did itself are each told,
// and nothing stays on the desktop.
func TestMoreClientsWithoutAll(t *testing.T) {
	all := func(n int) provider.Result { return out(strings.Repeat(made+"\n", n)) }
	for name, test := range map[string]struct {
		build func(n int) provider.Result
		boot  string // of the machine that the outputs name
		state report.State
		code  string
	}{
		"a path is missing":   {func(n int) provider.Result { return all(n - 1) }, desktopBoot, report.Errored, ""},
		"built on the laptop": {all, laptopBoot, report.Broken, "builder.built-locally"},
		"one failed": {func(int) provider.Result {
			return said(1, "error: build of '/nix/store/x.drv' on 'ssh://nix-builder@192.168.15.7' failed: builder for x failed with exit code 1\n")
		}, desktopBoot, report.Broken, "builder.build-failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _, dropped := clients(t, test.build)
			w.laptop.on("cat "+made, out(test.boot+"\n"))
			f := w.bench.Run(t.Context(), MoreClients())
			code := ""
			if f.Diagnosis != nil {
				code = f.Diagnosis.Code
			}
			broken := f.Promise != nil && f.Promise.State != report.Holds && f.Promise.Value == 0
			if f.State != test.state || code != test.code || broken != (test.state == report.Broken) || !*dropped {
				t.Errorf("%s %q %s, taken back: %v", f.State, code, f.Reason, *dropped)
			}
		})
	}
}
