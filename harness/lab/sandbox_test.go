package lab

import (
	"strings"
	"testing"

	"offload-e2e/harness/internal/machinetest"
	"offload-e2e/harness/machine"
	"offload-e2e/harness/provider"
)

// Whether there is a sandbox is what Nix could build with one, and without.
func TestFindSandbox(t *testing.T) {
	const noNamespaces = "error: … while setting up the build environment\n error: this system does not support the kernel namespaces\nthat are required for sandboxing\n"
	for _, test := range []struct {
		name            string
		provider        string
		inside, outside provider.Result
		why, fails      string
	}{
		{"there is one", Docker, machinetest.Out("/nix/store/x\n"), provider.Result{}, "", ""},
		{"there is none", Docker, machinetest.Said(1, noNamespaces), machinetest.Out("/nix/store/x\n"), "containers: this system does not support the kernel namespaces that are required for sandboxing", ""},
		{"Nix builds nothing", Docker, machinetest.Said(1, noNamespaces), machinetest.Said(1, "error: no daemon\n"), "", "no daemon"},
		{"machines with kernels of their own are not asked", QEMU, machinetest.Said(1, noNamespaces), provider.Result{}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := machinetest.New(t, "desktop")
			m.On("sh -c * sh * true", test.inside)
			m.On("sh -c * sh * false", test.outside)
			l := &Lab{options: Options{Provider: test.provider}, Desktop: &Machine{Machine: machine.Wrap(m)}}
			err := l.findSandbox(t.Context())
			if (err != nil) != (test.fails != "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("got the error %v", err)
			}
			if (l.NoSandbox == "") != (test.why == "") || !strings.HasSuffix(l.NoSandbox, test.why) {
				t.Errorf("got the reason %q", l.NoSandbox)
			}
		})
	}
}
