package hosts

import (
	"context"

	"golang.org/x/crypto/ssh"
)

// Offered are the keys that a machine would be entered by.
func Offered(ctx context.Context, h Host) ([]ssh.PublicKey, error) {
	e, err := resolve(ctx, "desktop", h)
	if err != nil {
		return nil, err
	}
	signers, held, err := e.signers(ctx)
	if held != nil {
		defer held.Close()
	}
	keys := make([]ssh.PublicKey, len(signers))
	for i, s := range signers {
		keys[i] = s.PublicKey()
	}
	return keys, err
}
