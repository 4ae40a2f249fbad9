package fault

import (
	"context"
	"fmt"
	"strconv"

	"offload-e2e/harness/nixos"
)

// File is what goes wrong with a file or a folder. Its undo puts back what was there.
type File struct {
	Machine nixos.Role `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"which machine"`
	Path    string     `yaml:"path" need:"yes" doc:"the file, absolute; a pattern of the shell means the newest that matches"`
	Mode    string     `yaml:"mode" doc:"the new mode, as 0644"`
	Owner   string     `yaml:"owner" doc:"the new owner, as root:root"`
	Content *string    `yaml:"content" doc:"the new content"`
	Append  string     `yaml:"append" doc:"what is added at its end"`
	Flip    *uint64    `yaml:"flip" doc:"the offset of a byte that is flipped, also in a read-only store"`
	Delete  bool       `yaml:"delete" doc:"it is gone"`

	path, before string
}

func (f *File) String() string {
	what := "changed"
	switch {
	case f.Delete:
		what = "deleted"
	case f.Flip != nil:
		what = fmt.Sprintf("byte %d flipped", *f.Flip)
	case f.Mode != "":
		what = "mode " + f.Mode
	case f.Owner != "":
		what = "owner " + f.Owner
	}
	return f.Path + " on the " + string(f.Machine) + ": " + what
}

// Validate refuses what does nothing.
func (f *File) Validate() error {
	if len(f.Path) == 0 || f.Path[0] != '/' {
		return fmt.Errorf("path: %q is not absolute", f.Path)
	}
	if f.Mode == "" && f.Owner == "" && f.Content == nil && f.Append == "" && f.Flip == nil && !f.Delete {
		return fmt.Errorf("nothing happens to the file: say mode, owner, content, append, flip or delete")
	}
	if f.Mode != "" {
		if _, err := strconv.ParseUint(f.Mode, 8, 12); err != nil {
			return fmt.Errorf("mode: %q is no mode as chmod(1) has them: 0644", f.Mode)
		}
	}
	return nil
}

// writable runs the script $2 with $path and $text, which are $1 and $3, in a mount
// namespace in which the store is writable: the rest of the machine sees it read-only
// still.
const writable = `export path="$1" text="$3"; case "$path" in
/nix/store/*) unshare --mount bash -e -c 'mount -o remount,rw /nix/store 2>/dev/null || :; eval "$0"' "$2" ;;
*) bash -e -c "$2" ;;
esac`

func (f *File) Apply(ctx context.Context, w World) (Undo, error) {
	var err error
	if f.path, err = bash(ctx, w, f.Machine, `ls -dt -- `+f.Path+` | head -n 1; [ -n "$(ls -dt -- `+f.Path+`)" ]`); err != nil {
		return nil, err
	}
	if f.before, err = f.look(ctx, w); err != nil {
		return nil, err
	}
	backup, err := bash(ctx, w, f.Machine, `d=$(mktemp -d /run/offload-e2e-fault.XXXXXX); cp -a -- "$1" "$d/was"; echo "$d"`, f.path)
	if err != nil {
		return nil, err
	}
	script, argument := f.script()
	_, err = bash(ctx, w, f.Machine, writable, f.path, script, argument)
	return func(ctx context.Context) error {
		_, err := bash(ctx, w, f.Machine, writable, f.path, `rm -rf -- "$path"; cp -a -- "$text" "$path"`, backup+"/was")
		return err
	}, err
}

// script is what changes the file at $path, with a text in $text.
func (f *File) script() (script, text string) {
	if f.Content != nil {
		script, text = `printf %s "$text" >"$path";`, *f.Content
	}
	if f.Append != "" {
		script, text = script+`printf %s "$text" >>"$path";`, f.Append
	}
	if f.Flip != nil {
		at := strconv.FormatUint(*f.Flip, 10)
		script += `b=$(od -An -tu1 -j ` + at + ` -N 1 "$path"); m=$(stat -c %a "$path"); t=$(stat -c @%Y "$path"); chmod u+w "$path"; ` +
			`printf "\\x$(printf %x $((b ^ 255)))" | dd of="$path" bs=1 seek=` + at + ` conv=notrunc status=none; chmod "$m" "$path"; touch -d "$t" "$path";`
	}
	if f.Mode != "" {
		script += `chmod ` + f.Mode + ` "$path";`
	}
	if f.Owner != "" {
		script += `chown '` + f.Owner + `' "$path";`
	}
	if f.Delete {
		script = `rm -rf -- "$path"`
	}
	return script, text
}

// look is what a file is, in one line: content, mode, owner.
func (f *File) look(ctx context.Context, w World) (string, error) {
	return bash(ctx, w, f.Machine, `[ -e "$1" ] || { echo gone; exit; }; stat -c "%a %U:%G" -- "$1"; [ -d "$1" ] || sha256sum <"$1"`, f.path)
}

func (f *File) Probe(ctx context.Context, w World) (bool, string, error) {
	now, err := f.look(ctx, w)
	return now != f.before, f.path + " is " + now, err
}
