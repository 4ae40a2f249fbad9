package check

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
	"offload-e2e/harness/report"
)

// broken is one way in which a claim is not true, with the diagnosis it should have.
type broken struct {
	name   string // the row of the fault catalogue, where it has one
	check  Check
	change func(w *world)
	code   string
	// state is broken unless it is set.
	state report.State
	// says are further words of the sentence, remedy words of what to do.
	says   []string
	remedy string
}

// healthy are all checks, each of which holds in a world where all is well.
func healthy() []Check {
	said := new(Said)
	checks := []Check{
		Evaluated(nixos.Desktop), Evaluated(nixos.Laptop), ServerEnabled(), Sudo("cypher"), BuilderTrusted(), DesktopSandbox(),
		BuildersConfigured(), BuilderUserExists(), BuilderKeyExists(), Addresses(), TrustedKeys(), Substituters(), OfflineSettings(), BootSafe(),
		Ping(), BuilderKey(), BuilderHomeModes(), AuthorizedKey(), Login(), LoginDenied(), NixOnPath(),
		CacheKeyFiles(), CacheInfo(), CacheSignature(), CacheHit(), RemoteBuild(), BuildAs("cypher"), BuildNeeding("kvm"), Resumed("unplugged"), Remounted("powered off"),
		Typed(UserCommand{Name: "offload-status", Role: nixos.Laptop, Deadline: time.Minute}, said),
		CacheHitDespite(Interference{Name: "nothing happened"}), CacheHitAfterMiss(), CacheResumed("unplugged"),
		PathMTU(), Repeated(), LoginEnds(), Sessions(), Keepalive(), LongBuild(), BuildEnds(), TwoClients(), BuildOverhead(), Slots(),
		Room(nixos.Desktop), Room(nixos.Laptop), DesktopAlone(), SleepUnits(), InForce(nixos.Desktop), InForce(nixos.Laptop),
	}
	for _, svc := range newBenchForNames().Services() {
		checks = append(checks, PortOpen(svc))
	}
	for _, s := range Shares {
		checks = append(checks, Exported(s), Mounted(s), Readable(s), OpenFiles(s), ShareEnds(s), ShareSpeed(s))
	}
	return append(checks, ReadOnly(Shares[0]), Writable(Shares[1]))
}

func newBenchForNames() *Bench { return &Bench{} }

func TestHealthy(t *testing.T) {
	for _, c := range healthy() {
		t.Run(c.Name, func(t *testing.T) {
			w := newWorld(t)
			if c.Name == "SR.denied-before-exchange" {
				w.login("denied", 255)
			}
			f := w.bench.Run(t.Context(), c)
			if f.State != report.Holds || f.Diagnosis != nil || f.Reason != "" || f.Class != "" {
				t.Errorf("it should hold: %s %s %+v", f.State, f.Reason, f.Diagnosis)
			}
			if f.Machine != "desktop" && f.Machine != "laptop" || f.Family == "" || f.Phase != "phase4" || f.Title == "" || f.Started.IsZero() {
				t.Errorf("the finding lacks something: %+v", f)
			}
			if len(f.Evidence) == 0 {
				t.Error("it holds without any evidence")
			}
		})
	}
}

// These hold only while the keys are not exchanged, or the desktop is away.
func TestHealthyBefore(t *testing.T) {
	w := newWorld(t)
	w.builds("refused")
	if f := w.bench.Run(t.Context(), BuildRefused()); f.State != report.Holds {
		t.Errorf("a build that is refused: %s %+v", f.State, f.Diagnosis)
	}
	w = newWorld(t)
	w.laptop.on("cat "+made, out(laptopBoot+"\n"))
	if f := w.bench.Run(t.Context(), Offline("unplugged", time.Minute)); f.State != report.Holds {
		t.Errorf("a build on the laptop: %s %+v", f.State, f.Diagnosis)
	}
}

func TestBroken(t *testing.T) {
	var all []broken
	for _, list := range [][]broken{settingCases(), portCases(), loginCases(), keyCases(), buildCases(), cacheCases(), nfsCases(), commandCases(),
		awayCases(), sessionCases(), lastingCases(), slowCases()} {
		all = append(all, list...)
	}
	given := map[string]bool{}
	for _, c := range all {
		given[c.code] = true
		// What is waited for, in vain, takes no time.
		t.Run(c.name, func(t *testing.T) { synctest.Test(t, c.run) })
	}
	// Every diagnosis that the checks can give has a case here, or in TestNotEvaluated.
	for code, where := range codesUsed(t, ".") {
		if strings.HasPrefix(where, "evaluation.go:") && strings.HasPrefix(code, "config.") {
			continue
		}
		if !given[code] {
			t.Errorf("no case breaks a check so that it says %s (%s)", code, where)
		}
	}
}

func (c broken) run(t *testing.T) {
	w := newWorld(t)
	c.change(w)
	f := w.bench.Run(t.Context(), c.check)
	want := c.state
	if want == "" {
		want = report.Broken
	}
	if f.State != want || f.Diagnosis == nil {
		t.Fatalf("%s is %s (%s %+v), it should be %s", c.check.Name, f.State, f.Reason, f.Diagnosis, want)
	}
	d := f.Diagnosis
	t.Log(d.Code, "|", d.Sentence)
	if d.Code != c.code {
		t.Errorf("the diagnosis is %s, it should be %s: %s", d.Code, c.code, d.Sentence)
	}
	if f.Class != report.Product || f.Reason != "" {
		t.Errorf("class %q, reason %q", f.Class, f.Reason)
	}
	if d.Layer == "" || d.Remedy == "" || !strings.Contains(d.Remedy, c.remedy) || d.Layer != Catalogue[d.Code].Layer {
		t.Errorf("layer %q, remedy %q", d.Layer, d.Remedy)
	}
	for _, value := range append([]string{d.Effective, d.Expected}, c.says...) {
		if !strings.Contains(d.Sentence, value) {
			t.Errorf("the sentence does not say %q: %s", value, d.Sentence)
		}
	}
	if strings.ContainsAny(d.Sentence, "\n\r") || strings.Contains(d.Sentence, "%!") {
		t.Errorf("the sentence is not one line: %q", d.Sentence)
	}
	if len(f.Evidence) == 0 {
		t.Error("there is no evidence")
	}
}

// What a check has nothing to look at for, it leaves, with a reason.
func TestSkipped(t *testing.T) {
	for _, c := range skipped() {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			f := w.bench.Run(t.Context(), c.check)
			if f.State != report.Skipped || f.Reason == "" || f.Diagnosis != nil {
				t.Errorf("%s is %s (%s %+v), it should be skipped", c.check.Name, f.State, f.Reason, f.Diagnosis)
			}
		})
	}
}

// What is another way of being well is no fault.
func TestHolding(t *testing.T) {
	for _, c := range holding() {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			f := w.bench.Run(t.Context(), c.check)
			if f.State != report.Holds {
				t.Errorf("%s is %s (%s %+v), it should hold", c.check.Name, f.State, f.Reason, f.Diagnosis)
			}
		})
	}
}

// A definition to blame is named by file and line.
func TestBlame(t *testing.T) {
	w := newWorld(t)
	w.laptopNix = with(w.laptopNix, "fallback", false)
	w.explains("nix.settings.fallback", "/etc/nixos/modules/x.nix", 12)
	f := w.bench.Run(t.Context(), OfflineSettings())
	if f.Diagnosis == nil || f.Diagnosis.Source != "/etc/nixos/modules/x.nix:12" {
		t.Errorf("the source is not named: %+v", f.Diagnosis)
	}
	last := f.Evidence[len(f.Evidence)-1]
	if last.Kind != "option" || !strings.Contains(last.Text, "wins") {
		t.Errorf("the definitions are no evidence: %+v", last)
	}
}

// A builder's own host key is what ssh compares with.
func TestHostKeyOfBuilder(t *testing.T) {
	w := newWorld(t)
	key := base64.StdEncoding.EncodeToString([]byte(recorded(t, "ssh/desktop_host_key.pub")))
	w.machines("ssh-ng://nix-builder@192.168.15.7 x86_64-linux " + keyPath + " 4 1 - - " + key + "\n")
	if f := w.bench.Run(t.Context(), Login()); f.State != report.Holds {
		t.Fatalf("%s: %+v", f.State, f.Diagnosis)
	}
	if got := w.laptop.Copied[hostKeyFile]; got != "192.168.15.7 "+recorded(t, "ssh/desktop_host_key.pub") {
		t.Errorf("known hosts are %q", got)
	}
	if !w.laptop.was("-i "+keyPath+" -o UserKnownHostsFile="+hostKeyFile) || !w.laptop.was(" nix-builder@192.168.15.7 -- ") {
		t.Errorf("ssh was not asked to use it: %q", w.laptop.Asked)
	}
}

// A remote build has an input that the laptop made itself, where it can.
func TestRemoteBuildInput(t *testing.T) {
	w := newWorld(t)
	if f := w.bench.Run(t.Context(), RemoteBuild()); f.State != report.Holds {
		t.Fatalf("%s: %+v", f.State, f.Diagnosis)
	}
	if !w.laptop.was("--max-jobs 1 --option builders  --option substitute false") || !w.laptop.was("input = derivation") {
		t.Errorf("there is no input: %q", w.laptop.Asked)
	}
	w = newWorld(t)
	w.laptop.on("timeout * nix-build * --max-jobs 1 *", said(1, "error: no\n"))
	if f := w.bench.Run(t.Context(), RemoteBuild()); f.State != report.Holds || w.laptop.was("input = derivation") {
		t.Errorf("a laptop that cannot build by itself still builds remotely: %s %+v", f.State, f.Diagnosis)
	}
}

// An input that was made ahead is taken, once.
func TestRemoteBuildInputAhead(t *testing.T) {
	w := newWorld(t)
	if err := w.bench.MakeInput(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := w.laptop.Copied[inputFile]
	name, path, _ := strings.Cut(strings.TrimSpace(left), " ")
	if !strings.HasSuffix(name, "-input") || !strings.HasPrefix(path, "/nix/store/") {
		t.Fatalf("%s has %q", inputFile, left)
	}
	w = newWorld(t)
	w.laptop.on("sh -c read -r name path * "+inputFile, out(name+"\n"+laptopBoot+" /\n"))
	f := w.bench.Run(t.Context(), RemoteBuild())
	if f.State != report.Holds || w.laptop.was("--max-jobs 1") || !w.laptop.was("offload-e2e-"+name) {
		t.Errorf("%s %+v: %q", f.State, f.Diagnosis, w.laptop.Asked)
	}
	w = newWorld(t)
	w.laptop.on("timeout * nix-build * --max-jobs 1 *", said(1, "error: no\n"))
	if err := w.bench.MakeInput(t.Context()); err != nil || w.laptop.Copied[inputFile] != "" {
		t.Errorf("a laptop that cannot build by itself: %v, left %q", err, w.laptop.Copied[inputFile])
	}
}

// A machine that does not answer leaves every claim open.
func TestMachineGone(t *testing.T) {
	for _, c := range healthy() {
		w := newWorld(t)
		w.desktop.Gone, w.laptop.Gone = errors.New("the machine is gone"), errors.New("the machine is gone")
		f := w.bench.Run(t.Context(), c)
		if c.Name == "EV.evaluates" || c.Name == "EV.server-enabled" || c.Name == "HG.mounts" || c.Name == "RC.sleep-units" || f.State == report.Skipped {
			continue
		}
		if f.State != report.Errored || f.Class != report.Infra || !strings.Contains(f.Reason, "gone") {
			t.Errorf("%s is %s, class %s, reason %q", c.Name, f.State, f.Class, f.Reason)
		}
	}
}

// Who is not there can build nothing, and that says nothing of the builder.
func TestBuildAsNobody(t *testing.T) {
	w := newWorld(t)
	w.laptop.on("id -u *", said(1, "id: 'nobody': no such user\n"))
	if f := w.bench.Run(t.Context(), BuildAs("nobody")); f.State != report.Errored || !strings.Contains(f.Reason, "no such user") {
		t.Errorf("%s: %s %+v", f.State, f.Reason, f.Diagnosis)
	}
}

// A check whose deadline passed is no verdict on the product.
func TestDeadline(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f := w.bench.Run(ctx, Login()); f.State != report.Errored || f.Class != report.Timeout {
		t.Errorf("state %s, class %s", f.State, f.Class)
	}
}

// A machine that goes while the cause is looked for leaves the claim refuted.
func TestGoneWhileDiagnosing(t *testing.T) {
	for _, c := range []Check{RemoteBuild(), CacheHit(), Login()} {
		w := newWorld(t)
		w.laptop.does("*", func(argv []string) provider.Result { return said(1, "") })
		f := w.bench.Run(t.Context(), c)
		if f.State == report.Holds {
			t.Errorf("%s holds on a laptop where nothing works", c.Name)
		}
	}
}
