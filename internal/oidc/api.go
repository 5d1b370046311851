package oidc

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/token"
	"doorward/internal/web"
)

// call is one request of a client, not of a person.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	realm  *login.Realm
	params token.Params
	basic  bool       // the client used the Basic scheme
	once   token.Once // of the assertion by which the client authenticated
	now    time.Time
	x5t    string        // the certificate to which the tokens of this call are bound, see binding
	keys   *token.KeySet // read before any transaction: making a first key is one of its own
}

// apiHandler answers a client. Its errors become OAuth errors.
type apiHandler func(*call) error

// api wraps the endpoints that clients call: parameters once each, no caching, errors as RFC 6749 5.2 and RFC 6750 3 say.
func (p *Provider) api(h apiHandler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		realm, err := p.realm(r)
		if err != nil {
			return err
		}
		c := &call{w: w, r: r, realm: realm, now: p.Clock()}
		w.Header().Set("Cache-Control", "no-store")
		if c.keys, err = p.Keys(r.Context(), realm.ID); err == nil {
			c.params, err = token.ParamsOf(r.PostForm)
		}
		if err == nil {
			err = h(c)
		}
		if err == nil {
			return nil
		}
		p.burn(c, err)
		return p.apiError(c, err)
	}
}

// burn spends the assertion of a call that was refused: what was done in its transaction was undone, and an assertion that
// somebody has seen must not work a second time because the first came to nothing. A nonce that was asked for is no refusal.
func (p *Provider) burn(c *call, refused error) {
	if e := token.AsOAuth(refused); e == nil || e.Code == token.CodeUseNonce || c.once.Key == "" {
		return
	}
	if err := p.Store.Write(c.r.Context(), func(tx Tx) error { _, err := tx.Spend(c.once.Key, c.once.Expires); return err }); err != nil {
		p.Log.LogAttrs(c.r.Context(), slog.LevelWarn, "the assertion of a refused call was not spent", slog.String("error", err.Error()))
	}
}

func (p *Provider) apiError(c *call, err error) error {
	e := token.AsOAuth(err)
	switch {
	case e == nil && unavailable(err):
		e = token.Refuse(token.CodeUnavailable, "please try again later")
		c.w.Header().Set("Retry-After", "5")
	case e == nil:
		reference := web.Reference()
		p.Log.LogAttrs(c.r.Context(), slog.LevelError, "endpoint failed",
			slog.String("reference", reference), slog.String("pattern", c.r.Pattern), slog.String("error", err.Error()))
		e = token.Refuse(token.CodeServerError, "our fault; reference "+reference)
	}
	p.Count("client_request", "result", e.Code)
	status := http.StatusBadRequest
	switch e.Code {
	case token.CodeInvalidClient:
		status = http.StatusUnauthorized
		if c.basic {
			c.w.Header().Set("WWW-Authenticate", `Basic realm="`+c.realm.Origin+`"`)
		}
	case token.CodeUnavailable:
		status = http.StatusServiceUnavailable
	case token.CodeServerError:
		status = http.StatusInternalServerError
	}
	return writeJSON(c.w, status, map[string]string{"error": e.Code, "error_description": e.Description})
}

// authMethods are the ways a client authenticates here.
var authMethods = []string{directory.AuthSecretBasic, directory.AuthSecretPost, directory.AuthPrivateKeyJWT, directory.AuthNone}

var errClient = token.Refuse(token.CodeInvalidClient, "the client is unknown, or did not authenticate as it is registered")

// authenticate finds out which client calls, by exactly the way it is registered for. The answer to every failure is the
// same. once is a single use to be spent in the transaction of what follows, zero for none.
func (p *Provider) authenticate(c *call) (rp directory.RelyingParty, once token.Once, err error) {
	id, given, ways := c.params["client_id"], "", 0
	way := directory.AuthNone
	if len(c.r.Header.Values("Authorization")) > 1 { // which of them counts, two readers could see differently
		c.basic = true
		return rp, once, errClient
	}
	if name, pass, ok := c.r.BasicAuth(); ok {
		c.basic = true
		ways++
		way, given = directory.AuthSecretBasic, decoded(pass)
		if id != "" && id != decoded(name) {
			return rp, once, errClient
		}
		id = decoded(name)
	} else if c.r.Header.Get("Authorization") != "" {
		c.basic = true
		return rp, once, errClient
	}
	if s := c.params["client_secret"]; s != "" {
		ways++
		way, given = directory.AuthSecretPost, s
	}
	if a := c.params["client_assertion"]; a != "" || c.params["client_assertion_type"] != "" {
		ways++
		way, given = directory.AuthPrivateKeyJWT, a
		claimed, err := token.AssertionClient(a)
		if err != nil || c.params["client_assertion_type"] != token.AssertionType || id != "" && id != claimed {
			return rp, once, errClient
		}
		id = claimed
	}
	rp, ok := client(c.realm, id)
	if ways == 0 && (rp.Auth == directory.AuthTLS || rp.Auth == directory.AuthSelfSignedTLS) {
		way = rp.Auth
	}
	if !ok || ways > 1 || rp.Auth != way {
		return directory.RelyingParty{}, once, errClient
	}
	switch way {
	case directory.AuthSecretBasic, directory.AuthSecretPost:
		// A random secret of 256 bits needs no slow hash.
		sum := sha256.Sum256([]byte(given))
		want, err := hex.DecodeString(rp.SecretSHA256)
		if err != nil || len(want) != len(sum) || subtle.ConstantTimeCompare(sum[:], want) != 1 {
			return directory.RelyingParty{}, once, errClient
		}
	case directory.AuthTLS, directory.AuthSelfSignedTLS:
		if err := p.certified(c, rp); err != nil {
			return directory.RelyingParty{}, once, err
		}
	case directory.AuthPrivateKeyJWT:
		err := p.keysOf.Verified(c.r.Context(), rp, func(keys *token.ClientKeys) (err error) {
			once, err = token.VerifyAssertion(given, token.AssertionRules{
				Client: rp.ID, Issuer: c.realm.Origin, TokenEndpoint: c.realm.Origin + "/oauth2/token", FAPI: rp.Strict(), Keys: keys, Now: c.now,
			})
			return err
		})
		if fault.Of(err, fault.Invalid) {
			err = errClient.Because(err) // what it publishes is no key set
		}
		if err != nil {
			return directory.RelyingParty{}, once, err
		}
		c.once = once
	}
	return rp, once, nil
}

// decoded undoes the form encoding of RFC 6749 2.3.1; what is not encoded well is compared as it is.
func decoded(s string) string {
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

// spend spends a single use inside a transaction; a second one is the refusal.
func spend(tx Tx, once token.Once, refusal *token.OAuthError) error {
	if once.Key == "" {
		return nil
	}
	fresh, err := tx.Spend(once.Key, once.Expires)
	if err == nil && !fresh {
		return refusal
	}
	return err
}

// proof reads the DPoP proof of a call, "" where there is none (RFC 9449). Where the client's proofs must hold a nonce, the
// answer brings the one for the next proof, whatever becomes of this one (RFC 9449 8 and 9).
func (p *Provider) proof(c *call, rp directory.RelyingParty, access string) (token.Proof, error) {
	all := c.r.Header.Values("DPoP")
	if len(all) == 0 {
		return token.Proof{}, nil
	}
	if len(all) > 1 {
		return token.Proof{}, token.Refuse(token.CodeInvalidProof, "there is more than one DPoP proof")
	}
	var nonces []string
	if rp.DPoPNonce {
		nonces = token.ProofNonces(p.Ring, c.realm.ID, c.now)
		c.w.Header().Set("DPoP-Nonce", nonces[0])
	}
	return token.VerifyProof(all[0], token.ProofRules{
		Method: c.r.Method, URL: c.origin() + c.r.URL.Path, AccessToken: access, Nonces: nonces, Now: c.now,
	})
}

var errProofUsed = token.Refuse(token.CodeInvalidProof, "the proof was used before")

// push takes an authorization request from the client itself (RFC 9126).
func (p *Provider) push(c *call) error {
	rp, once, err := p.authenticate(c)
	if err != nil {
		return err
	}
	if c.params["request_uri"] != "" {
		return token.Refuse(token.CodeInvalidRequest, "request_uri cannot be pushed")
	}
	if rp.Auth == directory.AuthNone { // whoever knows its name can push; rows are bounded as at the authorization endpoint
		if err := p.throttle(c.r, "par", 300, time.Minute); err != nil {
			return err
		}
	}
	proof, err := p.proof(c, rp, "")
	if err != nil {
		return err
	}
	c.params["client_id"] = rp.ID
	params, signed, err := p.unwrap(c.r.Context(), c.realm, c.params, c.now)
	if err != nil {
		return err
	}
	if proof.JKT != "" {
		if have := params["dpop_jkt"]; have != "" && have != proof.JKT {
			return token.Refuse(token.CodeInvalidProof, "dpop_jkt names another key than the proof")
		}
		params["dpop_jkt"] = proof.JKT
	}
	handle := newHandle()
	if err := p.Store.Write(c.r.Context(), func(tx Tx) error {
		return errors.Join(spend(tx, once, errClient), spend(tx, proof.Once, errProofUsed))
	}); err != nil {
		return err
	}
	row := token.Request{Handle: p.Ring.Hash("oidc-request", handle), Expires: c.now.Add(pushedLife)}
	if _, err := p.keep(c.r.Context(), c.realm, params, signed, row, c.now); err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusCreated, map[string]any{"request_uri": requestURI + handle, "expires_in": int(pushedLife / time.Second)})
}

// notFound reports a fault of that kind.
func notFound(err error) bool { return fault.Of(err, fault.NotFound) }
