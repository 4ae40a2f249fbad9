// Package nixos turns NixOS modules into a [Configuration] and switches a
// machine to it, as nixos-rebuild(8) does.
package nixos

import (
	"bytes"
	"encoding/json"
)

// Configuration is what a host's modules come to: every file, unit, user and
// setting, as vmconfigs/embedded/render.nix renders it.
type Configuration struct {
	Schema   int    `json:"schema"`
	HostName string `json:"hostName"`

	// Toplevel and Derivation are the system's store path, once it is built, and what
	// it is built of; of NixOS guests alone.
	Toplevel   string `json:"toplevel,omitempty"`
	Derivation string `json:"derivation,omitempty"`

	// NixConf are the settings of /etc/nix/nix.conf: a text, or a list where a
	// setting stands more than once.
	NixConf map[string]any `json:"nixConf"`
	// Machines is /etc/nix/machines, nil where there is none.
	Machines *string          `json:"machines"`
	Exports  *string          `json:"exports"`
	Fstab    []FileSystem     `json:"fstab"`
	Firewall Firewall         `json:"firewall"`
	Users    map[string]User  `json:"users"`
	Groups   map[string]Group `json:"groups"`
	// MutableUsers is users.mutableUsers; nil is true, NixOS's default.
	MutableUsers *bool   `json:"mutableUsers,omitempty"`
	Network      Network `json:"network"`
	// Wrappers are the programs of /run/wrappers/bin.
	Wrappers map[string]Wrapper `json:"wrappers"`
	// Certificates are authorities to trust besides the guest's own, PEM.
	Certificates []string `json:"certificates"`

	KernelModules []string        `json:"kernelModules"`
	Sysctl        map[string]any  `json:"sysctl"`
	Etc           map[string]Etc  `json:"etc"`
	UnitFiles     map[string]Unit `json:"unitFiles"`
	StoreFiles    map[string]Text `json:"storeFiles"`
	// StoreLinks are symbolic links of generated store objects: path -> target.
	StoreLinks map[string]string  `json:"storeLinks"`
	Packages   map[string]Package `json:"packages"`
	SystemPath []string           `json:"systemPath"`

	ActivationScripts []ActivationScript `json:"activationScripts"`
	// Assertions are the messages of those that failed; NixOS then builds nothing.
	Assertions []string `json:"assertions"`
	// Warnings are NixOS's, and after Evaluate one for each of WithoutEffect.
	Warnings []string `json:"warnings"`
	// WithoutEffect are options that the configuration sets and this guest ignores.
	WithoutEffect []string `json:"withoutEffect,omitempty"`

	// Declared are the values of options that the user's modules declare.
	Declared map[string]json.RawMessage `json:"declared"`
}

// Same reports whether a machine that is one configuration is the other, too.
func (c *Configuration) Same(o *Configuration) bool {
	if c == nil || o == nil {
		return c == o
	}
	a, err1 := json.Marshal(c)
	b, err2 := json.Marshal(o)
	return err1 == nil && err2 == nil && bytes.Equal(a, b)
}

// FileSystem is a line of fstab(5).
type FileSystem struct {
	Device     string   `json:"device"`
	MountPoint string   `json:"mountPoint"`
	FsType     string   `json:"fsType"`
	Options    []string `json:"options"`
}

// Firewall are the options networking.firewall.*.
type Firewall struct {
	Enable            bool     `json:"enable"`
	AllowedTCPPorts   []int    `json:"allowedTCPPorts"`
	AllowedUDPPorts   []int    `json:"allowedUDPPorts"`
	TrustedInterfaces []string `json:"trustedInterfaces"`
}

// User is users.users.<name>.
type User struct {
	Name                  string   `json:"name,omitempty"` // where it is not the key
	UID                   *int     `json:"uid"`
	Group                 string   `json:"group"`
	ExtraGroups           []string `json:"extraGroups"`
	Home                  string   `json:"home"`
	HomeMode              string   `json:"homeMode"`
	CreateHome            bool     `json:"createHome"`
	IsSystemUser          bool     `json:"isSystemUser"`
	IsNormalUser          bool     `json:"isNormalUser"`
	Shell                 *string  `json:"shell"`
	Description           string   `json:"description"`
	AuthorizedKeys        []string `json:"authorizedKeys"`
	HashedPassword        *string  `json:"hashedPassword,omitempty"`
	InitialHashedPassword *string  `json:"initialHashedPassword,omitempty"`
	Password              *string  `json:"password,omitempty"`
	InitialPassword       *string  `json:"initialPassword,omitempty"`
	// HashedPasswordFile is read at activation.
	HashedPasswordFile *string `json:"hashedPasswordFile,omitempty"`
	Linger             *bool   `json:"linger,omitempty"`
}

// Group is users.groups.<name>.
type Group struct {
	GID     *int     `json:"gid"`
	Members []string `json:"members"`
	// Implied is a group that no module of the user's speaks of: NixOS has it.
	Implied bool `json:"implied,omitempty"`
}

// Wrapper is security.wrappers.<name>.
type Wrapper struct {
	Program      *string `json:"program"` // its name in /run/wrappers/bin
	Source       string  `json:"source"`
	Owner        string  `json:"owner"`
	Group        string  `json:"group"`
	Permissions  string  `json:"permissions"`  // as chmod(1) reads it
	Capabilities string  `json:"capabilities"` // as setcap(8) reads it
	Setuid       bool    `json:"setuid"`
	Setgid       bool    `json:"setgid"`
}

// Network are the options networking.*.
type Network struct {
	Nameservers []string                    `json:"nameservers"`
	Interfaces  map[string]NetworkInterface `json:"interfaces"`
}

// NetworkInterface is networking.interfaces.<name>.
type NetworkInterface struct {
	IPv4 []NetworkAddress `json:"ipv4"`
}

// NetworkAddress is an address with its prefix length.
type NetworkAddress struct {
	Address      string `json:"address"`
	PrefixLength int    `json:"prefixLength"`
}

// Etc is environment.etc.<path>.
type Etc struct {
	Text   *string `json:"text,omitempty"`
	Source *string `json:"source,omitempty"`
	// Mode is "symlink", "direct-symlink", or octal.
	Mode  string `json:"mode,omitempty"`
	User  string `json:"user,omitempty"`
	Group string `json:"group,omitempty"`
}

// Unit is a unit file of systemd.unit(5) with its links.
type Unit struct {
	Text       string   `json:"text"`
	Enable     bool     `json:"enable"`
	DropIn     bool     `json:"dropIn"` // a package brings the unit, this overrides it
	WantedBy   []string `json:"wantedBy"`
	RequiredBy []string `json:"requiredBy"`
	UpheldBy   []string `json:"upheldBy"`
	Aliases    []string `json:"aliases"`
}

// Text is a generated file of the store.
type Text struct {
	Text       string `json:"text"`
	Executable bool   `json:"executable"`
	// Binary is the content of a file that is no UTF-8 text; Text is then empty.
	Binary []byte `json:"binary,omitempty"`
}

// Content is what the file holds.
func (t Text) Content() []byte {
	if t.Binary != nil {
		return t.Binary
	}
	return []byte(t.Text)
}

// Package is a package as the guest has it: its programs, and where the guest's
// distribution keeps them.
type Package struct {
	Pname    string            `json:"pname"`
	Version  string            `json:"version"`
	Programs map[string]string `json:"programs"` // name in bin/ -> path in the guest
	Files    map[string]string `json:"files"`    // path below the package -> path in the guest
}

// ActivationScript is system.activationScripts.<name>, in order. Text is nil for
// NixOS's own snippets, which the switch does itself.
type ActivationScript struct {
	Name string  `json:"name"`
	Text *string `json:"text"`
}
