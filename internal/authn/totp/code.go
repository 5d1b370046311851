package totp

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"strconv"
	"strings"
	"time"
	"unicode"

	"doorward/internal/authn"
	"doorward/internal/fault"
)

// Key is a seed with the parameters of its codes (RFC 6238). The zero values of the parameters mean what every app
// does: SHA-1, six digits, 30 seconds.
type Key struct {
	Seed      []byte `json:"seed"`
	Algorithm string `json:"algorithm,omitempty"` // SHA1, SHA256 or SHA512, as in an otpauth address
	Digits    int    `json:"digits,omitempty"`    // 6 or 8
	Period    int64  `json:"period,omitempty"`    // seconds
}

var algorithms = map[string]func() hash.Hash{"": sha1.New, "SHA1": sha1.New, "SHA256": sha256.New, "SHA512": sha512.New}

func (k Key) digits() int {
	if k.Digits == 0 {
		return 6
	}
	return k.Digits
}

func (k Key) period() int64 {
	if k.Period == 0 {
		return 30
	}
	return k.Period
}

// Limits of what is accepted from elsewhere. RFC 4226 R6 asks for 128 bits of seed; 80 are what some big senders hand
// out, so an imported person is not locked out by it. New seeds always have 160.
const (
	seedMin   = 10
	seedMax   = 128
	periodMin = 15
	periodMax = 120
)

// check reports whether the key can make codes that this package accepts.
func (k Key) check() error {
	if len(k.Seed) < seedMin || len(k.Seed) > seedMax || algorithms[k.Algorithm] == nil ||
		k.digits() != 6 && k.digits() != 8 || k.period() < periodMin || k.period() > periodMax {
		return fault.New(fault.Invalid, "totp-key-invalid")
	}
	return nil
}

// step is the number of whole periods since the epoch (T of RFC 6238, with T0 = 0); it is negative before 1970.
func (k Key) step(at time.Time) int64 {
	s, p := at.Unix(), k.period()
	if s < 0 {
		return (s - p + 1) / p
	}
	return s / p
}

// left is the time until the next step begins: more than zero, at most a period.
func (k Key) left(at time.Time) time.Duration {
	return time.Unix((k.step(at)+1)*k.period(), 0).Sub(at)
}

// Code is what an app with this key shows at a time. For tests, the demo and clients; verification has its own path.
func (k Key) Code(at time.Time) string { return k.hotp(uint64(k.step(at))) }

// hotp is RFC 4226 5.3 with the hash functions of RFC 6238 1.2.
func (k Key) hotp(counter uint64) string {
	mac := hmac.New(algorithms[k.Algorithm], k.Seed)
	var c [8]byte
	binary.BigEndian.PutUint64(c[:], counter)
	mac.Write(c[:])
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 15
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	s := strconv.FormatUint(uint64(n)+1e10, 10) // the digit in front keeps leading zeros
	return s[len(s)-k.digits():]
}

// readCode reads what a person typed or pasted: six or eight digits, full-width ones too (East Asian keyboards), with
// blanks and dashes of any kind between them, as apps show "123 456" (REQ B20). Anything else is "code-format": a letter
// among the digits is a slip worth naming, and it says nothing about the right code.
func readCode(text string) (string, error) {
	var b strings.Builder
	if len(text) > 256 {
		return "", errFormat()
	}
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case r >= '０' && r <= '９':
			b.WriteRune(r - '０' + '0')
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), r == '−': // U+2212, the minus sign
		default:
			return "", errFormat()
		}
	}
	if b.Len() != 6 && b.Len() != 8 {
		return "", errFormat()
	}
	return b.String(), nil
}

func errFormat() error { return authn.Reject("code-format", "digits", 6).In("code") }
