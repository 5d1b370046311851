//go:build pkcs11 && cgo

package hsm

import (
	"crypto"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/ThalesGroup/crypto11"
)

// Open returns what opens keys in the device behind a library; pin is a file with the PIN, readable by its owner only. A token
// is opened once and stays open.
func Open(module, pin string) func(where string) (crypto.Signer, error) {
	var mu sync.Mutex
	open := map[string]*crypto11.Context{}
	return func(where string) (crypto.Signer, error) {
		token, object, err := parse(where)
		if err != nil {
			return nil, err
		}
		if module == "" || pin == "" {
			return nil, errors.New("keys.pkcs11_module and keys.pkcs11_pin_file are needed")
		}
		mu.Lock()
		defer mu.Unlock()
		c, ok := open[token]
		if !ok {
			info, err := os.Stat(pin)
			if err != nil {
				return nil, err
			}
			if info.Mode().Perm()&0o077 != 0 {
				return nil, fmt.Errorf("others may read %s; chmod 600 it", pin)
			}
			text, err := os.ReadFile(pin)
			if err != nil {
				return nil, err
			}
			c, err = crypto11.Configure(&crypto11.Config{Path: module, TokenLabel: token, Pin: strings.TrimSpace(string(text))})
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
