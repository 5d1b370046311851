package oidc

import (
	"slices"
	"strings"
	"time"

	"doorward/internal/directory"
	"doorward/internal/secret"
	"doorward/internal/token"
)

// touched is how exactly an authorization remembers when it was used; a write for each use would cost more than it tells.
const touched = time.Minute

// draft is an answer of the token endpoint before it is signed: everything that can be wrong is known, and no transaction
// waits for a signature.
type draft struct {
	out    issued
	access token.AccessToken
	signer *token.SigningKey
	id     token.IDToken
	idBy   *token.SigningKey // nil: no ID token
}

// draft writes down the tokens of an authorization that stands. The refresh token that comes along is for the caller to
// store, see given.
func (p *Provider) draft(c *call, rp directory.RelyingParty, s token.Standing, scopes []string) (d draft, err error) {
	if d, err = p.draftAccess(c, rp, s.Authorization, scopes); err != nil {
		return d, err
	}
	d.access.Subject = token.Subject(p.Ring, c.realm.ID, rp, s.Person.ID)
	d.access.Session, d.access.AuthTime, d.access.ACR, d.access.AMR = s.Session, s.AuthTime.Unix(), s.ACR, s.AMR
	if slices.Contains(scopes, token.ScopeOrganization) {
		d.access.Organization, d.access.Roles = s.Organization.ID, []string{string(s.Person.Role)}
	}
	if rp.May(directory.GrantRefresh) {
		d.out.Refresh = s.ID + "." + newHandle()
	}
	if !slices.Contains(scopes, token.ScopeOpenID) {
		return d, nil
	}
	alg := rp.IDTokenAlg
	if alg == "" {
		alg = token.ES256
	}
	if d.idBy, err = c.keys.Signer(alg, c.now); err != nil {
		return d, err
	}
	asked, err := token.ParseClaims(s.Claims)
	if err != nil {
		return d, err
	}
	d.id = token.IDToken{
		Issuer: c.realm.Origin, Subject: d.access.Subject, Audience: token.Audience{rp.ID},
		Expires: c.now.Add(idTokenLife).Unix(), Issued: c.now.Unix(), AuthTime: s.AuthTime.Unix(), Nonce: s.Nonce,
		ACR: s.ACR, AMR: s.AMR, Session: s.Session,
		Profile: token.IDTokenClaims(rp, scopes, asked, c.realm.Zone, s.Person, s.Organization),
	}
	return d, nil
}

// draftAccess is a draft for the client itself.
func (p *Provider) draftAccess(c *call, rp directory.RelyingParty, auth token.Authorization, scopes []string) (d draft, err error) {
	resources, err := token.NarrowResources(auth.Resources, c.params.Resources())
	if err == nil {
		err = token.CheckResources(rp, resources) // as the client is now
	}
	if err != nil {
		return d, err
	}
	if d.signer, err = c.keys.Signer(token.ES256, c.now); err != nil {
		return d, err
	}
	d.access = token.AccessToken{
		Issuer: c.realm.Origin, Subject: rp.ID, Audience: token.Audience(resources), Expires: c.now.Add(token.AccessLife).Unix(),
		Issued: c.now.Unix(), ID: newID(), Client: rp.ID, Scope: strings.Join(scopes, " "), Authorization: auth.ID,
		Confirmation: token.Bind(auth.JKT, c.x5t),
	}
	if len(d.access.Audience) == 0 {
		d.access.Audience = token.Audience{c.realm.Origin}
	}
	d.out.Type, d.out.Expires, d.out.Scope = "Bearer", int(token.AccessLife/time.Second), d.access.Scope
	if auth.JKT != "" {
		d.out.Type = "DPoP"
	}
	return d, nil
}

// given notes that tokens of an authorization were given, and stores the refresh token that comes along, if one does.
func (p *Provider) given(tx Tx, c *call, auth token.Authorization, d draft) error {
	if c.now.Sub(auth.Seen) >= touched {
		if err := tx.TouchAuthorization(auth.Realm, auth.ID, c.now); err != nil {
			return err
		}
	}
	if d.out.Refresh == "" {
		return nil
	}
	return tx.AddRefresh(token.Refresh{
		Hash: p.hash("refresh", secret.Text(d.out.Refresh)), Realm: auth.Realm, Client: auth.Client, Authorization: auth.ID,
		Created: c.now, Expires: auth.Until,
	})
}

// sign makes the answer.
func (d draft) sign() (issued, error) {
	var err error
	if d.out.Access, err = d.signer.SignAccessToken(d.access); err != nil || d.idBy == nil {
		return d.out, err
	}
	d.id.AccessHash = token.HalfHash(d.idBy.Alg, d.out.Access)
	d.out.ID, err = d.idBy.SignIDToken(d.id)
	return d.out, err
}
