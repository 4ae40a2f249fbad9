// Package phases is the walk of the four validation phases, in order: desktop,
// laptop, exchange of keys, final validation. Every step has its post-condition.
package phases

import (
	"time"

	"offload-e2e/harness/check"
	"offload-e2e/harness/e2e"
	"offload-e2e/harness/nixos"
	"offload-e2e/suites/internal/proofs"
)

// Administrator is the desktop's admin user.
const Administrator = "cypher"

// Describe registers the walk with Ginkgo, for a run.
func Describe(r *e2e.Run) {
	s := proofs.For(r)
	desktop(s)
	laptop(s)
	exchange(s)
	final(s)
}

func desktop(s proofs.Suite) {
	s.Phase("phase1", "Phase 1: the desktop", 35, func() {
		s.Proves(check.Evaluated(nixos.Desktop))
		s.Proves(check.ServerEnabled())
		s.Proves(check.Sudo(Administrator))
		s.Switches(nixos.Desktop)
		s.Proves(check.BuilderTrusted())
		s.Proves(check.DesktopSandbox())
		s.Proves(check.DesktopAlone())
		for _, svc := range s.Services("ssh", "nfs", "rpcbind") {
			s.Proves(check.PortOpen(svc))
		}
		for _, share := range check.Shares {
			s.Proves(check.Exported(share))
		}
		s.Step("makes the cache's keys", s.MakeCacheKeys)
		s.Proves(check.CacheKeyFiles())
		for _, svc := range s.Services("cache") {
			s.Proves(check.PortOpen(svc))
		}
		s.Proves(check.CacheInfo())
		s.Proves(check.CacheSignature())
		s.Proves(check.BuilderHomeModes())
		s.Ahead(nixos.Laptop, beforeLaptop(s)...)
		s.Types(check.UserCommand{Name: "offload-server-status", Role: nixos.Desktop, Deadline: 30 * time.Second})
		s.Types(check.UserCommand{Name: "offload-server-test", Role: nixos.Desktop, Deadline: 60 * time.Second})
		cacheStatus(s, nixos.Desktop)
	})
}

// beforeLaptop is what a user does before the laptop is switched.
func beforeLaptop(s proofs.Suite) []e2e.Step {
	return []e2e.Step{{Title: "makes the builder key", Do: s.MakeBuilderKey}, {Title: "trusts the desktop's cache key", Do: s.TrustCacheKey}}
}

func laptop(s proofs.Suite) {
	s.Phase("phase2", "Phase 2: the laptop", 20, func() {
		s.Proves(check.Evaluated(nixos.Laptop))
		for _, step := range beforeLaptop(s) {
			s.Step(step.Title, step.Do)
		}
		s.Proves(check.BuilderKey())
		s.Switches(nixos.Laptop)
		s.Proves(check.Ping())
		s.Proves(check.PathMTU())
		s.Proves(check.BuildersConfigured())
		s.Proves(check.BuilderUserExists())
		s.Proves(check.BuilderKeyExists())
		s.Proves(check.Addresses())
		s.Proves(check.TrustedKeys())
		s.Proves(check.Substituters())
		s.Proves(check.OfflineSettings())
		s.Proves(check.BootSafe())
		s.Proves(check.SleepUnits())
		s.Proves(check.LoginDenied())
		s.Proves(check.BuildRefused())
		s.Types(check.UserCommand{Name: "offload-status", Role: nixos.Laptop, Deadline: 45 * time.Second})
		s.Types(check.UserCommand{Name: "offload-test-build", Role: nixos.Laptop, Deadline: 60 * time.Second})
		s.Types(proofs.SetUp)
	})
}

func exchange(s proofs.Suite) {
	s.Phase("phase3", "Phase 3: the exchange of keys", 8, func() {
		s.Step("authorizes the laptop's key on the desktop", s.Authorize)
		s.Proves(check.AuthorizedKey())
		s.Proves(check.Login())
		s.Proves(check.NixOnPath())
		s.Proves(check.Sessions())
		s.Proves(check.Keepalive())
	})
}

func final(s proofs.Suite) {
	s.Phase("phase4", "Phase 4: final validation", 45, func() {
		s.Proves(check.Room(nixos.Desktop))
		s.Proves(check.Room(nixos.Laptop))
		s.Proves(check.RemoteBuild())
		s.Proves(check.CacheHit())
		s.Proves(check.InternetHit())
		s.Types(check.UserCommand{Name: "offload-mount", Role: nixos.Laptop, Deadline: 60 * time.Second})
		for _, share := range check.Shares {
			if s.Lab.NoKernelNFS != "" {
				s.Proves(check.Served(share))
			}
			s.Proves(check.Mounted(share))
		}
		s.Proves(check.Readable(check.Shares[0]))
		s.Proves(check.ReadOnly(check.Shares[0]))
		s.Proves(check.Writable(check.Shares[1]))
		s.Types(check.UserCommand{Name: "offload-status", Role: nixos.Laptop, Deadline: 45 * time.Second})
		s.Types(check.UserCommand{Name: "offload-test-build", Role: nixos.Laptop, Deadline: 60 * time.Second})
		cacheStatus(s, nixos.Laptop)
		// Mounted again afterwards: what returns by itself later is what was there.
		s.Types(check.UserCommand{Name: "offload-unmount", Role: nixos.Laptop, Deadline: 45 * time.Second})
		s.Types(check.UserCommand{Name: "offload-mount", Role: nixos.Laptop, Deadline: 60 * time.Second})
		s.Away(proofs.Unplugged, 60*time.Second)
	})
}

// cacheStatus types the command of a module that a repository may not have.
func cacheStatus(s proofs.Suite, role nixos.Role) {
	if s.Repository.Hosts[role].Imported("binary-cache.nix") {
		s.Types(check.UserCommand{Name: "cache-status", Role: role, Deadline: 30 * time.Second})
	}
}
