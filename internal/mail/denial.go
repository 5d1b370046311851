package mail

import (
	"crypto/subtle"
	"maps"
	"strings"

	"doorward/internal/secret"
)

// "This was not me" is a link of its own in every notice. Its token names the notice, so that the page behind it can say
// which change is meant, and is keyed by the ring: nobody makes one who has not got the mail, and no dump holds one.

// DenialToken is the secret of the link in a message.
func DenialToken(ring *secret.Ring, realm, message string) string {
	return message + "." + ring.Mark("not-me", realm, message)
}

// Deniable completes the link of "this was not me" in a message that has one.
func Deniable(ring *secret.Ring, m Message) Message {
	if to, ok := m.Args["not_me"]; ok {
		m.Args = maps.Clone(m.Args)
		m.Args["not_me"] = to + "/" + DenialToken(ring, m.Realm, m.ID)
	}
	return m
}

// DeniedID finds the message that a token is of; ok is false for one that was not made by this ring for this realm.
func DeniedID(ring *secret.Ring, realm, token string) (message string, ok bool) {
	message, _, _ = strings.Cut(token, ".")
	return message, subtle.ConstantTimeCompare([]byte(token), []byte(DenialToken(ring, realm, message))) == 1
}
