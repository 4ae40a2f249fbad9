// Package phases is the walk of the four validation phases, in order: desktop,
// laptop, exchange of keys, final validation. Every step has its post-condition.
package phases

import (
	"context"
	"path"
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
		for _, svc := range s.Services("ssh", "nfs", "rpcbind") {
			s.Proves(check.PortOpen(svc))
		}
		for _, share := range check.Shares {
			s.Proves(check.Exported(share))
		}
		// A key that is there already is not overwritten: the command asks, and "n" is
		// typed. Where there is none, it is made now, and the cache waits for it.
		s.Step("makes the cache's keys", func(ctx context.Context) error {
			answer := "y\n"
			if _, err := s.Succeed(ctx, nixos.Desktop, "", "test", "-s", s.CacheKeyPath()); err == nil {
				answer = "n\n"
			}
			s.Type(ctx, check.UserCommand{Name: "offload-generate-cache-keys", Role: nixos.Desktop, Stdin: answer, Deadline: 30 * time.Second})
			return nil
		})
		s.Proves(check.CacheKeyFiles())
		for _, svc := range s.Services("cache") {
			s.Proves(check.PortOpen(svc))
		}
		s.Proves(check.CacheInfo())
		s.Proves(check.CacheSignature())
		s.Proves(check.BuilderHomeModes())
		s.Types(check.UserCommand{Name: "offload-server-status", Role: nixos.Desktop, Deadline: 30 * time.Second})
		s.Types(check.UserCommand{Name: "offload-server-test", Role: nixos.Desktop, Deadline: 60 * time.Second})
	})
}

func laptop(s proofs.Suite) {
	s.Phase("phase2", "Phase 2: the laptop", 20, func() {
		s.Proves(check.Evaluated(nixos.Laptop))
		s.Step("makes the builder key", func(ctx context.Context) error {
			key := s.BuilderKeyPath()
			const make = `[ -e "$1" ] || { mkdir -p "$(dirname "$1")" && ssh-keygen -q -t ed25519 -N "" -C nix-builder@laptop-to-desktop -f "$1"; }`
			_, err := s.Succeed(ctx, nixos.Laptop, "", "bash", "-c", make, "key", key)
			return err
		})
		s.Proves(check.BuilderKey())
		s.Step("trusts the desktop's cache key", s.TrustCacheKey)
		s.Proves(check.Ping())
		s.Switches(nixos.Laptop)
		s.Proves(check.BuildersConfigured())
		s.Proves(check.BuilderUserExists())
		s.Proves(check.Addresses())
		s.Proves(check.TrustedKeys())
		s.Proves(check.Substituters())
		s.Proves(check.OfflineSettings())
		s.Proves(check.BootSafe())
		s.Proves(check.LoginDenied())
		s.Proves(check.BuildRefused())
		s.Types(check.UserCommand{Name: "offload-status", Role: nixos.Laptop, Deadline: 45 * time.Second})
		s.Types(check.UserCommand{Name: "offload-test-build", Role: nixos.Laptop, Deadline: 60 * time.Second})
	})
}

func exchange(s proofs.Suite) {
	s.Phase("phase3", "Phase 3: the exchange of keys", 8, func() {
		s.Step("authorizes the laptop's key on the desktop", func(ctx context.Context) error {
			public, err := s.Succeed(ctx, nixos.Laptop, "", "cat", s.BuilderKeyPath()+".pub")
			if err != nil {
				return err
			}
			// As the user is told: append a line. A file that is there keeps its owner and
			// mode; only where there is none it is made, as it has to be.
			const add = `[ -e "$1" ] || { install -d -m 700 -o "$2" -g "$(id -gn "$2")" "$(dirname "$1")" && install -m 600 -o "$2" -g "$(id -gn "$2")" /dev/null "$1"; }; cat >>"$1"`
			_, err = s.Succeed(ctx, nixos.Desktop, public+"\n", "bash", "-c", add, "authorize", path.Join(s.BuilderHome(), ".ssh/authorized_keys"), s.BuilderUser())
			return err
		})
		s.Proves(check.AuthorizedKey())
		s.Proves(check.Login())
		s.Proves(check.NixOnPath())
	})
}

func final(s proofs.Suite) {
	s.Phase("phase4", "Phase 4: final validation", 45, func() {
		s.Proves(check.RemoteBuild())
		s.Proves(check.CacheHit())
		s.Types(check.UserCommand{Name: "offload-mount", Role: nixos.Laptop, Deadline: 60 * time.Second})
		for _, share := range check.Shares {
			s.Proves(check.Mounted(share))
		}
		s.Proves(check.Readable(check.Shares[0]))
		s.Proves(check.ReadOnly(check.Shares[0]))
		s.Proves(check.Writable(check.Shares[1]))
		s.Types(check.UserCommand{Name: "offload-status", Role: nixos.Laptop, Deadline: 45 * time.Second})
		s.Types(check.UserCommand{Name: "offload-test-build", Role: nixos.Laptop, Deadline: 60 * time.Second})
		s.Types(check.UserCommand{Name: "cache-status", Role: nixos.Laptop, Deadline: 30 * time.Second})
		s.Away(proofs.Unplugged, 60*time.Second)
		s.Types(check.UserCommand{Name: "offload-unmount", Role: nixos.Laptop, Deadline: 45 * time.Second})
	})
}
