package guest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/crypto/ssh"
)

// build makes the image in a folder beside dir and renames it there, so that dir
// is either whole or absent.
func (s *Store) build(ctx context.Context, recipe *Recipe, id, dir string) (err error) {
	// What earlier builds of this image left when they were killed; the lock is ours.
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), id+".building-") {
			s.say("removing what a build that was cut off left: %s", e.Name())
			if err := os.RemoveAll(filepath.Join(filepath.Dir(dir), e.Name())); err != nil {
				return err
			}
		}
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), id+".building-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	// mmdebstrap's hooks may run as another user (its "unshare" mode).
	out := filepath.Join(tmp, "out")
	if err := os.Mkdir(out, 0o777); err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(tmp, 0o755), os.Chmod(out, 0o777)); err != nil {
		return err
	}
	seed := filepath.Join(tmp, "seed")
	if err := writeKeys(seed, out); err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	started := time.Now()
	raw := filepath.Join(out, "disk.img")
	if err := s.bootstrap(ctx, recipe, seed, out, raw); err != nil {
		return err
	}
	s.say("converting the disk")
	if err := run(ctx, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, filepath.Join(out, DiskName)); err != nil {
		return err
	}
	if err := compress(filepath.Join(out, rootfsTar), filepath.Join(out, RootfsName)); err != nil {
		return fmt.Errorf("compress the root file system: %w", err)
	}
	versions, err := readVersions(filepath.Join(out, "versions"))
	if err != nil {
		return fmt.Errorf("read what was installed: %w", err)
	}
	if err := errors.Join(os.Remove(raw), os.Remove(filepath.Join(out, rootfsTar)), writeNixWrappers(filepath.Join(out, "nix"))); err != nil {
		return err
	}
	s.say("writing the manifest")
	m := Manifest{Kind: Embedded, ID: id, Append: strings.TrimSpace(recipe.Append), Versions: versions, Built: time.Now().UTC()}
	if err := writeManifest(out, m); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if err := errors.Join(os.Chmod(out, 0o755), os.Rename(out, dir), os.RemoveAll(tmp)); err != nil {
		return err
	}
	s.say("guest image %s built in %.0f s", id, time.Since(started).Seconds())
	return nil
}

// bootstrap runs mmdebstrap, which leaves the disk and the bundle's files in out.
func (s *Store) bootstrap(ctx context.Context, recipe *Recipe, seed, out, raw string) error {
	hook := func(words ...string) string {
		for i, w := range words {
			if strings.HasPrefix(w, "/") {
				words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
			}
		}
		return "--customize-hook=" + strings.Join(words, " ")
	}
	args := []string{
		"--mode=auto", "--variant=apt", "--format=null", "--components=main",
		"--include=" + strings.Join(recipe.Packages, ","),
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/info/*",
		// The stock initrd is not used: ours is three files.
		`--essential-hook=mkdir -p "$1/etc/kernel/postinst.d" "$1/etc/initramfs-tools/conf.d"`,
		hook("sync-in", filepath.Join(recipe.dir, "rootfs"), "/"),
		hook("sync-in", seed, "/etc/offload-e2e"),
		hook("copy-in", filepath.Join(recipe.dir, "customize.sh"), "/"),
		`--customize-hook=chroot "$1" sh /customize.sh`,
		`--customize-hook=rm -f "$1/customize.sh"`,
		hook("sync-out", "/bundle", out),
		`--customize-hook=rm -rf "$1/bundle"`,
		// ext4, not an overlay: the kernel's NFS server exports it. The bind mount
		// leaves out /proc and what else is mounted below while hooks run.
		fmt.Sprintf(`--customize-hook=m=$(mktemp -d) && mount --bind "$1" "$m" && mke2fs -q -t ext4 -L nixos -d "$m" '%s' %dM && `+
			`tar -C "$m" --numeric-owner --xattrs --xattrs-include='*' --exclude=./usr/lib/modules -cf '%s' . && umount "$m" && rmdir "$m"`,
			strings.ReplaceAll(raw, "'", `'\''`), recipe.DiskMiB, strings.ReplaceAll(filepath.Join(out, rootfsTar), "'", `'\''`)),
		recipe.Suite, "-",
	}
	if s.Mirror != "" {
		args = append(args, s.Mirror)
	}
	s.say("building the guest image from Debian packages (%s, %d packages and what they need)", recipe.Suite, len(recipe.Packages))
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	// Its own process group, so that cancelling reaches apt and dpkg below it, and
	// SIGTERM first, so that it can unmount what it has mounted.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	pr, pw := io.Pipe()
	cmd.Stdout, cmd.Stderr = pw, pw
	tail := make(chan string, 1)
	go func() { tail <- s.follow(pr) }()
	err := cmd.Run()
	pw.Close()
	last := <-tail
	if ctx.Err() != nil {
		if cmd.Process != nil {
			// What of its children did not end with it must not write any more.
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		return context.Cause(ctx)
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("mmdebstrap is not installed: run `make setup`: %w", err)
	}
	if err != nil && strings.Contains(last, "No space left on device") {
		err = syscall.ENOSPC
	}
	if err != nil {
		return fmt.Errorf("mmdebstrap: %w; its last lines:\n%s", err, last)
	}
	return nil
}

// follow shows mmdebstrap's own progress and returns its last lines.
func (s *Store) follow(r io.Reader) string {
	var last []string
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := strings.TrimSpace(sc.Text())
		if line == "" {
			continue
		}
		if last = append(last, line); len(last) > 15 {
			last = last[1:]
		}
		if text, ok := strings.CutPrefix(line, "I: "); ok && !strings.HasPrefix(text, "running --") {
			s.say("  %s", text)
		}
	}
	_, _ = io.Copy(io.Discard, r)
	return strings.Join(last, "\n")
}

// writeKeys makes the harness's key and the host key of the management sshd.
// seed is what goes into the guest, out what stays with the harness.
func writeKeys(seed, out string) error {
	if err := os.Mkdir(seed, 0o755); err != nil {
		return err
	}
	user, userPub, err := newKey("offload-e2e")
	if err != nil {
		return err
	}
	host, hostPub, err := newKey("offload-e2e-guest")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(out, KeyName), user, 0o600),
		os.WriteFile(filepath.Join(out, HostKeyName), hostPub, 0o644),
		os.WriteFile(filepath.Join(seed, authorizedName), userPub, 0o644),
		os.WriteFile(filepath.Join(seed, hostPrivateName), host, 0o600),
	)
}

func newKey(comment string) (private, public []byte, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(priv, comment)
	if err != nil {
		return nil, nil, err
	}
	sshPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(block), ssh.MarshalAuthorizedKey(sshPub), nil
}

// rootfsTar is the root file system as the build leaves it.
const rootfsTar = "rootfs.tar"

// compress writes a file's content, compressed by zstd's fastest.
func compress(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return errors.Join(err, out.Close())
	}
	_, err = io.Copy(z, in)
	return errors.Join(err, z.Close(), out.Close())
}

func readVersions(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	versions := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			versions[k] = v
		}
	}
	return versions, nil
}

// writeNixWrappers makes programs that run the bundle's Nix by its own loader, so
// that the host's C library does not matter.
func writeNixWrappers(dir string) error {
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	const script = `#!/bin/sh
here=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
exec "$here/lib/ld-linux-x86-64.so.2" --argv0 %s --library-path "$here/lib" "$here/libexec/nix" "$@"
`
	var errs []error
	for _, name := range []string{"nix", "nix-instantiate", "nix-store", "nix-daemon", "nix-build", "nix-shell"} {
		errs = append(errs, os.WriteFile(filepath.Join(bin, name), fmt.Appendf(nil, script, name), 0o755))
	}
	return errors.Join(errs...)
}

func run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(out.String()))
	}
	return nil
}
