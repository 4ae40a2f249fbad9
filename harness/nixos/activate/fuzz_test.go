package activate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offload-e2e/harness/nixos"
)

// Whatever a configuration says, a switch to it ends, stays below its root, keeps
// root's account, and is idempotent where it succeeded.
func FuzzSwitch(f *testing.F) {
	for _, c := range []*nixos.Configuration{host(), {}} {
		text, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"users":{"a:b":{"description":"x\ny"},"root":{"group":"none"}},"groups":{"":{"members":[",",""]}}}`))
	f.Add([]byte(`{"etc":{"../x":{"text":""},"a":{"mode":"9"},"a/b":{"source":"/etc/a"}},"unitFiles":{"@.":{"enable":true,"wantedBy":["@"]}}}`))
	f.Add([]byte(`{"fstab":[{"mountPoint":"/a/../.."},{"mountPoint":"none"}],"storeFiles":{"/nix/store/0":{}},"storeLinks":{"x":"y"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := &nixos.Configuration{}
		if err := json.Unmarshal(text, c); err != nil {
			return
		}
		// Snippets are programs: they may do anything.
		c.ActivationScripts, c.Assertions = nil, nil
		m := newMachine(t)
		before, err := m.switchTo(c)
		if m.line("/etc/passwd", "root") == "" {
			t.Error("root is gone")
		}
		if strings.Count(m.read("/etc/passwd"), ":0:0:") > 1 {
			t.Errorf("there is another root: %q", m.read("/etc/passwd"))
		}
		if beside, e := os.ReadDir(filepath.Dir(m.root)); e != nil || len(beside) != 1 {
			t.Errorf("beside the machine's root there is %v (%v)", beside, e)
		}
		if err != nil {
			return
		}
		if again := m.must(c); len(again.Changes) != 0 || again.Toplevel != before.Toplevel {
			t.Errorf("the same again changes %v", again.Changes)
		}
	})
}

func FuzzUnit(f *testing.F) {
	f.Add(service("Service.Nice=5"), service())
	f.Add("[Unit]\nX-Reload-Triggers=1\\\n\n[", "=\n[]\n;\\\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		if compareUnits(a, a) != same || compareUnits(b, b) != same {
			t.Error("a unit is not itself")
		}
		if (compareUnits(a, b) == needsRestart) != (compareUnits(b, a) == needsRestart) && !strings.Contains(a+b, "ExecReload") {
			// Nothing but a mount's options and reloads depends on the direction.
			t.Errorf("%q and %q differ in one direction", a, b)
		}
	})
}
