package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// A sealed value is
//
//	version (1 byte, 1) | key id (4) | salt (16) | nonce (12) | AES-256-GCM ciphertext and tag
//
// The key of a value is derived from the ring's key and the salt, so nonces never meet under one key and no count of
// values per key has to be kept (NIST SP 800-38D, 8.3). The associated data is the header and the place.
const (
	sealVersion = 1
	saltLen     = 16
	nonceLen    = 12
	tagLen      = 16
	headLen     = 1 + idLen
	sealedMin   = headLen + saltLen + nonceLen + tagLen
)

// ErrSealed says that a value did not open: it was changed, moved from its place, or is none. ErrNoKey says that the
// ring lacks its key: the ring's file is older than the database, or another's. Neither is the fault of a visitor.
var (
	ErrSealed = errors.New("sealed value does not open")
	ErrNoKey  = errors.New("key of a sealed value is not in the ring")
)

// Place is where a sealed value is stored. Row is the row's id.
type Place struct{ Table, Column, Row string }

func (p Place) String() string { return p.Table + "." + p.Column + " of " + p.Row }

// Seal encrypts plain for its place under the newest key. Equal plaintexts give different values.
func (r *Ring) Seal(p Place, plain []byte) ([]byte, error) {
	r.mu.RLock()
	k := r.seal[len(r.seal)-1]
	r.mu.RUnlock()

	out := make([]byte, 0, sealedMin+len(plain))
	out = append(out, sealVersion)
	out = append(out, k.id[:]...)
	out = append(out, random(saltLen+nonceLen)...)
	aead, err := valueCipher(k.key, out[headLen:headLen+saltLen])
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, out[headLen+saltLen:], plain, associated(out[:headLen], p)), nil
}

// Open decrypts a value of this place. It fails with ErrSealed or ErrNoKey, which name the place.
func (r *Ring) Open(p Place, sealed []byte) ([]byte, error) {
	id, ok := keyOf(sealed)
	if !ok {
		return nil, fmt.Errorf("%s: %w", p, ErrSealed)
	}
	r.mu.RLock()
	key, ok := find(r.seal, id)
	r.mu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("%s, key %s: %w", p, id, ErrNoKey)
	}
	body := sealed[headLen:]
	aead, err := valueCipher(key, body[:saltLen])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, body[saltLen:saltLen+nonceLen], body[saltLen+nonceLen:], associated(sealed[:headLen], p))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, ErrSealed)
	}
	return plain, nil
}

// Stale reports whether a value was sealed under a key other than the newest, so that a rotation knows what to seal anew.
func (r *Ring) Stale(sealed []byte) bool {
	id, ok := keyOf(sealed)
	r.mu.RLock()
	defer r.mu.RUnlock()
	return !ok || id != r.seal[len(r.seal)-1].id
}

func keyOf(sealed []byte) (id keyID, ok bool) {
	if len(sealed) < sealedMin || sealed[0] != sealVersion {
		return id, false
	}
	copy(id[:], sealed[1:headLen])
	return id, true
}

func valueCipher(key, salt []byte) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, key, salt, "doorward seal", keyLen)
	if err != nil {
		return nil, fmt.Errorf("derive the key of a value: %w", err)
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, fmt.Errorf("AES: %w", err)
	}
	return cipher.NewGCM(block)
}

// associated writes every part with its length, so that no two places read the same: ("ab", "c") is not ("a", "bc").
func associated(head []byte, p Place) []byte {
	out := append(make([]byte, 0, len(head)+24+len(p.Table)+len(p.Column)+len(p.Row)), head...)
	for _, s := range []string{p.Table, p.Column, p.Row} {
		out = binary.BigEndian.AppendUint64(out, uint64(len(s)))
		out = append(out, s...)
	}
	return out
}
