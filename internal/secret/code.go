package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// Token is a fresh secret of 256 random bits for links and cookies: 43 letters of base64url, without padding.
func Token() string { return base64.RawURLEncoding.EncodeToString(random(32)) }

// crockford is an alphabet of 32 without I, L, O and U, so that nothing is misread and no word appears by chance.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

var (
	typedGroups    = []int{4, 4, 5, 4, 4, 5}
	recoveryGroups = []int{4, 4, 4, 4}
)

const (
	typedLen    = 26  // letters of 5 bits
	recoveryLen = 16  // the same
	typedMax    = 256 // bytes looked at; a person pastes less
)

// Typed is a fresh secret of 130 random bits that a person can copy from paper: XXXX-XXXX-XXXXX-XXXX-XXXX-XXXXX. It is
// in canonical form.
func Typed() string { return group(letters(typedLen), typedGroups) }

// letters are n random ones of crockford, 5 bits each.
func letters(n int) []byte {
	b := random(n)
	for i := range b {
		b[i] = crockford[b[i]&31] // 32 divides 256: no letter is likelier
	}
	return b
}

// CanonicalTyped brings what a person typed to the form that Typed gave: any case, with or without blanks and dashes, O
// for 0, I and L for 1, full-width letters. It is false for what cannot be such a code. Hash the canonical form only.
func CanonicalTyped(s string) (string, bool) {
	b, ok := canonical(s, crockford, typedLen, misread)
	if !ok {
		return "", false
	}
	return group(b, typedGroups), true
}

// misread are letters that crockford does not have, and what is meant by them.
var misread = map[rune]rune{'O': '0', 'I': '1', 'L': '1'}

// RecoveryCode is a fresh code of 80 random bits, to be kept on paper and typed once: XXXX-XXXX-XXXX-XXXX. It is in
// canonical form (SEC H-4 asks for 64 bits).
func RecoveryCode() string { return group(letters(recoveryLen), recoveryGroups) }

// CanonicalRecoveryCode brings what a person typed to the form that RecoveryCode gave, as forgiving as CanonicalTyped. It
// is false for what cannot be such a code. Hash the canonical form only.
func CanonicalRecoveryCode(s string) (string, bool) {
	b, ok := canonical(s, crockford, recoveryLen, misread)
	if !ok {
		return "", false
	}
	return group(b, recoveryGroups), true
}

// consonants is the alphabet of RFC 8628 6.1: without vowels no word appears by chance, without digits none is read as a
// letter.
const consonants = "BCDFGHJKLMNPQRSTVWXZ"

const userLen = 8

// UserCode is a fresh code of 34 random bits that a person reads from one screen and types at another: WDJB-MJHT. It is in
// canonical form. It is short because it lives for minutes and guesses are counted.
func UserCode() string {
	b := make([]byte, 0, userLen)
	for len(b) < userLen {
		for _, c := range random(userLen - len(b)) {
			if c < 240 { // the last multiple of twenty in a byte
				b = append(b, consonants[c%20])
			}
		}
	}
	return string(b[:4]) + "-" + string(b[4:])
}

// CanonicalUserCode brings what a person typed to the form that UserCode gave: any case, with or without blanks and
// dashes. It is false for what cannot be such a code. Hash the canonical form only.
func CanonicalUserCode(s string) (string, bool) {
	b, ok := canonical(s, consonants, userLen, nil)
	if !ok {
		return "", false
	}
	return string(b[:4]) + "-" + string(b[4:]), true
}

// canonical reads n letters of an alphabet in capitals; slips say what is meant by a letter that is none of them.
func canonical(s, alphabet string, n int, slips map[rune]rune) ([]byte, bool) {
	if len(s) > typedMax {
		return nil, false
	}
	b := make([]byte, 0, n)
	for _, c := range s {
		if c >= 0xFF01 && c <= 0xFF5E { // full-width forms of ASCII, from East Asian keyboards
			c -= 0xFF01 - '!'
		}
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		switch c {
		case ' ', '\t', '\r', '\n', 0xA0, 0x202F, 0x2009, 0x3000, '-', 0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2212:
			continue
		}
		if meant, ok := slips[c]; ok {
			c = meant
		}
		if len(b) == n || c > 'Z' || strings.IndexByte(alphabet, byte(c)) < 0 {
			return nil, false
		}
		b = append(b, byte(c))
	}
	return b, len(b) == n
}

func group(b []byte, sizes []int) string {
	parts := make([]string, len(sizes))
	for i, n := range sizes {
		parts[i], b = string(b[:n]), b[n:]
	}
	return strings.Join(parts, "-")
}

// Digits is a fresh code of n random decimal digits, each as likely as any other.
func Digits(n int) string {
	out := make([]byte, 0, max(n, 0))
	for len(out) < n {
		for _, c := range random(n - len(out)) {
			if c < 250 { // 250 is the last multiple of ten in a byte: above it, small digits would be likelier
				out = append(out, '0'+c%10)
			}
		}
	}
	return string(out)
}

// Below is a random number from 0 to n-1, each as likely as any other; n is from 1 to 256.
func Below(n int) int {
	for {
		if c := int(random(1)[0]); c < 256/n*n { // above the last multiple, small numbers would be likelier
			return c % n
		}
	}
}

// Equal compares two secrets in a time that tells neither where they differ nor how long they are.
func Equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// Said is a fresh password of 100 random bits that one person says to another on the phone, who types it exactly:
// xxxx-xxxx-xxxx-xxxx-xxxx, small letters and digits of which none is taken for another. It is what a file with a key
// is locked with; its keyed hash is enough to know it again.
func Said() string {
	b := random(saidLen)
	for i := range b {
		b[i] = lower[b[i]&31]
	}
	var groups []string
	for i := 0; i < saidLen; i += 4 {
		groups = append(groups, string(b[i:i+4]))
	}
	return strings.Join(groups, "-")
}

const saidLen = 20 // letters of 5 bits

var lower = strings.ToLower(crockford)
