package internet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/nix-community/go-nix/pkg/nixbase32"
	"github.com/nix-community/go-nix/pkg/nixhash"
	"github.com/nix-community/go-nix/pkg/storepath"
)

// Names of store paths, as checkName (libstore/path.cc) has them.
var validName = regexp.MustCompile(`^[a-zA-Z0-9+\-_?=][a-zA-Z0-9+\-._?=]{0,210}$`)

// textPath is where builtins.toFile puts a text, and its content address.
func textPath(storeDir, name string, content []byte, references []string) (path, ca string, err error) {
	sum := sha256.Sum256(content)
	path, err = makeStorePath(storeDir, "text", sum[:], name, references)
	return path, "text:sha256:" + nixbase32.EncodeToString(sum[:]), err
}

// sourcePath is where builtins.path puts a tree, and its content address.
func sourcePath(storeDir, name string, narHash []byte, references []string) (path, ca string, err error) {
	path, err = makeStorePath(storeDir, "source", narHash, name, references)
	return path, "fixed:r:sha256:" + nixbase32.EncodeToString(narHash), err
}

// makeStorePath is Nix's function of that name (libstore/store-dir-config):
// 160 bits of the hash of type, references, content, store and name.
func makeStorePath(storeDir, kind string, hash []byte, name string, references []string) (string, error) {
	if !validName.MatchString(name) {
		return "", fmt.Errorf("%q is no name of a store path: letters, digits and +-._?=, at most 211, no dot first", name)
	}
	parts := append([]string{kind}, slices.Sorted(slices.Values(references))...)
	parts = append(parts, "sha256", hex.EncodeToString(hash), storeDir, name)
	sum := sha256.Sum256([]byte(strings.Join(parts, ":")))
	path := storepath.StorePath{Name: name, Digest: nixhash.CompressHash(sum[:], storepath.PathHashSize)}
	return storeDir + "/" + path.String(), nil
}
