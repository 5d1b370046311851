package oidc

import (
	"net/http"
	"slices"
	"strings"

	"doorward/internal/directory"
	"doorward/internal/secret"
	"doorward/internal/token"
)

// bearer reads the access token of a call to a protected resource (RFC 6750 2.1, 2.2; RFC 9449 7.1). One place only.
func bearer(c *call) (access, scheme string, ok bool) {
	scheme, access, _ = strings.Cut(c.r.Header.Get("Authorization"), " ")
	if form := c.params["access_token"]; form != "" {
		return form, "Bearer", access == "" && len(c.r.Header.Values("Authorization")) == 0
	}
	known := strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP")
	return strings.TrimSpace(access), scheme, known && len(c.r.Header.Values("Authorization")) == 1
}

// userinfo tells a client about the person behind an access token (OpenID Connect Core 5.3).
func (p *Provider) userinfo(c *call) error {
	refuse := func(status int, code, why string) error {
		scheme := "Bearer"
		if c.r.Header.Get("DPoP") != "" {
			scheme = "DPoP"
		}
		challenge := scheme
		if code != "" {
			challenge += ` error="` + code + `", error_description="` + why + `"`
		}
		c.w.Header().Set("WWW-Authenticate", challenge)
		return writeJSON(c.w, status, map[string]string{"error": code, "error_description": why})
	}
	raw, scheme, ok := bearer(c)
	if !ok || raw == "" {
		return refuse(http.StatusUnauthorized, "", "")
	}
	access, err := c.keys.VerifyAccessToken(raw, c.realm.Origin, c.now)
	if err != nil || !slices.Contains(access.Audience, c.realm.Origin) {
		return refuse(http.StatusUnauthorized, token.CodeInvalidToken, "the access token is not valid here")
	}
	rp, ok := client(c.realm, access.Client)
	if !ok {
		return refuse(http.StatusUnauthorized, token.CodeInvalidToken, "the access token is not valid any more")
	}
	proof, err := p.proof(c, rp, raw)
	if err != nil {
		return refuse(http.StatusUnauthorized, token.AsOAuth(err).Code, token.AsOAuth(err).Description)
	}
	if err := access.Confirmation.Held(proof.JKT, c.thumbprint()); err != nil || strings.EqualFold(scheme, "DPoP") != (proof.JKT != "") {
		return refuse(http.StatusUnauthorized, token.CodeInvalidToken, "the access token is bound to a key that was not shown")
	}
	if !slices.Contains(strings.Fields(access.Scope), token.ScopeOpenID) {
		return refuse(http.StatusForbidden, token.CodeInsufficientScope, "the scope openid is needed")
	}
	is, err := p.living(c, rp, access.Authorization, false)
	if err == nil {
		err = p.spendAll(c, spending{proof.Once, errProofUsed})
	}
	if token.AsOAuth(err) != nil {
		return refuse(http.StatusUnauthorized, token.CodeInvalidToken, "the access token is not valid any more")
	}
	if err != nil {
		return err
	}
	asked, err := token.ParseClaims(is.Claims)
	if err != nil {
		return err
	}
	scopes, err := token.RequestScopes(rp, strings.Fields(access.Scope)) // as the client is now
	if err != nil {
		return err
	}
	answer := token.Userinfo{
		Subject: token.Subject(p.Ring, c.realm.ID, rp, is.Person.ID),
		Profile: token.UserinfoClaims(rp, scopes, asked, c.realm.Zone, is.Person, is.Organization),
	}
	if rp.UserinfoAlg == "" {
		return writeJSON(c.w, http.StatusOK, answer)
	}
	signer, err := c.keys.Signer(rp.UserinfoAlg, c.now)
	if err != nil {
		return err
	}
	signed, err := signer.SignUserinfo(c.realm.Origin, rp.ID, answer)
	if err != nil {
		return err
	}
	return writeJWT(c.w, "application/jwt", signed)
}

// writeJWT answers with a signed token.
func writeJWT(w http.ResponseWriter, kind, signed string) error {
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write([]byte(signed)) // the client has gone away
	return nil
}

// introspect says what a token is, to a client that authenticated (RFC 7662). What is not alive is only "not active".
func (p *Provider) introspect(c *call) error {
	asker, once, err := p.authenticate(c)
	if err != nil {
		return err
	}
	if asker.Auth == directory.AuthNone {
		return errClient
	}
	if err := p.spendAll(c, spending{once, errClient}); err != nil {
		return err
	}
	answer, err := p.look(c, asker)
	switch {
	case token.AsOAuth(err) != nil:
		answer = token.Introspection{}
	case err != nil:
		return err
	}
	if !strings.Contains(c.r.Header.Get("Accept"), "application/token-introspection+jwt") {
		return writeJSON(c.w, http.StatusOK, answer)
	}
	signer, err := c.keys.Signer(token.ES256, c.now)
	if err != nil {
		return err
	}
	signed, err := signer.SignIntrospection(c.realm.Origin, asker.ID, c.now, answer)
	if err != nil {
		return err
	}
	return writeJWT(c.w, "application/token-introspection+jwt", signed)
}

// look finds what a token stands for. It fails with invalid_grant for what is not alive. A refresh token is told to its own
// client only.
func (p *Provider) look(c *call, asker directory.RelyingParty) (token.Introspection, error) {
	raw := c.params["token"]
	if access, err := c.keys.VerifyAccessToken(raw, c.realm.Origin, c.now); err == nil {
		return token.Introspect(access), p.active(c, access.Client, access.Authorization, access.Itself())
	}
	var old token.Refresh
	err := p.Store.Read(c.r.Context(), func(tx Tx) (err error) {
		old, err = tx.Refresh(p.hash("refresh", secret.Text(raw)))
		return err
	})
	if notFound(err) || err == nil && (old.Realm != c.realm.ID || old.Client != asker.ID || !old.Used.IsZero() || !c.now.Before(old.Expires)) {
		err = errGrant
	}
	if err != nil {
		return token.Introspection{}, err
	}
	return token.Introspection{Active: true, Issuer: c.realm.Origin, Client: old.Client, Expires: old.Expires.Unix(), Issued: old.Created.Unix()},
		p.active(c, old.Client, old.Authorization, false)
}

// active looks whether an authorization is alive, with or without a person.
func (p *Provider) active(c *call, clientID, id string, own bool) error {
	rp, ok := client(c.realm, clientID)
	if !ok {
		return errGrant
	}
	_, err := p.living(c, rp, id, own)
	return err
}

// revoke ends what a client was given (RFC 7009). An unknown token, and one of another client, is no error and nothing.
func (p *Provider) revoke(c *call) error {
	rp, once, err := p.authenticate(c)
	if err != nil {
		return err
	}
	if c.params["token"] == "" {
		return token.Refuse(token.CodeInvalidRequest, "token is missing")
	}
	err = p.Store.Write(c.r.Context(), func(tx Tx) error {
		if err := spend(tx, once, errClient); err != nil {
			return err
		}
		id, owner := "", ""
		if access, err := c.keys.VerifyAccessToken(c.params["token"], c.realm.Origin, c.now); err == nil {
			if id, owner = access.Authorization, access.Client; access.Itself() && owner == rp.ID {
				if err := found(tx, c.realm.ID, access); err != nil {
					return err
				}
			}
		} else if old, err := tx.Refresh(p.hash("refresh", secret.Text(c.params["token"]))); err == nil && old.Realm == c.realm.ID {
			id, owner = old.Authorization, old.Client
		} else if err != nil && !notFound(err) {
			return err
		}
		if owner != rp.ID {
			return nil
		}
		return p.end(tx, c, c.realm.ID, id, "revoked")
	})
	if err != nil && !notFound(err) {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}
