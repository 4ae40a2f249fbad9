package main

import (
	"strings"
	"testing"

	"offload-e2e/harness/lab"
)

func TestAutomaticProvider(t *testing.T) {
	qemu, noQEMU := outlook{lab.QEMU, true, "all"}, outlook{lab.QEMU, false, "QEMU is not installed"}
	docker, noNFS := outlook{lab.Docker, true, "NFS too"}, outlook{lab.Docker, false, "no NFS"}
	for _, c := range []struct {
		found     []outlook
		name, why string
	}{
		{[]outlook{qemu, docker}, lab.QEMU, "all"},
		{[]outlook{noQEMU, docker}, lab.Docker, "NFS too"},
		{[]outlook{noQEMU, noNFS}, lab.QEMU, "QEMU is not installed"},
	} {
		if name, why := automatic(c.found); name != c.name || !strings.Contains(why, c.why) {
			t.Errorf("%v: %s, %q; want %s, %q", c.found, name, why, c.name, c.why)
		}
	}
}

func TestHasNFS(t *testing.T) {
	for table, want := range map[string]bool{
		"nodev\tproc\n\text4\n":                          false,
		"nodev\tnfsd\n":                                  false,
		"nodev\tnfs\nnodev\tnfs4\n":                      false,
		"nodev\tnfs\nnodev\tnfs4\nnodev\tnfsd\n\text4\n": true,
	} {
		if got := hasNFS(table); got != want {
			t.Errorf("%q: %t", table, got)
		}
	}
}
