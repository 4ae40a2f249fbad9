package check

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestParseExports(t *testing.T) {
	const text = `# comment
/nix/store 192.168.15.0/24(ro,no_subtree_check) \
   10.0.0.1(ro)	# and more
"/srv/two words" -rw,sync *.lan desktop(ro)
/with\040space *(rw)
/open
relative (rw)
/trailing/ 192.168.15.9(rw
`
	var got []string
	for _, e := range ParseExports(text) {
		got = append(got, e.String())
	}
	want := []string{"/nix/store 192.168.15.0/24(ro,no_subtree_check)", "/nix/store 10.0.0.1(ro)", "/srv/two words *.lan(rw,sync)", "/srv/two words desktop(rw,sync,ro)",
		"/with space *(rw)", "/open ()", "/trailing 192.168.15.9(rw)"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if !exportsPath(text, "/nix/store") || exportsPath(text, "/nix") || !exportsPath(text, "/srv/two words") || exportsPath("#/nix/store *(ro)", "/nix/store") {
		t.Error("paths are not found as they should be")
	}
}

func TestExportAdmits(t *testing.T) {
	laptop := netip.MustParseAddr("192.168.15.9")
	for client, want := range map[string]bool{"192.168.15.0/24": true, "192.168.1.0/24": false, "192.168.15.9": true, "192.168.15.10": false, "*": true, "": true,
		"<world>": true, "laptop.lan": true, "192.168.15.0/255.255.255.0": true, "192.168.1.0/255.255.255.0": false, "fe80::/64": false, "@trusted": true} {
		if got := (Export{Client: client}).admits(laptop); got != want {
			t.Errorf("%q admits the laptop: %v", client, got)
		}
	}
}

func TestExportOptions(t *testing.T) {
	for options, want := range map[string][3]bool{ // squashes, writable, root
		"": {true, false, false}, "rw": {true, true, false}, "rw,no_root_squash": {false, true, false}, "ro,no_root_squash,root_squash": {true, false, false},
		"rw,ro": {true, false, false}, "no_root_squash,all_squash": {true, false, false}, "fsid=0": {true, false, true}, "fsid=root": {true, false, true}, "fsid=01": {true, false, false},
	} {
		e := Export{Options: strings.Split(options, ",")}
		if got := [3]bool{e.squashes(), e.writable(), e.root()}; got != want {
			t.Errorf("%q: %v, want %v", options, got, want)
		}
	}
}

func TestParseMountInfo(t *testing.T) {
	got := parseMountInfo(mountTable + "junk\n36 35 98:0 /a /mnt/two\\040words rw - ext4 /dev/x\\134y rw\n1 2 3 - x\n36 35 98:0 / /mnt rw master:1 propagate_from:2 - nfs4 desktop:/\n")
	want := []mountInfo{
		{"/", "/", "ext4", "/dev/vda", "rw,relatime", "rw"}, {"/", "/nix/store-remote", "autofs", "systemd-1", "rw,relatime", "rw,fd=52"},
		{"/", "/nix/store-remote", "nfs4", "192.168.15.7:/nix/store", "ro,relatime", "ro,vers=4.2,rsize=262144,wsize=262144,hard"},
		{"/", "/var/lib/nix-offload-remote", "nfs4", "192.168.15.7:/var/lib/nix-offload", "rw,relatime", "rw,vers=4.2,rsize=262144,wsize=262144,soft"},
		{"/a", "/mnt/two words", "ext4", `/dev/x\y`, "rw", "rw"}, {"/", "/mnt", "nfs4", "desktop:/", "rw", ""},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestUnitName(t *testing.T) {
	for path, want := range map[string]string{"/nix/store-remote": `nix-store\x2dremote.mount`, "/var/lib/nix-offload-remote/": `var-lib-nix\x2doffload\x2dremote.mount`} {
		if got := unitName(path); got != want {
			t.Errorf("%s is mounted by %s, want %s", path, got, want)
		}
	}
}
