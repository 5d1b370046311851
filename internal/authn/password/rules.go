package password

import (
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"doorward/internal/authn"
	"doorward/internal/fault"
)

// How a password is read (SEC K-1, K-2):
//
//   - At most 256 code points and 1 KiB as sent; more is refused before it is looked at further.
//   - OpaqueString of RFC 8265: blanks of any script become a plain blank, then NFC. So a password means the same on a
//     keyboard that composes "ü" and on one that sends "u" and dots. Case, width and order stay as they are; blanks at
//     either end too. This is one-way and the only change ever made to what was typed; it is our recorded deviation from
//     "exactly as received" (ASVS 6.2.8).
//   - Refused: the empty text, control characters (NUL, tab, line breaks), what Unicode has not assigned, private use, and
//     invisible characters such as U+FE0F or a joiner between emoji. They cannot be typed again elsewhere, and some
//     systems cut a text at NUL. A plain emoji is fine.
//   - Length is counted in code points of the prepared form.
const (
	maxLength = 256  // code points
	maxBytes  = 1024 // as sent
	minScore  = 3    // of zxcvbn: more than 10^8 guesses
)

// tooLong looks at the bytes first: a megabyte is not even counted.
func tooLong(text string) bool {
	return len(text) > maxBytes || utf8.RuneCountInString(text) > maxLength
}

// prepare is OpaqueString. It fails with "password-characters".
func prepare(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", refuse("password-characters")
	}
	s, err := precis.OpaqueString.String(text)
	if err != nil {
		return "", refuse("password-characters")
	}
	return s, nil
}

// refuse is a reason why a new password is not taken: the input must be changed, and nothing was proven.
func refuse(code string, args ...any) error {
	return fault.New(fault.Invalid, code, args...).In("password").Because(authn.ErrRejected)
}

// Check says why a password would be refused for a person of a realm, nil if it would not. The codes, in this order:
//
//	password-too-long    Args max
//	password-too-short   Args min, length
//	password-characters
//	password-own-words   Args word: the person's own word that is in it
//	password-common      it is in the built-in list of common passwords and words
//	password-breached    it is in the operator's list
//	password-weak        Args score (0 to 2), hint (a code of Strength)
//
// It costs some milliseconds and no hash.
func (m *Method) Check(realm string, s authn.Subject, text string) error {
	least := m.params(realm).bounded().Length
	if tooLong(text) {
		return refuse("password-too-long", "max", maxLength)
	}
	if text == "" {
		return refuse("password-too-short", "min", least, "length", 0)
	}
	prepared, err := prepare(text)
	if err != nil {
		return err
	}
	if n := utf8.RuneCountInString(prepared); n < least {
		return refuse("password-too-short", "min", least, "length", n)
	}
	if word, ok := ownWord(s, prepared); ok {
		return refuse("password-own-words", "word", word)
	}
	if common().Contains(prepared) {
		return refuse("password-common")
	}
	if m.blocklist != nil && m.blocklist.Contains(prepared) {
		return refuse("password-breached")
	}
	if score, hints := Strength(s, prepared); score < minScore {
		return refuse("password-weak", "score", score, "hint", hints[0])
	}
	return nil
}
