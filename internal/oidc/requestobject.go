package oidc

import (
	"context"
	"net/http"
	"time"

	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/token"
)

// parameters are those of a request that a person's browser brings: the query, or the form of a POST (OpenID Connect Core
// 3.1.2.1, RP-Initiated Logout 2). The other one of the two is not looked at.
func parameters(r *http.Request) (token.Params, error) {
	if r.Method == http.MethodPost {
		return token.ParamsOf(r.PostForm)
	}
	return token.ParamsOf(r.URL.Query())
}

// unwrap reads the request object of a request, where there is one and its client has keys (RFC 9101 6). signed says that
// what it returns was in the object; what stood outside counts for nothing then (6.3). A client without keys has its object
// refused by token.CheckRequest, which tells it so.
func (p *Provider) unwrap(ctx context.Context, realm *login.Realm, params token.Params, now time.Time) (inner token.Params, signed bool, err error) {
	rp, ok := client(realm, params["client_id"])
	if params["request"] == "" || !ok || rp.JWKS == "" && rp.JWKSURI == "" {
		return params, false, nil
	}
	if params["request_uri"] != "" {
		return params, false, &token.OAuthError{Code: token.CodeInvalidRequest, Description: "request and request_uri cannot both be there"}
	}
	err = p.keysOf.Verified(ctx, rp, func(keys *token.ClientKeys) (err error) {
		inner, err = token.ReadRequestObject(params["request"], params, token.RequestObjectRules{
			Client: rp.ID, Issuer: realm.Origin, FAPI: rp.Strict(), Keys: keys, Now: now,
		})
		return err
	})
	if fault.Of(err, fault.Invalid) { // what it publishes is no key set
		err = (&token.OAuthError{Code: token.CodeInvalidRequestObject, Description: "the keys of the client cannot be read"}).Because(err)
	}
	return inner, err == nil, err
}

// wasSigned marks a kept request that came in a request object. No parameter of a client is kept under this name.
const wasSigned = "signed request"

// channel says how a kept request came.
func channel(row token.Request) token.Channel {
	return token.Channel{Pushed: row.Handle != nil, Signed: row.Params[wasSigned] != ""}
}
