package nixos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Role is a machine's part in the stack.
type Role string

const (
	Desktop Role = "desktop"
	Laptop  Role = "laptop"
)

// Host is what one machine is evaluated from.
type Host struct {
	Role Role
	// Modules are module files, absolute.
	Modules []string
	// Settings are modules of the harness's own, as Nix text: what a user's
	// hosts/<hostname>/configuration.nix would say.
	Settings []string
}

// Repository is a user's configuration, a folder of the shape of /etc/nixos.
type Repository struct {
	Dir   string
	Hosts map[Role]Host
}

// The module files of a repository, relative to it.
const (
	offloadServer = "modules/services/offload-server.nix"
	offloadClient = "modules/services/laptop-offload-client.nix"
	builderClient = "modules/services/laptop-builder-client.nix"
	binaryCache   = "modules/system/binary-cache.nix"
)

// NotARepositoryError says what a folder lacks to be tested.
type NotARepositoryError struct {
	Dir    string
	Reason string
}

func (e *NotARepositoryError) Error() string { return fmt.Sprintf("%s: %s", e.Dir, e.Reason) }

// OpenRepository finds the modules of a repository and how they are imported into
// the two hosts. desktopAddr is the desktop's address, for the client that has no
// default for it.
func OpenRepository(dir, desktopAddr string) (*Repository, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, &NotARepositoryError{dir, "no such directory"}
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, &NotARepositoryError{dir, "is not a directory; CONFIG is a folder of the shape of /etc/nixos"}
	}
	has := func(name string) bool {
		info, err := os.Stat(filepath.Join(abs, name))
		return err == nil && !info.IsDir()
	}
	var missing []string
	if !has(offloadServer) {
		missing = append(missing, offloadServer)
	}
	if !has(offloadClient) && !has(builderClient) {
		missing = append(missing, offloadClient+" (or "+builderClient+")")
	}
	if len(missing) > 0 {
		return nil, &NotARepositoryError{dir, "is not of the expected shape: it has no " + strings.Join(missing, " and no ")}
	}
	desktop := Host{Role: Desktop, Modules: []string{filepath.Join(abs, offloadServer)}, Settings: []string{
		`{ networking.hostName = lib.mkDefault "desktop"; }`,
		`{ services.offload-server = { enable = true; enableNFS = true; }; }`,
	}}
	laptop := Host{Role: Laptop, Settings: []string{`{ networking.hostName = lib.mkDefault "kernelcore"; }`}}
	if has(offloadClient) {
		file := filepath.Join(abs, offloadClient)
		laptop.Modules = append(laptop.Modules, file)
		laptop.Settings = append(laptop.Settings, enableDeclared(file))
	} else {
		laptop.Modules = append(laptop.Modules, filepath.Join(abs, builderClient))
		laptop.Settings = append(laptop.Settings,
			fmt.Sprintf(`{ services.laptop-builder-client = { enable = true; desktopIP = %s; }; }`, Quote(desktopAddr)))
	}
	if has(binaryCache) {
		for _, h := range []*Host{&desktop, &laptop} {
			h.Modules = append(h.Modules, filepath.Join(abs, binaryCache))
			h.Settings = append(h.Settings, `{ kernelcore.system.binary-cache.enable = lib.mkDefault true; }`)
		}
	}
	for _, h := range []*Host{&desktop, &laptop} {
		if name := fmt.Sprintf("e2e/%s.nix", h.Role); has(name) {
			h.Modules = append(h.Modules, filepath.Join(abs, name))
		}
	}
	return &Repository{Dir: abs, Hosts: map[Role]Host{Desktop: desktop, Laptop: laptop}}, nil
}

// enableDeclared sets every option services.<name>.enable that file declares:
// a client in the field has options or has none.
func enableDeclared(file string) string {
	return fmt.Sprintf(`{ services = lib.mapAttrs (_: _: { enable = true; }) (lib.filterAttrs
  (_: o: lib.isOption (o.enable or null) && builtins.elem %s (map toString o.enable.declarations)) options.services); }`, Quote(file))
}

// Quote writes s as a Nix string.
func Quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", `\${`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}

// Imported reports whether the host imports a repository's file of that name.
func (h Host) Imported(name string) bool {
	return slices.ContainsFunc(h.Modules, func(m string) bool { return filepath.Base(m) == name })
}

// Imports says in words what was imported and set, for the report.
func (h Host) Imports() []string {
	out := append([]string{}, h.Modules...)
	for _, s := range h.Settings {
		out = append(out, strings.Join(strings.Fields(s), " "))
	}
	return out
}
