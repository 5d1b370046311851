package token

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"doorward/internal/directory"
)

// Rules of authorization requests (OpenID Connect Core 3.1.2.1, RFC 6749 4.1.1, RFC 9700 2.1, FAPI 2.0 5.3.2.2).
//
//   - The redirect address is checked before anything else. Until it is known to be the client's, errors are for the
//     person (OAuthError.ToClient is false); from then on they go there, with state and iss.
//   - response_type is code. PKCE with S256 for every client, whatever kind it is; plain and no method are refused.
//   - What was kept is checked again with the client as it is then (CheckRequest is pure and cheap): a client that was
//     narrowed or disabled meanwhile has no old request left (O-9).
//   - Parameters that nobody knows are ignored, and not kept.

// Channel is how a request came.
type Channel struct {
	Pushed bool // through the PAR endpoint, its client authenticated (RFC 9126)
	Signed bool // in a request object whose signature was verified (RFC 9101)
}

// Prompt is the prompt parameter.
type Prompt struct {
	None    bool // no page may be shown
	Login   bool // sign in anew
	Consent bool // ask for consent even if it was given
	Select  bool // let the person choose an account
}

// Ask is a checked authorization request.
type Ask struct {
	Client    string
	Redirect  string
	State     string
	Nonce     string
	Scopes    []string // open to the client
	Challenge string   // PKCE S256
	Prompt    Prompt
	MaxAge    time.Duration // -1: not asked
	ACR       []string      // acceptable classes, in order of preference
	ACRMust   bool          // no other class will do
	Claims    ClaimsRequest
	Locales   []string // ui_locales
	LoginHint string
	Hint      string // id_token_hint as sent; verify it with KeySet.VerifyIDTokenHint
	Resources []string
	JKT       string // dpop_jkt: the key that the code is bound to (RFC 9449 10)
	Params    Params // what is kept in Request.Params, so that CheckRequest gives the same again
}

// known are the parameters that are kept.
var known = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "prompt", "max_age", "ui_locales", "id_token_hint",
	"login_hint", "acr_values", "claims", "code_challenge", "code_challenge_method", "response_mode", "resource", "dpop_jkt",
}

// Bounds of single parameters, in bytes.
const (
	maxState = 2048
	maxNonce = 512
	maxHint  = 320
)

// CheckRequest checks an authorization request of a client. A request object has been read before (ReadRequestObject), a
// request_uri looked up. The error is an *OAuthError; when it is ToClient, Redirect and State of the Ask are set, so that
// it can be answered.
func CheckRequest(p Params, rp directory.RelyingParty, how Channel) (Ask, error) {
	a := Ask{Client: rp.ID, MaxAge: -1}
	if rp.ID == "" || p["client_id"] != rp.ID || rp.Auth == "" {
		return a, tell(CodeUnauthorizedClient, "there is no such client")
	}
	if p["redirect_uri"] == "" {
		return a, tell(CodeInvalidRequest, "redirect_uri is missing")
	}
	if !MatchRedirect(rp, p["redirect_uri"]) {
		return a, tell(CodeInvalidRequest, "redirect_uri is not one that is registered for this client")
	}
	a.Redirect = p["redirect_uri"]
	if len(p["state"]) > maxState || strings.ContainsFunc(p["state"], unicode.IsControl) {
		return a, Refuse(CodeInvalidRequest, "state is too long or not printable") // and not sent back
	}
	a.State = p["state"]
	for _, check := range []func(Params, directory.RelyingParty, Channel) error{
		a.protocol, a.proof, a.wishes, a.person, a.grants,
	} {
		if err := check(p, rp, how); err != nil {
			return Ask{Client: a.Client, Redirect: a.Redirect, State: a.State, MaxAge: -1}, err
		}
	}
	a.Params = Params{}
	for _, name := range known {
		if v := p[name]; v != "" {
			a.Params[name] = v
		}
	}
	return a, nil
}

// protocol checks which protocol is spoken.
func (a *Ask) protocol(p Params, rp directory.RelyingParty, how Channel) error {
	switch {
	case p["request"] != "":
		return Refuse(CodeRequestNotSupported, "a request object cannot be inside of this request")
	case p["request_uri"] != "":
		return Refuse(CodeRequestURINotSupported, "request_uri must come from the pushed authorization request endpoint")
	case p["registration"] != "":
		return Refuse(CodeRegistrationUnsupported, "registration is not supported")
	case !rp.May(directory.GrantCode):
		return Refuse(CodeUnauthorizedClient, "the client may not use authorization_code")
	case p["response_type"] == "":
		return Refuse(CodeInvalidRequest, "response_type is missing")
	case p["response_type"] != "code":
		return Refuse(CodeUnsupportedResponseType, "response_type must be code")
	case p["response_mode"] != "" && p["response_mode"] != "query":
		return Refuse(CodeInvalidRequest, "response_mode must be query")
	case (rp.RequirePAR || rp.Strict()) && !how.Pushed:
		return Refuse(CodeInvalidRequest, "this client must push its authorization requests")
	case rp.RequireSigned && !how.Signed:
		return Refuse(CodeInvalidRequest, "this client must sign its authorization requests")
	}
	return nil
}

// proof checks what binds the code to who asked for it.
func (a *Ask) proof(p Params, _ directory.RelyingParty, _ Channel) error {
	switch {
	case p["code_challenge"] == "":
		return Refuse(CodeInvalidRequest, "code_challenge is missing: PKCE with S256 is required")
	case p["code_challenge_method"] != "S256": // nothing said means plain (RFC 7636 4.3)
		return Refuse(CodeInvalidRequest, "code_challenge_method must be S256")
	case !validChallenge(p["code_challenge"]):
		return Refuse(CodeInvalidRequest, "code_challenge is not the S256 of a verifier")
	case len(p["nonce"]) > maxNonce:
		return Refuse(CodeInvalidRequest, "nonce is too long")
	case p["dpop_jkt"] != "" && !validChallenge(p["dpop_jkt"]):
		return Refuse(CodeInvalidRequest, "dpop_jkt is not a SHA-256 thumbprint")
	}
	a.Challenge, a.Nonce, a.JKT = p["code_challenge"], p["nonce"], p["dpop_jkt"]
	return nil
}

// wishes reads how the person is to be signed in.
func (a *Ask) wishes(p Params, rp directory.RelyingParty, _ Channel) error {
	for _, word := range strings.Fields(p["prompt"]) {
		switch word {
		case "none":
			a.Prompt.None = true
		case "login":
			a.Prompt.Login = true
		case "consent":
			a.Prompt.Consent = true
		case "select_account":
			a.Prompt.Select = true
		default:
			return Refuse(CodeInvalidRequest, "prompt has a value that is not known")
		}
	}
	if a.Prompt.None && (a.Prompt.Login || a.Prompt.Consent || a.Prompt.Select) {
		return Refuse(CodeInvalidRequest, "prompt none stands alone")
	}
	if s := p["max_age"]; s != "" {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil || strings.Trim(s, "0123456789") != "" {
			return Refuse(CodeInvalidRequest, "max_age is not a number of seconds")
		}
		a.MaxAge = time.Duration(n) * time.Second
	}
	var err error
	if a.Claims, err = ParseClaims(p["claims"]); err != nil {
		return err
	}
	a.ACR, a.ACRMust = a.Claims.ACR()
	if len(a.ACR) == 0 {
		a.ACR = strings.Fields(p["acr_values"])
	}
	if len(a.ACR) == 0 {
		a.ACR = rp.ACR
	}
	if len(a.ACR) > 16 || slices.ContainsFunc(a.ACR, func(s string) bool { return len(s) > 256 }) {
		return Refuse(CodeInvalidRequest, "acr_values is too long")
	}
	return nil
}

// person reads who is expected. Hints that make no sense are dropped: they are hints.
func (a *Ask) person(p Params, _ directory.RelyingParty, _ Channel) error {
	for _, tag := range strings.Fields(p["ui_locales"]) {
		if len(a.Locales) < 16 && len(tag) <= 35 && strings.Trim(lower(tag), "abcdefghijklmnopqrstuvwxyz0123456789-") == "" {
			a.Locales = append(a.Locales, tag)
		}
	}
	if hint := p["login_hint"]; len(hint) <= maxHint && !strings.ContainsFunc(hint, func(r rune) bool { return !unicode.IsPrint(r) }) {
		a.LoginHint = hint
	}
	a.Hint = p["id_token_hint"]
	return nil
}

// grants reads what is asked for.
func (a *Ask) grants(p Params, rp directory.RelyingParty, _ Channel) error {
	if p["scope"] == "" {
		return Refuse(CodeInvalidScope, "scope is missing")
	}
	asked, err := ParseScope(p["scope"])
	if err != nil {
		return err
	}
	if a.Scopes, err = RequestScopes(rp, asked); err != nil {
		return err
	}
	a.Resources = p.Resources()
	return CheckResources(rp, a.Resources)
}

// OpenID reports whether an ID token is asked for.
func (a Ask) OpenID() bool { return slices.Contains(a.Scopes, ScopeOpenID) }

// settling is how long duties and consent may take between a sign-in that max_age asked for and its answer. Without it a
// person who reads the terms slowly would sign in for ever; the client checks auth_time by itself (Core 2).
const settling = 10 * time.Minute

// Stale reports whether the person must sign in anew: prompt=login or select_account (where the page asks whether it is
// really them), when the last proof is older than the request, or max_age, when it is older than that. asked is when the request was made. A person who never showed anything is stale.
func (a Ask) Stale(authTime, asked, now time.Time) bool {
	switch {
	case authTime.IsZero():
		return true
	case (a.Prompt.Login || a.Prompt.Select) && authTime.Before(asked):
		return true
	case a.MaxAge >= 0:
		return authTime.Before(asked.Add(-a.MaxAge)) || now.Sub(authTime) > a.MaxAge+settling
	}
	return false
}

// Meets reports whether a session of these kinds answers what the client says about acr. When it is false and ACRMust is
// set, nothing less will do: step up, or answer unmet_authentication_requirements. Without ACRMust the classes are a wish.
func (a Ask) Meets(reached []string) bool {
	return len(a.ACR) == 0 || slices.ContainsFunc(a.ACR, func(c string) bool { return slices.Contains(reached, c) })
}

// Language picks the first of ui_locales that the realm speaks, by its primary tag, or "".
func (a Ask) Language(spoken []string) string {
	for _, tag := range a.Locales {
		primary, _, _ := strings.Cut(lower(tag), "-")
		if slices.Contains(spoken, primary) {
			return primary
		}
	}
	return ""
}
