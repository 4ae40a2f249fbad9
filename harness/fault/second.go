package fault

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/machine"
	"offload-e2e/harness/network"
	"offload-e2e/harness/nixos"
)

// SecondLaptop is another client of the desktop: it logs in as the builder's user,
// from an address of its own (the gateway's), with a key of its own, and has builds
// done there until it is taken back.
type SecondLaptop struct {
	User   string        `yaml:"user" doc:"whom it logs in as"`
	Builds uint          `yaml:"builds" doc:"how many builds it has at once"`
	Take   time.Duration `yaml:"take" doc:"how long each takes"`

	client *ssh.Client
}

func (f *SecondLaptop) String() string {
	return fmt.Sprintf("a second laptop has %d builds of %s on the desktop", f.Builds, f.Take)
}

// Lasts is true: the connection is the harness's.
func (*SecondLaptop) Lasts() bool { return true }

// keyName is the comment of the second laptop's key.
const keyName = "offload-e2e-second-laptop"

func (f *SecondLaptop) Apply(ctx context.Context, w World) (Undo, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	back := func(ctx context.Context) error {
		if f.client != nil {
			_ = f.client.Close()
			f.client = nil
		}
		_, err := bash(ctx, w, nixos.Desktop, `sed -i "/ $2\$/d" "$(getent passwd "$1" | cut -d: -f6)/.ssh/authorized_keys"`, f.User, keyName)
		return err
	}
	host, err := bash(ctx, w, nixos.Desktop, `echo "$2" >>"$(getent passwd "$1" | cut -d: -f6)/.ssh/authorized_keys"; cat /etc/ssh/ssh_host_ed25519_key.pub`,
		f.User, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))+" "+keyName)
	if err != nil {
		return back, err
	}
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(host))
	if err != nil {
		return back, fmt.Errorf("read the desktop's host key: %w", err)
	}
	if f.client, err = login(ctx, w.LAN(), &ssh.ClientConfig{User: f.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.FixedHostKey(hostKey), HostKeyAlgorithms: []string{hostKey.Type()}}); err != nil {
		return back, err
	}
	session, err := f.client.NewSession()
	if err != nil {
		return back, fmt.Errorf("the second laptop asks for builds: %w", err)
	}
	// The session ends with the connection, and the builds with it.
	if err := session.Start("nix-build --no-out-link --max-jobs " + fmt.Sprint(f.Builds) + " --expr " + machine.Quote(lasting(f.Builds, f.Take))); err != nil {
		return back, fmt.Errorf("the second laptop asks for builds: %w", err)
	}
	return back, nil
}

// login opens a connection to the desktop's sshd over the LAN, within a minute.
func login(ctx context.Context, lan *network.LAN, config *ssh.ClientConfig) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := lan.DialContext(ctx, "tcp", "desktop:22")
	if err != nil {
		return nil, err
	}
	// The handshake knows no context.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c, channels, requests, err := ssh.NewClientConn(conn, "desktop:22", config)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("the second laptop logs in: %w", errors.Join(context.Cause(ctx), err))
	}
	return ssh.NewClient(c, channels, requests), nil
}

func (f *SecondLaptop) Probe(ctx context.Context, w World) (bool, string, error) {
	if f.client == nil {
		return false, "it is not connected", nil
	}
	seen, err := bash(ctx, w, nixos.Desktop, `ps -eo user:20=,args= | grep -c "^nixbld.*/proc/uptime" || :`)
	if err != nil {
		return false, "", err
	}
	return seen != "0", seen + " builds run on the desktop", nil
}
