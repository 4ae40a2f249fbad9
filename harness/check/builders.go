package check

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Builder is a remote builder as Nix's `builders` setting describes it
// (nix.conf(5), "Remote builds").
type Builder struct {
	Raw      string
	Scheme   string // "ssh" or "ssh-ng"
	User     string // "" leaves it to ssh
	Host     string // "" where the builder is no other machine
	Port     string // Nix hands it to ssh as a part of the host's name
	Systems  []string
	Key      string // "" leaves it to ssh
	MaxJobs  int
	Features []string // supported
	Required []string // mandatory
	HostKey  string   // base64 of a line of known_hosts(5) without the host
}

// machineFields is how many fields an entry of `builders` has.
const machineFields = 8

// ParseBuilders reads the text of `builders`, or of a machines file, as Nix does
// (libstore/machines.cc): entries apart by newlines or semicolons, fields by white
// space, "-" for none. Lines "@file" are passed over: whoever has the file puts its
// text in their place. The error is that of the first entry which does not mean
// what it should; those before it are returned.
func ParseBuilders(text string) ([]Builder, error) {
	var out []Builder
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ';' }) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "@") {
			continue
		}
		b, err := parseBuilder(f)
		if err != nil {
			return out, err
		}
		out = append(out, b)
	}
	return out, nil
}

// parseBuilder reads one entry from its fields.
func parseBuilder(f []string) (Builder, error) {
	field := func(i int) string {
		if i < len(f) && f[i] != "-" {
			return f[i]
		}
		return ""
	}
	list := func(i int) []string {
		return strings.FieldsFunc(field(i), func(r rune) bool { return r == ',' })
	}
	b := Builder{Raw: strings.Join(f, " "), Systems: list(1), Key: field(2), MaxJobs: 1, Features: list(5), Required: list(6), HostKey: field(7)}
	if err := b.place(f[0]); err != nil {
		return b, err
	}
	// Two entries without a separator between them: the second is swallowed.
	for i, extra := range f[1:] {
		if strings.Contains(extra, "://") || i+1 >= machineFields {
			return b, fmt.Errorf("builder %q: a second builder (%s) stands in its fields: entries are separated by ';' or a new line", f[0], extra)
		}
	}
	if n := field(3); n != "" {
		jobs, err := strconv.ParseUint(n, 10, 31)
		if err != nil {
			return b, fmt.Errorf("builder %q: maximum number of jobs: %q is no number", f[0], n)
		}
		b.MaxJobs = int(jobs)
	}
	if n := field(4); n != "" {
		if speed, err := strconv.ParseFloat(n, 64); err != nil || speed < 0 {
			return b, fmt.Errorf("builder %q: speed factor: %q is no number from 0", f[0], n)
		}
	}
	if b.HostKey != "" {
		if _, err := base64.StdEncoding.DecodeString(b.HostKey); err != nil {
			return b, fmt.Errorf("builder %q: public host key: %q is not base64", f[0], b.HostKey)
		}
	}
	return b, nil
}

// place reads where a builder is, from its store URI.
func (b *Builder) place(uri string) error {
	if uri == "-" {
		return fmt.Errorf("builder %q has no store URI in its first field", b.Raw)
	}
	name, _, _ := strings.Cut(uri, "?")
	if !strings.Contains(uri, "://") {
		if strings.Contains(uri, "/") || slices.Contains([]string{"", "auto", "daemon", "local"}, name) {
			b.Scheme = "local"
			return nil
		}
		uri = "ssh://" + uri
	}
	u, err := url.Parse(uri)
	if err == nil && u.Scheme == "" {
		err = errors.New("its store URI has no scheme")
	}
	if err != nil {
		return fmt.Errorf("builder %q: %w", uri, err)
	}
	b.Scheme, b.Host, b.Port = u.Scheme, u.Hostname(), u.Port()
	if u.User != nil {
		b.User = u.User.Username()
	}
	if b.Key == "" {
		b.Key = u.Query().Get("ssh-key")
	}
	if b.HostKey == "" {
		b.HostKey = u.Query().Get("base64-ssh-public-host-key")
	}
	return nil
}

// Destination is what Nix gives ssh as the place to go to.
func (b Builder) Destination() string {
	to := b.Host
	if b.Port != "" {
		to += ":" + b.Port
	}
	if b.User != "" {
		to = b.User + "@" + to
	}
	return to
}

// same reports whether two entries send the same builds to the same place.
func (b Builder) same(o Builder) bool {
	return b.Destination() == o.Destination() && b.Key == o.Key && slices.Equal(b.Systems, o.Systems) &&
		slices.Equal(b.Features, o.Features) && slices.Equal(b.Required, o.Required)
}

// takes reports whether the builder accepts builds for a system.
func (b Builder) takes(system string) bool {
	return len(b.Systems) == 0 || slices.Contains(b.Systems, system)
}

// offers reports whether the builder is said to have a feature.
func (b Builder) offers(feature string) bool {
	return slices.Contains(b.Features, feature) || slices.Contains(b.Required, feature)
}
