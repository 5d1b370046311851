//go:build !pkcs11 || !cgo

package hsm

import (
	"crypto"
	"errors"
)

// Open would open keys in the device behind a library; this build cannot.
func Open(_, _ string) func(where string) (crypto.Signer, error) {
	return func(where string) (crypto.Signer, error) {
		if _, _, err := parse(where); err != nil {
			return nil, err
		}
		return nil, errors.New("this build opens no PKCS #11 device; build with CGO_ENABLED=1 and -tags pkcs11")
	}
}
