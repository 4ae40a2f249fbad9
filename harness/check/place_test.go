package check

import "testing"

// A build's place is told from another machine's, and from another container's on the
// same kernel.
func TestPlace(t *testing.T) {
	const boot = "11111111-aaaa-4aaa-8aaa-111111111111"
	machine := place{boot, "/"}
	container := place{boot, "/var/lib/docker/volumes/1f/_data"}
	for _, test := range []struct {
		name string
		at   place
		said string
		want bool
	}{
		{"a machine", machine, boot + " /", true},
		{"its sandbox", machine, boot + " /nix/store/x.drv.chroot/root/nix/store\n", true},
		{"another machine", machine, "22222222-aaaa-4aaa-8aaa-111111111111 /", false},
		{"a container", container, boot + " /var/lib/docker/volumes/1f/_data", true},
		{"its sandbox", container, boot + " /var/lib/docker/volumes/1f/_data/store/x.drv.chroot/root/nix/store", true},
		{"another container", container, boot + " /var/lib/docker/volumes/2e/_data", false},
		{"one whose name begins alike", container, boot + " /var/lib/docker/volumes/1f/_data2", false},
		{"no word", machine, "", false},
		{"a machine that says nothing", place{}, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.at.made(test.said); got != test.want {
				t.Errorf("made(%q) at %s: %v", test.said, test.at, got)
			}
		})
	}
}
