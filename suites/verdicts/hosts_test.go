package verdicts

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// Machines that are somebody's own are named, or it is said how; what is not for them
// is refused.
func TestHostsThatAreRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	nobody := listener.Addr().(*net.TCPAddr).Port
	must(t, listener.Close())
	for _, test := range []struct {
		name, hosts string
		args        []string
		exit        int
		says        []string
	}{
		{"no file names them", "", []string{"run"}, exitUsage, []string{"Your machines are not named", "there is no", "e2e/hosts.yaml", "desktop: { ssh: root@192.168.15.7 }", "HOSTS=<file>"}},
		{"a name is misspelt", "dekstop: { ssh: root@127.0.0.1 }\nlaptop: { ssh: root@127.0.0.1 }\n", []string{"run"}, exitUsage, []string{"hosts.yaml:1:1", `"dekstop"`, `did you mean "desktop"`}},
		{"one is missing", "desktop: { ssh: root@127.0.0.1 }\n", []string{"run"}, exitUsage, []string{"hosts.yaml:1:1", `"laptop"`}},
		{"what cannot be allowed", "desktop: { ssh: root@127.0.0.1 }\nlaptop: { ssh: root@127.0.0.1 }\nallow: [build, break]\n", []string{"run"}, exitUsage, []string{"hosts.yaml:3:16", "build or mount"}},
		{"its host key is not known", fmt.Sprintf("desktop: { ssh: 'ssh://root@127.0.0.1:%d', identity: KEY, known_hosts: KNOWN }\nlaptop: { ssh: root@127.0.0.1 }\n", nobody), []string{"run"}, exitInfra,
			[]string{"The desktop cannot be entered", fmt.Sprintf("127.0.0.1:%d", nobody), "Compare it, and let ssh keep it: ssh ssh://root@127.0.0.1"}},
		{"they would stay up", "", []string{"run", "--keep", "always"}, exitUsage, []string{"--keep always", "stay up anyway"}},
		{"they would be broken", "", []string{"gate"}, exitUsage, []string{"--provider hosts", "nothing is broken on them"}},
		{"they would be brought up", "", []string{"up"}, exitUsage, []string{"--provider hosts"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPlace(t)
			config := reference(t)
			if test.hosts != "" {
				text := strings.NewReplacer("KEY", filepath.Join(t.TempDir(), "key"), "KNOWN", filepath.Join(t.TempDir(), "known")).Replace(test.hosts)
				write(t, filepath.Join(config, "e2e", "hosts.yaml"), text)
			}
			args := append(test.args, "--provider", "hosts", "--config", config)
			if args[0] != "up" {
				args = append(args, "--report", p.reports)
			}
			p.start(args...).end().is(test.exit, test.says...)
			p.nothingLeft()
		})
	}
	p := newPlace(t)
	p.run("--provider", "qemu", "--hosts", "x.yaml").is(exitUsage, "--hosts x.yaml", "--provider hosts")
}
