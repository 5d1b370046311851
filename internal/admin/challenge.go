package admin

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
)

// The request form is open to everybody, so it is kept from programs without asking anybody outside (REQ B59):
//
//   - The form carries a challenge, signed for the realm, of ten minutes and one use. Whoever sends the same one twice gets
//     the number of the first again: a double click asks once.
//   - The page's script answers with a proof of work. Without one the form has to lie a few seconds, as it does before a
//     person, and the network's budget is smaller.

const (
	challengeFor = 10 * time.Minute
	readingTime  = 4 * time.Second // nobody fills in the form faster by hand
	ProofBits    = 16              // leading zero bits of SHA-256 over challenge "." answer; about a second of a phone
	askLimit     = 6               // of one network in askWindow, with a proof
	plainLimit   = 2               // and without
	askWindow    = time.Hour
)

// Proof is what came with a form: the challenge it carried, and the script's answer, empty without script.
type Proof struct {
	Challenge string
	Answer    string
}

// Challenge makes what a form carries. It stores nothing.
func (s *Requests) Challenge(realm string) string {
	text := strconv.FormatInt(s.Clock().UnixMilli(), 36) + "." + secret.Token()
	return text + "." + s.challengeMAC(realm, text)
}

func (s *Requests) challengeMAC(realm, text string) string {
	return tokens.EncodeToString(s.Ring.Hash("ask-challenge", realm+" "+text)[:16])
}

// Fresh reports whether a form that is shown again can keep its challenge.
func (s *Requests) Fresh(realm, challenge string) bool {
	made, ok := s.challenged(realm, challenge)
	return ok && s.Clock().Sub(made) < challengeFor/2
}

// challenged is when a challenge was made; ok is false for one that this house did not make for the realm, and for one of
// a clock that ran ahead.
func (s *Requests) challenged(realm, challenge string) (made time.Time, ok bool) {
	i := strings.LastIndexByte(challenge, '.')
	if i < 0 || !secret.Equal(challenge[i+1:], s.challengeMAC(realm, challenge[:i])) {
		return made, false
	}
	stamp, _, _ := strings.Cut(challenge, ".")
	ms, err := strconv.ParseInt(stamp, 36, 64)
	made = time.UnixMilli(ms)
	return made, err == nil && !made.After(s.Clock().Add(time.Minute))
}

// proven checks what came with a form and spends it. number is that of the request it leads to, the same each time;
// fresh is false where it came before.
//
// Errors: fault.Invalid "form-old", "form-quick"; fault.Throttled "too-many-requests".
func (s *Requests) proven(tx RequestTx, c login.Caller, p Proof, now time.Time) (number string, fresh bool, err error) {
	made, ok := s.challenged(c.Realm, p.Challenge)
	if !ok || now.Sub(made) > challengeFor {
		return "", false, fault.New(fault.Invalid, "form-old")
	}
	hash := s.Ring.Hash("ask-number", c.Realm+" "+p.Challenge)
	number = spell(hash)
	if fresh, err = tx.Spend("ask:"+number+":"+tokens.EncodeToString(hash[8:24]), made.Add(challengeFor+time.Minute)); err != nil || !fresh {
		return number, false, err
	}
	limit, lane := askLimit, "proof:"
	if !works(p) {
		if now.Sub(made) < readingTime {
			return "", false, fault.New(fault.Invalid, "form-quick")
		}
		limit, lane = plainLimit, "plain:"
	}
	ok, retry, err := tx.Reserve("ask:"+lane+c.Realm+":"+c.Net(), limit, askWindow, now)
	if err == nil && !ok {
		err = fault.New(fault.Throttled, "too-many-requests", "minutes", int(retry/time.Minute)+1).After(retry)
	}
	return number, true, err
}

// works reports whether the answer is a proof of work. Its length is bounded: hashing is our work, too.
func works(p Proof) bool {
	if p.Answer == "" || len(p.Answer) > 20 {
		return false
	}
	sum := sha256.Sum256([]byte(p.Challenge + "." + p.Answer))
	return bits.LeadingZeros64(binary.BigEndian.Uint64(sum[:8])) >= ProofBits
}

// spell writes the first 40 bits of a hash as a number to say on the phone, in the alphabet of secret.Typed.
func spell(hash []byte) string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	n := binary.BigEndian.Uint64(hash[:8]) >> 24
	var b [9]byte
	for i := 8; i >= 0; i-- {
		if i == 4 {
			b[i] = '-'
			continue
		}
		b[i] = alphabet[n&31]
		n >>= 5
	}
	return string(b[:])
}

// Receipt is the number of a request as the page after the form carries it in its address: nobody makes that page show a
// number of their own.
func (s *Requests) Receipt(realm, number string) string {
	return number + "." + tokens.EncodeToString(s.Ring.Hash("ask-receipt", realm+" "+number)[:10])
}

// Received is the number of a receipt; ok is false for one that this house did not write for the realm.
func (s *Requests) Received(realm, receipt string) (number string, ok bool) {
	number, _, _ = strings.Cut(receipt, ".")
	return number, secret.Equal(receipt, s.Receipt(realm, number))
}
