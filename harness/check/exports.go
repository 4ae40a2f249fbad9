package check

import (
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Export is a directory exported to one client (exports(5)).
type Export struct {
	Path    string
	Client  string // address, network, name, pattern; "" or "*" is everybody
	Options []string
}

// ParseExports reads a table of exports, as /etc/exports has it and exportfs(8) -s
// prints it: a path, then clients with options in parentheses. A line "-options"
// among the clients sets defaults for those after it.
func ParseExports(text string) []Export {
	var out []Export
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		dir, rest := exportedPath(strings.TrimSpace(line))
		if dir == "" {
			continue
		}
		var defaults []string
		clients := 0
		for _, word := range strings.Fields(rest) {
			if strings.HasPrefix(word, "#") {
				break
			}
			if text, ok := strings.CutPrefix(word, "-"); ok {
				defaults = strings.Split(text, ",")
				continue
			}
			client, options, _ := strings.Cut(word, "(")
			e := Export{Path: dir, Client: client, Options: slices.Clone(defaults)}
			if options = strings.TrimSuffix(options, ")"); options != "" {
				e.Options = append(e.Options, strings.Split(options, ",")...)
			}
			out = append(out, e)
			clients++
		}
		if clients == 0 {
			out = append(out, Export{Path: dir, Options: defaults})
		}
	}
	return out
}

// exportedPath takes the path off the front of a line of exports.
func exportedPath(line string) (dir, rest string) {
	if quoted, ok := strings.CutPrefix(line, `"`); ok {
		dir, rest, _ = strings.Cut(quoted, `"`)
	} else if i := strings.IndexAny(line, " \t"); i >= 0 {
		dir, rest = line[:i], line[i:]
	} else {
		dir = line
	}
	if !strings.HasPrefix(dir, "/") {
		return "", ""
	}
	return path.Clean(unescape(dir)), rest
}

// exportsPath reports whether a table of exports has a path.
func exportsPath(table, export string) bool {
	return slices.ContainsFunc(ParseExports(table), func(e Export) bool { return e.Path == export })
}

// String is the export as exports(5) writes it.
func (e Export) String() string {
	return e.Path + " " + e.Client + "(" + strings.Join(e.Options, ",") + ")"
}

// admits reports whether the export is for an address. Names and patterns may be.
func (e Export) admits(addr netip.Addr) bool {
	if prefix, err := netip.ParsePrefix(e.Client); err == nil {
		return prefix.Contains(addr)
	}
	if one, err := netip.ParseAddr(e.Client); err == nil {
		return one == addr
	}
	// 192.168.15.0/255.255.255.0
	if network, mask, ok := strings.Cut(e.Client, "/"); ok {
		n, err1 := netip.ParseAddr(network)
		m, err2 := netip.ParseAddr(mask)
		if err1 == nil && err2 == nil && n.Is4() && m.Is4() && addr.Is4() {
			nb, mb, ab := n.As4(), m.As4(), addr.As4()
			for i := range mb {
				if ab[i]&mb[i] != nb[i]&mb[i] {
					return false
				}
			}
		}
	}
	return true
}

// root reports whether NFSv4 clients see the export as the root of all paths
// (exports(5), fsid=0).
func (e Export) root() bool {
	return slices.Contains(e.Options, "fsid=0") || slices.Contains(e.Options, "fsid=root")
}

// squashes reports whether root of a client is nobody here: the default.
func (e Export) squashes() bool {
	squash := true
	for _, o := range e.Options {
		switch o {
		case "no_root_squash":
			squash = false
		case "root_squash", "all_squash":
			squash = true
		}
	}
	return squash
}

// writable reports whether clients may write.
func (e Export) writable() bool {
	rw := false
	for _, o := range e.Options {
		switch o {
		case "rw":
			rw = true
		case "ro":
			rw = false
		}
	}
	return rw
}

// mountInfo is a line of proc_pid_mountinfo(5). Root is what of the file system is
// mounted. Super are the options of the file system, as the kernel negotiated them.
type mountInfo struct{ Root, Point, Type, Source, Options, Super string }

// parseMountInfo reads proc_pid_mountinfo(5); lines of another form are passed over.
func parseMountInfo(text string) []mountInfo {
	var out []mountInfo
	for line := range strings.Lines(text) {
		before, after, has := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !has || len(f) < 6 || len(g) < 2 {
			continue
		}
		super := ""
		if len(g) > 2 {
			super = g[2]
		}
		out = append(out, mountInfo{Root: unescape(f[3]), Point: unescape(f[4]), Type: g[0], Source: unescape(g[1]), Options: f[5], Super: super})
	}
	return out
}

// unescape reads the octal escapes for white space and backslashes of fstab(5).
func unescape(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}
