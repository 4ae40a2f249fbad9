package lab

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"offload-e2e/harness/guest"
)

// probeNFS prints what file systems of NFS the kernel has not. To ask for one lets a
// kernel load its module, where it has modules.
const probeNFS = `for t in nfsd nfs4; do
mount -i -t $t none /mnt 2>/dev/null && umount /mnt
grep -qw $t /proc/filesystems || echo $t
done; echo "kernel $(uname -r)"`

// findNFS finds out, on machines that run on a kernel that is not their own, whether
// it has NFS. Where it has not, they get a server that needs none, and
// Lab.NoKernelNFS says why there are no mounts.
func (l *Lab) findNFS(ctx context.Context) error {
	if l.options.Provider != Docker {
		return nil
	}
	said, err := l.Desktop.Succeed(ctx, "sh", "-c", probeNFS)
	if err != nil {
		return fmt.Errorf("ask the kernel for NFS: %w", err)
	}
	words := strings.Fields(said)
	missing, release := words[:len(words)-2], words[len(words)-1]
	if len(missing) == 0 {
		return nil
	}
	l.NoKernelNFS = fmt.Sprintf("containers run on the kernel of the engine's host, Linux %s, which has no %s: nothing can be mounted by NFS; "+
		"a server outside the kernel serves the exports instead", release, strings.Join(missing, " and no "))
	return l.Each(ctx, func(ctx context.Context, m *Machine) error {
		return filepath.WalkDir(l.options.Container, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			rel, _ := filepath.Rel(l.options.Container, path)
			if units, is := strings.CutPrefix(rel, "usr/lib/systemd/system/"); is && m.image.Kind == guest.NixOS {
				// Where a NixOS has its own units, no others are (systemd.unit(5)).
				rel = filepath.Join("etc/systemd/system.control", units)
			}
			mode := fs.FileMode(0o644)
			if filepath.Ext(path) == ".sh" {
				mode = 0o755
			}
			return m.copyFile(ctx, path, "/"+rel, mode)
		})
	})
}
