package internet

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/nix-community/go-nix/pkg/narinfo/signature"
)

// KeyName is the name of the key that cache.nixos.org signs with. The
// stand-in's own key bears it too; only the material differs.
const KeyName = "cache.nixos.org-1"

// Certificates are valid whatever a guest's clock says: a test may set it
// wrong, and a restored guest wakes up in the past.
var (
	validFrom  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	validUntil = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Identity is what guests trust the stand-in by: a certificate authority, and
// a key that signs store paths. It outlives a run where the trust is part of a
// guest's image.
type Identity struct {
	cert *x509.Certificate
	key  crypto.Signer
	nix  signature.SecretKey
}

// NewIdentity generates an authority and a signing key.
func NewIdentity() (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate the key of the test authority: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "offload-e2e test authority", Organization: []string{"offload-e2e"}},
		NotBefore:             validFrom,
		NotAfter:              validUntil,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate of the test authority: %w", err)
	}
	secret, _, err := signature.GenerateKeypair(KeyName, nil)
	if err != nil {
		return nil, fmt.Errorf("generate the key %s: %w", KeyName, err)
	}
	return &Identity{cert: cert, key: key, nix: secret}, nil
}

// Types of the blocks in an identity's file.
const (
	pemCert = "CERTIFICATE"
	pemKey  = "PRIVATE KEY"
	pemNix  = "NIX SECRET KEY"
)

// LoadIdentity reads the identity in a file, which is made where there is
// none. Of several processes that make it at the same time, all get the same.
// The file has secrets, though of tests only: its mode is 0600.
func LoadIdentity(file string) (*Identity, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createIdentity(file); err != nil {
			return nil, fmt.Errorf("make the internet's identity: %w", err)
		}
		content, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the internet's identity: %w", err)
	}
	id, err := parseIdentity(content)
	if err != nil {
		return nil, fmt.Errorf("the internet's identity in %s is damaged: %w; remove the file, and the guest images that trust it", file, err)
	}
	return id, nil
}

func createIdentity(file string) error {
	id, err := NewIdentity()
	if err != nil {
		return err
	}
	content, err := id.marshal()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".identity") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	// A link, not a rename: what another process made first is kept.
	if err := os.Link(temp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (id *Identity) marshal() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, block := range []*pem.Block{
		{Type: pemCert, Bytes: id.cert.Raw},
		{Type: pemKey, Bytes: key},
		{Type: pemNix, Bytes: []byte(id.nix.String())},
	} {
		if err := pem.Encode(&b, block); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

func parseIdentity(content []byte) (*Identity, error) {
	blocks := map[string][]byte{}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		blocks[block.Type] = block.Bytes
	}
	cert, err := x509.ParseCertificate(blocks[pemCert])
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(blocks[pemKey])
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("the private key is not the certificate's")
	}
	nix, err := signature.LoadSecretKey(string(blocks[pemNix]))
	if err != nil {
		return nil, err
	}
	return &Identity{cert: cert, key: key, nix: nix}, nil
}

// CACertPEM is the authority's certificate, for a guest's trust store.
func (id *Identity) CACertPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCert, Bytes: id.cert.Raw})
}

// PublicKey is what trusted-public-keys must hold, "cache.nixos.org-1:base64".
func (id *Identity) PublicKey() string { return id.nix.ToPublicKey().String() }

// issue makes a server's certificate for host names and IP addresses.
func (id *Identity) issue(names []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: names[0]},
		NotBefore:             validFrom,
		NotAfter:              validUntil,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	cert, err := sign(template, id.cert, key.Public(), id.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate for %v: %w", names, err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw, id.cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
