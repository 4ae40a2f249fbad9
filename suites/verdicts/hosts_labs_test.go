//go:build labs

package verdicts

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"offload-e2e/harness/provider/conformance/containers"
	"offload-e2e/harness/report"
)

// Machines that run are looked at as they are: by ssh, at ports of loopback. Nothing is
// changed on them without leave, what they promise is proved with it, and an edit that
// was never switched to is found.
func TestYourOwnMachines(t *testing.T) {
	theirs := newPlace(t)
	theirs.start("up", "--provider", "qemu").end().is(exitOK, "The lab is up")
	t.Cleanup(func() { theirs.start("down").end().is(exitOK) })
	hosts := func(allow string) string {
		bundle := os.Getenv(bundleVariable)
		text, err := os.ReadFile(filepath.Join(bundle, "host_key.pub"))
		must(t, err)
		key, _, _, _, err := ssh.ParseAuthorizedKey(text)
		must(t, err)
		var file, known strings.Builder
		for _, name := range []string{"desktop", "laptop"} {
			f := containers.NewForward(t, func(ctx context.Context) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(theirs.state, "lab", name+".ssh"))
			})
			fmt.Fprintln(&known, knownhosts.Line([]string{knownhosts.Normalize(f.Addr.String())}, key))
			fmt.Fprintf(&file, "%s: { ssh: 'ssh://root@%s', identity: %s/ssh_key, known_hosts: known }\n", name, f.Addr, bundle)
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, "known"), known.String())
		write(t, filepath.Join(dir, "hosts.yaml"), strings.ReplaceAll(file.String(), ": known", ": "+filepath.Join(dir, "known"))+allow)
		return filepath.Join(dir, "hosts.yaml")
	}
	on := func(machine, command string) string {
		o := theirs.start("ssh", machine, "--", command).end()
		o.is(exitOK)
		return o.output
	}
	// What is made by a build, by a mount, or by hand.
	const traces = "ls -d /nix/store/*offload-e2e* /var/lib/nix-offload/.offload-e2e* 2>/dev/null | sort; grep nfs4 /proc/self/mounts; true"
	finding := func(o outcome, check string) report.Finding {
		t.Helper()
		i := -1
		if o.report != nil {
			i = slices.IndexFunc(o.report.Findings, func(f report.Finding) bool { return f.Check == check && f.Machine == "laptop" })
		}
		if i < 0 {
			t.Fatalf("there is no finding of %s:\n%s", check, o.output)
		}
		return o.report.Findings[i]
	}

	p := newPlace(t)
	before := on("desktop", traces) + on("laptop", traces)
	o := p.run("--provider", "hosts", "--hosts", hosts("allow: []\n"))
	o.is(exitOK, "on your own machines", `hosts.yaml has no "allow: [build]"`)
	if after := on("desktop", traces) + on("laptop", traces); after != before {
		t.Errorf("looking left traces:\n%s\nbefore:\n%s", after, before)
	}

	o = p.run("--provider", "hosts", "--hosts", hosts("allow: [build, mount]\n"))
	o.is(exitOK)
	for _, check := range []string{"EV.in-force", "RB.build", "CH.hit", "NF.mount-store", "NF.read-store", "NF.write-offload"} {
		if f := finding(o, check); f.State != report.Holds {
			t.Errorf("%s: %s %s %+v", check, f.State, f.Reason, f.Diagnosis)
		}
	}

	on("laptop", `sed 's/^fallback = .*/fallback = false/' /etc/nix/nix.conf >/etc/nix/new && mv /etc/nix/new /etc/nix/nix.conf`)
	o = p.run("--provider", "hosts", "--hosts", hosts("allow: []\n"))
	o.first("nix.fallback-off")
	if f := finding(o, "EV.in-force"); f.State != report.Warns || !strings.Contains(f.Diagnosis.Sentence, `fallback "false"`) {
		t.Errorf("an edit that is not in force: %s %+v", f.State, f.Diagnosis)
	}
}
