package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/nixguest"
)

func TestChooseGuest(t *testing.T) {
	const works = `case "$*" in *--version*) echo "nix (Nix) 2.31.2" ;; *)
echo '{"locks":{"root":"root","nodes":{"root":{"inputs":{"nixpkgs":"n"}},"n":{"locked":{"type":"path","path":"/srv/nixpkgs"}}}}}' ;; esac`
	const offline = `case "$*" in *--version*) echo "nix (Nix) 2.31.2" ;; *) echo "error: unable to download: Could not resolve host" >&2; exit 1 ;; esac`
	for name, c := range map[string]struct {
		nix, kind            string
		want, reason, wayOut string
		refused              bool
	}{
		"auto, and nix works":         {nix: works, kind: Auto, want: guest.NixOS, reason: "nix 2.31.2 is here, with /srv/nixpkgs"},
		"auto, and no nix":            {kind: Auto, want: guest.Embedded, reason: "nix is not on PATH", wayOut: "For NixOS guests: Install Nix"},
		"auto, and no nixpkgs":        {nix: offline, kind: Auto, want: guest.Embedded, reason: "no nixpkgs can be had", wayOut: nixguest.NixpkgsVariable},
		"embedded, though nix works":  {nix: works, kind: guest.Embedded, want: guest.Embedded, reason: "as asked for"},
		"nixos, and nix works":        {nix: works, kind: guest.NixOS, want: guest.NixOS, reason: "as asked for"},
		"nixos, and there is no nix":  {kind: guest.NixOS, refused: true, reason: "nix is not on PATH"},
		"nixos, and nix has no flake": {nix: offline, kind: guest.NixOS, refused: true, reason: "no nixpkgs can be had"},
	} {
		t.Run(name, func(t *testing.T) {
			bin := t.TempDir()
			if c.nix != "" {
				if err := os.WriteFile(filepath.Join(bin, "nix"), []byte("#!/bin/sh\n"+c.nix+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", bin)
			got, err := ChooseGuest(t.Context(), c.kind, NixOptions("/clone/vmconfigs", t.TempDir()))
			var unavailable *nixguest.UnavailableError
			if c.refused {
				if !errors.As(err, &unavailable) || !strings.Contains(unavailable.Reason, c.reason) || unavailable.WayOut == "" {
					t.Errorf("error %v, want %q with a way out", err, c.reason)
				}
				return
			}
			if err != nil || got.Kind != c.want || !strings.Contains(got.Reason, c.reason) || !strings.Contains(got.WayOut, c.wayOut) {
				t.Errorf("chosen is %+v, error %v", got, err)
			}
			if (got.Nix != nil) != (c.want == guest.NixOS) {
				t.Errorf("nix is %v", got.Nix)
			}
		})
	}
}
