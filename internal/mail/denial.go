package mail

import (
	"crypto/subtle"
	"encoding/base32"
	"strings"

	"doorward/internal/secret"
)

// "This was not me" is a link of its own in every notice. Its token names the notice, so that the page behind it can say
// which change is meant, and is keyed by the ring: nobody makes one who has not got the mail, and no dump holds one.

var denials = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// DenialToken is the secret of the link in a message.
func DenialToken(ring *secret.Ring, realm, message string) string {
	return message + "." + denials.EncodeToString(ring.Hash("not-me", realm+" "+message)[:16])
}

// DeniedID finds the message that a token is of; ok is false for one that was not made by this ring for this realm.
func DeniedID(ring *secret.Ring, realm, token string) (message string, ok bool) {
	message, _, _ = strings.Cut(token, ".")
	return message, subtle.ConstantTimeCompare([]byte(token), []byte(DenialToken(ring, realm, message))) == 1
}
