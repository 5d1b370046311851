// Package oidc is the OpenID Connect and OAuth 2 door: applications behind the realm learn from it who signed in and
// what was proven. It translates between the protocols and login; the rules of tokens stand in package token.
//
// What this door promises:
//
//   - Nothing is sent to an address that is not the client's own (SEC O-2). Until that is known, errors are pages.
//   - A code, a refresh token and a request_uri work once; the second use of the first two ends everything that came
//     from them (SEC O-4, O-6).
//   - Every use of a token looks again whether person, organization, client, session and what was shown are alive
//     (SEC O-9). Nothing dead answers after five seconds on any node.
//   - A session is only ever made by login; this door asks for it and reads it.
package oidc

import (
	"context"
	"embed"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/clientkeys"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/memory"
	"doorward/internal/secret"
	"doorward/internal/token"
	"doorward/internal/web"
)

//go:embed *.html
var files embed.FS

// Pages are the pages of this room.
var Pages = web.NewSet("oidc", files)

// Logins is what the provider needs of login.Service.
type Logins interface {
	web.Authenticator
	Begin(context.Context, login.Caller, login.Start) (login.View, error)
	Suffices(ctx context.Context, s login.Signed, goal authn.Goal, since time.Time) (bool, error)
	Weigh(*login.Realm, login.Weighed) (suffices, excused bool)
	SignOut(context.Context, login.Caller) error
}

// Options are what a Provider is made of. All are needed but Count. Record keeps an event that stands alone, soon and
// surely; it waits only where too many are under way.
type Options struct {
	Store  Store
	Ring   *secret.Ring
	Logins Logins
	Realms login.Realms
	Fetch  clientkeys.Fetch // reads the keys that clients publish
	Clock  func() time.Time
	Epoch  func() int64
	Log    *slog.Logger
	Count  func(metric string, labels ...string)
	Record func(context.Context, audit.Event) error
}

// Provider is the door. It is safe for concurrent use.
type Provider struct {
	Options
	mu     sync.Mutex
	sets   map[string]keySet // by realm
	keysOf *clientkeys.Sets

	standings memory.Memory[*known]
	documents web.Documents
}

// New makes a Provider.
func New(o Options) *Provider {
	if o.Count == nil {
		o.Count = func(string, ...string) {}
	}
	return &Provider{Options: o, standings: memory.Memory[*known]{Cap: knownCap}, sets: map[string]keySet{}, keysOf: clientkeys.New(clientkeys.Options{Fetch: o.Fetch, Clock: o.Clock, Count: o.Count, Log: o.Log})}
}

// Mount adds the endpoints of every realm. Requests of applications come from other sites by their nature: where that is
// a POST with a person behind it (authorize, logout), the endpoint changes nothing by itself but asks.
func (p *Provider) Mount(site *web.Site, mux *http.ServeMux) {
	site.Handle(mux, "GET /.well-known/openid-configuration", p.discovery)
	site.Handle(mux, "GET /.well-known/oauth-authorization-server", p.discovery)
	site.Handle(mux, "GET /oauth2/jwks", p.jwks)
	site.AllowForeign("POST /oauth2/authorize")
	site.Handle(mux, "GET /oauth2/authorize", p.authorize)
	site.Handle(mux, "POST /oauth2/authorize", p.authorize)
	site.Handle(mux, "GET /oauth2/authorize/{request}", p.resume)
	site.Handle(mux, "POST /oauth2/authorize/{request}", p.consent)
	site.Handle(mux, "GET /oauth2/device", p.typeUserCode)
	site.Handle(mux, "POST /oauth2/device", p.takeUserCode)
	site.Handle(mux, "GET /oauth2/device/{outcome}", p.deviceDone)
	p.MountEndpoints(site, mux)
	site.AllowForeign("POST /oauth2/logout")
	site.Handle(mux, "GET /oauth2/logout", p.logout)
	site.Handle(mux, "POST /oauth2/logout", p.logout)
	site.Handle(mux, "POST /oauth2/logout/confirm", p.confirmLogout)
}

// MountEndpoints adds what applications call themselves: beside the pages, and alone at the host where they show certificates.
func (p *Provider) MountEndpoints(site *web.Site, mux *http.ServeMux) {
	for path, h := range map[string]apiHandler{
		"/oauth2/device_authorization": p.askForDevice,
		"/oauth2/par":                  p.push, "/oauth2/token": p.token, "/oauth2/introspect": p.introspect, "/oauth2/revoke": p.revoke,
	} {
		site.Handle(mux, "POST "+path, p.api(h))
	}
	site.Handle(mux, "GET /oauth2/userinfo", p.api(p.userinfo))
	site.Handle(mux, "POST /oauth2/userinfo", p.api(p.userinfo))
}

// aliases are the endpoints of MountEndpoints in the metadata (RFC 8705 5).
var aliases = map[string]string{
	"token_endpoint":                        "/oauth2/token",
	"pushed_authorization_request_endpoint": "/oauth2/par",
	"introspection_endpoint":                "/oauth2/introspect",
	"revocation_endpoint":                   "/oauth2/revoke",
	"userinfo_endpoint":                     "/oauth2/userinfo",
	"device_authorization_endpoint":         "/oauth2/device_authorization",
}

// client finds a relying party that may speak with this door.
func client(r *login.Realm, id string) (directory.RelyingParty, bool) {
	i := slices.IndexFunc(r.Relying, func(c directory.RelyingParty) bool { return c.ID == id && c.Auth != "" })
	if i < 0 {
		return directory.RelyingParty{}, false
	}
	return r.Relying[i], true
}

// realm is the realm of a request, with its policies.
func (p *Provider) realm(r *http.Request) (*login.Realm, error) {
	return p.Realms.Realm(web.From(r).Realm.ID)
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// discovery is the metadata of the realm (OpenID Connect Discovery 1.0, RFC 8414).
func (p *Provider) discovery(w http.ResponseWriter, r *http.Request) error {
	realm, err := p.realm(r)
	if err != nil {
		return err
	}
	doc, err := p.documents.Of("metadata", "application/json", realm.ID, realm, func() ([]byte, error) { return p.metadata(realm) })
	if err != nil {
		return err
	}
	doc.Serve(w, r)
	return nil
}

// metadata is what discovery says of a realm. It says nothing that depends on the request: it is rendered once.
func (p *Provider) metadata(realm *login.Realm) ([]byte, error) {
	at := func(path string) string { return realm.Origin + path }
	algs, methods := p.algs(realm), authMethods
	if realm.MTLSHost() != "" {
		methods = append(slices.Clone(authMethods), directory.AuthTLS, directory.AuthSelfSignedTLS)
	}
	doc := map[string]any{
		"issuer":                                           realm.Origin,
		"authorization_endpoint":                           at("/oauth2/authorize"),
		"token_endpoint":                                   at("/oauth2/token"),
		"jwks_uri":                                         at("/oauth2/jwks"),
		"userinfo_endpoint":                                at("/oauth2/userinfo"),
		"introspection_endpoint":                           at("/oauth2/introspect"),
		"revocation_endpoint":                              at("/oauth2/revoke"),
		"pushed_authorization_request_endpoint":            at("/oauth2/par"),
		"end_session_endpoint":                             at("/oauth2/logout"),
		"scopes_supported":                                 token.Scopes,
		"claims_supported":                                 token.Claims,
		"response_types_supported":                         []string{"code"},
		"response_modes_supported":                         []string{"query"},
		"grant_types_supported":                            []string{directory.GrantCode, directory.GrantRefresh, directory.GrantClientCredentials},
		"subject_types_supported":                          []string{"public", "pairwise"},
		"id_token_signing_alg_values_supported":            algs,
		"userinfo_signing_alg_values_supported":            algs,
		"token_endpoint_auth_methods_supported":            methods,
		"token_endpoint_auth_signing_alg_values_supported": token.ClientAlgs(false),
		"introspection_endpoint_auth_methods_supported":    slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == directory.AuthNone }),
		"revocation_endpoint_auth_methods_supported":       methods,
		"code_challenge_methods_supported":                 []string{"S256"},
		"dpop_signing_alg_values_supported":                token.ProofAlgs,
		"prompt_values_supported":                          []string{"none", "login", "consent", "select_account"},
		"acr_values_supported":                             acrs,
		"ui_locales_supported":                             realm.Languages,
		"claims_parameter_supported":                       true,
		"request_parameter_supported":                      true,
		"request_object_signing_alg_values_supported":      token.ClientAlgs(false),
		"request_uri_parameter_supported":                  false,
		"authorization_response_iss_parameter_supported":   true,
		"backchannel_logout_supported":                     true,
		"backchannel_logout_session_supported":             true,
	}
	if slices.ContainsFunc(realm.Relying, func(c directory.RelyingParty) bool { return c.Auth != "" && c.May(directory.GrantDevice) }) {
		doc["device_authorization_endpoint"] = at("/oauth2/device_authorization")
		doc["grant_types_supported"] = append(doc["grant_types_supported"].([]string), directory.GrantDevice)
	}
	for _, endpoint := range []string{"introspection", "revocation"} { // RFC 8414 2: needed beside private_key_jwt
		doc[endpoint+"_endpoint_auth_signing_alg_values_supported"] = token.ClientAlgs(false)
	}
	if origin := realm.MTLSOrigin(); origin != "" {
		at := map[string]string{}
		for name, path := range aliases {
			if doc[name] != nil {
				at[name] = origin + path
			}
		}
		doc["mtls_endpoint_aliases"], doc["tls_client_certificate_bound_access_tokens"] = at, true
	}
	return json.Marshal(doc)
}

var acrs = []string{"urn:doorward:acr:mfa", "urn:doorward:acr:3fa", "phr", "phrh"}

// jwks is the published keys of the realm (RFC 7517).
func (p *Provider) jwks(w http.ResponseWriter, r *http.Request) error {
	keys, err := p.Keys(r.Context(), web.From(r).Realm.ID)
	if err != nil {
		return err
	}
	b := keys.JWKS(p.Clock()) // rendered when the keys were read, for each span between two ends of keys
	doc, err := p.documents.Of("jwks", "application/jwk-set+json", web.From(r).Realm.ID, &b[0], func() ([]byte, error) { return b, nil })
	if err != nil {
		return err
	}
	doc.Serve(w, r)
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client has gone away
	return nil
}

// unavailable reports whether an error only means to try again later.
func unavailable(err error) bool {
	return fault.Of(err, fault.Unavailable) || fault.Of(err, fault.Throttled)
}
