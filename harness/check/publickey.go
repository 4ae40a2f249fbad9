package check

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// CacheKeyName is the name of the desktop's cache key (the contract's).
const CacheKeyName = "cache.local"

// CachePublicKeyPath is where the public half of the cache's key is.
const CachePublicKeyPath = "/var/cache-pub-key.pem"

// PublicKey is a trusted key of a binary cache: "name:base64".
type PublicKey struct{ Name, Material string }

// ParsePublicKey reads "name:base64" with 32 bytes of ed25519 key.
func ParsePublicKey(text string) (PublicKey, error) {
	name, material, ok := strings.Cut(strings.TrimSpace(text), ":")
	if !ok || name == "" {
		return PublicKey{}, fmt.Errorf("public key %q is not of the form name:base64", text)
	}
	raw, err := base64.StdEncoding.DecodeString(material)
	if err != nil {
		return PublicKey{}, fmt.Errorf("public key %q: %w", text, err)
	}
	if len(raw) != 32 {
		return PublicKey{}, fmt.Errorf("public key %q has %d bytes, not the 32 of an ed25519 key", text, len(raw))
	}
	return PublicKey{name, material}, nil
}

func (k PublicKey) String() string { return k.Name + ":" + k.Material }

// secretKeyHalf reads a signing key, name:base64 of seed and public key, and
// returns its name and public half; the secret is not kept.
func secretKeyHalf(text string) (name, public string, err error) {
	name, material, ok := strings.Cut(strings.TrimSpace(text), ":")
	raw, err := base64.StdEncoding.DecodeString(material)
	if !ok || err != nil || len(raw) != 64 {
		return "", "", errors.New("not of the form name:base64 of 64 bytes")
	}
	return name, base64.StdEncoding.EncodeToString(raw[32:]), nil
}
