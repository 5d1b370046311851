// Package secret holds what must not leak: the key ring, sealed values, keyed look-up hashes, random codes, and a string
// that cannot be printed by accident.
//
// Rules:
//   - One ring per installation, in a file beside the database and never in it, so that a stolen dump or backup opens
//     nothing.
//   - A value is sealed to its place (table, column, row). Moved to any other place it does not open: who can write to
//     the database cannot give one person another's seed.
//   - Sealing keys rotate; older ones stay and still open. The fixed key never rotates, because look-up hashes, peppered
//     passwords and the audit signer would be lost with it.
//   - Every use has a subkey of its own (HKDF-SHA256, RFC 5869), so that no output of one use helps against another.
package secret

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
)

const (
	keyLen = 32
	idLen  = 4
)

type keyID [idLen]byte

func (id keyID) String() string { return hex.EncodeToString(id[:]) }

type sealKey struct {
	id  keyID
	key []byte
}

// Ring is the set of keys of one installation. It is safe for concurrent use. It prints as [redacted].
type Ring struct {
	fixed []byte // as read and written
	prk   []byte // HKDF extract of fixed

	mu   sync.RWMutex
	seal []sealKey // oldest first; the last one seals
}

// NewRing makes a ring of fresh random keys.
func NewRing() (*Ring, error) {
	r, err := ringOf(random(keyLen), nil)
	if err != nil {
		return nil, err
	}
	return r, r.Rotate()
}

func ringOf(fixed []byte, seal []sealKey) (*Ring, error) {
	prk, err := hkdf.Extract(sha256.New, fixed, []byte("doorward fixed key"))
	if err != nil {
		return nil, fmt.Errorf("derive from the fixed key: %w", err)
	}
	return &Ring{fixed: fixed, prk: prk, seal: seal}, nil
}

// Rotate adds a fresh sealing key. From now on it seals; the older ones still open. The caller writes the ring to its
// file before anything is sealed with it, or values are lost at the next start.
func (r *Ring) Rotate() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		k := sealKey{key: random(keyLen)}
		copy(k.id[:], random(idLen))
		if _, taken := find(r.seal, k.id); !taken {
			r.seal = append(r.seal, k)
			return nil
		}
	}
}

// Keys lists the ids of the sealing keys, oldest first. An id says nothing about its key.
func (r *Ring) Keys() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	ids := make([]string, len(r.seal))
	for i, k := range r.seal {
		ids[i] = k.id.String()
	}
	return ids
}

func find(keys []sealKey, id keyID) ([]byte, bool) {
	for _, k := range keys {
		if k.id == id {
			return k.key, true
		}
	}
	return nil, false
}

// Hash is the keyed look-up hash of a secret: 32 bytes, HMAC-SHA256 under a subkey of the purpose. A stored hash cannot
// be guessed at without the ring, and one made for one purpose matches under no other. It stays the same when the ring
// rotates.
func (r *Ring) Hash(purpose, secret string) []byte {
	return sum(r.subkey("look-up", purpose), []byte(secret))
}

// Mark signs an id for a link: 128 bits of Hash over the realm and the id, in letters that stand in an address as they are.
// Whoever holds the mail can show it, nobody else can make it, and nothing of it is stored.
func (r *Ring) Mark(purpose, realm, id string) string {
	return marks.EncodeToString(r.Hash(purpose, realm+" "+id)[:16])
}

var marks = base32.NewEncoding(lower).WithPadding(base32.NoPadding)

// Pepper is the keyed pre-hash of a password, 32 bytes, before the slow hash: a stolen database without the ring cannot
// be attacked at all. It never changes for an installation.
func (r *Ring) Pepper(password []byte) []byte {
	return sum(r.subkey("pepper", ""), password)
}

// Signer is the Ed25519 key (RFC 8032) of a purpose, the same for the life of the ring.
func (r *Ring) Signer(purpose string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(r.subkey("signer", purpose))
}

// subkey never confuses two uses: use is a constant without NUL, so the pair splits in one way only.
func (r *Ring) subkey(use, purpose string) []byte {
	k, err := hkdf.Expand(sha256.New, r.prk, "doorward "+use+"\x00"+purpose, keyLen)
	if err != nil { // only for lengths beyond 255 hashes
		panic(err)
	}
	return k
}

func sum(key, data []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(data)
	return m.Sum(nil)
}

// random reads the system's generator; crypto/rand never returns short and ends the program when the system has none.
func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// Format keeps keys out of every fmt verb.
func (r *Ring) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue keeps keys out of logs.
func (r *Ring) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON keeps keys out of JSON; the file format is WriteTo's.
func (r *Ring) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
