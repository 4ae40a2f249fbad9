package activate

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"offload-e2e/harness/nixos"
)

// check refuses what cannot be written without harm, before anything changes: names
// that lead out of their folder, and fields that would break passwd(5).
func check(c *nixos.Configuration) error {
	var errs []error
	local := func(option, name string) {
		if !filepath.IsLocal(name) || filepath.Clean(name) != name || name == "." {
			errs = append(errs, fmt.Errorf("%s: %q is no name of a file below its folder", option, name))
		}
	}
	plain := func(option, name string) {
		if local(option, name); strings.Contains(name, "/") {
			errs = append(errs, fmt.Errorf("%s: %q has a slash", option, name))
		}
	}
	field := func(option, text string) {
		if strings.ContainsAny(text, ":\n\x00") {
			errs = append(errs, fmt.Errorf("%s: %q has a colon or a line break, which passwd(5) cannot hold", option, text))
		}
	}
	for name, e := range c.Etc {
		if local("environment.etc", name); e.Text == nil && e.Source == nil {
			errs = append(errs, fmt.Errorf("environment.etc: %q has neither text nor source", name))
		}
	}
	for name, u := range c.UnitFiles {
		for _, n := range slices.Concat([]string{name}, u.Aliases, u.WantedBy, u.RequiredBy, u.UpheldBy) {
			plain("systemd.units."+name, n)
		}
	}
	for key, w := range c.Wrappers {
		plain("security.wrappers", wrapperName(key, w))
	}
	for name := range c.Network.Interfaces {
		plain("networking.interfaces", name)
	}
	for path := range c.StoreFiles {
		errs = append(errs, storeName(path))
	}
	for path := range c.StoreLinks {
		errs = append(errs, storeName(path))
	}
	for path, p := range c.Packages {
		errs = append(errs, storeName(path))
		for name := range p.Programs {
			plain("package "+p.Pname, name)
		}
		for name := range p.Files {
			local("package "+p.Pname, name)
		}
	}
	if strings.ContainsAny(c.HostName, "/\n\x00 ") {
		errs = append(errs, fmt.Errorf("networking.hostName: %q is no host name", c.HostName))
	}
	for name, u := range byName(c.Users) {
		option := "users.users." + name
		plain(option, name)
		field(option, name)
		field(option+".description", u.Description)
		field(option+".home", u.Home)
		for _, text := range []*string{u.Shell, u.HashedPassword, u.InitialHashedPassword} {
			if text != nil {
				field(option, *text)
			}
		}
	}
	for name, g := range c.Groups {
		plain("users.groups", name)
		field("users.groups", name)
		for _, m := range g.Members {
			if field("users.groups."+name, m); strings.Contains(m, ",") {
				errs = append(errs, fmt.Errorf("users.groups.%s: %q has a comma", name, m))
			}
		}
	}
	return errors.Join(errs...)
}

// storeName says what is wrong with a path that is to be made in the store.
func storeName(path string) error {
	if p := nixos.StorePath(path); p == "" || !strings.HasPrefix(path, p) || filepath.Clean(path) != path ||
		(path != p && path[len(p)] != '/') {
		return fmt.Errorf("%q is no store path", path)
	}
	return nil
}
