package nixserve

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/nix-community/go-nix/pkg/narinfo/signature"
	"github.com/nix-community/go-nix/pkg/nixbase32"

	"offload-e2e/harness/nixserve/daemon"
)

// Fingerprint is what a signature of a path signs:
// "1;path;sha256:hash;size;references", as ValidPathInfo::fingerprint
// (libstore/path-info.cc) has it. Paths are absolute. go-nix's own knows no
// store but /nix/store.
func Fingerprint(storePath string, narHash []byte, narSize uint64, references []string) string {
	sorted := slices.Clone(references)
	slices.Sort(sorted)
	return fmt.Sprintf("1;%s;sha256:%s;%d;%s", storePath, nixbase32.EncodeToString(narHash), narSize, strings.Join(sorted, ","))
}

// Render writes a narinfo as nix-serve does. With a key the narinfo carries
// its signature alone; without, the ones the store has.
func Render(info *daemon.PathInfo, hashPart string, key *signature.SecretKey) (string, error) {
	hash := nixbase32.EncodeToString(info.NarHash)
	var b strings.Builder
	fmt.Fprintf(&b, "StorePath: %s\n", info.Path)
	fmt.Fprintf(&b, "URL: nar/%s-%s.nar\n", hashPart, hash)
	b.WriteString("Compression: none\n")
	fmt.Fprintf(&b, "NarHash: sha256:%s\n", hash)
	fmt.Fprintf(&b, "NarSize: %d\n", info.NarSize)
	if len(info.References) > 0 {
		names := make([]string, 0, len(info.References))
		for _, reference := range info.References {
			names = append(names, path.Base(reference))
		}
		fmt.Fprintf(&b, "References: %s\n", strings.Join(names, " "))
	}
	if info.Deriver != "" {
		fmt.Fprintf(&b, "Deriver: %s\n", path.Base(info.Deriver))
	}
	signatures := info.Signatures
	if key != nil {
		sig, err := key.Sign(nil, Fingerprint(info.Path, info.NarHash, info.NarSize, info.References))
		if err != nil {
			return "", fmt.Errorf("sign %s: %w", info.Path, err)
		}
		signatures = []string{sig.String()}
	}
	for _, sig := range signatures {
		fmt.Fprintf(&b, "Sig: %s\n", sig)
	}
	return b.String(), nil
}
