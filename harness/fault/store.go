package fault

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"offload-e2e/harness/document"
	"offload-e2e/harness/nixos"
)

// RotateKey makes a key anew where it was, as a user does who has lost it, and tells
// nobody.
type RotateKey struct {
	Key     string `yaml:"key" need:"yes" enum:"cache,desktop-host,builder" doc:"cache: the desktop's signing key pair; desktop-host: its ssh host keys; builder: the laptop's key pair"`
	Restart bool   `yaml:"restart" doc:"what uses the key is started again, too"`

	before string
}

func (f *RotateKey) String() string { return "new " + f.Key + " key" }

// keys are the scripts that make a key anew, and the service that uses it.
var keys = map[string]struct {
	machine              nixos.Role
	files, script, start string
}{
	"cache": {nixos.Desktop, "/var/cache-priv-key.pem /var/cache-pub-key.pem",
		`rm -f /var/cache-priv-key.pem /var/cache-pub-key.pem; umask 077; nix-store --generate-binary-cache-key "$(cut -d: -f1 <"$backup/cache-pub-key.pem")" /var/cache-priv-key.pem /var/cache-pub-key.pem; chmod 644 /var/cache-pub-key.pem; chown --reference="$backup/cache-priv-key.pem" /var/cache-priv-key.pem`, "nix-serve.service"},
	"desktop-host": {nixos.Desktop, "/etc/ssh/ssh_host_*", `rm -f /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null`, "sshd.service"},
	"builder": {nixos.Laptop, "/etc/nix/builder_key /etc/nix/builder_key.pub",
		`rm -f /etc/nix/builder_key /etc/nix/builder_key.pub; ssh-keygen -q -t ed25519 -N "" -C nix-builder@laptop-to-desktop -f /etc/nix/builder_key`, ""},
}

func (f *RotateKey) look(ctx context.Context, w World) (string, error) {
	k := keys[f.Key]
	return bash(ctx, w, k.machine, `cat `+k.files+` | sha256sum`)
}

func (f *RotateKey) Apply(ctx context.Context, w World) (Undo, error) {
	k := keys[f.Key]
	var err error
	if f.before, err = f.look(ctx, w); err != nil {
		return nil, err
	}
	restart := ":"
	if f.Restart && k.start != "" {
		restart = "systemctl restart " + k.start
	}
	backup := "backup=/run/offload-e2e-key-" + f.Key + "; "
	_, err = bash(ctx, w, k.machine, backup+`mkdir -m 700 "$backup"; cp -a `+k.files+` "$backup"; `+k.script+"; "+restart)
	return func(ctx context.Context) error {
		_, err := bash(ctx, w, k.machine, backup+`cp -a "$backup"/* "$(dirname `+strings.Fields(k.files)[0]+` | head -n 1)"; rm -rf "$backup"; `+restart)
		return err
	}, err
}

func (f *RotateKey) Probe(ctx context.Context, w World) (bool, string, error) {
	now, err := f.look(ctx, w)
	return now != f.before, "digest " + now, err
}

// CollectGarbage deletes what nothing holds in a machine's store.
type CollectGarbage struct {
	Machine nixos.Role `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"which machine"`

	said string
}

func (f *CollectGarbage) String() string { return "garbage collection on the " + string(f.Machine) }

func (f *CollectGarbage) Apply(ctx context.Context, w World) (Undo, error) {
	var err error
	f.said, err = bash(ctx, w, f.Machine, `NIX_REMOTE=daemon nix-store --gc 2>&1 | tail -n 1`)
	return nil, err
}

func (f *CollectGarbage) Probe(context.Context, World) (bool, string, error) {
	return strings.Contains(f.said, "store paths deleted"), f.said, nil
}

// Over is true: what is deleted is gone.
func (*CollectGarbage) Over() bool { return true }

// FillDisk fills the file system that holds a folder.
type FillDisk struct {
	Machine nixos.Role    `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"which machine"`
	Path    string        `yaml:"path" doc:"a folder of the file system"`
	Leave   document.Size `yaml:"leave" doc:"how much stays free"`
	Inodes  bool          `yaml:"inodes" doc:"its inodes are used up, not its bytes"`
}

func (f *FillDisk) String() string {
	if f.Inodes {
		return "no inodes left in " + f.Path + " on the " + string(f.Machine)
	}
	return fmt.Sprintf("%s left in %s on the %s", f.Leave, f.Path, f.Machine)
}

// filling is the folder of what fills a disk.
const filling = ".offload-e2e-filling"

func (f *FillDisk) Apply(ctx context.Context, w World) (Undo, error) {
	back := func(ctx context.Context) error {
		_, err := bash(ctx, w, f.Machine, `rm -rf -- "$1"/`+filling, f.Path)
		return err
	}
	if f.Inodes {
		// Hard links take no inodes; folders and empty files do. Python is not there.
		_, err := bash(ctx, w, f.Machine, `d="$1"/`+filling+`; mkdir "$d"; cd "$d"; free=$(df --output=iavail . | tail -n 1)
for i in $(seq 0 5000 "$free"); do mkdir "$i" && (cd "$i" && seq 1 5000 | xargs touch) 2>/dev/null || break; done`, f.Path)
		return back, err
	}
	// Root may use what ext4(5) keeps back from everybody else, and builds are root's
	// to begin with: free is what the file system has, and not what df calls available.
	_, err := bash(ctx, w, f.Machine, `d="$1"/`+filling+`; mkdir "$d"; free=$(($(stat -f -c '%f * %S' "$1"))); size=0
for step in 1073741824 104857600 10485760 1048576 65536 4096; do
  while [ $((free - size - step)) -ge "$2" ] && fallocate --length $((size + step)) "$d/file" 2>/dev/null; do size=$((size + step)); done
done`, f.Path, strconv.FormatUint(uint64(f.Leave), 10))
	return back, err
}

// Probe tries to take a little more than is to be left: what a file system says is free
// it does not always give, and it never gives all.
func (f *FillDisk) Probe(ctx context.Context, w World) (bool, string, error) {
	script, size := `fallocate --length "$2" "$f" 2>/dev/null`, uint64(f.Leave)+1<<20
	if f.Inodes {
		script = `mkdir "$f" && (cd "$f" && seq 1 100 | xargs touch) 2>/dev/null`
	}
	seen, err := bash(ctx, w, f.Machine, `f="$1"/.offload-e2e-probe; if `+script+`; then r=has; else r=lacks; fi; rm -rf "$f"; echo "$r"; df --output=avail,iavail "$1" | tail -n 1`, f.Path, strconv.FormatUint(size, 10))
	if err != nil {
		return false, "", err
	}
	has, left, _ := strings.Cut(seen, "\n")
	return has == "lacks", "free KiB and inodes, by df: " + strings.Join(strings.Fields(left), ", "), nil
}

// Clock puts a machine's clock wrong, and keeps it from being set right.
type Clock struct {
	Machine nixos.Role    `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"which machine"`
	By      time.Duration `yaml:"by" need:"yes" doc:"by how much: 3 d is ahead, -3 d behind"`
}

func (f *Clock) String() string { return fmt.Sprintf("clock of the %s off by %s", f.Machine, f.By) }

func (f *Clock) Apply(ctx context.Context, w World) (Undo, error) {
	set := func(ctx context.Context, by time.Duration) error {
		_, err := succeed(ctx, w, f.Machine, "date", "--set", fmt.Sprintf("@%d", time.Now().Add(by).Unix()))
		return err
	}
	return func(ctx context.Context) error { return set(ctx, 0) }, set(ctx, f.By)
}

func (f *Clock) Probe(ctx context.Context, w World) (bool, string, error) {
	now, err := succeed(ctx, w, f.Machine, "date", "+%s")
	if err != nil {
		return false, "", err
	}
	seconds, err := strconv.ParseInt(now, 10, 64)
	off := time.Until(time.Unix(seconds, 0))
	return off.Abs() > f.By.Abs()/2, fmt.Sprintf("it is off by %s", off.Round(time.Second)), err
}
