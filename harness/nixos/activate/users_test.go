package activate

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"offload-e2e/harness/nixos"
)

func TestPasswords(t *testing.T) {
	// Each user is switched to twice, with a hash of their own choice in between.
	const chosen = "$6$own$chosen"
	for name, tc := range map[string]struct {
		user           nixos.User
		immutable      bool
		created, after string
	}{
		"none":                          {nixos.User{}, false, "!", chosen},
		"hashedPassword":                {nixos.User{HashedPassword: ptr("$6$a$b")}, false, "$6$a$b", chosen},
		"initialHashedPassword":         {nixos.User{InitialHashedPassword: ptr("$6$a$b")}, false, "$6$a$b", chosen},
		"initialPassword":               {nixos.User{InitialPassword: ptr("secret")}, false, "$6$fresh$secret", chosen},
		"password":                      {nixos.User{Password: ptr("secret")}, false, "$6$fresh$secret", chosen},
		"initialPassword before hashed": {nixos.User{InitialPassword: ptr("secret"), InitialHashedPassword: ptr("$6$a$b")}, false, "$6$fresh$secret", chosen},
		"hashedPassword before initial": {nixos.User{InitialPassword: ptr("secret"), HashedPassword: ptr("$6$a$b")}, false, "$6$a$b", chosen},
		"file before all":               {nixos.User{HashedPasswordFile: ptr("/root/hash"), Password: ptr("secret"), HashedPassword: ptr("$6$a$b")}, false, "$6$in$file", chosen},
		"file that is not there":        {nixos.User{HashedPasswordFile: ptr("/root/none"), HashedPassword: ptr("$6$a$b")}, false, "$6$a$b", chosen},
		"immutable, none":               {nixos.User{}, true, "!", "!"},
		"immutable, hashedPassword":     {nixos.User{HashedPassword: ptr("$6$a$b")}, true, "$6$a$b", "$6$a$b"},
		"immutable, password":           {nixos.User{Password: ptr("secret")}, true, "$6$fresh$secret", "$6$own$secret"},
		"immutable, initialPassword":    {nixos.User{InitialPassword: ptr("secret")}, true, "$6$fresh$secret", "!"},
		"immutable, file":               {nixos.User{HashedPasswordFile: ptr("/root/hash")}, true, "$6$in$file", "$6$in$file"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.write("/root/hash", "$6$in$file\n", 0o600)
			c := &nixos.Configuration{Users: map[string]nixos.User{"cypher": tc.user}, MutableUsers: ptr(!tc.immutable)}
			hash := func() string { return strings.Split(m.line("/etc/shadow", "cypher"), ":")[1] }
			first := m.must(c)
			if got := hash(); got != tc.created {
				t.Errorf("created with %q, want %q", got, tc.created)
			}
			wantActions(t, first, "user", "cypher created")
			if warned := slices.ContainsFunc(first.Warnings, func(w string) bool { return strings.Contains(w, "/root/none does not exist") }); warned != (name == "file that is not there") {
				t.Errorf("warnings %q", first.Warnings)
			}
			m.write("/etc/shadow", strings.Replace(m.read("/etc/shadow"), "cypher:"+tc.created+":", "cypher:"+chosen+":", 1), 0o640)
			second := m.must(c)
			if got := hash(); got != tc.after {
				t.Errorf("then %q, want %q", got, tc.after)
			}
			if (len(second.Changes) > 0) != (tc.after != chosen) {
				t.Errorf("changes %v", second.Changes)
			}
			if third := m.must(c); len(third.Changes) != 0 {
				t.Errorf("the same again changes %v", third.Changes)
			}
			if mode := m.mode("/etc/shadow"); mode != 0o640 {
				t.Errorf("shadow is %v", mode)
			}
		})
	}
}

func TestPasswordIsInNoMessage(t *testing.T) {
	m := newMachine(t)
	m.fails["openssl"] = "no such algorithm"
	_, err := m.switchTo(&nixos.Configuration{Users: map[string]nixos.User{"cypher": {Password: ptr("hunter2")}}})
	if err == nil || !strings.Contains(err.Error(), "user cypher: ") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
	if got := m.line("/etc/shadow", "cypher"); !strings.HasPrefix(got, "cypher:!:") {
		t.Errorf("the account is open: %q", got)
	}
}

// The harness logs in as root with a key, through an sshd without PAM, which lets
// no locked account in.
func TestRootIsNeverLocked(t *testing.T) {
	for name, u := range map[string]nixos.User{"no password": {}, "locked": {HashedPassword: ptr("!")}} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			u.UID, u.Group, u.Home, u.Shell = ptr(0), "root", "/root", ptr("/bin/bash")
			c := &nixos.Configuration{MutableUsers: ptr(false), Users: map[string]nixos.User{"root": u}, Groups: map[string]nixos.Group{"root": {}}}
			m.must(c)
			if got := m.line("/etc/shadow", "root"); !strings.HasPrefix(got, "root:*:20000:") {
				t.Errorf("root is %q", got)
			}
			m.must(&nixos.Configuration{})
			if m.line("/etc/passwd", "root") == "" {
				t.Error("root is gone")
			}
		})
	}
}

func TestAccounts(t *testing.T) {
	m := newMachine(t)
	c := &nixos.Configuration{
		Users: map[string]nixos.User{
			"cypher": {IsNormalUser: true, Group: "users", Home: "/home/cypher", HomeMode: "2750", CreateHome: true, Shell: ptr("/bin/sh"), Description: "The admin"},
			"svc":    {IsSystemUser: true, Group: "svc"},
			"xfixed": {UID: ptr(997), Group: "svc"},
			"taken":  {UID: ptr(1), Group: "svc"},
			"key":    {Name: "real", IsSystemUser: true, Group: "svc"},
			"sshd":   {IsSystemUser: true, Group: "svc", Home: "/run/sshd"},
		},
		Groups: map[string]nixos.Group{"users": {}, "svc": {}, "media": {GID: ptr(2000)}, "clash": {GID: ptr(4)}},
	}
	result := m.must(c)
	svc := strings.Split(m.line("/etc/group", "svc"), ":")[2]
	for name, want := range map[string]string{
		"cypher": "cypher:x:1000:100:The admin:/home/cypher:/bin/sh",
		"real":   "real:x:999:" + svc + "::/var/empty:/usr/sbin/nologin",
		"sshd":   "sshd:x:998:" + svc + "::/run/sshd:/usr/sbin/nologin", // Debian's number
		"svc":    "svc:x:996:" + svc + "::/var/empty:/usr/sbin/nologin", // 997 is declared for another
		"taken":  "taken:x:995:" + svc + "::/var/empty:/usr/sbin/nologin",
		"xfixed": "xfixed:x:997:" + svc + "::/var/empty:/usr/sbin/nologin",
		"key":    "",
	} {
		if got := m.line("/etc/passwd", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := m.line("/etc/group", "media"); got != "media:x:2000:" {
		t.Errorf("media is %q", got)
	}
	if got := m.line("/etc/group", "clash"); got == "clash:x:4:" || got == "" {
		t.Errorf("clash is %q: 4 is adm's", got)
	}
	if len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0], "because 1 is another user's") {
		t.Errorf("warnings %q", result.Warnings)
	}
	if mode := m.mode("/home/cypher"); mode != fs.ModeDir|fs.ModeSetgid|0o750 {
		t.Errorf("home is %v", mode)
	}
	seen := map[string]string{}
	for l := range strings.Lines(m.read("/etc/passwd")) {
		f := strings.Split(l, ":")
		if other, twice := seen[f[2]]; twice {
			t.Errorf("%s and %s share UID %s", other, f[0], f[2])
		}
		seen[f[2]] = f[0]
	}
	// A shell that is not set stays as it is; a home's mode does not.
	m.write("/home/cypher/x", "", 0o644)
	c.Users["cypher"] = nixos.User{IsNormalUser: true, UID: ptr(1500), Group: "svc", Home: "/home/cypher", HomeMode: "700", CreateHome: true, Description: "The admin"}
	c.Groups["media"] = nixos.Group{GID: ptr(2001)}
	changed := m.must(c)
	if got, want := m.line("/etc/passwd", "cypher"), "cypher:x:1000:"+svc+":The admin:/home/cypher:/bin/sh"; got != want {
		t.Errorf("cypher is %q, want %q", got, want)
	}
	if mode := m.mode("/home/cypher"); mode != fs.ModeDir|0o700 {
		t.Errorf("home is %v", mode)
	}
	if !m.exists("/home/cypher/x") {
		t.Error("what was in the home is gone")
	}
	all := strings.Join(changed.Warnings, "\n")
	if !strings.Contains(all, "not applying UID change of user cypher (1000 -> 1500)") || !strings.Contains(all, "not applying GID change of group media (2000 -> 2001)") {
		t.Errorf("warnings %q", all)
	}
}

func TestUnknownGroup(t *testing.T) {
	m := newMachine(t)
	_, err := m.switchTo(&nixos.Configuration{Users: map[string]nixos.User{"a": {Group: "none"}, "b": {}}})
	if err == nil || !strings.Contains(err.Error(), `user a: group "none" does not exist`) {
		t.Errorf("error %v", err)
	}
	if m.line("/etc/passwd", "b") == "" {
		t.Error("the other user was not made")
	}
}

func TestMembers(t *testing.T) {
	admin := func(groups ...string) map[string]nixos.User {
		return map[string]nixos.User{"cypher": {Group: "users", ExtraGroups: groups}}
	}
	type groups = map[string]nixos.Group
	for name, tc := range map[string]struct {
		oldUsers, newUsers   map[string]nixos.User
		oldGroups, newGroups groups
		group, want          string
	}{
		"by extraGroups":             {nil, admin("wheel"), nil, groups{"wheel": {}}, "wheel", "cypher"},
		"by members":                 {nil, admin(), nil, groups{"wheel": {Members: []string{"cypher"}}}, "wheel", "cypher"},
		"by both, once":              {nil, admin("wheel"), nil, groups{"wheel": {Members: []string{"cypher"}}}, "wheel", "cypher"},
		"Debian's stay":              {nil, admin("nixbld"), nil, groups{"nixbld": {}}, "nixbld", "cypher,nixbld1,nixbld2"},
		"of a group of Debian's":     {nil, admin("adm"), nil, nil, "adm", "cypher"},
		"left":                       {admin("wheel"), admin(), groups{"wheel": {}}, groups{"wheel": {}}, "wheel", ""},
		"left a group of Debian's":   {admin("adm"), admin(), nil, nil, "adm", ""},
		"no member any more":         {admin(), admin(), groups{"wheel": {Members: []string{"daemon"}}}, groups{"wheel": {}}, "wheel", ""},
		"gone":                       {admin("wheel"), nil, groups{"wheel": {}}, groups{"wheel": {}}, "wheel", ""},
		"gone, a group of Debian's":  {admin("adm"), nil, nil, nil, "adm", ""},
		"implied, Debian's stay":     {nil, nil, nil, groups{"nixbld": {GID: ptr(30000), Implied: true}}, "nixbld", "nixbld1,nixbld2"},
		"without an account":         {nil, admin("nixbld"), nil, groups{"nixbld": {Members: []string{"nixbld1", "nixbld11"}}}, "nixbld", "cypher,nixbld1,nixbld2"},
		"of a group nobody declares": {nil, admin("none"), nil, nil, "none", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			with := func(g groups) groups {
				out := groups{"users": {Implied: true}}
				for k, v := range g {
					out[k] = v
				}
				return out
			}
			m.must(&nixos.Configuration{Users: tc.oldUsers, Groups: with(tc.oldGroups)})
			c := &nixos.Configuration{Users: tc.newUsers, Groups: with(tc.newGroups)}
			m.must(c)
			got := "-"
			if l := m.line("/etc/group", tc.group); l != "" {
				got = strings.Split(l, ":")[3]
			}
			if got != tc.want {
				t.Errorf("members of %s: %q, want %q", tc.group, got, tc.want)
			}
			if again := m.must(c); len(again.Changes) != 0 {
				t.Errorf("the same again changes %v", again.Changes)
			}
		})
	}
}

func TestLinger(t *testing.T) {
	m := newMachine(t)
	const path = "/var/lib/systemd/linger/cypher"
	c := func(l *bool) *nixos.Configuration {
		return &nixos.Configuration{Users: map[string]nixos.User{"cypher": {Linger: l}}}
	}
	m.must(c(ptr(true)))
	if !m.exists(path) {
		t.Error("cypher does not linger")
	}
	m.must(c(nil))
	if !m.exists(path) {
		t.Error("linger was taken away where the configuration says nothing")
	}
	m.must(c(ptr(false)))
	if m.exists(path) {
		t.Error("cypher still lingers")
	}
	m.must(c(ptr(true)))
	m.must(&nixos.Configuration{})
	if m.exists(path) {
		t.Error("a user that is gone lingers")
	}
}

// A line of passwd(5) that somebody broke stays, and breaks nothing.
func TestBrokenTables(t *testing.T) {
	m := newMachine(t)
	m.write("/etc/passwd", debianPasswd+"cypher\n\n#x:y\n", 0o644)
	m.write("/etc/group", debianGroup+"wheel\n:::\n", 0o644)
	m.write("/etc/shadow", debianShadow+"cypher\n", 0o640)
	c := &nixos.Configuration{Users: map[string]nixos.User{"cypher": {ExtraGroups: []string{"wheel"}}}, Groups: map[string]nixos.Group{"wheel": {}}}
	m.must(c)
	if got := m.read("/etc/passwd"); !strings.Contains(got, "\ncypher:x:999:65534:") || !strings.Contains(got, "\n#x:y\n") {
		t.Errorf("passwd holds %q", got)
	}
	if got := m.read("/etc/group"); !strings.Contains(got, "\nwheel:x:998:cypher\n") {
		t.Errorf("group holds %q", got)
	}
	if again := m.must(c); len(again.Changes) != 0 {
		t.Errorf("the same again changes %v", again.Changes)
	}
}

func TestNoTables(t *testing.T) {
	m := newMachine(t)
	for _, path := range []string{"/etc/passwd", "/etc/group", "/etc/shadow"} {
		m.write(path, "", 0o644)
	}
	m.must(&nixos.Configuration{Users: map[string]nixos.User{"a": {}}})
	if got := m.read("/etc/passwd"); got != "a:x:999:65534::/var/empty:/usr/sbin/nologin\n" {
		t.Errorf("passwd holds %q", got)
	}
}
