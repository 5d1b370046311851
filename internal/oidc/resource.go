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
	if err := access.Confirmation.Held(proof.JKT, ""); err != nil || strings.EqualFold(scheme, "DPoP") != (proof.JKT != "") {
		return refuse(http.StatusUnauthorized, token.CodeInvalidToken, "the access token is bound to a key that was not shown")
	}
	if !slices.Contains(strings.Fields(access.Scope), token.ScopeOpenID) {
		return refuse(http.StatusForbidden, token.CodeInsufficientScope, "the scope openid is needed")
	}
	var who directory.Person
	var org directory.Organization
	var auth token.Authorization
	read := func(tx Tx) error {
		if err := spend(tx, proof.Once, errProofUsed); err != nil {
			return err
		}
		var err error
		if auth, err = tx.Authorization(c.realm.ID, access.Authorization); err != nil {
			return err
		}
		who, org, err = p.standing(tx, c, rp, auth)
		return err
	}
	run := p.Store.Read
	if proof.Once.Key != "" {
		run = p.Store.Write
	}
	if err := run(c.r.Context(), read); err != nil {
		if token.AsOAuth(err) != nil || notFound(err) {
			return refuse(http.StatusUnauthorized, token.CodeInvalidToken, "the access token is not valid any more")
		}
		return err
	}
	asked, err := token.ParseClaims(auth.Claims)
	if err != nil {
		return err
	}
	scopes, err := token.RequestScopes(rp, strings.Fields(access.Scope)) // as the client is now
	if err != nil {
		return err
	}
	answer := token.Userinfo{
		Subject: token.Subject(p.Ring, c.realm.ID, rp, who.ID),
		Profile: token.UserinfoClaims(rp, scopes, asked, c.realm.Zone, who, org),
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
	var answer token.Introspection
	err = p.Store.Write(c.r.Context(), func(tx Tx) error {
		answer = token.Introspection{}
		if err := spend(tx, once, errClient); err != nil {
			return err
		}
		found, err := p.look(tx, c, asker)
		if token.AsOAuth(err) != nil || notFound(err) {
			return nil
		}
		answer = found
		return err
	})
	if err != nil {
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

// look finds what a token stands for. A refresh token is told to its own client only.
func (p *Provider) look(tx Tx, c *call, asker directory.RelyingParty) (token.Introspection, error) {
	raw := c.params["token"]
	if access, err := c.keys.VerifyAccessToken(raw, c.realm.Origin, c.now); err == nil {
		return token.Introspect(access), p.active(tx, c, access.Client, access.Authorization)
	}
	old, err := tx.Refresh(p.hash("refresh", secret.Text(raw)))
	if err != nil {
		return token.Introspection{}, err
	}
	if old.Realm != c.realm.ID || old.Client != asker.ID || !old.Used.IsZero() || !c.now.Before(old.Expires) {
		return token.Introspection{}, errGrant
	}
	return token.Introspection{Active: true, Issuer: c.realm.Origin, Client: old.Client, Expires: old.Expires.Unix(), Issued: old.Created.Unix()},
		p.active(tx, c, old.Client, old.Authorization)
}

// active looks whether an authorization is alive, with or without a person.
func (p *Provider) active(tx Tx, c *call, clientID, id string) error {
	rp, ok := client(c.realm, clientID)
	if !ok {
		return errGrant
	}
	auth, err := tx.Authorization(c.realm.ID, id)
	if err != nil {
		return err
	}
	if auth.Person == "" {
		if auth.Client != rp.ID || !auth.Ended.IsZero() {
			return errGrant
		}
		return nil
	}
	return p.alive(tx, c, rp, auth)
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
			id, owner = access.Authorization, access.Client
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
