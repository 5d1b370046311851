package oidc

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/secret"
	"doorward/internal/session"
	"doorward/internal/token"
)

// Lifetimes of what the token endpoint gives.
const (
	idTokenLife = 10 * time.Minute
	sameAnswer  = 10 * time.Second // how long a used refresh token gets its answer again (SEC O-6)
)

func newHandle() string { return secret.Token() }

var (
	errGrant   = token.Refuse(token.CodeInvalidGrant, "the grant is unknown, expired, used, or for another client")
	errNoGrant = token.Refuse(token.CodeUnauthorizedClient, "the client may not use this grant")
)

// issued is a successful answer (RFC 6749 5.1).
type issued struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Refresh string `json:"refresh_token,omitempty"`
	ID      string `json:"id_token,omitempty"`
	Scope   string `json:"scope,omitempty"`
}

// token is the token endpoint.
func (p *Provider) token(c *call) error {
	rp, once, err := p.authenticate(c)
	if err != nil {
		return err
	}
	proof, err := p.proof(c, rp, "")
	if err != nil {
		return err
	}
	if proof.JKT == "" && (rp.RequireDPoP || rp.Strict()) {
		return token.Refuse(token.CodeInvalidProof, "this client must send a DPoP proof")
	}
	var out issued
	switch grant := c.params["grant_type"]; {
	case grant == "":
		return token.Refuse(token.CodeInvalidRequest, "grant_type is missing")
	case grant == directory.GrantCode && rp.May(grant):
		out, err = p.redeem(c, rp, once, proof)
	case grant == directory.GrantRefresh && rp.May(grant):
		out, err = p.refresh(c, rp, once, proof)
	case grant == directory.GrantClientCredentials && rp.May(grant) && rp.Auth != directory.AuthNone:
		out, err = p.forItself(c, rp, once, proof)
	case grant == directory.GrantDevice && rp.May(grant):
		out, err = p.deviceTokens(c, rp, once, proof)
	case slices.Contains([]string{directory.GrantCode, directory.GrantRefresh, directory.GrantClientCredentials, directory.GrantDevice}, grant):
		err = errNoGrant
	default:
		err = token.Refuse(token.CodeUnsupportedGrant, "grant_type is not supported")
	}
	if err != nil {
		return err
	}
	p.Count("client_request", "result", "issued")
	return writeJSON(c.w, http.StatusOK, out)
}

// redeem turns a code into tokens. A code that comes a second time ends everything that the first time gave (RFC 9700
// 4.5): one of the two was stolen.
func (p *Provider) redeem(c *call, rp directory.RelyingParty, once token.Once, proof token.Proof) (out issued, err error) {
	hash := p.hash("code", secret.Text(c.params["code"]))
	var refusal error
	err = p.Store.Write(c.r.Context(), func(tx Tx) error {
		refusal = nil
		if err := errors.Join(spend(tx, once, errClient), spend(tx, proof.Once, errProofUsed)); err != nil {
			return err
		}
		code, err := tx.Code(hash)
		if notFound(err) {
			return errGrant
		}
		if err != nil {
			return err
		}
		if err := code.Redeems(c.realm.ID, rp.ID, c.params["redirect_uri"], c.params["code_verifier"]); err != nil {
			return err
		}
		if _, err := tx.UseCode(hash, c.now); err != nil {
			if fault.Of(err, fault.Conflict) {
				refusal = errGrant
				return p.end(tx, c, code.Realm, code.Authorization, "code-reused")
			}
			if fault.Of(err, fault.Expired) {
				return errGrant
			}
			return err
		}
		auth, err := tx.Authorization(c.realm.ID, code.Authorization)
		if err != nil {
			return err
		}
		if auth.JKT != "" && auth.JKT != proof.JKT {
			return token.Refuse(token.CodeInvalidProof, "the code is bound to another key")
		}
		if err := bind(tx, &auth, proof); err != nil {
			return err
		}
		scopes, err := token.RequestScopes(rp, auth.Scopes) // as the client is now
		if err != nil {
			return err
		}
		out, err = p.give(tx, c, rp, auth, scopes, true)
		return err
	})
	if err == nil {
		err = refusal
	}
	return out, err
}

// bind binds an authorization that has no key yet to the key of the proof that came: what is issued from now on is bound,
// never a bearer token beside a proof.
func bind(tx Tx, auth *token.Authorization, proof token.Proof) error {
	if auth.JKT != "" || proof.JKT == "" {
		return nil
	}
	auth.JKT = proof.JKT
	return tx.BindAuthorization(auth.Realm, auth.ID, auth.JKT)
}

// refresh turns a refresh token into new ones. The answer to its first use is given again for ten seconds, so that a
// client that lost it is not thrown out; after that, a second use ends the authorization.
func (p *Provider) refresh(c *call, rp directory.RelyingParty, once token.Once, proof token.Proof) (out issued, err error) {
	hash := p.hash("refresh", secret.Text(c.params["refresh_token"]))
	asked, err := token.ParseScope(c.params["scope"])
	if err != nil {
		return out, err
	}
	var refusal error
	try := func(tx Tx) error {
		refusal = nil
		if err := errors.Join(spend(tx, once, errClient), spend(tx, proof.Once, errProofUsed)); err != nil {
			return err
		}
		old, err := tx.Refresh(hash)
		if notFound(err) || err == nil && (old.Realm != c.realm.ID || old.Client != rp.ID) {
			return errGrant
		}
		if err != nil {
			return err
		}
		auth, err := tx.Authorization(old.Realm, old.Authorization)
		if err != nil {
			return err
		}
		if auth.JKT != "" && auth.JKT != proof.JKT {
			return token.Refuse(token.CodeInvalidProof, "the refresh token is bound to another key")
		}
		if !old.Used.IsZero() {
			if c.now.Sub(old.Used) <= sameAnswer && len(old.Answer) > 0 && p.alive(tx, c, rp, auth) == nil {
				return json.Unmarshal(old.Answer, &out)
			}
			refusal = errGrant
			return p.end(tx, c, auth.Realm, auth.ID, "refresh-reused")
		}
		if err := bind(tx, &auth, proof); err != nil { // from before keys were demanded
			return err
		}
		scopes, err := token.RequestScopes(rp, auth.Scopes)
		if err == nil {
			scopes, err = token.NarrowScopes(scopes, asked)
		}
		if err != nil {
			return err
		}
		if out, err = p.give(tx, c, rp, auth, scopes, true); err != nil {
			return err
		}
		answer, err := json.Marshal(out)
		if err != nil {
			return err
		}
		return tx.UseRefresh(hash, answer, c.now)
	}
	err = p.Store.Write(c.r.Context(), try)
	for range 3 { // somebody was faster: their answer is the answer
		if !fault.Of(err, fault.Conflict) {
			break
		}
		err = p.Store.Write(c.r.Context(), try)
	}
	switch {
	case fault.Of(err, fault.Expired):
		err = errGrant
	case err == nil:
		err = refusal
	}
	return out, err
}

// forItself gives a client a token of its own (client_credentials, RFC 6749 4.4).
func (p *Provider) forItself(c *call, rp directory.RelyingParty, once token.Once, proof token.Proof) (out issued, err error) {
	asked, err := token.ParseScope(c.params["scope"])
	if err != nil {
		return out, err
	}
	scopes, err := token.ClientScopes(rp, asked)
	if err != nil {
		return out, err
	}
	resources := c.params.Resources()
	if err := token.CheckResources(rp, resources); err != nil {
		return out, err
	}
	auth := token.Authorization{
		ID: newID(), Realm: c.realm.ID, Client: rp.ID, Scopes: scopes, Resources: resources, JKT: proof.JKT,
		Created: c.now, Until: c.now.Add(token.AccessLife),
	}
	err = p.Store.Write(c.r.Context(), func(tx Tx) error {
		if err := errors.Join(spend(tx, once, errClient), spend(tx, proof.Once, errProofUsed)); err != nil {
			return err
		}
		if err := tx.AddAuthorization(auth); err != nil {
			return err
		}
		out, err = p.give(tx, c, rp, auth, scopes, false)
		return err
	})
	return out, err
}

// give makes the tokens of an authorization that is alive.
func (p *Provider) give(tx Tx, c *call, rp directory.RelyingParty, auth token.Authorization, scopes []string, person bool) (issued, error) {
	var out issued
	who, org, err := directory.Person{}, directory.Organization{}, error(nil)
	if person {
		if who, org, err = p.standing(tx, c, rp, auth); err != nil {
			return out, err
		}
	}
	resources, err := token.NarrowResources(auth.Resources, c.params.Resources())
	if err == nil {
		err = token.CheckResources(rp, resources) // as the client is now
	}
	if err != nil {
		return out, err
	}
	signer, err := c.keys.Signer(token.ES256, c.now)
	if err != nil {
		return out, err
	}
	access := token.AccessToken{
		Issuer: c.realm.Origin, Subject: rp.ID, Audience: token.Audience(resources), Expires: c.now.Add(token.AccessLife).Unix(),
		Issued: c.now.Unix(), ID: newID(), Client: rp.ID, Scope: strings.Join(scopes, " "), Authorization: auth.ID,
		Confirmation: token.Bind(auth.JKT, auth.X5T),
	}
	if len(access.Audience) == 0 {
		access.Audience = token.Audience{c.realm.Origin}
	}
	if person {
		access.Subject = token.Subject(p.Ring, c.realm.ID, rp, who.ID)
		access.Session, access.AuthTime, access.ACR, access.AMR = auth.Session, auth.AuthTime.Unix(), auth.ACR, auth.AMR
		if slices.Contains(scopes, token.ScopeOrganization) {
			access.Organization, access.Roles = org.ID, []string{string(who.Role)}
		}
	}
	if out.Access, err = signer.SignAccessToken(access); err != nil {
		return out, err
	}
	out.Type, out.Expires, out.Scope = "Bearer", int(token.AccessLife/time.Second), access.Scope
	if auth.JKT != "" {
		out.Type = "DPoP"
	}
	if !person {
		return out, nil
	}
	if err := tx.TouchAuthorization(auth.Realm, auth.ID, c.now); err != nil {
		return out, err
	}
	if slices.Contains(scopes, token.ScopeOpenID) {
		if out.ID, err = p.idToken(c, rp, auth, who, org, scopes, out.Access); err != nil {
			return out, err
		}
	}
	if rp.May(directory.GrantRefresh) {
		fresh := secret.Text(secret.Token())
		if err := tx.AddRefresh(token.Refresh{
			Hash: p.hash("refresh", fresh), Realm: c.realm.ID, Client: rp.ID, Authorization: auth.ID, Created: c.now, Expires: auth.Until,
		}); err != nil {
			return out, err
		}
		out.Refresh = string(fresh)
	}
	return out, nil
}

func (p *Provider) idToken(c *call, rp directory.RelyingParty, auth token.Authorization, who directory.Person, org directory.Organization, scopes []string, access string) (string, error) {
	alg := rp.IDTokenAlg
	if alg == "" {
		alg = token.ES256
	}
	signer, err := c.keys.Signer(alg, c.now)
	if err != nil {
		return "", err
	}
	asked, err := token.ParseClaims(auth.Claims)
	if err != nil {
		return "", err
	}
	return signer.SignIDToken(token.IDToken{
		Issuer: c.realm.Origin, Subject: token.Subject(p.Ring, c.realm.ID, rp, who.ID), Audience: token.Audience{rp.ID},
		Expires: c.now.Add(idTokenLife).Unix(), Issued: c.now.Unix(), AuthTime: auth.AuthTime.Unix(), Nonce: auth.Nonce,
		ACR: auth.ACR, AMR: auth.AMR, Session: auth.Session, AccessHash: token.HalfHash(alg, access),
		Profile: token.IDTokenClaims(rp, scopes, asked, c.realm.Zone, who, org),
	})
}

// alive is standing for those who only want to know.
func (p *Provider) alive(tx Tx, c *call, rp directory.RelyingParty, auth token.Authorization) error {
	_, _, err := p.standing(tx, c, rp, auth)
	return err
}

// standing looks at everything an authorization stands on: itself, its client, the person, their organization, the
// session, and every credential that was shown in it (SEC O-9). It refuses with invalid_grant.
func (p *Provider) standing(tx Tx, c *call, rp directory.RelyingParty, auth token.Authorization) (who directory.Person, org directory.Organization, err error) {
	dead := func(err error) (directory.Person, directory.Organization, error) {
		if err != nil && !notFound(err) {
			return who, org, err
		}
		return who, org, errGrant
	}
	if rp.ID != auth.Client || !auth.Ended.IsZero() || !c.now.Before(auth.Until) {
		return dead(nil)
	}
	if who, err = tx.Person(auth.Realm, auth.Person); err != nil || who.State != directory.Active {
		return dead(err)
	}
	if org, err = tx.Organization(auth.Realm, who.Organization); err != nil || org.State != directory.Active {
		return dead(err)
	}
	se, err := tx.Session(auth.Realm, auth.Session)
	if err != nil || !auth.Offline && !live(se, c.now) {
		return dead(err)
	}
	creds, err := tx.Credentials(auth.Realm, auth.Person)
	if err != nil {
		return who, org, err
	}
	for _, e := range se.Evidence {
		shown := func(cr authn.Credential) bool { return cr.ID == e.Credential && cr.State == authn.Active }
		if info, _ := authn.Info(e.Kind); info.Held && !slices.ContainsFunc(creds, shown) {
			return dead(nil)
		}
	}
	return who, org, nil
}

// live leaves idleness out: a session that applications refresh is in use, and its absolute end still holds.
func live(s session.Session, now time.Time) bool { return s.Ended.IsZero() && now.Before(s.Until) }

// end ends an authorization because something of it came twice.
func (p *Provider) end(tx Tx, c *call, realm, id, why string) error {
	auth, err := tx.Authorization(realm, id)
	if err != nil {
		return err
	}
	if was, err := tx.EndAuthorization(realm, id, why, c.now); err != nil || !was {
		return err
	}
	tx.Bump()
	p.Count("token_reuse", "why", why)
	return tx.Audit(audit.Event{
		Realm: realm, At: c.now, Type: "client.ended", Actor: "system", Person: auth.Person, Session: auth.Session, Reason: why,
		Data: map[string]string{"client": auth.Client},
	})
}
