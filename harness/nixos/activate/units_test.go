package activate

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/nixos"
)

// service is the text of one with more settings, "Section.Key=value" each.
func service(settings ...string) string {
	out := map[string]string{"Unit": "Description=A service", "Service": "ExecStart=/usr/bin/hello"}
	for _, s := range settings {
		section, line, _ := strings.Cut(s, ".")
		out[section] += "\n" + line
	}
	var text strings.Builder
	for _, name := range keys(out, nil) {
		text.WriteString("[" + name + "]\n" + out[name] + "\n\n")
	}
	return text.String()
}

func TestChangedUnits(t *testing.T) {
	unit := func(text string) nixos.Unit { return nixos.Unit{Text: text, Enable: true} }
	dropIn := func(text string) nixos.Unit { return nixos.Unit{Text: text, Enable: true, DropIn: true} }
	off := nixos.Unit{}
	plain, changed := unit(service()), unit(service("Service.Nice=5"))
	needsA := nixos.Unit{Text: service("Unit.Requires=a.service"), Enable: true, WantedBy: []string{"multi-user.target"}}
	type units = map[string]nixos.Unit
	for name, tc := range map[string]struct {
		old, new units
		states   map[string]string
		want     []string // systemctl verbs with units, but for list-units
	}{
		"changed": {units{"a.service": plain}, units{"a.service": changed}, nil,
			[]string{"stop a.service", "daemon-reload", "start a.service"}},
		"changed, not running": {units{"a.service": plain}, units{"a.service": changed}, map[string]string{"a.service": ""},
			[]string{"daemon-reload"}},
		"X-StopIfChanged=false": {units{"a.service": plain}, units{"a.service": unit(service("Service.X-StopIfChanged=false"))}, nil,
			[]string{"daemon-reload", "restart a.service"}},
		"X-RestartIfChanged=false": {units{"a.service": plain}, units{"a.service": unit(service("Service.X-RestartIfChanged=no"))}, nil,
			[]string{"daemon-reload"}},
		"X-ReloadIfChanged": {units{"a.service": plain}, units{"a.service": unit(service("Service.X-ReloadIfChanged=on"))}, nil,
			[]string{"daemon-reload", "reload a.service"}},
		"X-OnlyManualStart": {units{"a.service": plain}, units{"a.service": unit(service("Unit.X-OnlyManualStart=yes"))}, nil,
			[]string{"daemon-reload"}},
		"RefuseManualStop": {units{"a.service": plain}, units{"a.service": unit(service("Unit.RefuseManualStop=1", "Service.Nice=5"))}, nil,
			[]string{"daemon-reload"}},
		"X-Restart-Triggers": {units{"a.service": unit(service("Unit.X-Restart-Triggers=1"))}, units{"a.service": unit(service("Unit.X-Restart-Triggers=2"))}, nil,
			[]string{"stop a.service", "daemon-reload", "start a.service"}},
		"X-Reload-Triggers": {units{"a.service": unit(service("Unit.X-Reload-Triggers=1"))}, units{"a.service": unit(service("Unit.X-Reload-Triggers=2"))}, nil,
			[]string{"daemon-reload", "reload a.service"}},
		"only its description": {units{"a.service": plain}, units{"a.service": unit(service("Unit.Description=Another"))}, nil,
			[]string{"daemon-reload"}},
		"only ExecReload": {units{"a.service": plain}, units{"a.service": unit(service("Service.ExecReload=/usr/bin/hello"))}, nil,
			[]string{"daemon-reload", "reload a.service"}},
		"ExecReload gone": {units{"a.service": unit(service("Service.ExecReload=/usr/bin/hello"))}, units{"a.service": plain}, nil,
			[]string{"daemon-reload"}},
		"only what installs it": {units{"a.service": plain}, units{"a.service": unit(service("Install.WantedBy=multi-user.target"))}, nil,
			[]string{"daemon-reload"}},
		"order of settings": {units{"a.service": unit("[Service]\nNice=5\nExecStart=/x\n")}, units{"a.service": unit("[Service]\nExecStart=/x\nNice=5\n")}, nil,
			[]string{"daemon-reload"}},
		"gone":                        {units{"a.service": plain}, nil, nil, []string{"stop a.service", "daemon-reload"}},
		"gone, X-StopOnRemoval=false": {units{"a.service": unit(service("Unit.X-StopOnRemoval=false"))}, nil, nil, []string{"daemon-reload"}},
		"gone, not running":           {units{"a.service": plain}, nil, map[string]string{"a.service": ""}, []string{"daemon-reload"}},
		"disabled":                    {units{"a.service": plain}, units{"a.service": off}, nil, []string{"stop a.service", "daemon-reload"}},
		"disabled all along":          {units{"a.service": off}, units{"a.service": off}, map[string]string{"a.service": ""}, nil},
		"mask of Debian's":            {nil, units{"a.service": off}, nil, []string{"stop a.service", "daemon-reload"}},
		"drop-in becomes a mask":      {units{"a.service": dropIn("[Service]\nNice=5\n")}, units{"a.service": off}, nil, []string{"stop a.service", "daemon-reload"}},
		"drop-in for Debian's":        {nil, units{"a.service": dropIn("[Service]\nNice=5\n")}, nil, []string{"stop a.service", "daemon-reload", "start a.service"}},
		"drop-in without settings":    {nil, units{"a.service": dropIn("[Unit]\n\n[Service]\n")}, nil, []string{"daemon-reload"}},
		"drop-in gone":                {units{"a.service": dropIn("[Service]\nNice=5\n")}, nil, nil, []string{"stop a.service", "daemon-reload", "start a.service"}},
		"drop-in gone, as it likes":   {units{"a.service": dropIn("[Service]\nX-ReloadIfChanged=true\n")}, nil, nil, []string{"daemon-reload", "reload a.service"}},
		"target":                      {units{"a.target": unit("[Unit]\nAfter=x\n")}, units{"a.target": unit("[Unit]\nAfter=y\n")}, nil, []string{"daemon-reload"}},
		"slice":                       {units{"a.slice": unit("[Slice]\nA=1\n")}, units{"a.slice": unit("[Slice]\nA=2\n")}, nil, []string{"daemon-reload"}},
		"socket":                      {units{"a.socket": unit("[Socket]\nListenStream=1\n")}, units{"a.socket": unit("[Socket]\nListenStream=2\n")}, nil, []string{"daemon-reload"}},
		"timer":                       {units{"a.timer": unit("[Timer]\nOnCalendar=1\n")}, units{"a.timer": unit("[Timer]\nOnCalendar=2\n")}, nil, []string{"daemon-reload", "restart a.timer"}},
		"mount":                       {units{"a.mount": unit("[Mount]\nWhat=1\n")}, units{"a.mount": unit("[Mount]\nWhat=2\n")}, nil, []string{"daemon-reload", "restart a.mount"}},
		"mount, only its options":     {units{"a.mount": unit("[Mount]\nOptions=1\n")}, units{"a.mount": unit("[Mount]\nOptions=2\n")}, nil, []string{"daemon-reload", "reload a.mount"}},
		"instance of a template": {units{"a@.service": plain}, units{"a@.service": changed}, map[string]string{"a@one.service": "active", "a@two.service": ""},
			[]string{"stop a@one.service", "daemon-reload", "start a@one.service"}},
		"instance, its template gone":   {units{"a@.service": plain}, nil, map[string]string{"a@one.service": "active"}, []string{"stop a@one.service", "daemon-reload"}},
		"instance of Debian's template": {nil, units{"a@.service": dropIn("[Service]\nNice=5\n")}, map[string]string{"a@one.service": "active"}, []string{"daemon-reload"}},
		"instance with a file of its own": {units{"a@.service": plain, "a@one.service": plain}, units{"a@.service": changed, "a@one.service": plain},
			map[string]string{"a@.service": "", "a@one.service": "active"}, []string{"daemon-reload"}},
		"service with its socket": {units{"a.service": plain, "a.socket": plain}, units{"a.service": changed, "a.socket": plain}, nil,
			[]string{"stop a.service a.socket", "daemon-reload", "start a.socket"}},
		"service with a socket of another name": {units{"a.service": plain, "b.socket": plain}, units{"a.service": unit(service("Service.Sockets=b.socket")), "b.socket": plain}, nil,
			[]string{"stop a.service b.socket", "daemon-reload", "start b.socket"}},
		"X-NotSocketActivated": {units{"a.service": plain, "a.socket": plain}, units{"a.service": unit(service("Service.X-NotSocketActivated=true")), "a.socket": plain}, nil,
			[]string{"stop a.service a.socket", "daemon-reload", "start a.socket a.service"}},
		"a service that another requires, both wanted": {units{"a.service": plain, "b.service": needsA}, units{"a.service": changed, "b.service": needsA}, nil,
			[]string{"stop a.service", "daemon-reload", "start a.service b.service"}},
		"a service that another requires, unwanted": {units{"a.service": plain, "b.service": unit(needsA.Text)}, units{"a.service": changed, "b.service": unit(needsA.Text)}, nil,
			[]string{"stop a.service", "daemon-reload", "start a.service"}},
		"a unit the guest answers for": {nil, units{"dhcpcd.service": changed}, map[string]string{"dhcpcd.service": "active"}, []string{"daemon-reload"}},
		"of no concern":                {units{"a.service": plain}, units{"a.service": plain}, map[string]string{"debian.service": "active"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			configuration := func(u units) *nixos.Configuration { return &nixos.Configuration{HostName: "h", UnitFiles: u} }
			if tc.old != nil {
				m.must(configuration(tc.old))
			}
			for _, u := range []units{tc.old, tc.new} {
				for name := range u {
					if !strings.Contains(name, "@.") {
						m.units[name] = "active"
					}
				}
			}
			for name, state := range tc.states {
				m.units[name] = state
			}
			m.must(configuration(tc.new))
			var got []string
			for _, l := range m.commands("systemctl ") {
				l = strings.TrimPrefix(l, "systemctl ")
				if !strings.HasPrefix(l, "list-units") {
					got = append(got, strings.Replace(l, "--no-ask-password -- ", "", 1))
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("systemctl was asked to %q, want %q", got, tc.want)
			}
			if again := m.must(configuration(tc.new)); len(again.Changes) != 0 {
				t.Errorf("the same again changes %v", again.Changes)
			}
		})
	}
}

func TestStarts(t *testing.T) {
	once := "[Service]\nType=oneshot\nExecStart=/usr/bin/hello\n"
	wanted := func(text string, by ...string) nixos.Unit { return nixos.Unit{Text: text, Enable: true, WantedBy: by} }
	for name, tc := range map[string]struct {
		old, new nixos.Unit
		state    string // before the second switch
		want     bool
	}{
		"new":                          {nixos.Unit{}, wanted(service(), "multi-user.target"), "", true},
		"new, by a target that is not": {nixos.Unit{}, wanted(service(), "graphical.target"), "", false},
		"new, nobody wants it":         {nixos.Unit{}, wanted(service()), "", false},
		"new, required":                {nixos.Unit{}, nixos.Unit{Text: service(), Enable: true, RequiredBy: []string{"sockets.target"}}, "", true},
		"new, upheld":                  {nixos.Unit{}, nixos.Unit{Text: service(), Enable: true, UpheldBy: []string{"sockets.target"}}, "", true},
		"new, disabled":                {nixos.Unit{}, nixos.Unit{Text: service(), WantedBy: []string{"multi-user.target"}}, "", false},
		"new, by hand only":            {nixos.Unit{}, wanted(service("Unit.X-OnlyManualStart=true"), "multi-user.target"), "", false},
		"new, refuses":                 {nixos.Unit{}, wanted(service("Unit.RefuseManualStart=true"), "multi-user.target"), "", false},
		"stopped by hand":              {wanted(service(), "multi-user.target"), wanted(service(), "multi-user.target"), "", true},
		"failed":                       {wanted(service(), "multi-user.target"), wanted(service(), "multi-user.target"), "failed", true},
		"new, runs once":               {nixos.Unit{}, wanted(once, "multi-user.target"), "", true},
		"ran":                          {wanted(once, "multi-user.target"), wanted(once, "multi-user.target"), "", false},
		"ran, and another now":         {wanted(once, "multi-user.target"), wanted(once+"Nice=5\n", "multi-user.target"), "", true},
		"ran, and failed":              {wanted(once, "multi-user.target"), wanted(once, "multi-user.target"), "failed", true},
		"was not wanted":               {wanted(once), wanted(once, "multi-user.target"), "", true},
		"once, and remains":            {wanted(once+"RemainAfterExit=yes\n", "multi-user.target"), wanted(once+"RemainAfterExit=yes\n", "multi-user.target"), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			old := &nixos.Configuration{}
			if tc.old.Text != "" {
				old.UnitFiles = map[string]nixos.Unit{"a.service": tc.old}
			}
			m.must(old)
			m.units["a.service"] = tc.state
			m.must(&nixos.Configuration{UnitFiles: map[string]nixos.Unit{"a.service": tc.new}})
			if got := len(m.commands("systemctl start --no-ask-password -- a.service")) > 0; got != tc.want {
				t.Errorf("started: %v, want %v", got, tc.want)
			}
			if reset := len(m.commands("systemctl reset-failed")) > 0; reset != (tc.state == "failed") {
				t.Errorf("systemd forgot failures: %v", reset)
			}
		})
	}
}

func TestFailedUnits(t *testing.T) {
	m := newMachine(t)
	m.units["debian.service"] = "failed"
	m.broken["greet.service"] = true
	result := m.must(host())
	want := FailedUnit{"greet.service", "failed", "last words of greet.service"}
	if len(result.Failed) != 1 || result.Failed[0] != want {
		t.Errorf("failed %v, want only %v: the other one was failed before", result.Failed, want)
	}
	if len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0], "job failed for greet.service") {
		t.Errorf("warnings %q", result.Warnings)
	}
	// It fails again where the switch tries it again, and no longer when it is mended.
	if again := m.must(host()); len(again.Failed) != 1 {
		t.Errorf("failed %v", again.Failed)
	}
	delete(m.broken, "greet.service")
	if mended := m.must(host()); len(mended.Failed) != 0 || m.units["greet.service"] != "active" {
		t.Errorf("failed %v", mended.Failed)
	}
	m.units["greet.service"] = "auto-restart"
	m.broken["greet.service"] = true
	c := host()
	c.UnitFiles["greet.service"] = nixos.Unit{Text: service(), Enable: true, WantedBy: []string{"multi-user.target"}}
	if restarts := m.must(c); len(restarts.Failed) != 1 {
		t.Errorf("a unit that restarts for ever is not among %v", restarts.Failed)
	}
}

// A service whose condition is not met is asked to start at each switch, as on
// NixOS, and that changes nothing.
func TestConditionNotMet(t *testing.T) {
	m := newMachine(t)
	m.idle["greet.service"] = true
	first := m.must(host())
	wantActions(t, first, "unit", "greet.service written", "multi-user.target.wants/greet.service written")
	again := m.must(host())
	if len(m.commands("systemctl start --no-ask-password -- greet.service")) != 1 {
		t.Errorf("it was not asked to start: %v", m.log)
	}
	if len(again.Changes) != 0 || len(again.Failed) != 0 {
		t.Errorf("changes %v, failed %v", again.Changes, again.Failed)
	}
}

func TestUnitLinks(t *testing.T) {
	got := unitLinks(map[string]nixos.Unit{
		"a.service":      {Text: "x", Enable: true, WantedBy: []string{"w.target"}, RequiredBy: []string{"r.target"}, UpheldBy: []string{"u.target"}, Aliases: []string{"alias.service", "b.service"}},
		"b.service":      {Text: "x", Enable: true, DropIn: true},
		"masked.service": {Text: "x", WantedBy: []string{"w.target"}},
		"dhcpcd.service": {Text: "x", Enable: true},
	})
	want := map[string]string{
		"a.service":                   "/etc/static/systemd/system/a.service",
		"w.target.wants/a.service":    "../a.service",
		"r.target.requires/a.service": "../a.service",
		"u.target.upholds/a.service":  "../a.service",
		"alias.service":               "a.service",
		"b.service.d/overrides.conf":  "/etc/static/systemd/system/b.service.d/overrides.conf",
		"masked.service":              "/dev/null",
	}
	if d := differences(got, want); d != nil {
		t.Errorf("links differ: %v", d)
	}
}

// A unit that changes its kind leaves no link of its former one.
func TestUnitChangesKind(t *testing.T) {
	m := newMachine(t)
	c := func(u nixos.Unit) *nixos.Configuration {
		return &nixos.Configuration{UnitFiles: map[string]nixos.Unit{"a.service": u}}
	}
	const file, dropIn = "/etc/systemd/system/a.service", "/etc/systemd/system/a.service.d/overrides.conf"
	m.must(c(nixos.Unit{Text: service(), Enable: true}))
	if got := m.read(file); got != service() {
		t.Errorf("unit holds %q", got)
	}
	m.must(c(nixos.Unit{Text: service(), Enable: true, DropIn: true}))
	if m.exists(file) || m.read(dropIn) != service() {
		t.Error("the unit is no drop-in alone")
	}
	m.must(c(nixos.Unit{Text: service()}))
	if m.readlink(file) != "/dev/null" || m.exists(dropIn) {
		t.Error("the unit is not masked alone")
	}
	m.must(&nixos.Configuration{})
	if m.exists(file) {
		t.Error("the mask is still there")
	}
}

func TestKernel(t *testing.T) {
	m := newMachine(t)
	m.fails["modprobe --quiet built-in"] = "not found"
	c := host()
	c.KernelModules = []string{"nfs", "built-in"}
	c.Etc["sysctl.d/60-nixos.conf"] = nixos.Etc{Text: ptr("vm.swappiness=10\n")}
	c.Etc["tmpfiles.d/00-nixos.conf"] = nixos.Etc{Text: ptr("d /var/lib/x\n")}
	c.Etc["tmpfiles.d/own.conf"] = nixos.Etc{Text: ptr("d /var/lib/y\n")}
	c.Network.Interfaces = map[string]nixos.NetworkInterface{"lan0": {IPv4: []nixos.NetworkAddress{{Address: "192.168.15.7", PrefixLength: 24}}}}
	result := m.must(c)
	for _, want := range []string{"modprobe --quiet nfs", "networkctl reload", "/usr/lib/systemd/systemd-sysctl /etc/sysctl.d/60-nixos.conf",
		"systemd-tmpfiles --create --remove /etc/tmpfiles.d/00-nixos.conf", "systemd-tmpfiles --create --remove /etc/tmpfiles.d/own.conf"} {
		if !slices.Contains(m.log, want) {
			t.Errorf("%q was not run", want)
		}
	}
	if len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0], "built-in") {
		t.Errorf("warnings %q", result.Warnings)
	}
	if again := m.must(c); len(again.Changes) != 0 || len(again.Warnings) != 0 {
		t.Errorf("changes %v, warnings %v", again.Changes, again.Warnings)
	}
	if got := m.read("/etc/systemd/network/40-nixos-lan0.network"); !strings.Contains(got, "Name=lan0\n") || !strings.Contains(got, "Address=192.168.15.7/24\n") {
		t.Errorf("the network file holds %q", got)
	}
	c = host()
	c.Network.Interfaces = map[string]nixos.NetworkInterface{"lan0": {}}
	gone := m.must(c)
	if m.exists("/etc/systemd/network/40-nixos-lan0.network") || !slices.Contains(m.log, "networkctl reload") {
		t.Error("the address is still configured")
	}
	if slices.ContainsFunc(m.log, func(l string) bool { return strings.HasPrefix(l, "systemd-tmpfiles") }) {
		t.Errorf("files that are gone were made: %v, changes %v", m.log, gone.Changes)
	}
}

func TestCompareUnits(t *testing.T) {
	for name, tc := range map[string]struct {
		a, b string
		want difference
	}{
		"comments":            {"[Service]\n# a\nNice=1\n", "[Service]\n; b\nNice=1\n", same},
		"continued lines":     {"[Service]\nExecStart=a \\\n  b\n", "[Service]\nExecStart=a  b\n", same},
		"values in order":     {"[Service]\nA=1\nA=2\n", "[Service]\nA=2\nA=1\n", needsRestart},
		"taken back":          {"[Service]\nA=1\nA=\nA=2\n", "[Service]\nA=\nA=2\n", same},
		"set to nothing":      {"[Service]\n", "[Service]\nExecStart=\n", needsRestart},
		"a section is new":    {"[Unit]\nAfter=x\n", "[Unit]\nAfter=x\n[Service]\nNice=1\n", needsRestart},
		"a section is gone":   {"[Unit]\nAfter=x\n[Service]\nNice=1\n", "[Unit]\nAfter=x\n", needsRestart},
		"only words are new":  {"", "[Unit]\nDescription=x\nDocumentation=y\n", same},
		"reload and restart":  {"[Service]\nExecReload=a\nNice=1\n", "[Service]\nExecReload=b\nNice=2\n", needsRestart},
		"mount options, new":  {"[Mount]\nWhat=x\n", "[Mount]\nWhat=x\nOptions=ro\n", needsRestart},
		"mount options, else": {"[Mount]\nOptions=rw\n", "[Mount]\nOptions=ro\n", needsReload},
		"no line":             {"garbage", "[Service", same},
	} {
		t.Run(name, func(t *testing.T) {
			if got := compareUnits(tc.a, tc.b); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

// A service that dies a moment after its start is seen to fail.
func TestSettle(t *testing.T) {
	m := newMachine(t)
	s := m.switcher()
	s.Settle = 10 * time.Millisecond
	play, started := s.Run, time.Time{}
	s.Run = func(ctx context.Context, argv ...string) (string, error) {
		if argv[0] == "systemctl" && argv[1] == "list-units" && !started.IsZero() && time.Since(started) >= s.Settle {
			m.units["greet.service"] = "failed"
		}
		out, err := play(ctx, argv...)
		if argv[0] == "systemctl" && argv[1] == "start" {
			started = time.Now()
		}
		return out, err
	}
	result, err := s.Switch(context.Background(), host())
	if err != nil || len(result.Failed) != 1 || result.Failed[0].Unit != "greet.service" {
		t.Errorf("failed %v, %v", result.Failed, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.Settle = time.Hour
	s.Run = func(ctx context.Context, argv ...string) (string, error) {
		if argv[0] == "systemctl" && argv[1] == "start" {
			cancel()
		}
		return play(ctx, argv...)
	}
	if _, err := s.Switch(ctx, host()); err != nil {
		t.Error(err)
	}
}

// Services that say when they are ready are not waited for.
func TestSettledAtOnce(t *testing.T) {
	for _, test := range []struct {
		kind string
		want bool
	}{{"notify", false}, {"oneshot", false}, {"simple", true}, {"exec", true}, {"idle", true}} {
		m := newMachine(t)
		m.units["greet.service"], m.types = "active", map[string]string{"greet.service": test.kind}
		st := &state{Switcher: m.switcher()}
		started := &plan{start: []string{"greet.service"}}
		running := unitStates{active: map[string]bool{"greet.service": true, "sockets.target": true}}
		if got := st.unsettled(t.Context(), started, unitStates{}, running); got != test.want {
			t.Errorf("one of type %s is waited for: %v", test.kind, got)
		}
		if st.unsettled(t.Context(), &plan{start: []string{"b.service"}}, running, running) || st.unsettled(t.Context(), &plan{}, unitStates{}, running) {
			t.Errorf("one of type %s that ran before is waited for", test.kind)
		}
		onItsWay := unitStates{active: running.active, starting: map[string]bool{"greet.service": true}}
		if !st.unsettled(t.Context(), &plan{start: []string{"b.service"}}, running, onItsWay) {
			t.Errorf("one of type %s that is on its way is not waited for", test.kind)
		}
	}
}
