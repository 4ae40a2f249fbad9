package fault

import (
	"bytes"
	"context"
	"errors"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"offload-e2e/harness/network"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/provider"
)

// here is a world whose machines are this one: commands really run.
type here struct{ toyMachine }

func (*here) LAN() *network.LAN            { return nil }
func (h *here) Machine(nixos.Role) Machine { return h }

func (h *here) Exec(ctx context.Context, cmd provider.Command) (provider.Result, error) {
	c := osexec.CommandContext(ctx, cmd.Argv[0], cmd.Argv[1:]...)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = cmd.Stdin, &out, &errs
	err := c.Run()
	res := provider.Result{Argv: cmd.Argv, Stdout: out.Bytes(), Stderr: errs.Bytes(), ExitStatus: c.ProcessState.ExitCode()}
	var ended *osexec.ExitError
	if errors.As(err, &ended) {
		err = nil
	}
	return res, err
}

// What is done to a file is seen, and what was there is put back: content and mode.
func TestFile(t *testing.T) {
	second, text := uint64(1), "new\n'text'\n"
	for name, c := range map[string]struct {
		fault File
		want  string // content and mode while it is in force
	}{
		"mode":    {File{Mode: "0666"}, "old\n -rw-rw-rw-"},
		"content": {File{Content: &text}, text + " -rw-------"},
		"append":  {File{Append: "more"}, "old\nmore -rw-------"},
		"flip":    {File{Flip: &second}, "o\x93d\n -rw-------"},
		"delete":  {File{Delete: true}, "gone"},
		"both":    {File{Append: "x", Mode: "0640"}, "old\nx -rw-r-----"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a file's name")
			if err := os.WriteFile(path, []byte("old\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			look := func() string {
				content, err := os.ReadFile(path)
				if err != nil {
					return "gone"
				}
				info, _ := os.Stat(path)
				return string(content) + " " + info.Mode().String()
			}
			w, f := &here{}, &c.fault
			// A pattern, as store paths need it; and quoting is the shell's.
			f.Path = strings.ReplaceAll(filepath.Dir(path), " ", `\ `) + "/a*"
			undo, err := f.Apply(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			if got := look(); got != c.want {
				t.Errorf("it has come to %q, not %q", got, c.want)
			}
			if err := Prove(t.Context(), w, f, true); err != nil {
				t.Error(err)
			}
			if err := undo(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := look(); got != "old\n -rw-------" {
				t.Errorf("put back was %q", got)
			}
			if err := Prove(t.Context(), w, f, false); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := (&File{Path: "/nowhere/at/all", Delete: true}).Apply(t.Context(), &here{}); err == nil {
		t.Error("a file that is not there was deleted")
	}
}

// The disk is full to what is to be left, and has its room again.
func TestFillDisk(t *testing.T) {
	dir := t.TempDir()
	if out, err := osexec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=600", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mount a small file system: %s", out)
	}
	t.Cleanup(func() {
		if out, err := osexec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	})
	for _, f := range []*FillDisk{{Path: dir, Leave: 1 << 20}, {Path: dir, Inodes: true}} {
		w := &here{}
		undo, err := f.Apply(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		if err := Prove(t.Context(), w, f, true); err != nil {
			t.Error(err)
		}
		if err := undo(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := Prove(t.Context(), w, f, false); err != nil {
			t.Error(err)
		}
	}
}
