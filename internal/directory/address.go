package directory

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"doorward/internal/fault"
)

// The rules of an address (SEC V-1). There is one canonical form, used for look-up, for throttling and for uniqueness: a
// second form in any of the three would be a way past a limit or to a second account.
//
//   - Space around it is dropped. Letters are lower case and composed (Unicode NFC), in the local part too: no mail
//     system in use tells people apart by case, but people do type "Alice@".
//   - The domain is in its ASCII form (IDNA 2008 with the mapping of UTS 46), with at least two labels, and no address literal.
//   - The local part is a dot-atom of RFC 5322, or its RFC 6531 extension to letters, marks and digits. No quotes, no
//     comments, no spaces, no control or invisible characters: those are two spellings for one mailbox, or a forged header.
//   - Dots and plus are kept: only the receiving system knows what they mean. Characters of different scripts that look
//     alike stay different people.
//   - Lengths are those of RFC 5321: 64 octets before the @, 254 in all.

const (
	localLimit   = 64
	addressLimit = 254
)

var hosts = idna.New(
	idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true), idna.BidiRule(),
	idna.CheckHyphens(true), idna.CheckJoiners(true), idna.ValidateLabels(true), idna.VerifyDNSLength(true),
)

// Canonical returns the one form of an e-mail address, or a fault.Invalid with code "address-invalid". It is idempotent.
func Canonical(address string) (string, error) {
	bad := fault.New(fault.Invalid, "address-invalid").In("email")
	if len(address) > 4*addressLimit || !utf8.ValidString(address) {
		return "", bad
	}
	address = strings.TrimFunc(address, unicode.IsSpace)
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return "", bad
	}
	local, ok := localPart(address[:at])
	if !ok {
		return "", bad
	}
	domain, err := CanonicalHost(address[at+1:])
	if err != nil || !strings.Contains(domain, ".") {
		return "", bad
	}
	if len(local)+1+len(domain) > addressLimit {
		return "", bad
	}
	return local + "@" + domain, nil
}

// localPart lowers and composes the part before the @.
func localPart(s string) (string, bool) {
	// Composing may give letters with a lower case of their own, so lowering and composing are repeated until nothing moves.
	for range 4 {
		next := norm.NFC.String(strings.ToLower(s))
		if next == s {
			break
		}
		s = next
	}
	if s == "" || len(s) > localLimit || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return "", false
	}
	for i, r := range s {
		if r < utf8.RuneSelf {
			letter := 'a' <= r && r <= 'z' || '0' <= r && r <= '9'
			if !letter && !strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r) {
				return "", false
			}
			continue
		}
		if r == utf8.RuneError || !unicode.In(r, unicode.L, unicode.N, unicode.M) {
			return "", false // symbols, spaces, control, format (zero width, direction marks), private use
		}
		if unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
			return "", false // invisible, though a letter or a mark by category
		}
		if i == 0 && unicode.Is(unicode.M, r) {
			return "", false
		}
	}
	if next := norm.NFC.String(strings.ToLower(s)); next != s {
		return "", false // no stable form, so it cannot be one person's name
	}
	return s, true
}

// CanonicalHost returns the ASCII lower-case form of a host name without port, or a fault.Invalid "host-invalid". An IP
// address is not a host name.
func CanonicalHost(host string) (string, error) {
	bad := fault.New(fault.Invalid, "host-invalid")
	if len(host) > 4*addressLimit {
		return "", bad
	}
	ascii, err := hosts.ToASCII(host)
	if err != nil || ascii == "" || len(ascii) > 253 {
		return "", bad.Because(err)
	}
	// An A-label must be what its own U-label gives, or one name would have two spellings.
	unicodeForm, err := hosts.ToUnicode(ascii)
	if err != nil {
		return "", bad.Because(err)
	}
	if again, err := hosts.ToASCII(unicodeForm); err != nil || again != ascii {
		return "", bad.Because(err)
	}
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return "", bad // 192.0.2.1 and its shorthands
	}
	return ascii, nil
}
