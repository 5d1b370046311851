package apply

import (
	"errors"
	"slices"
	"strings"

	"doorward/internal/authn"
	"doorward/internal/clientcert"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/token"
	"doorward/internal/tomlfile"
)

// What a realm file says of relying parties in the languages of other rooms: the text of a policy, a set of keys. The
// directory has read the rest.

var audiences = []authn.Audience{authn.Members, authn.Administrators, authn.Staff}

// relying reads the policies and keys of relying parties, with the lines of the file. p is the realm's policy, nil when
// it was not understood.
func relying(file string, r directory.Realm, p *authn.Policies) (problems tomlfile.Problems) {
	for _, rp := range r.Relying {
		bad := func(line int, key, reason string) {
			problems = append(problems, tomlfile.Problem{File: file, Line: line, Key: "relying_party." + key, Reason: rp.ID + ": " + reason})
		}
		overlay, err := authn.ParseOverlay(rp.Policy)
		var wrong *authn.PolicyError
		switch {
		case errors.As(err, &wrong):
			bad(rp.PolicyLine+max(wrong.Line, 1)-1, "policy", wrong.Reason)
		case err != nil:
			bad(rp.PolicyLine, "policy", err.Error())
		case p != nil:
			if reason := shutOut(p, overlay, rp.ACR); reason != "" {
				bad(rp.PolicyLine, "policy", reason)
			}
		}
		if strings.TrimSpace(rp.JWKS) != "" {
			if reason := badKeys(rp); reason != "" {
				bad(rp.KeysLine, "jwks", reason)
			}
		}
		if strings.TrimSpace(rp.TLSClientAuthCA) != "" && rp.Auth == directory.AuthTLS {
			if _, err := clientcert.Anchors(rp.TLSClientAuthCA); err != nil {
				bad(rp.CALine, "tls_client_auth_ca", err.Error())
			}
		}
	}
	return problems
}

// shutOut says why nobody at all could come in with the overlay and the classes that are asked for, empty when somebody
// can. That staff, say, cannot use an application is a choice; that nobody can is a mistake.
func shutOut(p *authn.Policies, overlay authn.Overlay, acr []string) string {
	possible, reached := false, false
	for _, a := range audiences {
		realm := p.Rules(a)
		rules := authn.Effective(realm, overlay)
		known := kinds(realm)
		can := func(c authn.Combination) bool {
			return !slices.ContainsFunc(c.Kinds, func(k authn.Kind) bool { return !slices.Contains(known, k) })
		}
		possible = possible || slices.ContainsFunc(rules.Login, can)
		reached = reached || slices.ContainsFunc(authn.Narrow(rules, acr...).Login, can)
	}
	switch {
	case !possible:
		return "asks for kinds that nobody in this realm can have"
	case !reached:
		return "no way in reaches what acr asks for: " + strings.Join(acr, ", ")
	}
	return ""
}

// kinds are those that somebody can have under a realm's rules.
func kinds(r authn.Rules) (known []authn.Kind) {
	for _, c := range r.Login {
		known = append(known, c.Kinds...)
	}
	for _, b := range r.Enrol {
		known = append(known, b.Kinds...)
	}
	return known
}

// badKeys says what is wrong with a client's keys, empty when one of them can be used.
func badKeys(rp directory.RelyingParty) string {
	keys, err := token.ParseClientKeys([]byte(rp.JWKS))
	switch f := fault.As(err); {
	case err == nil && rp.Auth == directory.AuthSelfSignedTLS && !keys.HasCertificates():
		return "no key in it has its certificate in x5c, which is what this client shows"
	case err == nil && keys.Len() > 0:
		return ""
	case err == nil:
		return "no key in it can be used: EC P-256, Ed25519 or RSA, for signatures"
	case f != nil && f.Code == "client-keys-private":
		return "holds a private or symmetric key: make a new one, and write its public half here"
	case f != nil && f.Code == "client-keys-size":
		return "too large, or too many keys"
	}
	return "not a JWK set (RFC 7517 5), such as {\"keys\": [{\"kty\": \"EC\", …}]}"
}
