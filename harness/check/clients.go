package check

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// laptops are how many there are at once, in turn.
var laptops = []int{1, 2, 4}

// clientBuild is how long a build of each of them takes, in seconds, however many there
// are: what more laptops cost is what is beside it.
const clientBuild = 5

// clientsDir has, on the laptop, a key for each client. Each has one line more in the
// builder's authorized_keys on the desktop, by whose end it is found again.
const (
	clientsDir = "/run/offload-e2e-clients"
	clientName = "offload-e2e-client"
)

const (
	makeClients = `rm -rf "$1" && mkdir -m 700 "$1" && for i in $(seq "$3"); do ssh-keygen -q -t ed25519 -N "" -C "$2" -f "$1/$i" && cat "$1/$i.pub" || exit; done`
	admitClient = `cat >>"$1"`
	// sshAlone lets ssh have no key and no configuration but what it is given.
	sshAlone      = `-F none -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null`
	enterAsClient = `timeout 45 ssh ` + sshAlone + ` -n -o BatchMode=yes -i "$1" "ssh://$2" true`
	dropClients   = `sed -i "/ $2\$/d" "$1"`

	// buildAll has each client build at the same time, with no key but its own (NIX_SSHOPTS
	// is heeded where root builds without the daemon), and prints the outputs' paths.
	buildAll = `dir=$1 builder=$2; shift 2
export NIX_REMOTE=local HOME=/root NIX_SSHOPTS="` + sshAlone + `"
i=0; pids=
for expression; do
  i=$((i + 1))
  timeout --kill-after=5 180 nix-build --no-out-link --max-jobs 0 --option substitute false --builders "${builder//KEY/$dir/$i}" --expr "$expression" >"$dir/$i.out" 2>"$dir/$i.err" &
  pids="$pids $!"
done
failed=0; n=0
for pid in $pids; do
  n=$((n + 1))
  wait "$pid" || { failed=1; cat "$dir/$n.err" >&2; }
done
cat "$dir"/*.out; rm -f "$dir"/*.out "$dir"/*.err
exit "$failed"`
)

// MoreClients proves that the desktop builds for several laptops at once, and that each
// needs one line more there and nothing else: without it a client is turned away. They
// are the laptop with keys of their own: what it has built and fetched before helps none
// of them.
func MoreClients() Check {
	return Check{"PF.clients", "one, two and four laptops build on the desktop at once, by a key line each", "laptop", func(ctx context.Context, p *Proof) {
		b := p.builder(ctx)
		file := path.Join(p.BuilderHome(), ".ssh/authorized_keys")
		defer func() {
			after := context.WithoutCancel(ctx)
			p.Quiet(after, nixos.Desktop, "bash", "-c", dropClients, "clients", file, clientName)
			p.Quiet(after, nixos.Laptop, "rm", "-rf", clientsDir)
		}()
		most := slices.Max(laptops)
		keys, ok := p.Exec(ctx, nixos.Laptop, "bash", "-c", makeClients, "clients", clientsDir, clientName, fmt.Sprint(most))
		if !ok {
			return
		}
		lines := strings.Split(keys.Text(), "\n")
		if !keys.OK() || len(lines) != most {
			p.Error(fmt.Errorf("laptop: make a key for each client: %w", keys.Err()))
			return
		}
		if res, ok := p.Exec(ctx, nixos.Laptop, "bash", "-c", enterAsClient, "clients", clientsDir+"/1", b.Destination()); !ok || res.OK() {
			if ok {
				p.Broken(report.Diagnosis{Code: "ssh.key-too-early", Effective: "logs in", Expected: "denied",
					Sentence: "a laptop whose key is nowhere on the desktop logs in there, and should be denied: whoever is on the network builds"})
			}
			return
		}
		served, admitted := 0, 0
		bars := report.Series{Name: "until each has its build"}
		var told []string
		for _, n := range laptops {
			for ; admitted < n; admitted++ {
				cmd := provider.Cmd("bash", "-c", admitClient, "clients", file)
				cmd.Stdin = strings.NewReader(lines[admitted] + "\n")
				if res, ok := p.ExecCommand(ctx, nixos.Desktop, cmd); !ok || !res.OK() {
					if ok {
						p.Error(fmt.Errorf("desktop: authorize one more client: %w", res.Err()))
					}
					return
				}
			}
			took, ok := p.buildAtOnce(ctx, b, n)
			if !ok {
				told = append(told, counted(n)+" not")
				break
			}
			served = n
			bars.Points = append(bars.Points, report.Point{Label: counted(n), Y: took.Seconds()})
			told = append(told, fmt.Sprintf("%s %.0f s", counted(n), took.Seconds()))
		}
		if p.finding.State != report.Holds && p.finding.State != report.Broken {
			return
		}
		said := fmt.Sprintf("a build of %d s each, all at once: %s, each by one line of authorized_keys", clientBuild, strings.Join(told, ", "))
		p.Evidence("probe", nixos.Laptop, "builds of several clients at once", said)
		least := float64(most)
		p.promise(report.Promise{ID: "clients", Claim: "More laptops are one line more on the desktop each", Measured: said, Value: float64(served), Unit: "laptops", Least: &least,
			Chart: &report.Chart{Kind: "bars", Y: "s until all have theirs", Series: []report.Series{bars}}})
	}}
}

func counted(n int) string { return count(n, "laptop") }

// buildAtOnce has n clients build, proves that each build was done on the desktop, and
// tells how long it took until the last one had its own.
func (p *Proof) buildAtOnce(ctx context.Context, b Builder, n int) (time.Duration, bool) {
	argv := []string{"bash", "-c", buildAll, "clients", clientsDir,
		fmt.Sprintf("%s://%s %s KEY %d 1", b.Scheme, b.Destination(), cmp.Or(strings.Join(b.Systems, ","), "-"), slices.Max(laptops))}
	for range n {
		argv = append(argv, derivation(newNonce(), lasts(clientBuild)+tellPlace))
	}
	since := p.now(ctx)
	res, ok := p.Exec(ctx, nixos.Laptop, argv...)
	if !ok {
		return 0, false
	}
	if !res.OK() {
		if d, broken := p.whyNoBuild(ctx, res, since); broken {
			p.Broken(d)
		} else {
			p.Skip("%s", d.Sentence)
		}
		return 0, false
	}
	made := strings.Fields(res.Text())
	if len(made) != n {
		p.Error(fmt.Errorf("laptop: %s built %d paths: %q", counted(n), len(made), made))
		return 0, false
	}
	for _, out := range made {
		if p.provePlace(ctx, provider.Result{Stdout: []byte(out)}); p.done() {
			return 0, false
		}
	}
	return res.Duration, true
}
