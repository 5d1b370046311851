package oidc

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/secret"
	"doorward/internal/token"
	"doorward/internal/web"
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
	if c.x5t, err = c.binding(rp, proof); err != nil {
		return err
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
// 4.5): one of the two was stolen. What is given is signed after the commit: the code is used up by then, and nobody else
// waited for the signatures.
func (p *Provider) redeem(c *call, rp directory.RelyingParty, once token.Once, proof token.Proof) (issued, error) {
	hash := p.hash("code", secret.Text(c.params["code"]))
	var refusal error
	var d draft
	err := p.Store.Write(c.r.Context(), func(tx Tx) error {
		refusal = nil
		if err := errors.Join(spend(tx, once, errClient), spend(tx, proof.Once, errProofUsed)); err != nil {
			return err
		}
		code, err := tx.UseCode(hash, c.now) // undone with everything else where it is not for this client
		if notFound(err) {
			return errGrant
		}
		if err != nil && !fault.Of(err, fault.Conflict) && !fault.Of(err, fault.Expired) {
			return err
		}
		if wrong := code.Redeems(c.realm.ID, rp.ID, c.params["redirect_uri"], c.params["code_verifier"]); wrong != nil {
			return wrong
		}
		if fault.Of(err, fault.Conflict) {
			refusal = errGrant
			return p.end(tx, c, code.Realm, code.Authorization, "code-reused")
		}
		if err != nil {
			return errGrant
		}
		s, err := p.standing(tx, c, rp, code.Authorization)
		if err != nil {
			return err
		}
		if s.JKT != "" && s.JKT != proof.JKT {
			return token.Refuse(token.CodeInvalidProof, "the code is bound to another key")
		}
		if err := c.bind(tx, rp, &s.Authorization, proof); err != nil {
			return err
		}
		scopes, err := token.RequestScopes(rp, s.Scopes) // as the client is now
		if err != nil {
			return err
		}
		if d, err = p.draft(c, rp, s, scopes); err != nil {
			return err
		}
		return p.given(tx, c, s.Authorization, d)
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return issued{}, err
	}
	return d.sign()
}

// refresh turns a refresh token into new ones. The answer to its first use is given again for ten seconds, so that a
// client that lost it is not thrown out; after that, a second use ends the authorization.
//
// A token names its authorization, and it is kept by the hash of the whole: what it names is what it was issued of, or the
// token is unknown. So the first try does not look for it before it uses it up; whatever does not work is tried again from
// what is stored, and only that is answered.
func (p *Provider) refresh(c *call, rp directory.RelyingParty, once token.Once, proof token.Proof) (out issued, err error) {
	asked, err := token.ParseScope(c.params["scope"])
	if err != nil {
		return out, err
	}
	hash := p.hash("refresh", secret.Text(c.params["refresh_token"]))
	old := token.Refresh{Realm: c.realm.ID, Client: rp.ID}
	old.Authorization, _, _ = strings.Cut(c.params["refresh_token"], ".")
	if out, err = p.renew(c, rp, once, proof, hash, asked, old); err == nil {
		return out, nil
	}
	for range 4 {
		err = p.Store.Read(c.r.Context(), func(tx Tx) (err error) { old, err = tx.Refresh(hash); return err })
		if notFound(err) || err == nil && (old.Realm != c.realm.ID || old.Client != rp.ID) {
			return issued{}, errGrant
		}
		if err == nil {
			out, err = p.renew(c, rp, once, proof, hash, asked, old)
		}
		if !fault.Of(err, fault.Conflict) {
			break // else somebody was faster: their answer is the answer
		}
	}
	if fault.Of(err, fault.Expired) {
		err = errGrant
	}
	return out, err
}

// renew tries it once. It fails with fault.Conflict when the token was used meanwhile.
func (p *Provider) renew(c *call, rp directory.RelyingParty, once token.Once, proof token.Proof, hash []byte, asked []string, old token.Refresh) (out issued, err error) {
	k, err := p.known(c.r.Context(), old.Realm, old.Authorization, false, c.now)
	if notFound(err) {
		return out, errGrant
	}
	if err != nil {
		return out, err
	}
	if k.JKT != "" && k.JKT != proof.JKT {
		return out, token.Refuse(token.CodeInvalidProof, "the refresh token is bound to another key")
	}
	if err := c.holdsCertificate(rp, k.Authorization); err != nil {
		return out, err
	}
	if !old.Used.IsZero() {
		return p.repeat(c, rp, once, proof, hash)
	}
	s := k.Standing
	if s.JKT == "" {
		s.JKT = proof.JKT // from before keys were demanded
	}
	scopes, err := token.RequestScopes(rp, s.Scopes) // as the client is now
	if err == nil {
		scopes, err = token.NarrowScopes(scopes, asked)
	}
	if err == nil && !p.stands(c, rp, s) {
		err = errGrant
	}
	if err != nil {
		return out, err
	}
	d, err := p.draft(c, rp, s, scopes)
	if err != nil {
		return out, err
	}
	if out, err = d.sign(); err != nil {
		return out, err
	}
	answer, err := json.Marshal(out)
	if err != nil {
		return out, err
	}
	err = p.Store.Write(c.r.Context(), func(tx Tx) error {
		bound := k.Authorization
		if err := c.bind(tx, rp, &bound, proof); err != nil {
			return err
		}
		if bound.JKT != k.JKT || bound.X5T != k.X5T {
			tx.Bump() // what other nodes remember of it would give bearer tokens
		}
		return errors.Join(spend(tx, once, errClient), spend(tx, proof.Once, errProofUsed), tx.UseRefresh(hash, answer, c.now),
			p.given(tx, c, s.Authorization, d))
	})
	if fault.Of(err, fault.Conflict) {
		p.standings.Drop(s.Realm + " " + s.ID) // whoever was faster changed what it says
	}
	return out, err
}

// repeat answers a refresh token that was used before: with what the first use gave, where that is young enough and
// everything still stands, else by ending all of it.
func (p *Provider) repeat(c *call, rp directory.RelyingParty, once token.Once, proof token.Proof, hash []byte) (out issued, err error) {
	var refusal error
	err = p.Store.Write(c.r.Context(), func(tx Tx) error {
		refusal = nil
		if err := errors.Join(spend(tx, once, errClient), spend(tx, proof.Once, errProofUsed)); err != nil {
			return err
		}
		old, err := tx.Refresh(hash)
		if err != nil {
			return err
		}
		if c.now.Sub(old.Used) <= sameAnswer && len(old.Answer) > 0 {
			if _, err := p.standing(tx, c, rp, old.Authorization); err == nil {
				return json.Unmarshal(old.Answer, &out)
			}
		}
		refusal = errGrant
		return p.end(tx, c, old.Realm, old.Authorization, "refresh-reused")
	})
	if err == nil {
		err = refusal
	}
	return out, err
}

// forItself gives a client a token of its own (client_credentials, RFC 6749 4.4). It stands for itself: there is no row
// of it until it is revoked, and the event is recorded beside the answer.
func (p *Provider) forItself(c *call, rp directory.RelyingParty, once token.Once, proof token.Proof) (out issued, err error) {
	asked, err := token.ParseScope(c.params["scope"])
	if err != nil {
		return out, err
	}
	scopes, err := token.ClientScopes(rp, asked)
	if err != nil {
		return out, err
	}
	d, err := p.draftAccess(c, rp, token.Authorization{ID: newID(), Resources: c.params.Resources(), JKT: proof.JKT}, scopes)
	if err != nil {
		return out, err
	}
	if err := p.spendAll(c, spending{once, errClient}, spending{proof.Once, errProofUsed}); err != nil {
		return out, err
	}
	if out, err = d.sign(); err != nil {
		return out, err
	}
	return out, p.Record(c.r.Context(), audit.Event{
		Realm: c.realm.ID, At: c.now, Type: "client.token", Actor: "system", Network: web.From(c.r).Network,
		Data: map[string]string{"client": rp.ID, "name": rp.Name, "scope": strings.Join(scopes, " "), "token": d.access.ID},
	})
}

// give makes the tokens of an authorization that is alive, inside of the transaction that allows them.
func (p *Provider) give(tx Tx, c *call, rp directory.RelyingParty, auth token.Authorization, scopes []string) (issued, error) {
	s, err := p.standing(tx, c, rp, auth.ID)
	if err != nil {
		return issued{}, err
	}
	d, err := p.draft(c, rp, s, scopes)
	if err == nil {
		err = p.given(tx, c, s.Authorization, d)
	}
	if err != nil {
		return issued{}, err
	}
	return d.sign()
}

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
