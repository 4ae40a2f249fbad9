package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"

	"offload-e2e/harness/internet"
	"offload-e2e/harness/network"
)

// Internet is the stand-in for the internet: cache.nixos.org, signed, over TLS
// under an authority that guests trust.
type Internet struct {
	*internet.Server
	cancel context.CancelFunc
	done   chan error
}

// openInternet makes the server. Its identity is kept, since booted machines that
// are kept trust it.
func openInternet(cacheDir string) (*Internet, error) {
	identity, err := loadIdentity(cacheDir)
	if err != nil {
		return nil, err
	}
	server, err := internet.New(internet.Options{Identity: identity, ContentAddressed: true})
	if err != nil {
		return nil, err
	}
	if _, err := server.AddText("internet-hello", "Hello from the internet.\n"); err != nil {
		return nil, err
	}
	return &Internet{Server: server}, nil
}

func loadIdentity(cacheDir string) (*internet.Identity, error) {
	dir := filepath.Join(cacheDir, "internet")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep the internet's identity: %w", err)
	}
	return internet.LoadIdentity(filepath.Join(dir, "identity.pem"))
}

// Authority is the certificate, PEM, that guests of labs with that cache folder
// have to trust: that of the internet's stand-in.
func Authority(cacheDir string) ([]byte, error) {
	identity, err := loadIdentity(cacheDir)
	if err != nil {
		return nil, err
	}
	return identity.CACertPEM(), nil
}

func (i *Internet) caPEM() []byte { return i.CACertPEM() }

// serve answers on the LAN's internet side until close.
func (i *Internet) serve(lan *network.LAN) error {
	tls, err := lan.ListenTCP(netip.AddrPortFrom(network.CacheAddr(), 443))
	if err != nil {
		return fmt.Errorf("open the internet: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	i.cancel, i.done = cancel, make(chan error, 1)
	go func() { i.done <- i.Serve(ctx, tls) }()
	return nil
}

func (i *Internet) close() error {
	if i.cancel == nil {
		return nil
	}
	i.cancel()
	i.cancel = nil
	if err := <-i.done; err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close the internet: %w", err)
	}
	return nil
}
