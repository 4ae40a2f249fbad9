package check

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
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

// Exported proves that the desktop's NFS server exports a share that exists, to the
// laptop.
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
		if d := p.whyNotExported(ctx, s, dir.OK(), string(exports.Stdout)); d != nil {
			p.Broken(*d)
		}
	}}
}

// whyNotExported says why the laptop could not mount a share, nil where it could.
// Table is what exportfs -s prints.
func (p *Proof) whyNotExported(ctx context.Context, s Share, exists bool, table string) *report.Diagnosis {
	const option = "services.nfs.server.exports"
	configured := ""
	if p.Server.Exports != nil {
		configured = *p.Server.Exports
	}
	p.Evidence("option", nixos.Desktop, "/etc/exports", configured)
	if !exists {
		return &report.Diagnosis{Code: "nfs.no-directory", Effective: "missing", Expected: s.Export,
			Sentence: fmt.Sprintf("the desktop's folder %s is missing: its NFS server runs, and exports nothing there", s.Export)}
	}
	var clients []string
	for _, e := range ParseExports(table) {
		if e.Path != s.Export {
			continue
		}
		if e.admits(p.LaptopAddr) {
			return nil
		}
		clients = append(clients, e.Client)
	}
	d := report.Diagnosis{Code: "nfs.access-denied", Effective: strings.Join(clients, ", "), Expected: p.LaptopAddr.String()}
	if len(clients) > 0 {
		d.Sentence = fmt.Sprintf("the desktop exports %s to %s, and the laptop is %s", s.Export, d.Effective, d.Expected)
		d = p.blame(ctx, nixos.Desktop, option, d)
		return &d
	}
	d = report.Diagnosis{Code: "nfs.no-export", Effective: exportedPaths(table), Expected: s.Export}
	if !exportsPath(configured, s.Export) {
		d.Code = "nfs.not-exported"
		d.Sentence = fmt.Sprintf("the desktop's configuration does not export %s; its NFS server exports %s", s.Export, d.Effective)
		d = p.blame(ctx, nixos.Desktop, option, d)
		return &d
	}
	p.journal(ctx, nixos.Desktop, "nfs-server.service")
	d.Sentence = fmt.Sprintf("the desktop's /etc/exports names %s, and its NFS server does not export it; it exports %s", s.Export, d.Effective)
	return &d
}

// exportedPaths are the paths of a table, for people.
func exportedPaths(table string) string {
	var paths []string
	for _, e := range ParseExports(table) {
		if !slices.Contains(paths, e.Path) {
			paths = append(paths, e.Path)
		}
	}
	if len(paths) == 0 {
		return "nothing"
	}
	return strings.Join(paths, ", ")
}

// noMounts ends a check of a mount where there can be none.
func (p *Proof) noMounts() bool {
	if p.NoMounts != "" {
		p.Skip("%s", p.NoMounts)
	}
	return p.NoMounts != ""
}

// mounted reads what is mounted at a place; automounts that have not been reached
// are passed over.
func (p *Proof) mounted(ctx context.Context, at string) (found mountInfo, ok bool) {
	for _, m := range parseMountInfo(p.Quiet(ctx, nixos.Laptop, "cat", "/proc/self/mountinfo")) {
		if m.Point == at && m.Type != "autofs" {
			found, ok = m, true
		}
	}
	if ok {
		p.Evidence("file", nixos.Laptop, "/proc/self/mountinfo", fmt.Sprintf("%s on %s type %s (%s)", found.Source, found.Point, found.Type, found.Options))
	}
	return found, ok
}

// Mounted proves that a share is really mounted: NFS, from the desktop, and with
// the desktop's files in it.
func Mounted(s Share) Check {
	return Check{"NF.mount-" + s.Name, s.Mount + " is the desktop's " + s.Export + ", by NFS", "laptop", func(ctx context.Context, p *Proof) {
		if p.noMounts() {
			return
		}
		look, ok := p.look(ctx, s)
		if !ok {
			return
		}
		m, is := p.mounted(ctx, s.Mount)
		if !is && look.ExitStatus == 1 && p.Slow > 1 {
			// A machine that is emulated may load its kernel's NFS, the first time, for longer
			// than a mount is given (x-systemd.mount-timeout). Whoever looks again finds it.
			if look, ok = p.look(ctx, s); !ok {
				return
			}
			m, is = p.mounted(ctx, s.Mount)
		}
		server, export, _ := strings.Cut(m.Source, ":")
		switch {
		case is && !strings.HasPrefix(m.Type, "nfs"):
			p.Broken(report.Diagnosis{Code: "nfs.not-nfs", Effective: m.Type, Expected: "nfs4",
				Sentence: fmt.Sprintf("%s is %s, not nfs4: what is there is not the desktop's", s.Mount, m.Type)})
		case timedOut(look):
			p.Broken(p.whyNoMount(ctx, s, report.Diagnosis{Code: "nfs.hangs", Effective: "over 40 s", Expected: "an answer",
				Sentence: fmt.Sprintf("looking into %s takes over 40 s without an answer", s.Mount)}))
		// Who may do what in a share that is mounted, other checks say.
		case !is || !look.OK() && !words(look.Stderr).has("Permission denied"):
			p.Broken(p.whyNoMount(ctx, s, p.notMounted(ctx, s, lastLine(string(look.Stderr)), is)))
		case server != p.DesktopAddr.String() && server != "desktop":
			p.Broken(p.staleAddress("the mount at "+s.Mount+" ("+m.Source+")", server))
		case path.Clean("/"+export) != s.Export:
			p.Broken(report.Diagnosis{Code: "nfs.content", Effective: export, Expected: s.Export,
				Sentence: fmt.Sprintf("%s shows the desktop's %s, not its %s", s.Mount, export, s.Export)})
		}
	}}
}

// look looks into a share: an automount mounts then.
func (p *Proof) look(ctx context.Context, s Share) (provider.Result, bool) {
	return p.Exec(ctx, nixos.Laptop, "timeout", "--kill-after=5", "40", "stat", "-f", "-c", "%T", s.Mount+"/.")
}

// notMounted is the diagnosis of a share of which no more is known.
func (p *Proof) notMounted(ctx context.Context, s Share, last string, is bool) report.Diagnosis {
	if strings.Contains(last, "Stale file handle") {
		return staleHandle(s.Mount)
	}
	if is {
		return report.Diagnosis{Code: "nfs.not-mounted", Effective: last,
			Sentence: fmt.Sprintf("%s is mounted and cannot be read: %s", s.Mount, last)}
	}
	p.journal(ctx, nixos.Laptop, unitName(s.Mount))
	if d := p.automountDead(ctx, s); d != nil {
		return *d
	}
	if d := p.mountTimedOut(ctx, s); d != nil {
		return *d
	}
	return report.Diagnosis{Code: "nfs.not-mounted", Effective: "local", Expected: "nfs4",
		Sentence: fmt.Sprintf("%s is not mounted: what is there is a local directory, not nfs4 (%s)", s.Mount, last)}
}

// unitName is the name of the unit that mounts at a path (systemd.unit(5)).
func unitName(at string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.Trim(at, "/"), "-", `\x2d`), "/", "-") + ".mount"
}

// tryMount mounts an export by hand, elsewhere, to read what mount(8) says.
const tryMount = `d=$(mktemp -d) && timeout --kill-after=5 30 mount -t nfs4 -o ro,soft,timeo=50,retrans=1 "$1" "$d"; r=$?; umount -l "$d" 2>/dev/null; rmdir "$d"; exit $r`

// whyNoMount says why a share is not mounted: the port, the address, the export, or
// the laptop's own configuration.
func (p *Proof) whyNoMount(ctx context.Context, s Share, otherwise report.Diagnosis) report.Diagnosis {
	if state := p.Port(ctx, 2049); state != Open && state != "" {
		return p.portClosed(ctx, "nfs", state)
	}
	i := slices.IndexFunc(p.Mounts(), func(m Mount) bool { return m.MountPoint == s.Mount })
	if i >= 0 && p.Mounts()[i].Server != p.DesktopAddr.String() && strings.Count(p.Mounts()[i].Server, ".") == 3 {
		return p.blame(ctx, nixos.Laptop, "fileSystems."+s.Mount, p.staleAddress("the laptop's mount "+s.Mount, p.Mounts()[i].Server))
	}
	res, ok := p.Exec(ctx, nixos.Laptop, "bash", "-c", tryMount, "probe", p.DesktopAddr.String()+":"+s.Export)
	if ok && !res.OK() {
		if d := p.whyRefused(ctx, s, words(res.Stderr)); d != nil {
			return *d
		}
	}
	switch {
	case i < 0:
		return report.Diagnosis{Code: "nfs.no-mount", Effective: "no line in fstab", Expected: s.Mount,
			Sentence: fmt.Sprintf("the laptop's configuration has no line in fstab for %s", s.Mount)}
	case path.Clean("/"+p.Mounts()[i].Export) != s.Export:
		export := p.Mounts()[i].Export
		return p.blame(ctx, nixos.Laptop, "fileSystems."+s.Mount, report.Diagnosis{Code: "nfs.no-export", Effective: export, Expected: s.Export,
			Sentence: fmt.Sprintf("the laptop's %s is to be the desktop's %s, which is exported as %s", s.Mount, export, s.Export)})
	}
	return otherwise
}

// whyRefused says why the desktop's server refuses a mount, nil where it cannot be
// told. An NFSv4 server says "No such file" as often as "access denied" to one who
// is in none of its exports, so its table tells more than its words.
func (p *Proof) whyRefused(ctx context.Context, s Share, said words) *report.Diagnosis {
	table := p.Quiet(ctx, nixos.Desktop, "exportfs", "-s")
	p.Evidence("command", nixos.Desktop, "exportfs -s", table)
	exists, err := p.machine(nixos.Desktop).Exec(ctx, provider.Cmd("test", "-d", s.Export))
	if d := p.whyNotExported(ctx, s, err != nil || exists.OK(), table); d != nil {
		return d
	}
	for _, e := range ParseExports(table) {
		if e.root() && e.Path != "/" {
			d := p.blame(ctx, nixos.Desktop, "services.nfs.server.exports", report.Diagnosis{Code: "nfs.pseudo-root", Effective: "fsid=0", Expected: s.Export,
				Sentence: fmt.Sprintf("the desktop exports %s with fsid=0: for NFSv4 it is the root of all paths, and %s is no path below it", e.Path, s.Export)})
			return &d
		}
	}
	if !said.has("access denied", "Operation not permitted") {
		return nil
	}
	return &report.Diagnosis{Code: "nfs.access-denied", Effective: "access denied", Expected: p.LaptopAddr.String(),
		Sentence: fmt.Sprintf("the desktop says access denied to the laptop (%s) for its export %s", p.LaptopAddr, s.Export)}
}

// Readable proves that the laptop reads in the share what the desktop has there.
func Readable(s Share) Check {
	return Check{"NF.read-" + s.Name, "the laptop reads in " + s.Mount + " what the desktop has", "laptop", func(ctx context.Context, p *Proof) {
		if p.noMounts() {
			return
		}
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
		if ok2 && timedOut(here) {
			p.Broken(hangs("reading in", s))
			return
		}
		if ok1 && ok2 && (!here.OK() || here.Text() != there.Text()) {
			got, want := here.Text(), there.Text()
			if !here.OK() {
				got = lastLine(string(here.Stderr))
			}
			p.Broken(report.Diagnosis{Code: "nfs.content", Effective: got, Expected: want,
				Sentence: fmt.Sprintf("%s read through %s has the hash %s, the desktop's has %s", path.Base(store), s.Mount, got, want)})
		}
	}}
}

// ReadOnly proves that a read-only share refuses writes.
func ReadOnly(s Share) Check {
	return Check{"NF.read-only-" + s.Name, s.Mount + " refuses writes", "laptop", func(ctx context.Context, p *Proof) {
		if p.noMounts() {
			return
		}
		if _, is := p.mounted(ctx, s.Mount); !is {
			p.Skip("%s is not mounted", s.Mount)
			return
		}
		file := path.Join(s.Mount, ".offload-e2e-"+newNonce())
		res, ok := p.Exec(ctx, nixos.Laptop, "timeout", "110", "touch", file)
		switch {
		case ok && timedOut(res):
			p.Broken(hangs("writing into", s))
		case ok && res.OK():
			p.Quiet(ctx, nixos.Laptop, "rm", "-f", file)
			p.Broken(report.Diagnosis{Code: "nfs.not-read-only", Effective: "rw", Expected: "ro",
				Sentence: fmt.Sprintf("the laptop can write into the desktop's store through %s: it is rw, not ro", s.Mount)})
		}
	}}
}

// Writable proves that what the laptop writes into a share arrives on the desktop.
func Writable(s Share) Check {
	return Check{"NF.write-" + s.Name, "what the laptop writes into " + s.Mount + " arrives on the desktop", "laptop", func(ctx context.Context, p *Proof) {
		if p.noMounts() {
			return
		}
		if _, ok := p.look(ctx, s); !ok {
			return
		}
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
			p.Broken(p.whyNoWrite(ctx, s, res))
			return
		}
		got, ok := p.Exec(ctx, nixos.Desktop, "cat", path.Join(s.Export, name))
		p.Quiet(ctx, nixos.Laptop, "rm", "-f", path.Join(s.Mount, name))
		if ok && got.Text() != nonce {
			p.Broken(report.Diagnosis{Code: "nfs.content", Effective: got.Text(), Expected: nonce,
				Sentence: fmt.Sprintf("the laptop wrote %q into %s, and the desktop has %q there", nonce, s.Mount, got.Text())})
		}
	}}
}

// timedOut reports whether timeout(1) ended a command, by the signal that may be
// caught, or by the other.
func timedOut(res provider.Result) bool { return res.ExitStatus == 124 || res.ExitStatus == 137 }

func hangs(doing string, s Share) report.Diagnosis {
	return report.Diagnosis{Code: "nfs.hangs", Effective: "over 110 s", Expected: "an answer",
		Sentence: fmt.Sprintf("%s %s takes over 110 s without an answer", doing, s.Mount)}
}

// whyNoWrite says why root on the laptop may not write into a share.
func (p *Proof) whyNoWrite(ctx context.Context, s Share, res provider.Result) report.Diagnosis {
	said := words(res.Stderr)
	d := report.Diagnosis{Code: "nfs.write-denied", Effective: lastLine(string(said)), Expected: "rw,no_root_squash"}
	if timedOut(res) {
		return hangs("writing into", s)
	}
	if said.has("No space left on device", "Disk quota exceeded") {
		return report.Diagnosis{Code: "nfs.full", Effective: d.Effective, Sentence: fmt.Sprintf("there is no space left in the desktop's %s: %s", s.Export, d.Effective)}
	}
	table := p.Quiet(ctx, nixos.Desktop, "exportfs", "-s")
	p.Evidence("command", nixos.Desktop, "exportfs -s", table)
	why := "the folder itself does not let it"
	for _, e := range ParseExports(table) {
		switch {
		case e.Path != s.Export:
		case !e.writable():
			d.Effective, why = strings.Join(e.Options, ","), "the export is not rw"
		case e.squashes():
			d.Effective, why = strings.Join(e.Options, ","), "the desktop makes root a nobody there (root_squash)"
		}
	}
	if m, _ := p.mounted(ctx, s.Mount); slices.Contains(strings.Split(m.Options, ","), "ro") {
		d.Effective, why = m.Options, "the laptop mounts it read-only"
	}
	d.Sentence = fmt.Sprintf("root on the laptop may not write into the desktop's %s: %s (%s, not %s)", s.Export, why, d.Effective, d.Expected)
	return p.blame(ctx, nixos.Desktop, "services.nfs.server.exports", d)
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
					Sentence:  fmt.Sprintf("%s is mounted with %s, without nofail,x-systemd.automount (or noauto): with the desktop away the laptop's boot and logins wait for it", m.MountPoint, strings.Join(m.Options, ",")),
					Effective: strings.Join(m.Options, ","), Expected: "nofail,x-systemd.automount"}))
				return
			}
		}
	}}
}
