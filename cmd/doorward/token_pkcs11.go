//go:build pkcs11 && cgo

package main

import (
	"crypto"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/ThalesGroup/crypto11"
)

// Rules of keys in devices (PKCS #11): which library is loaded and which PIN opens it say the configuration and a file, never
// the database: whoever could write there would run code here. The database names token and key alone (RFC 7512).

// keyAt opens keys in the device of the configuration. A token is opened once and stays open.
func keyAt(k keys) func(where string) (crypto.Signer, error) {
	var mu sync.Mutex
	open := map[string]*crypto11.Context{}
	return func(where string) (crypto.Signer, error) {
		token, object, err := tokenURI(where)
		if err != nil {
			return nil, err
		}
		if k.Module == "" || k.PIN == "" {
			return nil, errors.New("keys.pkcs11_module and keys.pkcs11_pin_file are needed")
		}
		mu.Lock()
		defer mu.Unlock()
		c, ok := open[token]
		if !ok {
			info, err := os.Stat(k.PIN)
			if err != nil {
				return nil, err
			}
			if info.Mode().Perm()&0o077 != 0 {
				return nil, fmt.Errorf("others may read %s; chmod 600 it", k.PIN)
			}
			pin, err := os.ReadFile(k.PIN)
			if err != nil {
				return nil, err
			}
			c, err = crypto11.Configure(&crypto11.Config{Path: k.Module, TokenLabel: token, Pin: strings.TrimSpace(string(pin))})
			if err != nil {
				return nil, fmt.Errorf("open the token %s: %w", token, err)
			}
			open[token] = c
		}
		key, err := c.FindKeyPair(nil, []byte(object))
		if err != nil {
			return nil, fmt.Errorf("the key %s in the token %s: %w", object, token, err)
		}
		if key == nil {
			return nil, fmt.Errorf("there is no key pair %s in the token %s", object, token)
		}
		return key, nil
	}
}

// tokenURI reads pkcs11:token=…;object=… and refuses whatever else stands in it.
func tokenURI(where string) (token, object string, err error) {
	rest, ok := strings.CutPrefix(where, "pkcs11:")
	for part := range strings.SplitSeq(rest, ";") {
		name, value, found := strings.Cut(part, "=")
		value, bad := url.PathUnescape(value)
		switch {
		case !found || bad != nil:
			ok = false
		case name == "token" && token == "":
			token = value
		case name == "object" && object == "":
			object = value
		default:
			ok = false
		}
	}
	if !ok || token == "" || object == "" {
		return "", "", fmt.Errorf("%q does not name a key: pkcs11:token=NAME;object=NAME", where)
	}
	return token, object, nil
}
