package main

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"offload-e2e/harness/lab"
	"offload-e2e/harness/provider/docker"
	"offload-e2e/harness/provider/qemu"
)

// engineTimeout bounds the question whether a container engine is there.
const engineTimeout = 5 * time.Second

// outlook is what a provider can do on this machine.
type outlook struct {
	name string
	// all: it can run all phases.
	all bool
	// why says what it can, or what it lacks.
	why string
}

// providers are looked at in this order.
func providers(ctx context.Context) []outlook {
	return []outlook{qemuOutlook(), dockerOutlook(ctx)}
}

// automatic is the provider that PROVIDER=auto means: the first that can run all
// phases here. Where none can, it is QEMU, which says what it lacks.
func automatic(found []outlook) (name, why string) {
	for _, o := range found {
		if o.all {
			return o.name, o.why
		}
	}
	return lab.QEMU, "nothing here runs all phases yet: " + found[0].why
}

func qemuOutlook() outlook {
	if _, err := exec.LookPath(qemu.DefaultBinary); err != nil {
		return outlook{lab.QEMU, false, "QEMU is not installed"}
	}
	return outlook{lab.QEMU, true, "QEMU is here, and its machines do all that the phases need, the kernel's NFS too"}
}

// dockerOutlook asks for an engine. Whether its kernel has NFS is known without a
// container only of an engine on this host.
func dockerOutlook(ctx context.Context) outlook {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	engine, err := docker.Connect(ctx)
	if err != nil {
		return outlook{lab.Docker, false, err.Error()}
	}
	defer engine.Close() //nolint:errcheck // it was only asked
	kernel, _ := os.ReadFile("/proc/filesystems")
	switch {
	case !strings.HasPrefix(engine.Host, "unix://"):
		return outlook{lab.Docker, false, engine.Version + " at " + engine.Host + ": whether its kernel has NFS is seen once machines run"}
	case !hasNFS(string(kernel)):
		return outlook{lab.Docker, false, engine.Version + ": its kernel has no NFS, so that mounts are skipped"}
	}
	return outlook{lab.Docker, true, engine.Version + ": its kernel has NFS"}
}

var nfsServer, nfsClient = regexp.MustCompile(`(?m)\bnfsd$`), regexp.MustCompile(`(?m)\bnfs4$`) //nolint:gochecknoglobals // constants

// hasNFS reads a table of file systems, as proc_filesystems(5) has it.
func hasNFS(table string) bool {
	return nfsServer.MatchString(table) && nfsClient.MatchString(table)
}
