package check

import (
	"encoding/json"
	"net/netip"
	"strings"

	"offload-e2e/harness/nixos"
)

// BuilderUser is services.offload-server.builderUser.
func (b *Bench) BuilderUser() string {
	return declared(b.Server, "services.offload-server.builderUser", "nix-builder")
}

// CachePort is services.offload-server.cachePort.
func (b *Bench) CachePort() int {
	return declared(b.Server, "services.offload-server.cachePort", 5000)
}

// CacheKeyPath is services.offload-server.cacheKeyPath.
func (b *Bench) CacheKeyPath() string {
	return declared(b.Server, "services.offload-server.cacheKeyPath", "/var/cache-priv-key.pem")
}

// BuilderHome is the home of the builder's user.
func (b *Bench) BuilderHome() string {
	if u, ok := b.Server.Users[b.BuilderUser()]; ok && u.Home != "" && u.Home != "/var/empty" {
		return u.Home
	}
	return "/var/lib/nix-builder"
}

// BuilderKeyPath is where phase 2 makes the laptop's private key for the builder, a
// fixed point of the contract. What a configuration names is another matter: where
// it differs, the key it names has to be there too (BuilderKeyExists).
func (b *Bench) BuilderKeyPath() string { return "/etc/nix/builder_key" }

// configuredBuilders are the builders in the laptop's configuration, whether they
// took effect or not.
func (b *Bench) configuredBuilders() []Builder {
	var texts []string
	switch v := b.Client.NixConf["builders"].(type) {
	case string:
		texts = append(texts, v)
	case []any:
		for _, line := range v {
			if s, ok := line.(string); ok {
				texts = append(texts, s)
			}
		}
	}
	if b.Client.Machines != nil {
		texts = append(texts, *b.Client.Machines)
	}
	builders, _ := ParseBuilders(strings.Join(texts, "\n"))
	return builders
}

// builderURI is how the laptop should name the desktop as a builder.
func (b *Bench) builderURI() string { return "ssh://" + b.BuilderUser() + "@" + b.DesktopAddr.String() }

// lan is the network of the two machines.
func (b *Bench) lan() netip.Prefix { return netip.PrefixFrom(b.DesktopAddr, 24).Masked() }

// declared is the value of an option that the user's modules declare. A null is
// no value.
func declared[T any](c *nixos.Configuration, option string, otherwise T) T {
	if c == nil {
		return otherwise
	}
	raw, ok := c.Declared[option]
	if !ok || string(raw) == "null" {
		return otherwise
	}
	var v T
	if json.Unmarshal(raw, &v) != nil {
		return otherwise
	}
	return v
}

// Mount is a network file system of the laptop's fstab.
type Mount struct {
	nixos.FileSystem
	Server string // host of the source
	Export string // path on the server
}

// Mounts are the laptop's NFS mounts.
func (b *Bench) Mounts() []Mount {
	var out []Mount
	for _, f := range b.Client.Fstab {
		if f.FsType != "nfs" && f.FsType != "nfs4" {
			continue
		}
		m := Mount{FileSystem: f}
		m.Server, m.Export, _ = strings.Cut(f.Device, ":")
		out = append(out, m)
	}
	return out
}
