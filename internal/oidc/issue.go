package oidc

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"doorward/internal/audit"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/token"
	"doorward/internal/web"
)

// offlineLife is how long an authorization with offline_access can be refreshed.
const offlineLife = 90 * 24 * time.Hour

// issue sends the person to the client with a code, once. What also does is done with it or not at all.
func (p *Provider) issue(w http.ResponseWriter, r *http.Request, a asked, signed login.Signed, also ...func(Tx) error) error {
	now, code := p.Clock(), secret.Text(secret.Token())
	auth := authorization(a, signed, now)
	auth.Seen = now // its code is fetched at once
	err := p.Store.Write(r.Context(), func(tx Tx) error {
		if !a.fresh {
			if err := tx.FinishRequest(a.realm.ID, a.row.ID, now); err != nil {
				return err
			}
		}
		if err := hang(tx, auth, now); err != nil {
			return err
		}
		if err := tx.AddCode(token.Code{
			Hash: p.hash("code", code), Realm: a.realm.ID, Client: a.rp.ID, Authorization: auth.ID, Redirect: a.ask.Redirect,
			Challenge: a.ask.Challenge, Created: now, Expires: now.Add(token.CodeLife),
		}); err != nil {
			return err
		}
		v := web.From(r)
		if err := tx.Audit(audit.Event{
			Realm: a.realm.ID, At: now, Type: "client.authorized", Actor: signed.Person.ID, Person: signed.Person.ID,
			Organization: signed.Person.Organization, Session: signed.Session.ID, Network: v.Network, Browser: v.Browser,
			Data: map[string]string{"client": a.rp.ID, "name": a.rp.Name, "scope": strings.Join(a.ask.Scopes, " ")},
		}); err != nil {
			return err
		}
		for _, do := range also { // last, so that a row that many want is held only for the commit
			if err := do(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if fault.Of(err, fault.Conflict) {
		return errRequestOver // another tab was faster
	}
	if err != nil {
		return err
	}
	if !a.fresh || web.Cookie(r, "request") != "" {
		forget(w)
	}
	p.Count("authorization", "result", "code")
	return web.Leave(w, r, token.Answer(a.ask.Redirect, a.realm.Origin, a.ask.State, "code", string(code)))
}

// hang adds an authorization to its session, which must not end meanwhile: whoever settles it has to find everything that
// came from it. It fails with fault.Expired "session-over".
func hang(tx Tx, auth token.Authorization, now time.Time) error {
	if err := tx.HoldSession(auth.Realm, auth.Session, now); err != nil {
		return err
	}
	return tx.AddAuthorization(auth)
}

// authorization is what a person who showed enough gives the client of a request.
func authorization(a asked, signed login.Signed, now time.Time) token.Authorization {
	what := token.Assure(signed.Session.Evidence, a.ask.ACR...)
	auth := token.Authorization{
		ID: newID(), Realm: a.realm.ID, Client: a.rp.ID, Person: signed.Person.ID, Session: signed.Session.ID,
		Scopes: a.ask.Scopes, Resources: a.ask.Resources, Claims: a.row.Params["claims"], Nonce: a.ask.Nonce,
		ACR: what.ACR, AMR: what.AMR, AuthTime: time.Unix(what.AuthTime, 0).UTC(),
		Offline: slices.Contains(a.ask.Scopes, token.ScopeOffline), JKT: a.row.JKT,
		Created: now, Until: signed.Session.Until, Shown: token.Shown(signed.Session.Evidence),
	}
	if auth.Offline {
		auth.Until = now.Add(offlineLife)
	}
	return auth
}

// hash is how a secret of one kind is kept. Every kind has its own domain: none ever opens another's door (SEC O-15).
func (p *Provider) hash(kind string, s secret.Text) []byte {
	return p.Ring.Hash("oidc-"+kind, string(s))
}

// ConsentPage asks whether an application may see what it asks for.
type ConsentPage struct {
	web.View
	Client  string
	Home    string
	Address string
	Scopes  []string
	Shown   string // what this page shows, to whom; comes back with the answer
}

var consentPage = web.Define(Pages, "consent", web.Door,
	web.Sample("plain", ConsentPage{Client: "Harbour Logistics", Home: "https://app.harbour.example", Address: "a.sample@sampleworks.example", Scopes: []string{"openid", "profile", "email", "organization", "offline_access"}}))

// scopes returns what the person is asked about: the scopes, and those of claims asked for by name.
func (a asked) scopes() []string {
	all := slices.Clone(a.ask.Scopes)
	for _, s := range a.ask.Claims.Scopes() {
		if !slices.Contains(all, s) && slices.Contains(a.rp.Scopes, s) {
			all = append(all, s)
		}
	}
	return all
}

func (p *Provider) needsConsent(ctx context.Context, a asked, signed login.Signed) (bool, error) {
	if a.rp.FirstParty {
		return false, nil
	}
	if a.ask.Prompt.Consent {
		return true, nil
	}
	var given token.Consent
	err := p.Store.Read(ctx, func(tx Tx) (err error) {
		given, err = tx.Consent(a.realm.ID, signed.Person.ID, a.rp.ID)
		return err
	})
	if err != nil && !fault.Of(err, fault.NotFound) {
		return false, err
	}
	return slices.ContainsFunc(a.scopes(), func(s string) bool { return !slices.Contains(given.Scopes, s) }), nil
}

func (p *Provider) askConsent(w http.ResponseWriter, r *http.Request, a asked, signed login.Signed) error {
	v := web.From(r)
	v.For(signed.Person.Language, signed.Person.Zone)
	v.AllowForm(a.ask.Redirect)
	return consentPage.Show(w, r, ConsentPage{Client: a.rp.Name, Home: a.rp.Home, Address: signed.Person.Address, Scopes: a.scopes(), Shown: p.shown(a, signed)})
}

// shown names what a consent page shows: this request, this person, these scopes. An answer that names anything else is
// none: somebody else signed in meanwhile, the operator gave the client more, or nobody was ever asked (SEC O-14).
func (p *Provider) shown(a asked, signed login.Signed) string {
	return base64.RawURLEncoding.EncodeToString(p.Ring.Hash("oidc-consent", strings.Join(append([]string{a.realm.ID, a.row.ID, a.rp.ID, signed.Person.ID}, a.scopes()...), " ")))
}

// consent takes the answer of the consent page. Everything is checked again: the page may be old.
func (p *Provider) consent(w http.ResponseWriter, r *http.Request) error {
	a, err := p.load(r, r.PathValue("request"))
	if token.AsOAuth(err) != nil {
		return p.refuse(w, r, err)
	}
	if err != nil {
		return err
	}
	signed, err := p.Logins.Authenticate(r.Context(), a.realm.ID, secret.Text(web.Cookie(r, web.SessionCookie)))
	if fault.Of(err, fault.Expired) {
		return web.Redirect(w, r, "/oauth2/authorize/"+a.row.ID)
	}
	if err != nil {
		return err
	}
	if r.PostFormValue("answer") != "allow" {
		if a.device() {
			return p.denyDevice(w, r, a, signed)
		}
		return p.answer(w, r, a, token.Refuse(token.CodeAccessDenied, "the person said no"))
	}
	if !secret.Equal(r.PostFormValue("shown"), p.shown(a, signed)) {
		return web.Redirect(w, r, "/oauth2/authorize/"+a.row.ID)
	}
	must := a
	if !must.ask.ACRMust {
		must.ask.ACR = nil // a wish was dealt with before the page was shown
	}
	step, err := p.enough(r.Context(), must, signed)
	if err != nil && token.AsOAuth(err) == nil {
		return err
	}
	if err != nil || !step.ok {
		return web.Redirect(w, r, "/oauth2/authorize/"+a.row.ID)
	}
	if a.device() {
		return p.allowDevice(w, r, a, signed)
	}
	now := p.Clock()
	// In one transaction with the code: of an answer that came too late nothing is kept.
	return p.issue(w, r, a, signed, func(tx Tx) error {
		if err := tx.PutConsent(token.Consent{Realm: a.realm.ID, Person: signed.Person.ID, Client: a.rp.ID, Scopes: a.scopes(), At: now}); err != nil {
			return err
		}
		v := web.From(r)
		return tx.Audit(audit.Event{
			Realm: a.realm.ID, At: now, Type: "client.allowed", Actor: signed.Person.ID, Person: signed.Person.ID,
			Organization: signed.Person.Organization, Session: signed.Session.ID, Network: v.Network, Browser: v.Browser,
			Data: map[string]string{"client": a.rp.ID, "name": a.rp.Name},
		})
	})
}
