package check

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// Share is an NFS export of the desktop with its place on the laptop (the
// contract's fixed points).
type Share struct {
	Name     string // "store", "offload"
	Export   string
	Mount    string
	Writable bool
}

// Shares are the two shares of the contract.
var Shares = []Share{
	{"store", "/nix/store", "/nix/store-remote", false},
	{"offload", "/var/lib/nix-offload", "/var/lib/nix-offload-remote", true},
}

// Exported proves that the desktop's NFS server exports a share that exists.
func Exported(s Share) Check {
	return Check{"NF.export-" + s.Name, "the desktop exports " + s.Export, "desktop", func(ctx context.Context, p *Proof) {
		dir, ok := p.Exec(ctx, nixos.Desktop, "test", "-d", s.Export)
		if !ok {
			return
		}
		exports, ok := p.Exec(ctx, nixos.Desktop, "exportfs", "-s")
		if !ok {
			return
		}
		configured := ""
		if p.Server.Exports != nil {
			configured = *p.Server.Exports
		}
		p.Evidence("option", nixos.Desktop, "/etc/exports", configured)
		switch {
		case !dir.OK():
			p.Broken(report.Diagnosis{Code: "nfs.no-directory", Sentence: fmt.Sprintf("the desktop has no %s: its NFS server runs and exports nothing there", s.Export), Effective: "missing", Expected: s.Export})
		case !exportsPath(string(exports.Stdout), s.Export) && !exportsPath(configured, s.Export):
			p.Broken(p.blame(ctx, nixos.Desktop, "services.nfs.server.exports", report.Diagnosis{Code: "nfs.no-export",
				Sentence: fmt.Sprintf("the desktop's configuration does not export %s", s.Export), Effective: exports.Text(), Expected: s.Export}))
		case !exportsPath(string(exports.Stdout), s.Export):
			p.journal(ctx, nixos.Desktop, "nfs-server.service")
			p.Broken(report.Diagnosis{Code: "nfs.no-export", Sentence: fmt.Sprintf("/etc/exports names %s and the NFS server does not export it", s.Export), Effective: exports.Text(), Expected: s.Export})
		}
	}}
}

func exportsPath(table, export string) bool {
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) > 0 && strings.Trim(f[0], `"`) == export {
			return true
		}
	}
	return false
}

// mountInfo is a line of proc_pid_mountinfo(5).
type mountInfo struct{ Type, Source, Options string }

// mounted reads what is mounted at a place; automounts that have not been reached
// are passed over.
func (p *Proof) mounted(ctx context.Context, at string) (mountInfo, bool) {
	var found mountInfo
	ok := false
	text := p.Quiet(ctx, nixos.Laptop, "cat", "/proc/self/mountinfo")
	for line := range strings.Lines(text) {
		before, after, has := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !has || len(f) < 6 || len(g) < 2 || f[4] != at || g[0] == "autofs" {
			continue
		}
		found, ok = mountInfo{g[0], g[1], f[5]}, true
		p.Evidence("file", nixos.Laptop, "/proc/self/mountinfo", strings.TrimSpace(line))
	}
	return found, ok
}

// Mounted proves that a share is really mounted: NFS, from the desktop, and with
// the desktop's files in it.
func Mounted(s Share) Check {
	return Check{"NF.mount-" + s.Name, s.Mount + " is the desktop's " + s.Export + ", by NFS", "laptop", func(ctx context.Context, p *Proof) {
		// An automount mounts when it is looked into.
		look, ok := p.Exec(ctx, nixos.Laptop, "timeout", "--kill-after=5", "40", "stat", "-f", "-c", "%T", s.Mount+"/.")
		if !ok {
			return
		}
		m, is := p.mounted(ctx, s.Mount)
		switch {
		case is && strings.HasPrefix(m.Type, "nfs") && look.OK():
			if server, _, _ := strings.Cut(m.Source, ":"); server != p.DesktopAddr.String() && server != "desktop" {
				p.Broken(report.Diagnosis{Code: "network.wrong-desktop-address", Sentence: fmt.Sprintf("%s is mounted from %s, the desktop is at %s", s.Mount, m.Source, p.DesktopAddr), Effective: m.Source, Expected: p.DesktopAddr.String()})
			}
		case look.ExitStatus == 124 || look.ExitStatus == 137:
			p.Broken(p.whyNoMount(ctx, s, report.Diagnosis{Code: "nfs.hangs", Sentence: fmt.Sprintf("looking into %s does not end in 40 s", s.Mount)}))
		case is && !strings.HasPrefix(m.Type, "nfs"):
			p.Broken(report.Diagnosis{Code: "nfs.not-nfs", Sentence: fmt.Sprintf("%s is %s, not NFS", s.Mount, m.Type), Effective: m.Type, Expected: "nfs4"})
		default:
			p.Broken(p.whyNoMount(ctx, s, report.Diagnosis{Code: "nfs.not-mounted", Sentence: fmt.Sprintf("%s is not mounted: what is there is a local directory", s.Mount), Effective: "local", Expected: "nfs4"}))
		}
	}}
}

// whyNoMount tries the mount by hand, elsewhere, and reads what mount(8) says.
func (p *Proof) whyNoMount(ctx context.Context, s Share, otherwise report.Diagnosis) report.Diagnosis {
	switch state := p.Port(ctx, 2049); state {
	case Refused:
		return report.Diagnosis{Code: "nfs.port-refused", Sentence: "the desktop's NFS server does not run: port 2049 refuses", Effective: "refused", Expected: "open"}
	case Filtered:
		return p.blame(ctx, nixos.Desktop, "networking.firewall.allowedTCPPorts", report.Diagnosis{Code: "nfs.port-filtered", Sentence: "packets to the desktop's NFS port 2049 are dropped", Effective: "filtered", Expected: "open"})
	case Unreachable:
		return report.Diagnosis{Code: "network.unreachable", Sentence: "the laptop does not reach the desktop at " + p.DesktopAddr.String()}
	}
	i := slices.IndexFunc(p.Mounts(), func(m Mount) bool { return m.MountPoint == s.Mount })
	if i >= 0 && p.Mounts()[i].Server != p.DesktopAddr.String() && strings.Count(p.Mounts()[i].Server, ".") == 3 {
		return report.Diagnosis{Code: "network.wrong-desktop-address", Sentence: fmt.Sprintf("%s is to be mounted from %s, the desktop is at %s", s.Mount, p.Mounts()[i].Server, p.DesktopAddr), Effective: p.Mounts()[i].Server, Expected: p.DesktopAddr.String()}
	}
	const probe = `d=$(mktemp -d) && timeout --kill-after=5 30 mount -t nfs4 -o ro,soft,timeo=50,retrans=1 "$1" "$d"; r=$?; umount -l "$d" 2>/dev/null; rmdir "$d"; exit $r`
	res, ok := p.Exec(ctx, nixos.Laptop, "bash", "-c", probe, "probe", p.DesktopAddr.String()+":"+s.Export)
	out := string(res.Stderr)
	switch {
	case !ok:
		return otherwise
	case strings.Contains(out, "access denied"), strings.Contains(out, "Operation not permitted"):
		return p.blame(ctx, nixos.Desktop, "services.nfs.server.exports", report.Diagnosis{Code: "nfs.access-denied",
			Sentence: fmt.Sprintf("the desktop denies the laptop (%s) its export %s", p.LaptopAddr, s.Export), Effective: p.Quiet(ctx, nixos.Desktop, "exportfs", "-s"), Expected: p.LaptopAddr.String()})
	case strings.Contains(out, "No such file"):
		return report.Diagnosis{Code: "nfs.no-export", Sentence: fmt.Sprintf("the desktop does not export %s", s.Export), Effective: p.Quiet(ctx, nixos.Desktop, "exportfs", "-s"), Expected: s.Export}
	case i < 0:
		return report.Diagnosis{Code: "nfs.no-mount", Sentence: fmt.Sprintf("the laptop's configuration does not mount %s", s.Mount), Effective: "no line in fstab", Expected: s.Mount}
	}
	return otherwise
}

// Readable proves that the laptop reads in the share what the desktop has there.
func Readable(s Share) Check {
	return Check{"NF.read-" + s.Name, "the laptop reads in " + s.Mount + " what the desktop has", "laptop", func(ctx context.Context, p *Proof) {
		if _, is := p.mounted(ctx, s.Mount); !is {
			p.Skip("%s is not mounted", s.Mount)
			return
		}
		store, ok := p.freshPath(ctx)
		if !ok {
			return
		}
		const sum = `nix-store --dump "$1" | sha256sum`
		there, ok1 := p.Exec(ctx, nixos.Desktop, "bash", "-o", "pipefail", "-c", sum, "nar", store)
		// A server that has just started lets nobody open a file for its grace period, 90 s
		// unless told otherwise (rpc.nfsd(8)).
		here, ok2 := p.Exec(ctx, nixos.Laptop, "timeout", "110", "bash", "-o", "pipefail", "-c", sum, "nar", path.Join(s.Mount, path.Base(store)))
		if ok1 && ok2 && (!here.OK() || here.Text() != there.Text()) {
			p.Broken(report.Diagnosis{Code: "nfs.content", Sentence: fmt.Sprintf("%s read through %s is not what the desktop has", path.Base(store), s.Mount), Effective: here.Text() + lastLine(string(here.Stderr)), Expected: there.Text()})
		}
	}}
}

// ReadOnly proves that a read-only share refuses writes.
func ReadOnly(s Share) Check {
	return Check{"NF.read-only-" + s.Name, s.Mount + " refuses writes", "laptop", func(ctx context.Context, p *Proof) {
		if _, is := p.mounted(ctx, s.Mount); !is {
			p.Skip("%s is not mounted", s.Mount)
			return
		}
		file := path.Join(s.Mount, ".offload-e2e-"+newNonce())
		res, ok := p.Exec(ctx, nixos.Laptop, "timeout", "110", "touch", file)
		if ok && res.OK() {
			p.Quiet(ctx, nixos.Laptop, "rm", "-f", file)
			p.Broken(report.Diagnosis{Code: "nfs.not-read-only", Sentence: fmt.Sprintf("the laptop can write into the desktop's store through %s", s.Mount), Effective: "rw", Expected: "ro"})
		}
	}}
}

// Writable proves that what the laptop writes into a share arrives on the desktop.
func Writable(s Share) Check {
	return Check{"NF.write-" + s.Name, "what the laptop writes into " + s.Mount + " arrives on the desktop", "laptop", func(ctx context.Context, p *Proof) {
		if _, is := p.mounted(ctx, s.Mount); !is {
			p.Skip("%s is not mounted", s.Mount)
			return
		}
		nonce := newNonce()
		name := ".offload-e2e-" + nonce
		res, ok := p.Exec(ctx, nixos.Laptop, "timeout", "110", "bash", "-c", `echo "$1" >"$2"`, "write", nonce, path.Join(s.Mount, name))
		if !ok {
			return
		}
		if !res.OK() {
			options := p.Quiet(ctx, nixos.Desktop, "exportfs", "-s")
			sentence := fmt.Sprintf("%s is mounted and root on the laptop may not write into it", s.Mount)
			if strings.Contains(string(res.Stderr), "Read-only") {
				sentence = fmt.Sprintf("%s is mounted read-only", s.Mount)
			} else if !strings.Contains(options, "no_root_squash") {
				sentence += ": the desktop maps root to nobody (root_squash)"
			}
			p.Broken(p.blame(ctx, nixos.Desktop, "services.nfs.server.exports", report.Diagnosis{Code: "nfs.write-denied", Sentence: sentence, Effective: options, Expected: "rw, no_root_squash"}))
			return
		}
		got, ok := p.Exec(ctx, nixos.Desktop, "cat", path.Join(s.Export, name))
		p.Quiet(ctx, nixos.Laptop, "rm", "-f", path.Join(s.Mount, name))
		if ok && got.Text() != nonce {
			p.Broken(report.Diagnosis{Code: "nfs.content", Sentence: fmt.Sprintf("what the laptop wrote into %s is not on the desktop", s.Mount), Effective: got.Text(), Expected: nonce})
		}
	}}
}

// BootSafe proves that no mount makes a boot, or a login, wait for the desktop
// (systemd.mount(5): nofail, x-systemd.automount).
func BootSafe() Check {
	return Check{"HG.mounts", "no mount makes the laptop's boot wait for the desktop", "laptop", func(ctx context.Context, p *Proof) {
		for _, m := range p.Mounts() {
			text := m.Device + " " + m.MountPoint + " " + m.FsType + " " + strings.Join(m.Options, ",")
			p.Evidence("file", nixos.Laptop, "/etc/fstab", text)
			safe := slices.ContainsFunc(m.Options, func(o string) bool {
				return o == "nofail" || o == "noauto" || o == "x-systemd.automount"
			})
			if !safe {
				p.Broken(p.blame(ctx, nixos.Laptop, "fileSystems."+m.MountPoint, report.Diagnosis{Code: "nfs.hard-mount",
					Sentence:  fmt.Sprintf("%s is mounted without nofail, noauto or an automount: with the desktop away the laptop's boot and logins wait for it", m.MountPoint),
					Effective: strings.Join(m.Options, ","), Expected: "nofail,x-systemd.automount"}))
				return
			}
		}
	}}
}
