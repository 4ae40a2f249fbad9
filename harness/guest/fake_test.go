package guest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeMmdebstrap leaves what the real one leaves: the disk, and in the bundle the
// files of customize.sh. BEHAVIOUR is what else it does. Its arguments are noted
// beside it, a line each.
const fakeMmdebstrap = `#!/bin/sh
here=$(dirname "$0")
word() { n=$1; eval "set -- $2"; eval "printf '%s' \"\${$n}\""; }
for a in "$@"; do
  printf '%s\n' "$a" >>"$here/arguments"
  case $a in
  "--customize-hook=sync-out '/bundle' "*) out=$(word 3 "${a#*=}") ;;
  "--customize-hook=sync-in "*"/etc/offload-e2e'") seed=$(word 2 "${a#*=}") ;;
  esac
done
echo run >>"$here/runs"
echo "I: automatically chosen mode: fake"
echo "I: running --customize-hook in shell: noise"
echo "Get:1 noise"
BEHAVIOUR
test -s "$seed/authorized_keys" || { echo "E: no key"; exit 1; }
mkdir -p "$out/nix/lib" "$out/nix/libexec"
echo kernel >"$out/vmlinuz"
echo initrd >"$out/initrd.img"
printf 'nix=2.26.3\nlinux=6.12\nnoise\n' >"$out/versions"
echo disk >"$out/disk.img"
echo files >"$out/rootfs.tar"
echo nix >"$out/nix/libexec/nix"
printf '#!/bin/sh\nprintf "%%s\\n" "$@"\n' >"$out/nix/lib/ld-linux-x86-64.so.2"
chmod 755 "$out/nix/lib/ld-linux-x86-64.so.2"
`

// fakes puts a mmdebstrap and a qemu-img before those of the machine, and returns
// the folder they are in.
func fakes(t *testing.T, behaviour string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "mmdebstrap"), strings.Replace(fakeMmdebstrap, "BEHAVIOUR", behaviour, 1), 0o755)
	write(t, filepath.Join(dir, "qemu-img"), "#!/bin/sh\ntest \"$1 $2 $3 $4 $5\" = 'convert -f raw -O qcow2' && cp \"$6\" \"$7\"\n", 0o755)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dir
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const recipeText = `suite: trixie
diskMiB: 100
append: >-
  root=/dev/vda
  rw
packages:
  - nix-bin # a comment
  - openssh-server
`

// recipeDir is a recipe's folder.
func recipeDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "recipe.yaml"), recipeText, 0o644)
	write(t, filepath.Join(dir, "customize.sh"), "#!/bin/sh\n", 0o755)
	write(t, filepath.Join(dir, "rootfs/etc/motd"), "welcome\n", 0o644)
	return dir
}

func recipe(t *testing.T) *Recipe {
	t.Helper()
	r, err := LoadRecipe(recipeDir(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// until waits for a condition, without a limit of its own.
func until(t *testing.T, ctx context.Context, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("still no %s", what)
		case <-tick.C:
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// entries are what a folder holds, without locks.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), ".lock") {
			out = append(out, e.Name())
		}
	}
	return out
}

// heard collects what a store says.
type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.lines, "\n")
}
