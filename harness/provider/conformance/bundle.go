package conformance

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/network"
	"offload-e2e/harness/provider"
)

// BundleVariable names the folder of a guest image, for providers that boot one.
const BundleVariable = "OFFLOAD_E2E_BUNDLE"

// Bundle is that guest image, with the keys to enter it. Without one the test is
// skipped.
func Bundle(t *testing.T) (*guest.Image, ssh.Signer, ssh.PublicKey) {
	t.Helper()
	dir := os.Getenv(BundleVariable)
	if dir == "" {
		t.Skipf("boots a real guest: set %s to the folder of a guest image, or run it by `make test`", BundleVariable)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	img := &guest.Image{Dir: dir, Keys: dir}
	if err := json.Unmarshal(read("manifest.json"), &img.Manifest); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(read(guest.KeyName))
	if err != nil {
		t.Fatal(err)
	}
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey(read(guest.HostKeyName))
	if err != nil {
		t.Fatal(err)
	}
	return img, signer, hostKey
}

// LAN is a network with sockets for the two machines in a folder.
func LAN(t *testing.T, sockets string) *network.LAN {
	t.Helper()
	lan, err := network.New(network.Config{Machines: []network.Machine{
		{Name: Desktop, Addr: netip.MustParseAddr(desktopAddr), MAC: "52:54:00:0f:00:07"},
		{Name: Laptop, Addr: netip.MustParseAddr(laptopAddr), MAC: "52:54:00:0f:00:09"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lan.Close() })
	for _, name := range []string{Desktop, Laptop} {
		if err := lan.Listen(name, LANSocket(sockets, name)); err != nil {
			t.Fatal(err)
		}
	}
	return lan
}

// LANSocket is a machine's socket of LAN.
func LANSocket(sockets, name string) string { return filepath.Join(sockets, name+".lan") }

// Request asks for the two machines.
func Request(stateDir string) provider.Request {
	return provider.Request{StateDir: stateDir, Machines: []provider.MachineRequest{
		{Name: Desktop, Addr: netip.MustParseAddr(desktopAddr), MAC: "52:54:00:0f:00:07", MemoryMiB: 1024},
		{Name: Laptop, Addr: netip.MustParseAddr(laptopAddr), MAC: "52:54:00:0f:00:09", MemoryMiB: 1024},
	}}
}
