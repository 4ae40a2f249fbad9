package e2e

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"offload-e2e/harness/check"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
)

// MakeBuilderKey makes the laptop's key pair where its configuration looks for it,
// unless it is there (phase 2, step 2).
func (r *Run) MakeBuilderKey(ctx context.Context) error {
	const script = `[ -e "$1" ] || { mkdir -p "$(dirname "$1")" && ssh-keygen -q -t ed25519 -N "" -C nix-builder@laptop-to-desktop -f "$1"; }`
	_, err := r.Succeed(ctx, nixos.Laptop, "", "bash", "-c", script, "key", r.Bench().BuilderKeyPath())
	return err
}

// TrustCacheKey writes the desktop's public key into the laptop's configuration
// (phase 2, step 5); with KEYS=config nothing is written.
func (r *Run) TrustCacheKey(ctx context.Context) error {
	if !r.Exchange {
		return nil
	}
	res, err := r.Lab.Desktop.Exec(ctx, provider.Cmd("cat", check.CachePublicKeyPath))
	if err != nil {
		return err
	}
	key, err := check.ParsePublicKey(res.Text())
	if err != nil {
		// The desktop's own finding says so; there is nothing to hand over.
		return nil //nolint:nilerr
	}
	setting, err := r.trustSetting(ctx, key)
	if err != nil {
		return err
	}
	err = r.Reevaluate(ctx, nixos.Laptop, setting)
	var broken *nixos.EvaluationError
	if errors.As(err, &broken) {
		return fmt.Errorf("the laptop's configuration no longer evaluates with the desktop's key added: %w", err)
	}
	return err
}

// trustSetting adds a key to what the laptop trusts, as a user does who writes it in
// the place of the one before: at the priority that is in force, and first, since
// Nix takes the first key of a name.
func (r *Run) trustSetting(ctx context.Context, key check.PublicKey) (string, error) {
	const option = "nix.settings.trusted-public-keys"
	now, err := r.explain(ctx, nixos.Laptop, option)
	if err != nil {
		return "", fmt.Errorf("look at the keys that the laptop trusts: %w", err)
	}
	return fmt.Sprintf(`{ %s = lib.mkOverride %d (lib.mkOrder 1 [ %s ]); }`, option, now.Priority, nixos.Quote(key.String())), nil
}

// Authorize appends the laptop's public key to the builder's authorized_keys on
// the desktop (phase 3), as the user is told to. A file that is there keeps its
// owner and mode; only where there is none it is made, as it has to be.
func (r *Run) Authorize(ctx context.Context) error {
	bench := r.Bench()
	public, err := r.Succeed(ctx, nixos.Laptop, "", "cat", bench.BuilderKeyPath()+".pub")
	if err != nil {
		return err
	}
	const script = `[ -e "$1" ] || { install -d -m 700 -o "$2" -g "$(id -gn "$2")" "$(dirname "$1")" && install -m 600 -o "$2" -g "$(id -gn "$2")" /dev/null "$1"; }; cat >>"$1"`
	_, err = r.Succeed(ctx, nixos.Desktop, public+"\n", "bash", "-c", script, "authorize",
		path.Join(bench.BuilderHome(), ".ssh/authorized_keys"), bench.BuilderUser())
	if err != nil {
		return err
	}
	return r.waitPenalty(ctx)
}

// penalized ends with 0 unless the desktop's sshd turns the laptop away before it says
// who it is. A look is a connection without a login, which costs a second of penalty
// by itself and may be the one too many: so it looks once more after that second.
const penalized = `timeout 15 bash -c '
  look() { exec 3<>"/dev/tcp/$1/22" || exit 2; IFS= read -r -t 5 line <&3; exec 3>&-; [[ $line == SSH-* ]] || exit 1; }
  look "$1"; sleep 2; look "$1"' look "$1"
[ $? -ne 1 ]`

// waitPenalty waits until the desktop's sshd listens to the laptop again: the logins
// that it refused in phase 2 came faster than a person's, and it makes who fails so
// often wait (PerSourcePenalties, sshd_config(5)). An sshd that never does, or cannot
// be reached, is for the checks to find.
func (r *Run) waitPenalty(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_ = r.Lab.Laptop.WaitForCommand(waiting, "bash", "-c", penalized, "penalized", lab.DesktopAddr.String())
	return ctx.Err()
}

// MakeCacheKeys types offload-generate-cache-keys (phase 1, step 5). A key that is
// there already is not overwritten: the command asks, and "n" is typed.
func (r *Run) MakeCacheKeys(ctx context.Context) error {
	answer := "y\n"
	if _, err := r.Succeed(ctx, nixos.Desktop, "", "test", "-s", r.Bench().CacheKeyPath()); err == nil {
		answer = "n\n"
	}
	r.Type(ctx, check.UserCommand{Name: "offload-generate-cache-keys", Role: nixos.Desktop, Stdin: answer, Deadline: 30 * time.Second})
	if answer == "n\n" {
		return nil
	}
	// A server that found no key at its start is started again by systemd in a few
	// seconds. If it is not, the checks that follow say so.
	waiting, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_ = r.Lab.Desktop.WaitForPort(waiting, r.Bench().CachePort())
	return ctx.Err()
}

func (r *Run) switchQuietly(role nixos.Role) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := r.Machine(role).Switch(ctx, r.Configurations[role])
		return err
	}
}
