package nixos

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNoRepository(t *testing.T) {
	dir := tree(t, map[string]string{"file": "", "desktop-only/" + offloadServer: "{ }", "folder/" + offloadServer + "/x": "", "laptop-only/" + offloadClient: "{ }"})
	for name, tc := range map[string]struct{ dir, want string }{
		"missing":               {"none", "no such directory"},
		"a file":                {"file", "is not a directory"},
		"empty":                 {".", "it has no " + offloadServer + " and no " + offloadClient + " (or " + builderClient + ")"},
		"without a client":      {"desktop-only", "it has no " + offloadClient},
		"without a server":      {"laptop-only", "it has no " + offloadServer},
		"a folder is no module": {"folder", "it has no " + offloadServer},
		"below a file":          {"file/x", "no such directory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenRepository(filepath.Join(dir, tc.dir), "192.168.15.7")
			var shape *NotARepositoryError
			if !errors.As(err, &shape) || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), filepath.Join(dir, tc.dir)+": ") {
				t.Errorf("error %v, want a *NotARepositoryError with %q", err, tc.want)
			}
		})
	}
}

// Modules as people have them in the field, of several kinds.
const (
	fieldServer = `{ config, lib, pkgs, ... }:
with lib;
let cfg = config.services.offload-server; in {
  options.services.offload-server = {
    enable = mkEnableOption "offload server";
    enableNFS = mkOption { type = types.bool; default = false; };
  };
  config = mkIf cfg.enable {
    services.openssh.enable = true;
    networking.firewall.allowedTCPPorts = [ 5000 ] ++ optional cfg.enableNFS 2049;
  };
}
`
	// No options: who imports it has it.
	importedClient = `{ config, lib, pkgs, ... }:
let desktopIP = "192.168.15.7"; in {
  nix.distributedBuilds = true;
  nix.buildMachines = [ { hostName = desktopIP; sshUser = "nix-builder"; system = "x86_64-linux"; maxJobs = 4; } ];
}
`
	optionsClient = `{ config, lib, ... }: {
  options.services.my-client.enable = lib.mkEnableOption "it";
  config = lib.mkIf config.services.my-client.enable { nix.distributedBuilds = true; };
}
`
	builderClientText = `{ config, lib, ... }:
let cfg = config.services.laptop-builder-client; in {
  options.services.laptop-builder-client = {
    enable = lib.mkEnableOption "it";
    desktopIP = lib.mkOption { type = lib.types.str; };
  };
  config = lib.mkIf cfg.enable {
    nix.distributedBuilds = true;
    nix.buildMachines = [ { hostName = cfg.desktopIP; system = "x86_64-linux"; } ];
  };
}
`
	cacheText = `{ config, lib, ... }: {
  options.kernelcore.system.binary-cache.enable = lib.mkEnableOption "it";
  config = lib.mkIf config.kernelcore.system.binary-cache.enable { nix.settings.connect-timeout = 7; };
}
`
)

func TestRepositories(t *testing.T) {
	e := evaluator(t)
	for name, tc := range map[string]struct {
		files    map[string]string
		laptop   []string // its modules
		machines string   // what /etc/nix/machines holds, "" for nothing of the kind
	}{
		"merely imported": {map[string]string{offloadClient: importedClient}, []string{offloadClient}, "192.168.15.7"},
		"with an option":  {map[string]string{offloadClient: optionsClient}, []string{offloadClient}, ""},
		"the other one":   {map[string]string{builderClient: builderClientText}, []string{builderClient}, "10.1.2.3"},
		"both":            {map[string]string{offloadClient: importedClient, builderClient: builderClientText}, []string{offloadClient}, "192.168.15.7"},
		"with a cache and modules of its own": {map[string]string{offloadClient: importedClient, binaryCache: cacheText,
			"e2e/laptop.nix": `{ networking.hostName = "thinkpad"; }`}, []string{offloadClient, binaryCache, "e2e/laptop.nix"}, "192.168.15.7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.files[offloadServer] = fieldServer
			dir := tree(t, tc.files)
			r, err := OpenRepository(dir, "10.1.2.3")
			if err != nil {
				t.Fatal(err)
			}
			var modules []string
			for _, m := range tc.laptop {
				modules = append(modules, filepath.Join(dir, m))
			}
			if got := r.Hosts[Laptop].Modules; !slices.Equal(got, modules) {
				t.Errorf("the laptop imports %v, want %v", got, modules)
			}
			desktop, err := e.Evaluate(deadline(t), r.Hosts[Desktop])
			if err != nil {
				t.Fatal(err)
			}
			if desktop.HostName != "desktop" || !slices.Contains(desktop.Firewall.AllowedTCPPorts, 2049) {
				t.Errorf("the desktop is %s with ports %v", desktop.HostName, desktop.Firewall.AllowedTCPPorts)
			}
			laptop, err := e.Evaluate(deadline(t), r.Hosts[Laptop])
			if err != nil {
				t.Fatal(err)
			}
			machines := ""
			if laptop.Machines != nil {
				machines = *laptop.Machines
			}
			if strings.Contains(machines, "192.168.15.7") != (tc.machines == "192.168.15.7") || !strings.Contains(machines, tc.machines) {
				t.Errorf("/etc/nix/machines is %q, want %q", machines, tc.machines)
			}
			if name == "with an option" && string(laptop.Declared["services.my-client.enable"]) != "true" {
				t.Errorf("the client's option is %s", laptop.Declared["services.my-client.enable"])
			}
			wantName, wantTimeout := "kernelcore", any(nil)
			if len(tc.laptop) == 3 {
				wantName, wantTimeout = "thinkpad", "7"
			}
			if laptop.HostName != wantName || laptop.NixConf["connect-timeout"] != wantTimeout {
				t.Errorf("the laptop is %s, its connect-timeout %v", laptop.HostName, laptop.NixConf["connect-timeout"])
			}
		})
	}
}

// A repository may be anywhere: names with spaces, quotes and what Nix reads
// otherwise.
func TestRepositoryWithAnOddName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `it's "${odd}" \ name`)
	for name, text := range map[string]string{offloadServer: fieldServer, offloadClient: optionsClient} {
		full := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenRepository(dir, "192.168.15.7")
	if err != nil {
		t.Fatal(err)
	}
	c, err := evaluator(t).Evaluate(deadline(t), r.Hosts[Laptop])
	if err != nil {
		t.Fatal(err)
	}
	if string(c.Declared["services.my-client.enable"]) != "true" {
		t.Errorf("declared %s", c.Declared)
	}
}

// The reference is such a repository, and each host comes without a warning.
func TestReferenceRepository(t *testing.T) {
	dir, err := filepath.Abs(filepath.Join("..", "..", "vmconfigs"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenRepository(dir, "192.168.15.7")
	if err != nil {
		t.Fatal(err)
	}
	e := evaluator(t)
	for role, host := range r.Hosts {
		c, err := e.Evaluate(deadline(t), host)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Warnings) != 0 {
			t.Errorf("%s: warnings %q", role, c.Warnings)
		}
		if len(c.Wrappers) == 0 || c.Wrappers["sudo"].Source == "" || !c.Wrappers["sudo"].Setuid {
			t.Errorf("%s: wrappers %v", role, c.Wrappers)
		}
		if !c.Groups["adm"].Implied || c.Groups["wheel"].Implied && len(c.Groups["wheel"].Members) > 0 {
			t.Errorf("%s: groups %v", role, c.Groups)
		}
		if c.MutableUsers == nil || !*c.MutableUsers {
			t.Errorf("%s: users.mutableUsers is not what NixOS has by default", role)
		}
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"plain":     `"plain"`,
		`a"b\c`:     `"a\"b\\c"`,
		"${x} $y":   `"\${x} $y"`,
		"$${x}":     `"$\${x}"`,
		"l\nt\tr\r": `"l\nt\tr\r"`,
		"ü":         `"ü"`,
	} {
		if got := Quote(text); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

func TestImports(t *testing.T) {
	h := Host{Modules: []string{"/a.nix"}, Settings: []string{"{ a =\n   1; }"}}
	if got, want := h.Imports(), []string{"/a.nix", "{ a = 1; }"}; !slices.Equal(got, want) {
		t.Errorf("imports %q, want %q", got, want)
	}
}
