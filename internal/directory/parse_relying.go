package directory

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The rules of a relying party in a realm file (REQ B28; SEC O-1, O-2, O-7, O-14).
//
//   - Without auth it is a link, or an application that forward-auth guards: nothing of a client may stand there, since
//     whoever wrote it believes that it holds.
//   - auth says how the client proves itself, and exactly what that needs must stand there: a second way that nobody
//     uses is a second way in.
//   - Addresses are taken letter by letter later on. Here is refused what two readers could read in two ways.
//   - The profile fapi2 makes the strict choices; a line that takes one back is refused, never overruled in silence.
//   - The text of its policy and its keys are read by the caller (authn, token), which knows their language; PolicyLine
//     and KeysLine say where they begin.

// Scopes with a meaning of ours. Every other scope is a word between a client and its resource servers.
const (
	ScopeOpenID       = "openid"
	ScopeOffline      = "offline_access"
	scopeNameLimit    = 128
	relyingListLimit  = 50 // addresses, scopes, resources, hosts, each
	addressTextLimit  = 1024
	secretHashLetters = 64
)

var (
	scopes   = []string{ScopeOpenID, "profile", "email", "organization", ScopeOffline}
	auths    = []string{AuthNone, AuthSecretBasic, AuthSecretPost, AuthPrivateKeyJWT, AuthTLS, AuthSelfSignedTLS}
	grants   = []string{GrantCode, GrantRefresh, GrantClientCredentials, GrantDevice}
	algs     = []string{"ES256", "EdDSA", "PS256", "RS256"}
	contexts = []string{"urn:doorward:acr:mfa", "urn:doorward:acr:3fa", "phr", "phrh"}

	sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)
	scopeWord = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`) // RFC 6749 3.3
)

// relying checks the relying parties and fills in what a client leaves out.
func (c *check) relying() {
	ids, hosts := map[string]bool{}, map[string]string{}
	for i := range c.r.Relying {
		rp, at := &c.r.Relying[i], "relying_party["+strconv.Itoa(i)+"]"
		c.id(at+".id", rp.ID, ids)
		c.line(at+".name", rp.Name, 60)
		c.link(at+".home", rp.Home)
		c.guarded(at, rp, hosts)
		rp.PolicyLine = c.TextLine(at + ".policy")
		if rp.Auth == "" {
			c.linkOnly(at)
			continue
		}
		c.client(at, rp)
	}
}

// linkOnly refuses what only a client can have.
func (c *check) linkOnly(at string) {
	for _, key := range []string{
		"redirect_uris", "post_logout_redirect_uris", "backchannel_logout_uri", "secret_sha256", "jwks", "jwks_uri", "tls_client_auth_subject_dn",
		"tls_client_auth_san_dns", "tls_client_auth_san_uri", "tls_client_auth_san_ip", "tls_client_auth_san_email", "tls_client_auth_ca", "tls_bound_tokens",
		"grants", "scopes", "id_token_alg", "userinfo_signed_response_alg", "profile", "require_par", "require_dpop", "dpop_nonce", "require_signed_request",
		"pairwise", "sector_identifier", "resources",
	} {
		if c.Has(at + "." + key) {
			c.Bad(at+"."+key, "only for a client: auth is missing, one of %s", strings.Join(auths, ", "))
		}
	}
}

func (c *check) client(at string, rp *RelyingParty) {
	if !slices.Contains(auths, rp.Auth) {
		c.Bad(at+".auth", "%q is none of %s", rp.Auth, strings.Join(auths, ", "))
		return
	}
	c.profile(at, rp)
	c.credentials(at, rp)
	c.grants(at, rp)
	c.scopes(at, rp)
	if !c.Has(at + ".id_token_alg") {
		rp.IDTokenAlg = algs[0]
	}
	c.oneOf(at+".id_token_alg", rp.IDTokenAlg, algs...)
	if c.Has(at + ".userinfo_signed_response_alg") {
		c.oneOf(at+".userinfo_signed_response_alg", rp.UserinfoAlg, algs...)
	}
	c.each(at+".redirect_uris", rp.RedirectURIs, func(path, s string) { c.redirect(path, s, rp) })
	c.each(at+".post_logout_redirect_uris", rp.PostLogoutURIs, func(path, s string) { c.redirect(path, s, rp) })
	if c.Has(at + ".backchannel_logout_uri") {
		c.outside(at+".backchannel_logout_uri", rp.BackchannelLogoutURI)
	}
	c.each(at+".acr", rp.ACR, func(path, s string) { c.oneOf(path, s, contexts...) })
	c.each(at+".resources", rp.Resources, func(path, s string) {
		if u, err := url.Parse(s); err != nil || !plainText(s) || u.Scheme == "" || u.User != nil || u.Host == "" && u.Opaque == "" {
			c.Bad(path, "not an absolute URI without fragment (RFC 8707 2)")
		}
	})
	c.sector(at, rp)
}

// profile makes the choices of FAPI 2.0 (Security Profile 5.3.2) and refuses what contradicts them.
func (c *check) profile(at string, rp *RelyingParty) {
	if c.Has(at+".profile") && rp.Profile != FAPI2 {
		c.Bad(at+".profile", "%q is not %s", rp.Profile, FAPI2)
	}
	if !rp.Strict() {
		return
	}
	strong := []string{AuthPrivateKeyJWT, AuthTLS, AuthSelfSignedTLS}
	if !slices.Contains(strong, rp.Auth) {
		c.Bad(at+".auth", "profile %s wants one of %s", FAPI2, strings.Join(strong, ", "))
	}
	if c.Has(at+".require_par") && !rp.RequirePAR {
		c.Bad(at+".require_par", "profile %s wants pushed requests", FAPI2)
	}
	rp.RequirePAR = true
	// Tokens are bound to a key of the client: to its certificate where it shows one, else to a DPoP key.
	if !rp.ShowsCertificate() {
		if c.Has(at+".require_dpop") && !rp.RequireDPoP {
			c.Bad(at+".require_dpop", "profile %s wants tokens bound to a key: with %s that is DPoP, or tls_bound_tokens", FAPI2, AuthPrivateKeyJWT)
		}
		rp.RequireDPoP = true
	} else if c.Has(at+".tls_bound_tokens") && !rp.TLSBoundTokens && !rp.RequireDPoP {
		c.Bad(at+".tls_bound_tokens", "profile %s wants tokens bound to a key: to the certificate, or with require_dpop", FAPI2)
	}
	for key, alg := range map[string]string{"id_token_alg": rp.IDTokenAlg, "userinfo_signed_response_alg": rp.UserinfoAlg} {
		if alg == "RS256" {
			c.Bad(at+"."+key, "profile %s wants ES256, EdDSA or PS256", FAPI2)
		}
	}
	for i, g := range rp.Grants {
		if g == GrantDevice {
			c.Bad(at+".grants["+strconv.Itoa(i)+"]", "profile %s has no device grant", FAPI2)
		}
	}
}

// credentials wants exactly what the way of proving needs.
func (c *check) credentials(at string, rp *RelyingParty) {
	secretFits := rp.Auth == AuthSecretBasic || rp.Auth == AuthSecretPost
	keysNeeded := rp.Auth == AuthPrivateKeyJWT || rp.Auth == AuthSelfSignedTLS
	switch secret := at + ".secret_sha256"; {
	case secretFits && !sha256Hex.MatchString(rp.SecretSHA256):
		c.Bad(secret, "%d letters of 0-9 a-f: `doorward client secret` makes a secret and prints this for it", secretHashLetters)
	case !secretFits && c.Has(secret):
		c.Bad(secret, "auth is %s: there is no secret", rp.Auth)
	}
	keys, uri := at+".jwks", at+".jwks_uri"
	switch {
	case rp.JWKS != "" && rp.JWKSURI != "":
		c.Bad(uri, "jwks stands here already: one of the two")
	case keysNeeded && rp.JWKS == "" && rp.JWKSURI == "":
		c.Bad(at, "auth is %s: jwks or jwks_uri is missing", rp.Auth)
	case rp.Auth == AuthNone && (c.Has(keys) || c.Has(uri)):
		c.Bad(at, "auth is none: a public client has no keys of its own here")
	}
	if c.Has(keys) {
		rp.KeysLine = c.TextLine(keys)
		if strings.TrimSpace(rp.JWKS) == "" {
			c.Bad(keys, "empty")
		}
	}
	if c.Has(uri) {
		c.outside(uri, rp.JWKSURI)
	}
	if signed := at + ".require_signed_request"; rp.RequireSigned && rp.JWKS == "" && rp.JWKSURI == "" {
		c.Bad(signed, "jwks or jwks_uri is missing: nobody could check a signature")
	} else if rp.RequireSigned && c.Has(at+".grants") && !rp.May(GrantCode) {
		c.Bad(signed, "the grant %s is missing: it makes no requests", GrantCode)
	}
	c.certificate(at, rp)
}

func (c *check) grants(at string, rp *RelyingParty) {
	path := at + ".grants"
	if !c.Has(path) {
		rp.Grants = []string{GrantCode}
	} else if len(rp.Grants) == 0 {
		c.Bad(path, "at least one of %s", strings.Join(grants, ", "))
	}
	c.each(path, rp.Grants, func(path, s string) { c.oneOf(path, s, grants...) })
	switch redirects := at + ".redirect_uris"; {
	case rp.May(GrantCode) && len(rp.RedirectURIs) == 0:
		c.Bad(redirects, "missing: where answers may be sent to")
	case !rp.May(GrantCode) && len(rp.RedirectURIs) > 0:
		c.Bad(redirects, "the grant %s is missing: nothing is ever sent there", GrantCode)
	}
	if rp.May(GrantRefresh) && !rp.May(GrantCode) && !rp.May(GrantDevice) {
		c.Bad(path, "%s needs %s or %s beside it", GrantRefresh, GrantCode, GrantDevice)
	}
	if rp.May(GrantClientCredentials) && rp.Auth == AuthNone {
		c.Bad(path, "%s is for a client that proves itself: auth is none", GrantClientCredentials)
	}
}

func (c *check) scopes(at string, rp *RelyingParty) {
	path := at + ".scopes"
	person := rp.May(GrantCode) || rp.May(GrantDevice)
	if !c.Has(path) && person {
		rp.Scopes = []string{ScopeOpenID}
	}
	c.each(path, rp.Scopes, func(path, s string) {
		switch near := strings.ToLower(s); {
		case !scopeWord.MatchString(s) || len(s) > scopeNameLimit:
			c.Bad(path, "up to %d letters, digits and signs without space, quote and backslash", scopeNameLimit)
		case s == ScopeOffline && !rp.May(GrantRefresh):
			c.Bad(path, "the grant %s is missing", GrantRefresh)
		case slices.Contains(scopes, s):
			if !person {
				c.Bad(path, "speaks of a person: nobody signs in with the grants of this client")
			}
		case slices.Contains(scopes, near) || near == "address" || near == "phone":
			c.Bad(path, "%q is none of %s, and too near to one of OpenID Connect for a scope of your own", s, strings.Join(scopes, ", "))
		}
	})
}

func (c *check) sector(at string, rp *RelyingParty) {
	path := at + ".sector_identifier"
	if c.Has(path) {
		if host, err := CanonicalHost(rp.SectorIdentifier); err != nil || host != rp.SectorIdentifier {
			c.Bad(path, "a host name in lower case without port")
		} else if !rp.Pairwise {
			c.Bad(path, "pairwise is not true: it is not looked at")
		}
	}
}

// each checks the entries of a list: not too many, each once.
func (c *check) each(path string, list []string, one func(path, s string)) {
	if len(list) > relyingListLimit {
		c.Bad(path, "more than %d", relyingListLimit)
		return
	}
	for i, s := range list {
		at := path + "[" + strconv.Itoa(i) + "]"
		if slices.Contains(list[:i], s) {
			c.Bad(at, "%q stands twice", s)
			continue
		}
		one(at, s)
	}
}

// outside wants an address that we ourselves call: https, and not our own.
func (c *check) outside(path, s string) {
	if reason := badAddress(s); reason != "" {
		c.Bad(path, "%s", reason)
		return
	}
	if u, err := url.Parse(s); err != nil || u.Scheme != "https" {
		c.Bad(path, "not an https address")
	} else if u.Hostname() == c.r.Host {
		c.Bad(path, "leads to the realm itself")
	}
}

// answers are the parameters that we add to an address: one that stands there already would come twice.
var answers = []string{"code", "state", "iss", "error", "error_description", "response", "id_token", "session_state"}

// redirect wants an address to which a person may be sent: https; http for 127.0.0.1 and [::1] alone, where a program on
// the person's own machine listens (RFC 8252 7.3); a scheme of one's own with a dot for a public client (7.1).
func (c *check) redirect(path, s string, rp *RelyingParty) {
	if scheme, rest, ok := strings.Cut(s, ":"); ok && strings.Contains(scheme, ".") && !strings.ContainsAny(scheme, "/?#@%") {
		switch {
		case rp.Auth != AuthNone:
			c.Bad(path, "a scheme of one's own is for programs on a person's machine: auth none")
		case scheme != strings.ToLower(scheme) || !strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, "//") || !plainText(s) || twoWays(rest) != "":
			c.Bad(path, "not an address such as com.example.app:/callback")
		}
		return
	}
	if reason := badAddress(s); reason != "" {
		c.Bad(path, "%s", reason)
		return
	}
	u, err := url.Parse(s)
	if err != nil {
		c.Bad(path, "not an https address")
		return
	}
	switch host := u.Hostname(); {
	case u.Scheme == "http" && rp.Strict():
		c.Bad(path, "profile %s wants https", FAPI2)
	case u.Scheme == "http" && host != "127.0.0.1" && host != "::1":
		c.Bad(path, "http is for http://127.0.0.1 and http://[::1] alone, on the person's own machine; any other address is https")
	case host == c.r.Host:
		c.Bad(path, "leads to the realm itself")
	}
	for name := range u.Query() {
		if slices.Contains(answers, name) {
			c.Bad(path, "has the parameter %s, which the answer brings", name)
		}
	}
}

func plainText(s string) bool {
	return len(s) > 0 && len(s) <= addressTextLimit &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\\#*\"<>^`{|}", r) })
}

// badAddress says what is wrong with an http or https address, empty when every reader reads it alike.
func badAddress(s string) string {
	switch {
	case strings.Contains(s, "#"):
		return "has a fragment"
	case strings.Contains(s, "*"):
		return "has a wildcard: every address is written out"
	case !plainText(s):
		return "empty, too long, or with a letter that does not belong into an address"
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || !strings.HasPrefix(s, u.Scheme+"://") || u.Host == "" || u.Opaque != "" {
		return "not an https address"
	}
	if u.User != nil {
		return "has a user name"
	}
	if reason := twoWays(u.EscapedPath()); reason != "" {
		return reason
	}
	if strings.Contains(u.RawQuery, ";") {
		return "has ; in its query, which servers read in two ways"
	}
	host := u.Hostname()
	if canonical, err := CanonicalHost(host); (err != nil || canonical != host) && host != "127.0.0.1" && host != "::1" {
		return "not the address of a host in lower case"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "has a port that is none"
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return "has a port that is none"
	}
	return ""
}

// twoWays finds what path readers differ about: dot segments, encoded slashes, what looks like a user name.
func twoWays(path string) string {
	low := strings.ToLower(path)
	for _, bad := range []string{"%2f", "%5c", "%00", "%0a", "%0d", "%25", "@", "%40"} {
		if strings.Contains(low, bad) {
			return "has " + bad + " in its path, which servers read in two ways"
		}
	}
	low = strings.NewReplacer("%2e", ".", "%3b", ";").Replace(low)
	for part := range strings.SplitSeq(low, "/") {
		if name, _, _ := strings.Cut(part, ";"); name == "." || name == ".." {
			return "has a dot segment in its path"
		}
	}
	return ""
}
