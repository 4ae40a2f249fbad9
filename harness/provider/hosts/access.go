package hosts

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"offload-e2e/harness/machine"
)

// AccessError is a machine that cannot be entered, with how it could.
type AccessError struct {
	Machine string
	What    string // completes "the desktop …"
	WayOut  string
	Err     error
}

func (e *AccessError) Error() string {
	text := "the " + e.Machine + " " + e.What
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *AccessError) Unwrap() error { return e.Err }

// endpoint is what ssh(1) makes of a destination, by its own configuration.
type endpoint struct {
	machine          string
	destination      string
	user, host, port string
	// alias is what its host keys are known by, if not its name (HostKeyAlias).
	alias                 string
	identities, knownKeys []string
	agent                 string
	// only: no keys but identities are offered.
	only bool
}

// resolve asks ssh what it would do (ssh(1), -G): so a Host of ~/.ssh/config means here
// what it means there.
func resolve(ctx context.Context, name string, h Host) (*endpoint, error) {
	e := &endpoint{machine: name, destination: h.SSH, only: h.Identity != ""}
	fail := func(what, wayOut string, err error) (*endpoint, error) {
		return nil, &AccessError{Machine: name, What: what, WayOut: wayOut, Err: err}
	}
	argv := []string{"-G"}
	if h.Identity != "" {
		argv = append(argv, "-i", home(h.Identity))
	}
	if h.KnownHosts != "" {
		argv = append(argv, "-o", "UserKnownHostsFile="+home(h.KnownHosts))
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ssh", append(argv, "--", h.SSH)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fail("cannot be reached: there is no ssh here", "Install OpenSSH's client (apt install openssh-client).", nil)
	case errors.As(err, &exit):
		return fail(fmt.Sprintf("cannot be reached: ssh does not understand %q", h.SSH), "Write it as root@192.168.15.7, or as ssh://root@192.168.15.7:22.", errors.New(strings.TrimSpace(string(exit.Stderr))))
	case err != nil:
		return fail("cannot be reached", "Try it by hand: ssh "+h.SSH, err)
	}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "user":
			e.user = value
		case "hostname":
			e.host = value
		case "port":
			e.port = value
		case "hostkeyalias":
			e.alias = value
		case "identityfile":
			e.identities = append(e.identities, home(value))
		case "userknownhostsfile", "globalknownhostsfile":
			for _, file := range strings.Fields(value) {
				e.knownKeys = append(e.knownKeys, home(file))
			}
		case "identityagent":
			e.agent = value
		case "identitiesonly":
			e.only = e.only || value == "yes"
		case "proxyjump", "proxycommand":
			if value != "none" {
				return fail(fmt.Sprintf("is reached through another (%s %s)", key, value), "Run this where ssh reaches it directly, or forward a port: ssh -L 2222:192.168.15.7:22 …, and ssh://root@127.0.0.1:2222 here.", nil)
			}
		}
	}
	if h.Identity != "" {
		e.identities = []string{home(h.Identity)}
	}
	if e.user != "root" {
		return fail("is entered as "+e.user+", who may not read what the checks have to", "Let root in by key (services.openssh.settings.PermitRootLogin = \"prohibit-password\", users.users.root.openssh.authorizedKeys.keys), and write root@"+e.host+".", nil)
	}
	return e, nil
}

// home is a path with its ~ replaced.
func home(path string) string {
	rest, is := strings.CutPrefix(path, "~/")
	if !is {
		return path
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	return filepath.Join(dir, rest)
}

// preferred are the kinds of host keys, as OpenSSH orders them.
var preferred = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA} //nolint:gochecknoglobals // a constant

// hostKey is the machine's key by ssh's files of known ones.
func (e *endpoint) hostKey() (ssh.PublicKey, error) {
	files := slices.DeleteFunc(slices.Clone(e.knownKeys), func(file string) bool {
		_, err := os.Stat(file)
		return err != nil
	})
	unknown := &AccessError{Machine: e.machine, What: fmt.Sprintf("has no host key that is known here (%s)", strings.Join(e.knownKeys, ", ")),
		WayOut: "Compare it, and let ssh keep it: ssh " + e.destination}
	if len(files) == 0 {
		return nil, unknown
	}
	check, err := knownhosts.New(files...)
	if err != nil {
		return nil, &AccessError{Machine: e.machine, What: "has no host key that can be looked up", WayOut: "Mend the file.", Err: err}
	}
	// No key is known by that name but those that the error tells of.
	none, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(e.host, e.port)
	if e.alias != "" {
		address = net.JoinHostPort(e.alias, "22")
	}
	var known *knownhosts.KeyError
	if err := check(address, &net.TCPAddr{}, none); !errors.As(err, &known) || len(known.Want) == 0 {
		return nil, unknown
	}
	best := slices.MinFunc(known.Want, func(a, b knownhosts.KnownKey) int {
		return cmp.Compare(rank(a.Key.Type()), rank(b.Key.Type()))
	})
	return best.Key, nil
}

// rank is a kind of host key's place among the preferred.
func rank(kind string) int {
	if i := slices.Index(preferred, kind); i >= 0 {
		return i
	}
	return len(preferred)
}

// signers are the keys that ssh would offer: those of its agent, and those in files
// without a passphrase. The closer, where there is one, ends the agent's.
func (e *endpoint) signers(ctx context.Context) (all []ssh.Signer, held io.Closer, _ error) {
	var locked []string
	wanted := map[string]bool{}
	for _, file := range e.identities {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		signer, err := ssh.ParsePrivateKey(text)
		var passphrase *ssh.PassphraseMissingError
		switch {
		case errors.As(err, &passphrase):
			locked = append(locked, file)
			if passphrase.PublicKey != nil {
				wanted[string(passphrase.PublicKey.Marshal())] = true
			}
		case err == nil:
			all = append(all, signer)
		}
	}
	fromAgent, held := e.fromAgent(ctx)
	for _, s := range fromAgent {
		if !e.only || wanted[string(s.PublicKey().Marshal())] {
			all = append(all, s)
		}
	}
	switch {
	case len(all) > 0:
		return all, held, nil
	case held != nil:
		_ = held.Close()
	}
	if len(locked) > 0 {
		return nil, nil, &AccessError{Machine: e.machine, What: "has to be entered by a key with a passphrase (" + strings.Join(locked, ", ") + ")", WayOut: "Give it to the agent: ssh-add " + locked[0]}
	}
	return nil, nil, &AccessError{Machine: e.machine, What: "cannot be entered: there is no key here, neither in an agent nor in " + strings.Join(e.identities, ", "),
		WayOut: "Name its file (identity), or make one: ssh-keygen -t ed25519 && ssh-copy-id " + e.destination}
}

// fromAgent are the keys of ssh's agent, none where there is no agent.
func (e *endpoint) fromAgent(ctx context.Context) ([]ssh.Signer, io.Closer) {
	socket := e.agent
	if socket == "" || socket == "SSH_AUTH_SOCK" {
		socket = os.Getenv("SSH_AUTH_SOCK")
	}
	if socket == "" || socket == "none" {
		return nil, nil
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", home(socket))
	if err != nil {
		return nil, nil
	}
	signers, err := agent.NewClient(conn).Signers()
	if err != nil || len(signers) == 0 {
		_ = conn.Close()
		return nil, nil
	}
	return signers, conn
}

// unreachable says how a machine could be entered that does not let us in.
func (e *endpoint) unreachable(err error) error {
	a := &AccessError{Machine: e.machine, What: fmt.Sprintf("cannot be entered at %s", net.JoinHostPort(e.host, e.port)), Err: err,
		WayOut: "Try it by hand: ssh " + e.destination}
	switch {
	case errors.Is(err, machine.ErrHostKey):
		a.WayOut = "Compare its host key by hand. If it was changed on purpose: ssh-keygen -R " + e.host + ", then ssh " + e.destination
	case strings.Contains(err.Error(), "unable to authenticate"):
		a.WayOut = "Let root in by your key: services.openssh.settings.PermitRootLogin = \"prohibit-password\", and users.users.root.openssh.authorizedKeys.keys."
	}
	return a
}
