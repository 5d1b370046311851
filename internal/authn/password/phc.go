package password

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"

	"doorward/internal/fault"
)

// Hashes are kept as PHC strings (github.com/P-H-C/phc-string-format). Ours are
//
//	$argon2id$v=19$m=19456,t=2,p=1,keyid=ZHc$SALT$KEY
//
// where keyid, a standard parameter of Argon2 strings, marks what only we make: the input is not the password but its
// HMAC under the pepper. Without keyid it was imported. Also read, for imports: argon2i, scrypt and pbkdf2 in their PHC
// form, pbkdf2 as passlib writes it, and bcrypt ($2a$, $2b$, $2y$). The limits below keep one stored string from
// costing gigabytes or minutes; they are far above what is in use.
type hashed struct {
	scheme string // as written between the first dollar signs
	keyed  bool
	memory uint32 // argon2: KiB; scrypt: N
	passes uint32 // argon2: t; scrypt: r; pbkdf2: iterations
	lanes  uint8  // argon2, scrypt: p
	salt   []byte
	key    []byte
	crypt  string // bcrypt: the whole string
}

const (
	keyID   = "ZHc"
	saltLen = 16
	keyLen  = 32

	memoryMax     = 1 << 18 // KiB: 256 MiB
	passesMax     = 64
	lanesMax      = 16
	iterationsMax = 5_000_000
	costMax       = 15 // bcrypt
	hashMax       = 1024
)

var digests = map[string]func() hash.Hash{
	"pbkdf2": sha1.New, "pbkdf2-sha1": sha1.New, "pbkdf2-sha256": sha256.New, "pbkdf2-sha512": sha512.New,
}

func errHash() error { return fault.New(fault.Invalid, "password-hash-unknown") }

// argon2idOf is the form of a new hash: its salt is still zero and it has no key.
func argon2idOf(p Params) hashed {
	return hashed{
		scheme: "argon2id", keyed: true, memory: uint32(p.Memory), passes: uint32(p.Passes), lanes: uint8(p.Lanes),
		salt: make([]byte, saltLen), key: make([]byte, keyLen),
	}
}

// weakerThan reports whether a hash is to be made anew: imported, or below what is asked now. Stronger ones stay.
func (h hashed) weakerThan(p Params) bool {
	return h.scheme != "argon2id" || !h.keyed || h.memory < uint32(p.Memory) || h.passes < uint32(p.Passes) ||
		h.lanes < uint8(p.Lanes) || len(h.salt) < saltLen || len(h.key) < keyLen
}

// String writes an Argon2id hash.
func (h hashed) String() string {
	parameters := "m=" + strconv.FormatUint(uint64(h.memory), 10) + ",t=" + strconv.FormatUint(uint64(h.passes), 10) +
		",p=" + strconv.FormatUint(uint64(h.lanes), 10)
	if h.keyed {
		parameters += ",keyid=" + keyID
	}
	b64 := base64.RawStdEncoding
	return "$argon2id$v=19$" + parameters + "$" + b64.EncodeToString(h.salt) + "$" + b64.EncodeToString(h.key)
}

// derive computes the key of an input under the hash's parameters. For bcrypt, whose library only compares, it gives
// the stored string when the input matches and nil when it does not.
func (h hashed) derive(input []byte) []byte {
	switch h.scheme {
	case "argon2id":
		return argon2.IDKey(input, h.salt, h.passes, h.memory, h.lanes, uint32(len(h.key)))
	case "argon2i":
		return argon2.Key(input, h.salt, h.passes, h.memory, h.lanes, uint32(len(h.key)))
	case "scrypt":
		key, err := scrypt.Key(input, h.salt, int(h.memory), int(h.passes), int(h.lanes), len(h.key))
		if err != nil {
			return nil
		}
		return key
	case "bcrypt":
		if bcrypt.CompareHashAndPassword([]byte(h.crypt), input) != nil {
			return nil
		}
		return h.key
	default:
		key, err := pbkdf2.Key(digests[h.scheme], string(input), h.salt, int(h.passes), len(h.key))
		if err != nil {
			return nil
		}
		return key
	}
}

// same compares a derived key with the stored one in constant time.
func (h hashed) same(key []byte) bool {
	return len(h.key) > 0 && subtle.ConstantTimeCompare(h.key, key) == 1
}

// parse reads a stored or imported hash. Its error never quotes the string.
func parse(s string) (hashed, error) {
	if len(s) > hashMax {
		return hashed{}, errHash()
	}
	if strings.HasPrefix(s, "$2") {
		return parseBcrypt(s)
	}
	parts := strings.Split(s, "$")
	if len(parts) < 5 || parts[0] != "" {
		return hashed{}, errHash()
	}
	h := hashed{scheme: parts[1]}
	rest := parts[2:]
	ok := false
	switch {
	case h.scheme == "argon2id" || h.scheme == "argon2i":
		if ok = len(rest) == 4 && rest[0] == "v=19"; ok {
			rest = rest[1:]
			ok = h.argon2(rest[0])
		}
	case h.scheme == "scrypt":
		ok = len(rest) == 3 && h.scrypt(rest[0])
	case digests[h.scheme] != nil:
		ok = len(rest) == 3 && h.pbkdf2(rest[0])
	}
	if !ok {
		return hashed{}, errHash()
	}
	var okSalt, okKey bool
	h.salt, okSalt = unbase64(rest[1])
	h.key, okKey = unbase64(rest[2])
	if !okSalt || !okKey || len(h.salt) < 4 || len(h.salt) > 128 || len(h.key) < 16 || len(h.key) > 128 {
		return hashed{}, errHash()
	}
	return h, nil
}

func (h *hashed) argon2(text string) bool {
	p, ok := parameters(text, "m", "t", "p", "keyid")
	if !ok || p["keyid"] != "" && (p["keyid"] != keyID || h.scheme != "argon2id") {
		return false
	}
	h.keyed = p["keyid"] != ""
	m, okM := number(p["m"], memoryMax)
	t, okT := number(p["t"], passesMax)
	n, okP := number(p["p"], lanesMax)
	h.memory, h.passes, h.lanes = m, t, uint8(n)
	return okM && okT && okP && m >= 8*n
}

func (h *hashed) scrypt(text string) bool {
	p, ok := parameters(text, "ln", "r", "p")
	ln, okN := number(p["ln"], 20)
	r, okR := number(p["r"], 32)
	n, okP := number(p["p"], lanesMax)
	if !ok || !okN || !okR || !okP || uint64(r)<<ln > memoryMax<<3 { // 128*r*N bytes, in KiB
		return false
	}
	h.memory, h.passes, h.lanes = 1<<ln, r, uint8(n)
	return true
}

func (h *hashed) pbkdf2(text string) bool {
	if p, ok := parameters(text, "i", "l"); ok {
		text = p["i"]
	}
	var ok bool
	h.passes, ok = number(text, iterationsMax)
	return ok
}

func parseBcrypt(s string) (hashed, error) {
	if len(s) != 60 || !strings.Contains("aby", s[2:3]) || s[3] != '$' || s[6] != '$' {
		return hashed{}, errHash()
	}
	if cost, err := bcrypt.Cost([]byte(s)); err != nil || cost > costMax {
		return hashed{}, errHash()
	}
	if strings.Trim(s[7:], "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
		return hashed{}, errHash()
	}
	return hashed{scheme: "bcrypt", key: []byte(s), crypt: s}, nil
}

// parameters reads "a=1,b=2"; it is false for a name that is not expected, one that comes twice, and an empty value.
func parameters(text string, names ...string) (map[string]string, bool) {
	found := make(map[string]string, len(names))
	for _, part := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(part, "=")
		known := false
		for _, n := range names {
			known = known || n == name
		}
		if !ok || !known || value == "" || found[name] != "" {
			return nil, false
		}
		found[name] = value
	}
	return found, true
}

// number reads a decimal number from 1 to most, without sign or leading zero.
func number(text string, most uint32) (uint32, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil && text[0] != '0' && n <= uint64(most)
}

// unbase64 reads base64 without padding; passlib writes "." for "+".
func unbase64(text string) ([]byte, bool) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(strings.ReplaceAll(text, ".", "+"))
	return b, err == nil && !strings.ContainsAny(text, "\r\n")
}
