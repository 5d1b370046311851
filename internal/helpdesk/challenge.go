package helpdesk

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"doorward/internal/secret"
)

// The request form is open to everybody, so it is kept from programs without asking anybody outside (REQ B59):
//
//   - The form carries a challenge, signed for the realm, of ten minutes and one use. Whoever sends the same one twice gets
//     the number of the first again: a double click asks once.
//   - The page's script answers with a proof of work. Without one the form has to lie a few seconds, as it does before a
//     person, and the network's budget is smaller.
//   - A field that nobody sees is left empty by people and filled by programs. Whoever filled it is told so, and gets the form
//     again with the field empty: an extension of the browser may have been the one.

const (
	ChallengeFor = 10 * time.Minute
	ReadingTime  = 4 * time.Second // nobody fills in the form faster by hand
	ProofBits    = 16              // leading zero bits of SHA-256 over challenge "." answer; about a second of a phone
)

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

var encoding = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

// Proof is what came with a form: the challenge it carried, and the script's answer, empty without script.
type Proof struct {
	Challenge string
	Answer    string
}

// NewChallenge makes what a form carries. Nothing is stored.
func NewChallenge(ring *secret.Ring, realm string, now time.Time) string {
	text := strconv.FormatInt(now.UnixMilli(), 36) + "." + secret.Token()
	return text + "." + mac(ring, "ask-challenge", realm, text)
}

func mac(ring *secret.Ring, purpose, realm, text string) string {
	return encoding.EncodeToString(ring.Hash(purpose, realm+" "+text)[:15])
}

// Made is when the challenge was made; ok is false for one that the ring did not sign for the realm, and for one that is
// too old or of a clock that ran ahead.
func (p Proof) Made(ring *secret.Ring, realm string, now time.Time) (made time.Time, ok bool) {
	i := strings.LastIndexByte(p.Challenge, '.')
	if i < 0 || !secret.Equal(p.Challenge[i+1:], mac(ring, "ask-challenge", realm, p.Challenge[:i])) {
		return made, false
	}
	stamp, _, _ := strings.Cut(p.Challenge, ".")
	ms, err := strconv.ParseInt(stamp, 36, 64)
	made = time.UnixMilli(ms)
	return made, err == nil && !made.After(now.Add(time.Minute)) && now.Sub(made) <= ChallengeFor
}

// Works reports whether the answer is a proof of work. Its length is bounded: hashing is our work, too.
func (p Proof) Works() bool {
	if p.Answer == "" || len(p.Answer) > 20 {
		return false
	}
	sum := sha256.Sum256([]byte(p.Challenge + "." + p.Answer))
	return bits.LeadingZeros64(binary.BigEndian.Uint64(sum[:8])) >= ProofBits
}

// Number is that of the request which the form leads to, the same each time, 40 bits of a keyed hash; once is the key
// under which the challenge is spent.
func (p Proof) Number(ring *secret.Ring, realm string) (number, once string) {
	text := mac(ring, "ask-number", realm, p.Challenge)
	return text[:4] + "-" + text[4:8], "ask:" + text
}

// Receipt is a number as the page after the form carries it in its address: nobody makes that page show one of their own.
func Receipt(ring *secret.Ring, realm, number string) string {
	return number + "." + mac(ring, "ask-receipt", realm, number)
}
