package docker

import (
	"strings"

	"github.com/moby/moby/api/types/container"
)

// grants are the rights beyond the engine's defaults that containers get: the least
// with which systemd boots as PID 1 and Nix builds in a sandbox.
var grants = []struct{ right, why string }{ //nolint:gochecknoglobals // a constant
	{"CAP_SYS_ADMIN", "systemd mounts, and Nix makes sandboxes"},
	{"CAP_NET_ADMIN", "lan0, and the firewall under test"},
	{"CAP_DAC_READ_SEARCH", "the NFS server opens files by handle"},
	{"CAP_SYS_BOOT", "a machine's own reboot can be told from its end; it reaches no further than the container"},
	{"seccomp=unconfined", "the default filter forbids what Nix's sandbox does (pivot_root)"},
	{"apparmor=unconfined", "the default profile forbids mounting"},
	{"unmasked /proc", "the kernel lets Nix's sandbox mount its own only so; /proc/sys is read-only but for the network's part"},
	{"/dev/net/tun", "lan0"},
}

// emptied are the files that engines mount, and that are empty below: each container
// begins with new ones, whatever its image has.
const emptied = "hosts hostname resolv.conf"

// keep keeps them in an image for first, which puts them back.
const keep = `mkdir -p ` + keptPath + ` && cd /etc && cp -p ` + emptied + " " + keptPath

// keptPath is where files wait for first.
const keptPath = "/usr/lib/offload-e2e/etc"

// first is what PID 1 does before it is systemd: the files that engines mount are
// the configuration's to write; systemd has a place for its control groups; and
// what is written to /proc/sys does not reach the engine's host. A second /proc,
// which nothing uses, stays whole: the kernel asks for one where a sandbox mounts
// its own (mount_namespaces(7), "fully visible"). Mounts are shared, as systemd has
// them on a machine: it gives services their credentials so.
const first = `for f in ` + emptied + `; do umount /etc/$f 2>/dev/null; mv ` + keptPath + `/$f /etc/ 2>/dev/null; done
mount -o remount,rw /sys/fs/cgroup 2>/dev/null
mkdir -m 700 -p /dev/.whole/proc && mount -t proc proc /dev/.whole/proc &&
mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys &&
mount --bind /dev/.whole/proc/sys/net /proc/sys/net || exit 1
mount --make-rshared /
exec /sbin/init`

// volumes are places on the engine's own file system: an NFS server exports nothing
// from the layers of an image.
var volumes = []string{"/nix", "/var/lib"} //nolint:gochecknoglobals // a constant

// grant sets up a container's host configuration.
func grant(memoryMiB int) func(*container.HostConfig) {
	return func(c *container.HostConfig) {
		c.NetworkMode = "none"
		for _, g := range grants {
			switch name, is := strings.CutPrefix(g.right, "CAP_"); {
			case is:
				c.CapAdd = append(c.CapAdd, name)
			case strings.HasSuffix(g.right, "=unconfined"):
				c.SecurityOpt = append(c.SecurityOpt, g.right)
			}
		}
		c.MaskedPaths, c.ReadonlyPaths = []string{}, []string{}
		c.Tmpfs = map[string]string{"/run": "exec", "/tmp": "exec"}
		c.Devices = []container.DeviceMapping{{PathOnHost: "/dev/net/tun", PathInContainer: "/dev/net/tun", CgroupPermissions: "rwm"}}
		c.CgroupnsMode = container.CgroupnsModePrivate
		c.Memory = int64(memoryMiB) << 20
		c.LogConfig = container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "20m"}}
	}
}
