package nixguest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/nixos"
)

// handMade makes a bundle as the flake's bundle.nix does.
func handMade(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	files := map[string]string{}
	for _, name := range []string{guest.DiskName, guest.KernelName, guest.InitrdName} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644))
		sum := sha256.Sum256([]byte(name))
		files[name] = hex.EncodeToString(sum[:])
	}
	text, err := json.Marshal(guest.Manifest{Kind: guest.NixOS, ID: filepath.Base(dir), Append: "init=/nix/var/nix/profiles/system/init", Files: files,
		Toplevel: "/nix/store/0c5wfxhg8kh1g4vq6q8l9ylb5w7zzlxr-nixos-system-base"})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "manifest.json"), text, 0o644))
}

func TestPrepared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bundle := filepath.Join(dir, "x-offload-e2e-desktop")
	handMade(t, bundle)
	file := filepath.Join(dir, "prepared.json")
	machine := `{"bundle":"` + bundle + `","base":{"schema":1,"hostName":"desktop"},"host":{"schema":1,"hostName":"desktop","toplevel":"/nix/store/y"}}`
	must(t, os.WriteFile(file, []byte(`{"desktop":`+machine+`,"laptop":`+machine+`}`), 0o644))
	p, err := OpenPrepared(file, dir)
	must(t, err)
	c, err := p.Evaluate(deadline(t), nixos.Host{Role: nixos.Desktop})
	must(t, err)
	base, img, err := p.Base(deadline(t), nixos.Desktop, "desktop", nil)
	must(t, err)
	if c.Toplevel != "/nix/store/y" || base.Toplevel != "" || img.Dir != bundle {
		t.Errorf("configuration %+v, base %+v, image %+v", c, base, img)
	}
	for name, text := range map[string]string{"no laptop": `{"desktop":` + machine + `}`, "no JSON": `{`, "no toplevel": strings.ReplaceAll(`{"desktop":`+machine+`,"laptop":`+machine+`}`, "toplevel", "t")} {
		must(t, os.WriteFile(file, []byte(text), 0o644))
		if _, err := OpenPrepared(file, dir); err == nil || !strings.Contains(err.Error(), "prepared guests: "+file) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
