package check

import (
	"context"
	"fmt"
	"path"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// Served proves an export by the protocol alone, with a client that needs no mount
// (libnfs): the laptop reads what the desktop has there; and it can write where it
// shall, and nowhere else.
func Served(s Share) Check {
	return Check{"NF.served-" + s.Name, "the desktop serves " + s.Export + " to the laptop, by the protocol", "laptop", func(ctx context.Context, p *Proof) {
		url := func(name string) string {
			return "nfs://" + p.DesktopAddr.String() + path.Join(s.Export, name) + "?version=4"
		}
		name, ok := p.fileToServe(ctx, s)
		if !ok {
			return
		}
		here, ok1 := p.Exec(ctx, nixos.Desktop, "sha256sum", path.Join(s.Export, name))
		there, ok2 := p.Exec(ctx, nixos.Laptop, "timeout", "--kill-after=5", "40", "bash", "-o", "pipefail", "-c", `nfs-cat "$1" | sha256sum`, "read", url(name))
		if !ok1 || !ok2 {
			return
		}
		want, _, _ := strings.Cut(here.Text(), " ")
		got, _, _ := strings.Cut(there.Text(), " ")
		if there.OK() && got == want {
			p.servedWrites(ctx, s, url)
			return
		}
		if state := p.Port(ctx, 2049); state != Open && state != "" {
			p.Broken(p.portClosed(ctx, "nfs", state))
			return
		}
		if d := p.whyRefused(ctx, s, words(there.Stderr)); d != nil {
			p.Broken(*d)
			return
		}
		if !there.OK() {
			got = lastLine(string(there.Stderr))
		}
		p.Broken(report.Diagnosis{Code: "nfs.content", Effective: got, Expected: want,
			Sentence: fmt.Sprintf("%s read from the desktop's export %s is %s, not what the desktop has", name, s.Export, got)})
	}}
}

// fileToServe makes a file in a share, on the desktop.
func (p *Proof) fileToServe(ctx context.Context, s Share) (string, bool) {
	if !s.Writable {
		store, ok := p.freshPath(ctx)
		return path.Base(store), ok
	}
	name := ".offload-e2e-" + newNonce()
	res, ok := p.Exec(ctx, nixos.Desktop, "bash", "-c", `echo "$1" >"$2"`, "write", newNonce(), path.Join(s.Export, name))
	return name, ok && res.OK()
}

// servedWrites writes by the protocol, and looks on the desktop for what came.
func (p *Proof) servedWrites(ctx context.Context, s Share, url func(string) string) {
	name := ".offload-e2e-" + newNonce()
	res, ok := p.Exec(ctx, nixos.Laptop, "timeout", "--kill-after=5", "40", "nfs-cp", "/etc/machine-id", url(name))
	if !ok {
		return
	}
	arrived, ok := p.Exec(ctx, nixos.Desktop, "test", "-e", path.Join(s.Export, name))
	if !ok {
		return
	}
	p.Quiet(ctx, nixos.Desktop, "rm", "-f", path.Join(s.Export, name))
	switch {
	case s.Writable && (!res.OK() || !arrived.OK()):
		p.Broken(p.whyNoWrite(ctx, s, res))
	case !s.Writable && (res.OK() || arrived.OK()):
		p.Broken(report.Diagnosis{Code: "nfs.not-read-only", Effective: "rw", Expected: "ro",
			Sentence: fmt.Sprintf("the laptop can write into the desktop's %s: it is exported rw, not ro", s.Export)})
	}
}
