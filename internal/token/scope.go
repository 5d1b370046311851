package token

import (
	"slices"
	"strings"

	"doorward/internal/directory"
)

// Scopes with a meaning of ours. Every other scope is a client's own: a word between it and its resource servers.
const (
	ScopeOpenID       = directory.ScopeOpenID
	ScopeProfile      = "profile"              // name, locale, zoneinfo
	ScopeEmail        = "email"                // email, email_verified
	ScopeOrganization = "organization"         // org, org_name, roles
	ScopeOffline      = directory.ScopeOffline // refresh tokens that outlive the session
)

// Scopes are the scopes with a meaning of ours, for discovery.
var Scopes = []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeOrganization, ScopeOffline}

const (
	maxScopes = 32
	maxScope  = 128
)

// ParseScope splits a scope parameter (RFC 6749 3.3), each word once, in the order given. The error is an *OAuthError
// "invalid_scope".
func ParseScope(s string) ([]string, error) {
	var out []string
	for _, word := range strings.Split(s, " ") {
		if word == "" {
			continue
		}
		for i := range len(word) {
			if c := word[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
				return nil, Refuse(CodeInvalidScope, "scope has a letter that is not allowed")
			}
		}
		if len(word) > maxScope {
			return nil, Refuse(CodeInvalidScope, "a scope is too long")
		}
		if slices.Contains(out, word) {
			continue
		}
		if out = append(out, word); len(out) > maxScopes {
			return nil, Refuse(CodeInvalidScope, "too many scopes")
		}
	}
	return out, nil
}

// RequestScopes are the scopes of an authorization that a client gets of those it asks for. What it was not given in the
// realm file is left out, as OpenID Connect Core 3.1.2.1 wants for scopes that are not understood; the answer names what
// was granted. openid needs no entry. offline_access without the refresh grant means nothing. Nothing left is an
// *OAuthError "invalid_scope".
func RequestScopes(rp directory.RelyingParty, asked []string) ([]string, error) {
	var out []string
	for _, s := range asked {
		if s == ScopeOffline && !rp.May(directory.GrantRefresh) {
			continue
		}
		if s == ScopeOpenID || slices.Contains(rp.Scopes, s) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return nil, Refuse(CodeInvalidScope, "none of the scopes asked for is open to this client")
	}
	return out, nil
}

// ClientScopes are the scopes of a client that acts for itself (client_credentials). There is no person, so the scopes that
// speak of one are refused; nothing asked for means all of its own. The error is an *OAuthError "invalid_scope".
func ClientScopes(rp directory.RelyingParty, asked []string) ([]string, error) {
	if len(asked) == 0 {
		return slices.DeleteFunc(slices.Clone(rp.Scopes), func(s string) bool { return slices.Contains(Scopes, s) }), nil
	}
	for _, s := range asked {
		if slices.Contains(Scopes, s) || !slices.Contains(rp.Scopes, s) {
			return nil, Refuse(CodeInvalidScope, "a scope is not open to this client without a person")
		}
	}
	return asked, nil
}

// NarrowScopes are the scopes of a refreshed token (RFC 6749 6): those asked for, all of which were granted, or all that
// were granted when none is asked for. The error is an *OAuthError "invalid_scope".
func NarrowScopes(granted, asked []string) ([]string, error) {
	if len(asked) == 0 {
		return granted, nil
	}
	for _, s := range asked {
		if !slices.Contains(granted, s) {
			return nil, Refuse(CodeInvalidScope, "a scope was not granted")
		}
	}
	return asked, nil
}

// CheckResources checks resource indicators (RFC 8707 2): absolute URIs without fragment that the client may have tokens
// for. The error is an *OAuthError "invalid_target".
func CheckResources(rp directory.RelyingParty, asked []string) error {
	if len(asked) > 8 {
		return Refuse(CodeInvalidTarget, "too many resources")
	}
	for _, r := range asked {
		if !absolute(r) {
			return Refuse(CodeInvalidTarget, "resource must be an absolute URI without fragment")
		}
		if !slices.Contains(rp.Resources, r) {
			return Refuse(CodeInvalidTarget, "the resource is not open to this client")
		}
	}
	return nil
}

// NarrowResources are the audiences of a token of an authorization: those asked for, all of which were granted, or all
// that were granted when none is asked for. The error is an *OAuthError "invalid_target".
func NarrowResources(granted, asked []string) ([]string, error) {
	if len(asked) == 0 {
		return granted, nil
	}
	for _, r := range asked {
		if !slices.Contains(granted, r) {
			return nil, Refuse(CodeInvalidTarget, "the resource was not granted")
		}
	}
	return asked, nil
}
