package check

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"offload-e2e/harness/nixos"
)

// Builder is a remote builder as Nix's `builders` setting describes it
// (nix.conf(5), "Remote builds").
type Builder struct {
	Raw      string
	Scheme   string // "ssh" or "ssh-ng"
	User     string // "" leaves it to ssh
	Host     string
	Systems  []string
	Key      string // "" leaves it to ssh
	MaxJobs  int
	Features []string // supported
	Required []string // mandatory
	HostKey  string
}

// ParseBuilders reads the text of `builders`, or of a machines file: entries apart
// by newlines or semicolons, fields by white space, "-" for none.
func ParseBuilders(text string) ([]Builder, error) {
	var out []Builder
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ';' }) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		field := func(i int) string {
			if i < len(f) && f[i] != "-" {
				return f[i]
			}
			return ""
		}
		list := func(i int) []string {
			if field(i) == "" {
				return nil
			}
			return strings.Split(field(i), ",")
		}
		b := Builder{Raw: strings.Join(f, " "), Systems: list(1), Key: field(2), MaxJobs: 1, Features: list(5), Required: list(6), HostKey: field(7)}
		uri := f[0]
		if !strings.Contains(uri, "://") {
			uri = "ssh://" + uri
		}
		u, err := url.Parse(uri)
		if err != nil {
			return out, fmt.Errorf("builder %q: %w", f[0], err)
		}
		b.Scheme, b.Host = u.Scheme, u.Hostname()
		if u.User != nil {
			b.User = u.User.Username()
		}
		if key := u.Query().Get("ssh-key"); b.Key == "" && key != "" {
			b.Key = key
		}
		if n := field(3); n != "" {
			if b.MaxJobs, err = strconv.Atoi(n); err != nil {
				return out, fmt.Errorf("builder %q: maximum number of jobs: %w", f[0], err)
			}
		}
		// Two entries without a separator between them: the second is swallowed.
		for _, extra := range f[1:] {
			if strings.Contains(extra, "://") {
				return append(out, b), fmt.Errorf("builder %q: a second builder (%s) stands in its fields: entries are separated by ';' or a new line", f[0], extra)
			}
		}
		out = append(out, b)
	}
	return out, nil
}

// NixSettings are what `nix config show --json` prints: the settings in force.
type NixSettings map[string]struct {
	Value json.RawMessage `json:"value"`
}

// Text is a setting as text; lists are joined by a space.
func (s NixSettings) Text(name string) string {
	raw, ok := s[name]
	if !ok {
		return ""
	}
	var text string
	if json.Unmarshal(raw.Value, &text) == nil {
		return text
	}
	if list := s.List(name); list != nil {
		return strings.Join(list, " ")
	}
	return string(raw.Value)
}

// List is a setting that is a list.
func (s NixSettings) List(name string) []string {
	var list []string
	if raw, ok := s[name]; ok && json.Unmarshal(raw.Value, &list) == nil {
		return list
	}
	if raw, ok := s[name]; ok {
		var text string
		if json.Unmarshal(raw.Value, &text) == nil {
			return strings.Fields(text)
		}
	}
	return nil
}

// Bool is a setting that is true or false.
func (s NixSettings) Bool(name string) bool { return s.Text(name) == "true" }

// Int is a setting that is a number, -1 where it is none.
func (s NixSettings) Int(name string) int {
	n, err := strconv.Atoi(s.Text(name))
	if err != nil {
		return -1
	}
	return n
}

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

// CachePublicKeyPath is where the public half of the cache's key is.
const CachePublicKeyPath = "/var/cache-pub-key.pem"

// BuilderHome is the home of the builder's user.
func (b *Bench) BuilderHome() string {
	if u, ok := b.Server.Users[b.BuilderUser()]; ok && u.Home != "" && u.Home != "/var/empty" {
		return u.Home
	}
	return "/var/lib/nix-builder"
}

// BuilderKeyPath is the laptop's private key for the builder: what the client's
// module says, else what the builders say, else where users are told to put it.
func (b *Bench) BuilderKeyPath() string {
	const usual = "/etc/nix/builder_key"
	return declared(b.Client, "services.laptop-offload-client.builderKeyPath",
		declared(b.Client, "services.laptop-builder-client.builderKeyPath", usual))
}

func declared[T any](c *nixos.Configuration, option string, otherwise T) T {
	if c == nil {
		return otherwise
	}
	raw, ok := c.Declared[option]
	if !ok {
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

// ReadOnly reports whether it is mounted read-only.
func (m Mount) ReadOnly() bool { return slices.Contains(m.Options, "ro") }

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

// Substituter is an entry of the `substituters` setting.
type Substituter struct {
	*url.URL
	Raw string
}

// Local reports whether it is a machine of the LAN, by address.
func (s Substituter) Local(lan netip.Prefix) bool {
	addr, err := netip.ParseAddr(s.Hostname())
	return err == nil && lan.Contains(addr) || s.Hostname() == "desktop" || s.Hostname() == "desktop.local"
}

// ParseSubstituters reads the list of substituters; what is no URL is left out.
func ParseSubstituters(list []string) []Substituter {
	var out []Substituter
	for _, raw := range list {
		if u, err := url.Parse(raw); err == nil && u.Host != "" {
			out = append(out, Substituter{u, raw})
		}
	}
	return out
}

// PublicKey is a trusted key of a binary cache: "name:base64".
type PublicKey struct{ Name, Material string }

// ParsePublicKey reads "name:base64" with 32 bytes of ed25519 key.
func ParsePublicKey(text string) (PublicKey, error) {
	name, material, ok := strings.Cut(strings.TrimSpace(text), ":")
	if !ok || name == "" {
		return PublicKey{}, fmt.Errorf("public key %q is not of the form name:base64", text)
	}
	raw, err := decodeKey(material)
	if err != nil {
		return PublicKey{}, fmt.Errorf("public key %q: %w", text, err)
	}
	if len(raw) != 32 {
		return PublicKey{}, fmt.Errorf("public key %q has %d bytes, not the 32 of an ed25519 key", text, len(raw))
	}
	return PublicKey{name, material}, nil
}

func (k PublicKey) String() string { return k.Name + ":" + k.Material }
