package token

import (
	"slices"
	"time"

	"doorward/internal/session"
)

// VerifyAccessToken reads an access token of ours (RFC 9068 4): signed by a key of the realm that is published, by that
// key's algorithm, typ at+jwt, of this issuer, in time. Whether its person, session and client still live, whether it is
// for the audience at hand and who may hold it (Confirmation.Held) is for the caller. The error is an *OAuthError
// "invalid_token".
func (s *KeySet) VerifyAccessToken(raw, issuer string, now time.Time) (AccessToken, error) {
	var t AccessToken
	if err := s.ours(raw, typAccess, now, &t); err != nil {
		return AccessToken{}, Refuse(CodeInvalidToken, "the access token is malformed or its signature is wrong").Because(err)
	}
	if t.Issuer != issuer || t.Subject == "" || t.Client == "" || t.ID == "" || len(t.Audience) == 0 || slices.Contains(t.Audience, "") {
		return AccessToken{}, Refuse(CodeInvalidToken, "the access token is not one of this issuer").Because(errClaims)
	}
	if !within(t.Issued, t.Expires, maxAccess, now) {
		return AccessToken{}, Refuse(CodeInvalidToken, "the access token has expired").Because(errTimes)
	}
	return t, nil
}

// VerifyIDTokenHint reads an ID token that a client gives back (OpenID Connect Core 3.1.2.1, RP-Initiated Logout 2). It may
// have expired; everything else must hold. Whether aud names the client at hand is for the caller. The error is an
// *OAuthError "invalid_request".
func (s *KeySet) VerifyIDTokenHint(raw, issuer string, now time.Time) (IDToken, error) {
	var t IDToken
	if err := s.ours(raw, typJWT, now, &t); err != nil {
		return IDToken{}, Refuse(CodeInvalidRequest, "id_token_hint is malformed or its signature is wrong").Because(err)
	}
	if t.Issuer != issuer || t.Subject == "" || len(t.Audience) == 0 || slices.Contains(t.Audience, "") {
		return IDToken{}, Refuse(CodeInvalidRequest, "id_token_hint is not one of this issuer").Because(errClaims)
	}
	if t.Issued <= 0 || t.Expires <= t.Issued || time.Unix(t.Issued, 0).After(now.Add(session.Skew)) {
		return IDToken{}, Refuse(CodeInvalidRequest, "id_token_hint is not an ID token").Because(errTimes)
	}
	return t, nil
}

// ours opens a token that one of our keys signed and decodes its claims into v.
func (s *KeySet) ours(raw, typ string, now time.Time, v any) error {
	e, err := open(raw)
	if err != nil {
		return err
	}
	key, ok := s.verifier(e.Kid, now)
	if !ok || key.alg != e.Alg {
		return errSignature
	}
	if e.Typ != lower(typ) {
		return errHeader
	}
	if !e.verify(key) {
		return errSignature
	}
	return decode(e.payload, v)
}

// within checks times that we wrote ourselves. The clocks of nodes differ by session.Skew at most; an end is an end.
func within(issued, expires int64, life time.Duration, now time.Time) bool {
	return issued > 0 && expires > issued && expires-issued <= int64(life/time.Second) &&
		now.Before(time.Unix(expires, 0)) && !time.Unix(issued, 0).After(now.Add(session.Skew))
}
