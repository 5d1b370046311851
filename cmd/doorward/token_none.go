//go:build !pkcs11 || !cgo

package main

import (
	"crypto"
	"errors"
)

// keyAt opens keys in devices. This build cannot: the libraries of such devices are C.
func keyAt(keys) func(where string) (crypto.Signer, error) {
	return func(string) (crypto.Signer, error) {
		return nil, errors.New("this build opens no PKCS #11 device; build with CGO_ENABLED=1 and -tags pkcs11")
	}
}
