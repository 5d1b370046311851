package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"doorward/internal/directory"
	"doorward/internal/secret"
)

// The rules of a relying party, as every application behind the door should keep them:
//
//   - state, nonce and the PKCE verifier are new for each sign-in, and belong to the browser that began it.
//   - iss of the answer is the provider that was asked (RFC 9207): an answer of another one is never redeemed.
//   - What is known of a person comes from the signed ID token, and from userinfo only for the same subject.
//   - A proof that was asked for is checked in the answer: acr_values and max_age in the request are a wish.

const appAlg = oidc.ES256

// Known is what an application was told about a person.
type Known struct {
	Subject      string
	Email        string
	Name         string
	Organization string
	Roles        []string
	ACR          string
	AMR          []string
	AuthTime     time.Time
	Session      string
}

// claims are those of an ID token or of userinfo that an application reads.
type claims struct {
	Email        string   `json:"email"`
	Name         string   `json:"name"`
	Organization string   `json:"org_name"`
	Roles        []string `json:"roles"`
	ACR          string   `json:"acr"`
	AMR          []string `json:"amr"`
	AuthTime     int64    `json:"auth_time"`
	Session      string   `json:"sid"`
}

// provider is the realm as one application sees it.
type provider struct {
	issuer   string
	id       string
	Secret   secret.Text
	auth     string
	callback string
	home     string
	client   *http.Client
	clock    func() time.Time

	mu    sync.Mutex
	found *found
}

// found is what discovery said.
type found struct {
	provider *oidc.Provider
	config   oauth2.Config
	verifier *oidc.IDTokenVerifier
	logout   string
}

// discover asks the provider for its metadata, once. The context belongs to the call; keys are fetched later without it.
func (p *provider) discover(ctx context.Context) (*found, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	op, err := oidc.NewProvider(oidc.ClientContext(context.Background(), p.client), p.issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		Logout string `json:"end_session_endpoint"`
		Iss    bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := op.Claims(&more); err != nil {
		return nil, err
	}
	if !more.Iss {
		return nil, errors.New("the provider does not say who it is in its answers (RFC 9207)")
	}
	endpoint := op.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if p.auth == directory.AuthSecretPost {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	p.found = &found{
		provider: op, logout: more.Logout,
		config:   oauth2.Config{ClientID: p.id, ClientSecret: p.Secret.Reveal(), Endpoint: endpoint, RedirectURL: p.callback, Scopes: appScopes},
		verifier: op.Verifier(&oidc.Config{ClientID: p.id, SupportedSigningAlgs: []string{appAlg}, Now: p.clock}),
	}
	return p.found, nil
}

// leave is where a browser goes to sign in, and what must be remembered of it.
func (p *provider) leave(ctx context.Context, lang string, pay *Payment) (address, state string, b begun, err error) {
	f, err := p.discover(ctx)
	if err != nil {
		return "", "", b, err
	}
	state = secret.Token()
	b = begun{nonce: secret.Token(), verifier: oauth2.GenerateVerifier(), at: p.clock(), pay: pay}
	options := []oauth2.AuthCodeOption{oidc.Nonce(b.nonce), oauth2.S256ChallengeOption(b.verifier), oauth2.SetAuthURLParam("ui_locales", lang)}
	if pay != nil {
		options = append(options, oauth2.SetAuthURLParam("acr_values", twoFactors[0]), oauth2.SetAuthURLParam("max_age", "0"))
	}
	return f.config.AuthCodeURL(state, options...), state, b, nil
}

var errAnswer = errors.New("the answer is not one to this request")

// redeem turns an answer into what it says about the person.
func (p *provider) redeem(ctx context.Context, b begun, code string) (k Known, idToken string, err error) {
	f, err := p.discover(ctx)
	if err != nil {
		return k, "", err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	tokens, err := f.config.Exchange(ctx, code, oauth2.VerifierOption(b.verifier))
	if err != nil {
		return k, "", err
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return k, "", errors.New("no ID token came")
	}
	id, err := f.verifier.Verify(ctx, raw)
	if err != nil {
		return k, "", err
	}
	if !secret.Equal(id.Nonce, b.nonce) {
		return k, "", fmt.Errorf("nonce: %w", errAnswer)
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(tokens.AccessToken); err != nil {
			return k, "", err
		}
	}
	var c claims
	if err := id.Claims(&c); err != nil {
		return k, "", err
	}
	info, err := f.provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return k, "", err
	}
	if info.Subject != id.Subject {
		return k, "", fmt.Errorf("userinfo speaks of somebody else: %w", errAnswer)
	}
	proven := c
	if err := info.Claims(&c); err != nil {
		return k, "", err
	}
	return Known{
		Subject: id.Subject, Email: c.Email, Name: c.Name, Organization: c.Organization, Roles: c.Roles,
		ACR: proven.ACR, AMR: proven.AMR, AuthTime: time.Unix(proven.AuthTime, 0).UTC(), Session: proven.Session,
	}, raw, nil
}

// twoFactors are the classes in which two factors were shown, the one to ask for first.
var twoFactors = []string{"urn:doorward:acr:mfa", "urn:doorward:acr:3fa", "phr", "phrh"}

// fresh reports whether two factors were shown after the request left. auth_time is in whole seconds.
func (k Known) fresh(since time.Time) bool {
	return slices.Contains(twoFactors, k.ACR) && !k.AuthTime.Before(since.Truncate(time.Second))
}

// signOut is where a browser goes to end the session everywhere (OpenID Connect RP-Initiated Logout 2).
func (p *provider) signOut(ctx context.Context, idToken, lang string) (string, error) {
	f, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(f.logout)
	if err != nil {
		return "", err
	}
	u.RawQuery = url.Values{
		"id_token_hint": {idToken}, "client_id": {p.id}, "post_logout_redirect_uri": {p.home}, "ui_locales": {lang},
	}.Encode()
	return u.String(), nil
}

// ended reads a log-out token (OpenID Connect Back-Channel Logout 2.6).
func (p *provider) ended(ctx context.Context, raw string) (*oidc.LogoutToken, error) {
	f, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	signed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{appAlg})
	if err != nil {
		return nil, err
	}
	if len(signed.Signatures) != 1 || signed.Signatures[0].Protected.ExtraHeaders[jose.HeaderType] != "logout+jwt" {
		return nil, errors.New("no log-out token")
	}
	t, err := f.verifier.VerifyLogout(oidc.ClientContext(ctx, p.client), raw)
	if err != nil {
		return nil, err
	}
	if t.TokenID == "" || t.SessionID == "" && t.Subject == "" {
		return nil, errors.New("the log-out token names nobody")
	}
	return t, nil
}
