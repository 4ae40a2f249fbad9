package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// layers of codes as the checks give them.
var layers = map[string]Layer{
	"network.unreachable": Reachability, "network.wrong-desktop-address": Evaluation, "network.icmp-blocked": Reachability,
	"ssh.port-refused": Port, "ssh.port-filtered": Port, "cache.port-refused": Port, "cache.port-filtered": Port, "cache.bind-address": Port,
	"nfs.port-filtered": Port, "builder.not-configured": Evaluation, "builder.user-unknown": Evaluation, "builder.untrusted": Trust,
	"builder.built-locally": Content, "builder.build-failed": Content, "builder.store-full": Content,
	"nix.fallback-off": Evaluation, "nix.offline-build-failed": Content, "command.failed": Content, "command.hangs": Content, "command.disagrees": Content,
	"ssh.key-unauthorized": Authentication, "ssh.login-failed": Authentication, "ssh.strict-modes": Authentication, "ssh.line-differs": Authentication,
	"ssh.host-key-changed": Authentication, "keys.pair-mismatch": Authentication, "keys.permissions": Authentication, "keys.passphrase": Authentication,
	"cache.not-configured": Evaluation, "cache.scheme": Protocol, "cache.key-malformed": Evaluation, "cache.key-name": Trust, "cache.stale-key": Trust,
	"cache.daemon-unreachable": Protocol, "cache.http-error": Protocol, "cache.not-used": Content, "cache.nar-corrupt": Content,
	"nfs.no-export": Protocol, "nfs.no-directory": Content, "nfs.not-enabled": Evaluation, "nfs.access-denied": Authentication,
	"nfs.not-mounted": Protocol, "nfs.write-denied": Authentication, "nfs.content": Content, "nfs.hard-mount": Evaluation,
	"config.switch-failed": Evaluation, "config.not-enabled": Evaluation,
}

// broken reads "laptop SR.login ssh.port-filtered"; the code may be left out.
func broken(t *testing.T, lines ...string) []Finding {
	t.Helper()
	var found []Finding
	for _, line := range lines {
		w := strings.Fields(line)
		f := Finding{Machine: w[0], Check: w[1], State: Broken, Class: Product}
		f.Family, _, _ = strings.Cut(f.Check, ".")
		if len(w) > 2 {
			layer, ok := layers[w[2]]
			if !ok {
				t.Fatalf("no layer for %s", w[2])
			}
			f.Diagnosis = &Diagnosis{Code: w[2], Layer: layer, Sentence: w[2] + " is so"}
		}
		found = append(found, f)
	}
	return found
}

func TestRank(t *testing.T) {
	for _, c := range []struct {
		name  string
		found []string
		want  []string // "machine code: explained checks"
	}{
		{"nothing broken", nil, nil},
		{"one finding", []string{"laptop CH.hit cache.key-name"}, []string{"laptop cache.key-name: CH.hit"}},
		{"the same diagnosis by two checks",
			[]string{"laptop EV.keys cache.key-name", "laptop CH.hit cache.key-name"},
			[]string{"laptop cache.key-name: EV.keys CH.hit"}},

		// The ten ways by hand.
		{"wrong desktop address",
			[]string{"laptop EV.address network.wrong-desktop-address", "laptop PT.ssh ssh.port-filtered", "laptop PT.cache cache.port-filtered",
				"laptop SR.login ssh.port-filtered", "laptop RB.nonce builder.built-locally", "laptop CH.hit cache.not-used", "laptop NF.store nfs.not-mounted"},
			[]string{"laptop network.wrong-desktop-address: EV.address PT.ssh SR.login PT.cache NF.store RB.nonce CH.hit"}},
		{"key name",
			[]string{"laptop CH.signature cache.key-name", "laptop CH.hit cache.not-used"},
			[]string{"laptop cache.key-name: CH.signature CH.hit"}},
		{"distributedBuilds off", []string{"laptop EV.builders builder.not-configured", "laptop RB.nonce builder.built-locally", "laptop HG.offload-test-build command.failed"},
			[]string{"laptop builder.not-configured: EV.builders RB.nonce HG.offload-test-build"}},
		{"port 5000 closed", []string{"laptop PT.cache cache.port-filtered", "laptop CH.narinfo cache.port-filtered", "laptop CH.hit cache.not-used"},
			[]string{"laptop cache.port-filtered: PT.cache CH.narinfo CH.hit"}},
		{"nix-builder not trusted", []string{"desktop EV.trusted builder.untrusted", "laptop RB.nonce builder.untrusted", "laptop RB.copy builder.build-failed"},
			[]string{"desktop builder.untrusted: EV.trusted RB.nonce RB.copy"}},
		{"no NFS export", []string{"desktop NF.exports nfs.no-export", "laptop NF.store nfs.not-mounted", "laptop NF.content nfs.content"},
			[]string{"desktop nfs.no-export: NF.exports NF.store NF.content"}},
		{"fallback off", []string{"laptop EV.fallback nix.fallback-off", "laptop OF.build nix.offline-build-failed"},
			[]string{"laptop nix.fallback-off: EV.fallback OF.build"}},
		{"authorized_keys 0666", []string{"desktop SR.file ssh.strict-modes", "laptop SR.login ssh.login-failed", "laptop RB.nonce builder.built-locally"},
			[]string{"desktop ssh.strict-modes: SR.file SR.login RB.nonce"}},
		{"wrong builder key", []string{"laptop SR.pair keys.pair-mismatch", "laptop SR.login ssh.key-unauthorized", "laptop RB.nonce builder.build-failed"},
			[]string{"laptop keys.pair-mismatch: SR.pair SR.login RB.nonce"}},
		{"http to https", []string{"laptop CH.narinfo cache.scheme", "laptop CH.hit cache.not-used"},
			[]string{"laptop cache.scheme: CH.narinfo CH.hit"}},

		// Faults are blamed on their own path.
		{"a narinfo failure is never SSH's",
			[]string{"laptop SR.login ssh.key-unauthorized", "laptop CH.narinfo cache.daemon-unreachable"},
			[]string{"laptop ssh.key-unauthorized: SR.login", "laptop cache.daemon-unreachable: CH.narinfo"}},
		{"a closed cache port is no builder's",
			[]string{"laptop PT.cache cache.port-filtered", "laptop SR.login ssh.host-key-changed", "laptop NF.store nfs.not-mounted"},
			[]string{"laptop cache.port-filtered: PT.cache", "laptop ssh.host-key-changed: SR.login", "laptop nfs.not-mounted: NF.store"}},
		{"power explains all that needs the desktop",
			[]string{"laptop CH.narinfo cache.http-error", "laptop SR.login ssh.login-failed", "laptop PT.host network.unreachable", "laptop NF.store nfs.not-mounted"},
			[]string{"laptop network.unreachable: PT.host SR.login CH.narinfo NF.store"}},
		{"but no offline fallback: that is what it is for",
			[]string{"laptop PT.host network.unreachable", "laptop OF.build nix.offline-build-failed"},
			[]string{"laptop network.unreachable: PT.host", "laptop nix.offline-build-failed: OF.build"}},

		// Two faults at once are both named, on the same path too.
		{"two paths", []string{"desktop EV.trusted builder.untrusted", "laptop CH.narinfo cache.scheme"},
			[]string{"desktop builder.untrusted: EV.trusted", "laptop cache.scheme: CH.narinfo"}},
		{"trust does not explain a server's error",
			[]string{"laptop EV.keys cache.key-name", "laptop CH.narinfo cache.daemon-unreachable", "laptop CH.hit cache.not-used"},
			[]string{"laptop cache.key-name: EV.keys CH.hit", "laptop cache.daemon-unreachable: CH.narinfo"}},
		{"no port explains a setting",
			[]string{"laptop PT.cache cache.port-filtered", "laptop EV.keys cache.key-name"},
			[]string{"laptop cache.port-filtered: PT.cache", "laptop cache.key-name: EV.keys"}},
		{"builders unset do not explain a refused login",
			[]string{"laptop EV.builders builder.not-configured", "laptop SR.login ssh.key-unauthorized", "laptop RB.nonce builder.built-locally"},
			[]string{"laptop builder.not-configured: EV.builders RB.nonce", "laptop ssh.key-unauthorized: SR.login"}},
		{"a closed port does not explain a bad key file",
			[]string{"laptop PT.ssh ssh.port-filtered", "laptop SR.key keys.permissions", "laptop SR.login ssh.port-filtered"},
			[]string{"laptop ssh.port-filtered: PT.ssh SR.login", "laptop keys.permissions: SR.key"}},
		{"two wrong things in a file", []string{"laptop SR.key keys.permissions", "laptop SR.key2 keys.passphrase", "laptop SR.login ssh.login-failed"},
			[]string{"laptop keys.passphrase: SR.key2 SR.login", "laptop keys.permissions: SR.key"}},
		{"root squashed and not mounted", []string{"laptop NF.write nfs.write-denied", "laptop NF.store nfs.not-mounted"},
			[]string{"laptop nfs.write-denied: NF.write", "laptop nfs.not-mounted: NF.store"}},

		// Who depends on whom.
		{"a laptop's setting breaks no desktop", []string{"laptop EV.cache cache.key-malformed", "desktop CH.local cache.key-name"},
			[]string{"laptop cache.key-malformed: EV.cache", "desktop cache.key-name: CH.local"}},
		{"nor another laptop", []string{"laptop SR.login ssh.host-key-changed", "laptop2 RB.nonce builder.build-failed"},
			[]string{"laptop ssh.host-key-changed: SR.login", "laptop2 builder.build-failed: RB.nonce"}},
		{"the desktop breaks all", []string{"laptop CH.hit cache.port-refused", "desktop EV.enabled config.not-enabled", "laptop2 SR.login ssh.login-failed"},
			[]string{"desktop config.not-enabled: EV.enabled CH.hit SR.login"}},
		{"a service bound to localhost", []string{"laptop PT.cache cache.port-refused", "desktop PT.bind cache.bind-address", "laptop CH.hit cache.not-used"},
			[]string{"desktop cache.bind-address: PT.bind PT.cache CH.hit"}},
		{"a folder that is not there", []string{"desktop NF.exports nfs.no-export", "desktop NF.dir nfs.no-directory"},
			[]string{"desktop nfs.no-directory: NF.dir NF.exports"}},
		{"not enabled explains not exported", []string{"desktop EV.nfs nfs.not-enabled", "laptop PT.nfs nfs.port-filtered", "laptop NF.store nfs.not-mounted"},
			[]string{"desktop nfs.not-enabled: EV.nfs PT.nfs NF.store"}},

		// Commands.
		{"a command that fails is right, on any machine",
			[]string{"desktop HG.offload-server-test command.failed", "laptop PT.cache cache.port-refused"},
			[]string{"laptop cache.port-refused: PT.cache HG.offload-server-test"}},
		{"unless nothing is wrong", []string{"laptop HG.offload-status command.failed"}, []string{"laptop command.failed: HG.offload-status"}},
		{"a command that lies is a fault of its own",
			[]string{"laptop PT.cache cache.port-refused", "laptop HG.cache-status command.disagrees"},
			[]string{"laptop cache.port-refused: PT.cache", "laptop command.disagrees: HG.cache-status"}},
		{"pings are not offload", []string{"laptop PT.ping network.icmp-blocked", "laptop CH.hit cache.scheme"},
			[]string{"laptop network.icmp-blocked: PT.ping", "laptop cache.scheme: CH.hit"}},

		// Findings nobody diagnosed.
		{"undiagnosed above a cause", []string{"laptop PT.cache cache.port-filtered", "laptop CH.warm", "laptop RB.nonce"},
			[]string{"laptop cache.port-filtered: PT.cache CH.warm"}},
		{"undiagnosed alone", []string{"laptop RB.nonce"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := broken(t, c.found...)
			want := slices.Clone(c.want)
			for i, w := range want {
				head, list, _ := strings.Cut(w, ": ")
				want[i] = head + ": " + strings.Join(slices.Sorted(strings.FieldsSeq(list)), " ")
			}
			slices.Sort(want)
			for range 2 {
				var got []string
				for i, cause := range Rank(found) {
					if cause.Rank != i+1 {
						t.Errorf("rank %d at %d", cause.Rank, i)
					}
					got = append(got, fmt.Sprintf("%s %s: %s", cause.Machine, cause.Code,
						strings.Join(slices.Sorted(slices.Values(cause.Explains)), " ")))
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("got  %q\nwant %q", got, want)
				}
				// The causes are the same in whatever order things were found.
				slices.Reverse(found)
			}
		})
	}
}

func TestRankTakesOnlyWhatIsBroken(t *testing.T) {
	found := broken(t, "laptop EV.keys cache.key-name", "laptop CH.hit cache.not-used", "laptop CH.x cache.scheme", "laptop PT.cache cache.port-refused")
	found[0].State, found[1].State, found[3].State = Warns, Skipped, Holds
	found[2].State = Errored
	got := Rank(found)
	if len(got) != 1 || got[0].Code != "cache.scheme" {
		t.Errorf("got %+v", got)
	}
}

func TestRankGathersWhatFindingsKnow(t *testing.T) {
	found := broken(t, "laptop CH.hit cache.key-name", "laptop EV.keys cache.key-name")
	found[1].Diagnosis.Source, found[1].Diagnosis.Remedy = "binary-cache.nix:12", "mend it"
	got := Rank(found)
	if len(got) != 1 || got[0].Source != "binary-cache.nix:12" || got[0].Remedy != "mend it" || got[0].Sentence == "" {
		t.Errorf("got %+v", got)
	}
	if found[0].Diagnosis.Source != "" {
		t.Error("a finding was changed")
	}
}

func TestRankOrder(t *testing.T) {
	got := Rank(broken(t, "laptop CH.hit cache.nar-corrupt", "laptop RB.nonce builder.untrusted", "laptop NF.store nfs.no-export", "laptop SR.login ssh.host-key-changed",
		"laptop PT.nfs nfs.port-filtered", "laptop OF.build nix.fallback-off", "laptop NF.late nfs.content"))
	var codes []string
	for _, c := range got {
		codes = append(codes, c.Code)
	}
	// The export that is missing hides behind the closed port.
	want := []string{"nix.fallback-off", "nfs.port-filtered", "ssh.host-key-changed", "cache.nar-corrupt"}
	if !slices.Equal(codes, want) {
		t.Errorf("got %q", codes)
	}
	if !slices.Equal(got[1].Explains, []string{"NF.store", "PT.nfs", "NF.late"}) {
		t.Errorf("got %q", got[1].Explains)
	}
}
