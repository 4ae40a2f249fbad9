package check

import (
	"slices"
	"strings"
	"testing"

	"offload-e2e/harness/report"
)

// explained are, for each diagnosis, what it is the cause of where both are found, on
// one laptop: "code" or "@family" for a failure of that family that nobody diagnosed.
// What a code does not explain, and stands in another's line, stays a cause of its
// own.
var explained = map[string]string{
	"network.unreachable":           "ssh.port-filtered cache.port-filtered nfs.port-filtered ssh.login-failed cache.http-error nfs.not-mounted builder.build-failed builder.lost cache.not-used",
	"network.dropped":               "ssh.port-filtered cache.http-error nfs.not-mounted builder.build-failed",
	"network.rejected":              "ssh.port-filtered cache.http-error nfs.not-mounted builder.build-failed",
	"network.wrong-desktop-address": "network.unreachable ssh.port-filtered ssh.login-failed cache.not-used nfs.not-mounted builder.built-locally",
	"network.mtu-blackhole":         "ssh.login-failed ssh.banner-timeout cache.http-error cache.not-used builder.build-failed nfs.content",
	"network.icmp-blocked":          "",
	"ssh.port-refused":              "ssh.login-failed builder.build-failed builder.built-locally",
	"ssh.port-filtered":             "ssh.login-failed builder.build-failed",
	"ssh.rate-limited":              "ssh.login-failed builder.build-failed builder.hangs",
	"cache.port-refused":            "cache.http-error cache.not-used",
	"cache.port-filtered":           "cache.http-error cache.not-used",
	"cache.bind-address":            "cache.port-refused cache.http-error cache.not-used",
	"nfs.port-refused":              "nfs.not-mounted nfs.hangs nfs.content",
	"nfs.port-filtered":             "nfs.not-mounted nfs.hangs",
	"nfs.no-threads":                "nfs.not-mounted nfs.hangs nfs.content",
	"nfs.rpcbind-closed":            "nfs.not-mounted",
	"builder.not-configured":        "builder.built-locally builder.build-failed",
	"builder.list-swallowed":        "builder.built-locally builder.build-failed",
	"builder.machines-shadowed":     "builder.built-locally builder.build-failed",
	"builder.user-unknown":          "ssh.login-failed ssh.key-unauthorized builder.built-locally",
	"builder.untrusted":             "builder.build-failed",
	"builder.not-allowed":           "builder.build-failed",
	"builder.setting-ignored":       "builder.built-locally",
	"builder.system-mismatch":       "builder.built-locally",
	"builder.feature-missing":       "builder.build-failed",
	"builder.no-slots":              "builder.built-locally",
	"builder.few-slots":             "",
	"builder.slower-than-local":     "nfs.mount-timeout",
	"builder.waits-for-internet":    "builder.build-failed builder.hangs",
	"builder.lost":                  "",
	"builder.hangs":                 "",
	"builder.upload-locked":         "builder.hangs builder.build-failed",
	"builder.output-locked":         "builder.hangs builder.build-failed",
	"builder.built-locally":         "",
	"builder.build-failed":          "",
	"cache.no-internet":             "",
	"builder.collected":             "builder.build-failed",
	"builder.store-full":            "builder.build-failed nfs.full cache.not-used",
	"builder.no-inodes":             "builder.build-failed nfs.full",
	"nix.restrict-eval":             "",
	"nix.store-full":                "",
	"nix.no-inodes":                 "",
	"nix.fallback-off":              "nix.offline-build-failed",
	"nix.no-local-capacity":         "nix.offline-build-failed",
	"nix.connect-timeout":           "nix.fallback-slow",
	"nix.sandbox-off":               "",
	"nix.daemon-dead":               "cache.http-error builder.build-failed",
	"nix.offline-build-failed":      "",
	"nix.fallback-slow":             "",
	"config.switch-failed":          "ssh.port-refused cache.port-refused nfs.not-mounted builder.build-failed",
	"config.unit-failed":            "cache.port-refused",
	"config.not-in-force":           "",
	"config.not-enabled":            "ssh.port-refused cache.port-refused nfs.port-refused builder.build-failed",
	"config.conflict":               "",
	"config.no-option":              "",
	"config.assertion":              "",
	"config.does-not-evaluate":      "",
	"command.hangs":                 "",
	"command.missing":               "",
	"power.sleep-once":              "",
	"ssh.host-key-unverified":       "",
	"ssh.sshd-refuses":              "builder.build-failed",
	"ssh.key-unauthorized":          "ssh.login-failed builder.build-failed builder.built-locally",
	"ssh.key-too-early":             "",
	"ssh.strict-modes":              "ssh.key-unauthorized ssh.login-failed builder.build-failed",
	"ssh.no-authorized-keys":        "ssh.key-unauthorized ssh.login-failed builder.build-failed",
	"ssh.line-differs":              "ssh.key-unauthorized ssh.login-failed",
	"ssh.no-shell":                  "ssh.login-failed builder.build-failed",
	"ssh.host-key-unknown":          "ssh.login-failed builder.build-failed",
	"ssh.host-key-changed":          "ssh.login-failed builder.build-failed",
	"ssh.control-path":              "ssh.login-failed builder.build-failed",
	"ssh.banner-timeout":            "builder.build-failed",
	"ssh.login-failed":              "builder.build-failed",
	"ssh.no-nix":                    "builder.build-failed",
	"ssh.no-timeout":                "",
	"ssh.stale-master":              "",
	"ssh.few-sessions":              "",
	"ssh.no-keepalive":              "builder.lost",
	"keys.missing":                  "ssh.key-unauthorized ssh.login-failed builder.build-failed",
	"keys.invalid":                  "ssh.login-failed builder.build-failed",
	"keys.permissions":              "ssh.login-failed builder.build-failed",
	"keys.passphrase":               "ssh.login-failed builder.build-failed",
	"keys.pair-mismatch":            "ssh.key-unauthorized ssh.login-failed builder.build-failed",
	"cache.not-configured":          "cache.not-used",
	"cache.wrong-port":              "cache.port-refused cache.http-error cache.not-used",
	"cache.scheme":                  "cache.http-error cache.not-used",
	"cache.order":                   "cache.not-used",
	"cache.key-malformed":           "cache.key-untrusted cache.not-used",
	"cache.key-name":                "cache.not-used",
	"cache.key-untrusted":           "cache.not-used",
	"cache.key-shadowed":            "cache.not-used",
	"cache.key-unused":              "",
	"cache.key-file":                "cache.not-used",
	"cache.key-permissions":         "cache.not-used",
	"cache.unsigned":                "cache.not-used",
	"cache.stale-key":               "cache.not-used",
	"cache.signature":               "cache.not-used",
	"cache.daemon-unreachable":      "cache.http-error cache.not-used",
	"cache.daemon-refuses":          "cache.http-error cache.not-used",
	"cache.http-error":              "cache.not-used",
	"cache.negative-cached":         "cache.not-used",
	"cache.not-used":                "",
	"cache.nar-gone":                "cache.not-used",
	"cache.nar-corrupt":             "cache.not-used",
	"cache.collected":               "cache.not-used",
	"nfs.pseudo-root":               "nfs.not-mounted nfs.content",
	"nfs.full":                      "",
	"nfs.not-exported":              "nfs.no-export nfs.not-mounted nfs.content",
	"nfs.no-export":                 "nfs.not-mounted nfs.content",
	"nfs.no-directory":              "nfs.no-export nfs.not-mounted nfs.content",
	"nfs.not-enabled":               "nfs.port-refused nfs.not-mounted",
	"nfs.no-mount":                  "nfs.not-mounted nfs.content",
	"nfs.access-denied":             "nfs.not-mounted nfs.content",
	"nfs.not-mounted":               "nfs.content",
	"nfs.mount-timeout":             "",
	"nfs.not-nfs":                   "nfs.content",
	"nfs.content":                   "",
	"nfs.write-denied":              "",
	"nfs.not-read-only":             "",
	"nfs.hard-mount":                "",
	"nfs.hangs":                     "nfs.not-mounted nfs.content",
	"nfs.waits-forever":             "",
	"nfs.automount-dead":            "nfs.not-mounted nfs.content",
	"nfs.stale-handle":              "nfs.content",
	"nfs.small-blocks":              "nfs.slow",
	"nfs.slow":                      "",
}

// Every diagnosis explains what follows from it, and alone of the two is a cause; what
// does not follow from it is named beside it.
func TestWhatExplainsWhat(t *testing.T) {
	find := func(code, check string) report.Finding {
		family, _, _ := strings.Cut(check, ".")
		return report.Finding{Check: check, Family: family, Machine: "laptop", State: report.Broken,
			Diagnosis: &report.Diagnosis{Code: code, Layer: Catalogue[code].Layer, Sentence: code}}
	}
	causes := func(found ...report.Finding) (codes []string) {
		for _, c := range report.Rank(found) {
			codes = append(codes, c.Code)
		}
		return codes
	}
	for code := range Catalogue {
		follows, listed := explained[code]
		if !listed {
			t.Errorf("nobody says what %s explains", code)
		}
		for f := range strings.FieldsSeq(follows) {
			if _, known := Catalogue[f]; !known {
				t.Errorf("%s explains %s, which is no code", code, f)
			}
			if got := causes(find(f, "XX.b"), find(code, "XX.a")); !slices.Equal(got, []string{code}) {
				t.Errorf("%s and %s: the causes are %v, the first explains the second", code, f, got)
			}
		}
		// Two faults at once that have nothing to do with each other.
		for _, other := range []string{"nix.sandbox-off", "command.missing"} {
			if code == other || strings.HasPrefix(code, "config.") {
				continue
			}
			got := causes(find(code, "XX.a"), find(other, "XX.b"))
			if len(got) != 2 {
				t.Errorf("%s and %s: the causes are %v, both should be", code, other, got)
			}
		}
	}
	for code := range explained {
		if _, known := Catalogue[code]; !known {
			t.Errorf("%s is no code", code)
		}
	}
}

// Faults on different ways from the laptop to the desktop are all named.
func TestFaultsOnDifferentWays(t *testing.T) {
	find := func(code string) report.Finding {
		return report.Finding{Check: "XX." + code, Family: "XX", Machine: "laptop", State: report.Broken,
			Diagnosis: &report.Diagnosis{Code: code, Layer: Catalogue[code].Layer, Sentence: code}}
	}
	for _, pair := range [][2]string{
		{"cache.daemon-unreachable", "ssh.key-unauthorized"}, {"cache.key-name", "builder.untrusted"}, {"nfs.access-denied", "cache.port-filtered"},
		{"ssh.strict-modes", "nfs.no-directory"}, {"nfs.waits-forever", "network.unreachable"}, {"ssh.stale-master", "network.unreachable"},
		{"builder.not-configured", "builder.setting-ignored"}, {"nix.fallback-off", "network.unreachable"}, {"cache.stale-key", "nfs.write-denied"},
		{"network.icmp-blocked", "cache.scheme"}, {"power.sleep-once", "builder.not-configured"}, {"builder.store-full", "cache.key-name"},
	} {
		for _, found := range [][]report.Finding{{find(pair[0]), find(pair[1])}, {find(pair[1]), find(pair[0])}} {
			if got := report.Rank(found); len(got) != 2 {
				t.Errorf("%s and %s: the causes are %+v, both should be", pair[0], pair[1], got)
			}
		}
	}
}
