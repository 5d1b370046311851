// Package onetime knows the links that lead into a flow: an invitation (authn.Invite) and a round trip to the stored
// address (authn.Mail).
//
// The rules of this package:
//
//   - One secret of 130 random bits, two spellings: without dashes in a link, in groups for whoever types it from another
//     screen. Both lead to the same canonical token, and only that is hashed.
//   - A kind never stands in for another, nor a purpose: both are part of the hash's domain, and checked here once more.
//   - Judging a link changes nothing. Spending it is one UPDATE of the store, made by login with the flow's last step.
//   - Whoever holds the secret is told what became of it (used, voided, expired): nobody else can ask, since a link that
//     was never made and one that is misspelt get the same answer as any guess.
package onetime

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"doorward/internal/authn"
	"doorward/internal/secret"
)

// skew is how far nodes' clocks may differ. A link from further ahead was made by a clock that had jumped: it would live
// longer than it should (SEC T-CLK2).
const skew = time.Minute

// Method is one kind of link. It has no state.
type Method struct{ kind authn.Kind }

var _ authn.Identifier = (*Method)(nil)

// New makes the method of a once-only kind: authn.Invite or authn.Mail.
func New(kind authn.Kind) *Method { return &Method{kind} }

// Kind implements authn.Method.
func (m *Method) Kind() authn.Kind { return m.kind }

// Make begins a one-time secret of a kind for a purpose. The caller fills in who, when and the hash of the token; the
// token goes into the link, and nowhere else.
func Make(kind authn.Kind, purpose string) (authn.OneTime, secret.Text) {
	return authn.OneTime{Kind: kind, Purpose: purpose}, compact(secret.Typed())
}

// Spell writes a token the way a person types it: capital letters in groups. What is no token is left as it is.
func Spell(token secret.Text) string {
	if typed, ok := secret.CanonicalTyped(token.Reveal()); ok {
		return typed
	}
	return token.Reveal()
}

func compact(typed string) secret.Text { return secret.Text(strings.ReplaceAll(typed, "-", "")) }

// Identify reads the token from a link or from what a person typed (Answer.Text), in any case, with or without dashes;
// the purpose is Answer.Model. It rejects with "link-unknown" what cannot be a token.
func (m *Method) Identify(a authn.Answer) (purpose, token string, err error) {
	typed, ok := secret.CanonicalTyped(a.Text)
	if !ok {
		return "", "", authn.Reject("link-unknown")
	}
	return a.Model, compact(typed).Reveal(), nil
}

// Verify judges what the token's hash led to: stored holds one credential whose Data is the authn.OneTime as JSON, or
// nothing. It rejects with "link-unknown", "link-used", "link-voided" (a newer one was sent) or "link-expired", the last
// two with the time as Args["at"]. A link lives up to its Expires and not a moment longer (SEC A-2).
//
// Used comes before voided and voided before expired: of several truths the person is told the one that explains most.
func (m *Method) Verify(_ context.Context, f authn.Flow, stored []authn.Credential, a authn.Answer) (authn.Shown, error) {
	if len(stored) == 0 {
		return authn.Shown{}, authn.Reject("link-unknown")
	}
	var o authn.OneTime
	if err := json.Unmarshal(stored[0].Data, &o); err != nil {
		return authn.Shown{}, fmt.Errorf("one-time secret %s: %w", stored[0].ID, err)
	}
	switch {
	case o.Kind != m.kind || o.Purpose != a.Model || o.Realm != f.Realm:
		return authn.Shown{}, authn.Reject("link-unknown")
	case !o.Used.IsZero():
		return authn.Shown{}, authn.Reject("link-used")
	case !o.Voided.IsZero():
		return authn.Shown{}, authn.Reject("link-voided", "at", o.Voided.UTC().Format(time.RFC3339))
	case !f.Now.Before(o.Expires), o.Created.Sub(f.Now) > skew:
		return authn.Shown{}, authn.Reject("link-expired", "at", o.Expires.UTC().Format(time.RFC3339))
	}
	return authn.Shown{Credential: authn.Credential{
		ID: o.ID, Realm: o.Realm, Person: o.Person, Kind: o.Kind, State: authn.Active, Created: o.Created,
	}}, nil
}
