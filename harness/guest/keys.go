package guest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What a guest gets of the keys.
const (
	seedName        = "seed"
	authorizedName  = "authorized_keys"
	hostPrivateName = "ssh_host_ed25519_key"
)

// makeKeys makes keys in a folder, unless it has them. It appears whole or not at
// all; of two processes that make it at once, one's stays.
func makeKeys(dir string) error {
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".keys-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := writeKeys(filepath.Join(tmp, seedName), tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Brought are the keys to hand to a guest whose image has none, by name:
// authorized_keys, and host_key. Nil for one that has.
func (i *Image) Brought() (map[string][]byte, error) {
	if i.Keys == i.Dir {
		return nil, nil
	}
	keys := map[string][]byte{}
	for name, file := range map[string]string{"authorized_keys": authorizedName, "host_key": hostPrivateName} {
		text, err := os.ReadFile(filepath.Join(i.Keys, seedName, file))
		if err != nil {
			return nil, fmt.Errorf("read the keys of guest image %s: %w", i.ID, err)
		}
		keys[name] = text
	}
	return keys, nil
}

// Credentials are kernel parameters that hand the keys to a guest whose image has
// none (systemd.system-credentials(7)); "" for one that has.
func (i *Image) Credentials() (string, error) {
	keys, err := i.Brought()
	if err != nil {
		return "", err
	}
	var parameters []string
	for name, text := range keys {
		parameters = append(parameters, "systemd.set_credential_binary=offload-e2e."+name+":"+base64.StdEncoding.EncodeToString(text))
	}
	slices.Sort(parameters)
	return strings.Join(parameters, " "), nil
}
