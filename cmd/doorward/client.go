package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"doorward/internal/apply"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
	"doorward/internal/token"
)

type clientCommands struct {
	Check  clientCheckCommand  `cmd:"" help:"Say what a relying party may do, where it may send people, and what is weak about it."`
	Secret clientSecretCommand `cmd:"" help:"Make a secret for a client, and what the realm file says of it."`
}

type clientCheckCommand struct {
	File  string `arg:"" optional:"" help:"Realm file; without it the database of --config is asked." type:"path"`
	Realm string `help:"Id of the realm; needed without a file."`
	ID    string `name:"id" help:"Id of the relying party; all of them when left out."`
}

// relying is a relying party as it is printed.
type relying struct {
	Realm string   `json:"realm"`
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Kind  string   `json:"kind"` // client, guarded or link
	May   []string `json:"may"`
	Sent  []string `json:"sent_to"`
	Keys  []string `json:"keys"` // what was found at its jwks_uri
	Weak  []string `json:"weak"`
}

// Run tells about relying parties of a file, which is checked as `apply` does, or of the database. What is weak is said and is no failure:
// much of it is a choice.
func (cmd clientCheckCommand) Run(c *call) error {
	r, err := cmd.realm(c)
	if err != nil {
		return err
	}
	out := []relying{}
	for _, rp := range r.Relying {
		if cmd.ID == "" || cmd.ID == rp.ID {
			one := describe(r, rp)
			one.Keys = published(c, rp)
			out = append(out, one)
		}
	}
	if cmd.ID != "" && len(out) == 0 {
		return fmt.Errorf("realm %s has no relying party %q", r.ID, cmd.ID)
	}
	if len(out) == 0 {
		c.say("Realm %s has no relying party.", r.ID)
	}
	for i, one := range out {
		if i > 0 {
			c.say("")
		}
		c.say("%s (%s), a %s of realm %s", one.Name, one.ID, map[string]string{"client": "client", "guarded": "guarded application", "link": "link"}[one.Kind], one.Realm)
		for _, part := range []struct {
			title string
			lines []string
		}{{"It may", one.May}, {"People are sent to", one.Sent}, {"Its keys", one.Keys}, {"Weak", one.Weak}} {
			if len(part.lines) > 0 {
				c.say("  %s:", part.title)
			}
			for _, l := range part.lines {
				c.say("    - %s", l)
			}
		}
		if len(one.Weak) == 0 {
			c.say("  Nothing about it is weak.")
		}
	}
	return c.print(out)
}

// published tries the jwks_uri of a relying party as the server would, and says what is there.
func published(c *call, rp directory.RelyingParty) []string {
	if rp.JWKSURI == "" {
		return []string{}
	}
	body, keep, err := fetch(outbound())(c.ctx, rp.JWKSURI)
	var keys *token.ClientKeys
	if err == nil {
		keys, err = token.ParseClientKeys(body)
	}
	switch {
	case err != nil:
		return []string{rp.JWKSURI + " cannot be read: " + err.Error()}
	case keys.Len() == 0:
		return []string{rp.JWKSURI + " has no key that can be used: ES256, EdDSA, PS256 or RS256, for signatures"}
	}
	return []string{fmt.Sprintf("%s has %d that can be used; the answer may be kept for %s", rp.JWKSURI, keys.Len(), keep)}
}

// realm reads the file, or the database when there is none.
func (cmd clientCheckCommand) realm(c *call) (r directory.Realm, err error) {
	if cmd.File != "" {
		text, err := readRealmFile(cmd.File)
		if err != nil {
			return r, err
		}
		if r, _, _, err = apply.ReadRealm(cmd.File, text); err != nil {
			return r, err
		}
		if cmd.Realm != "" && cmd.Realm != r.ID {
			return r, fmt.Errorf("%s is the file of realm %s, not of %s", cmd.File, r.ID, cmd.Realm)
		}
		return r, nil
	}
	if cmd.Realm == "" {
		return r, usageError("name a realm file, or a realm of the database with --realm")
	}
	g, err := c.open()
	if err != nil {
		return r, err
	}
	defer g.Close()
	err = g.store.Read(c.ctx, func(tx *sqlstore.Tx) (err error) { r, err = tx.Realm(cmd.Realm); return err })
	if fault.Of(err, fault.NotFound) {
		return r, fmt.Errorf("there is no realm %q; doorward apply makes one", cmd.Realm)
	}
	return r, err
}

// describe puts a relying party into words.
func describe(r directory.Realm, rp directory.RelyingParty) relying {
	out := relying{Realm: r.ID, ID: rp.ID, Name: rp.Name, Kind: "link", May: []string{}, Sent: []string{}, Weak: []string{}}
	may := func(format string, args ...any) { out.May = append(out.May, fmt.Sprintf(format, args...)) }
	out.Sent = append(out.Sent, rp.Home+" (from the person's page)")
	if len(rp.Hosts) > 0 {
		out.Kind = "guarded"
		may("be reached as %s by who is signed in, through a proxy that asks (forward-auth)", strings.Join(rp.Hosts, ", "))
		may("know who they are, with name, address, organization and role, in an assertion signed for it alone; and %s in plain headers", plainHeaders(rp))
		for _, entry := range rp.Hosts {
			out.Sent = append(out.Sent, "https://"+entry+"/.doorward/callback (with a ticket, after a sign-in)")
		}
	}
	if rp.Auth != "" {
		out.Kind = "client"
		for _, g := range rp.Grants {
			may("%s", grantWords[g])
		}
		may("ask for %s", scopeWords(rp.Scopes))
		may("%s", authWords(r, rp))
		if words := boundWords(rp); words != "" {
			may("%s", words)
		}
		if rp.RequireSigned {
			may("ask only by requests that it signed (request objects)")
		}
		if rp.UserinfoAlg != "" {
			may("have what userinfo says signed with %s", rp.UserinfoAlg)
		}
		if len(rp.Resources) > 0 {
			may("have tokens for %s", strings.Join(rp.Resources, ", "))
		}
		for _, uri := range rp.RedirectURIs {
			out.Sent = append(out.Sent, uri+" (with the answer to a sign-in)")
		}
		for _, uri := range rp.PostLogoutURIs {
			out.Sent = append(out.Sent, uri+" (after sign-out)")
		}
		out.Weak = append(out.Weak, weak(rp)...)
	}
	if rp.FirstParty {
		may("know this without asking the person: it is the operator's own")
	}
	if o, err := authn.ParseOverlay(rp.Policy); err == nil && strings.TrimSpace(rp.Policy) != "" {
		may("be entered only under the realm's policy and its own: %s", strings.Join(strings.Fields(strings.ReplaceAll(strings.TrimSpace(o.String()), "\n", "; ")), " "))
	}
	if len(rp.ACR) > 0 && rp.Auth != "" {
		may("be entered only with %s, unless it asks for something else", strings.Join(rp.ACR, " or "))
	} else if len(rp.ACR) > 0 {
		may("be entered only with %s", strings.Join(rp.ACR, " or "))
	}
	return out
}

// plainHeaders are the headers that a guarded application is told in.
func plainHeaders(rp directory.RelyingParty) string {
	names := []string{"Remote-User"}
	for _, h := range rp.ForwardHeaders {
		names = append(names, "Remote-"+strings.ToUpper(h[:1])+h[1:])
	}
	return strings.Join(names, ", ")
}

var grantWords = map[string]string{
	directory.GrantCode:              "sign people in (authorization code with PKCE)",
	directory.GrantRefresh:           "stay connected with refresh tokens that change at each use",
	directory.GrantClientCredentials: "have tokens for itself, without a person",
	directory.GrantDevice:            "connect devices that have no browser",
}

func scopeWords(scopes []string) string {
	if len(scopes) == 0 {
		return "no scope"
	}
	return strings.Join(scopes, ", ")
}

// boundWords says what a token is bound to, empty for nothing.
func boundWords(rp directory.RelyingParty) string {
	switch {
	case rp.RequireDPoP && rp.TLSBoundTokens:
		return "use its tokens only with the certificate and the DPoP key for which it got them"
	case rp.RequireDPoP:
		return "use its tokens only with the DPoP key for which it got them"
	case rp.TLSBoundTokens:
		return "use its tokens only with the certificate for which it got them"
	case rp.Strict():
		return "use its tokens only with the certificate or DPoP key for which it got them"
	}
	return ""
}

func authWords(r directory.Realm, rp directory.RelyingParty) string {
	switch rp.Auth {
	case directory.AuthNone:
		return "call the token endpoint without proving itself: it is a public client"
	case directory.AuthSecretBasic, directory.AuthSecretPost:
		return "prove itself with a secret (" + rp.Auth + ")"
	case directory.AuthPrivateKeyJWT:
		return "prove itself by signing with its key (private_key_jwt)"
	case directory.AuthTLS:
		name := cmp.Or(rp.TLSClientAuthSubject, rp.TLSClientAuthDNS, rp.TLSClientAuthURI, rp.TLSClientAuthIP, rp.TLSClientAuthEmail)
		return "prove itself with a certificate of its CA for " + name + " (tls_client_auth), at " + r.MTLSHost()
	}
	return "prove itself with the very certificate that it registered (" + rp.Auth + "), at " + r.MTLSHost()
}

// weak says what could be stronger, most important first.
func weak(rp directory.RelyingParty) (out []string) {
	add := func(is bool, words string) {
		if is {
			out = append(out, words)
		}
	}
	withKey := rp.Auth == directory.AuthPrivateKeyJWT
	withCert := rp.Auth == directory.AuthTLS || rp.Auth == directory.AuthSelfSignedTLS
	add(rp.Auth == directory.AuthNone, "it proves nothing about itself: whoever knows its id can pretend to be it up to the redirect address")
	add(!withKey && !withCert && rp.Auth != directory.AuthNone, "its secret travels with each request: private_key_jwt proves the same without sending anything worth stealing")
	add(boundWords(rp) == "", "its tokens work for whoever holds them: require_dpop or tls_bound_tokens binds them to a key")
	add(!rp.RequirePAR && !rp.Strict() && rp.May(directory.GrantCode), "its requests pass through the browser, where they can be changed: require_par sends them directly")
	add(rp.May(directory.GrantDevice), "device codes are phished: people allow what somebody else began")
	add(rp.IDTokenAlg == "RS256", "RS256 is the oldest of the algorithms: ES256, EdDSA and PS256 are stronger")
	add(rp.May(directory.GrantCode) && rp.BackchannelLogoutURI == "", "it is not told when a session ends elsewhere: backchannel_logout_uri is missing")
	add(slices.ContainsFunc(rp.RedirectURIs, func(s string) bool { return strings.HasPrefix(s, "http://") }) && rp.Auth != directory.AuthNone,
		"an answer may be sent to the person's own machine without TLS, although it proves itself as a server does")
	add(strings.HasPrefix(rp.Auth, "client_secret") && slices.ContainsFunc(rp.RedirectURIs, elsewhere(rp.Home)), "answers may be sent to another host than that of its home")
	return out
}

// elsewhere tells addresses of other hosts than home's.
func elsewhere(home string) func(string) bool {
	h, err := url.Parse(home)
	return func(s string) bool {
		u, other := url.Parse(s)
		return err == nil && other == nil && u.Hostname() != h.Hostname() && u.Scheme == "https"
	}
}

type clientSecretCommand struct{}

// Run prints a secret that is kept nowhere: the client gets it, the realm file its hash.
func (clientSecretCommand) Run(c *call) error {
	s := secret.Token()
	sum := sha256.Sum256([]byte(s))
	hash := hex.EncodeToString(sum[:])
	c.say("The client's secret, shown this once:\n  %s\nIn the realm file:\n  secret_sha256 = %q", s, hash)
	return c.print(map[string]string{"secret": s, "secret_sha256": hash})
}
