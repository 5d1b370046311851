package token

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"doorward/internal/directory"
)

// Rules of addresses to which a person is sent (SEC O-2; RFC 9700 4.1.3).
//
//   - An address is taken when it equals a registered one letter by letter. Nothing is parsed, decoded or normalized
//     before it is compared: every open redirect of the peers was a difference between two ways to read an address.
//   - One thing may differ: the port of http://127.0.0.1 and http://[::1], where a program on the person's own machine
//     listens on whatever is free (RFC 8252 7.3). Not of localhost, which a resolver may lead elsewhere.
//   - What is registered is checked here once more when it is used. An address with a user name, a fragment, a
//     wildcard, a control letter or a backslash is not taken even when it is registered.

const maxRedirect = 1024

// MatchRedirect reports whether a client may have answers sent to an address.
func MatchRedirect(rp directory.RelyingParty, uri string) bool {
	return match(rp.RedirectURIs, uri, rp.Strict())
}

// MatchPostLogout reports whether a client may have a person sent to an address after sign-out (OpenID Connect
// RP-Initiated Logout 3).
func MatchPostLogout(rp directory.RelyingParty, uri string) bool {
	return match(rp.PostLogoutURIs, uri, rp.Strict())
}

func match(registered []string, uri string, fapi bool) bool {
	if !ValidRedirect(uri, fapi) {
		return false
	}
	if slices.Contains(registered, uri) {
		return true
	}
	rest, ok := loopback(uri)
	if !ok {
		return false
	}
	return slices.ContainsFunc(registered, func(r string) bool {
		known, ok := loopback(r)
		return ok && known == rest
	})
}

// loopback takes the port out of an address of a native client.
func loopback(uri string) (string, bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, host)
		if !ok {
			continue
		}
		if port, after := rest, ""; strings.HasPrefix(rest, ":") {
			if i := strings.IndexAny(rest, "/?"); i >= 0 {
				port, after = rest[:i], rest[i:]
			}
			n, err := strconv.ParseUint(port[1:], 10, 16)
			if err != nil || n == 0 || strconv.FormatUint(n, 10) != port[1:] {
				return "", false
			}
			rest = after
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return "", false
		}
		return host + rest, true
	}
	return "", false
}

// ValidRedirect reports whether an address may be registered and used at all: https with a host; http for a loopback
// address only; a scheme of one's own with a dot in it, which its owner has reversed from a domain (RFC 8252 7.1). Under
// FAPI 2.0 https alone. It is printable ASCII, has no user name and no fragment, no wildcard, no backslash, no dot segment, and a
// host that every reader reads alike.
func ValidRedirect(uri string, fapi bool) bool {
	if len(uri) == 0 || len(uri) > maxRedirect {
		return false
	}
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\\#*\"<>^`{|}", c) >= 0 {
			return false
		}
	}
	u, err := url.Parse(uri)
	if err != nil || u.User != nil || u.Scheme == "" || u.Fragment != "" {
		return false
	}
	scheme, after, _ := strings.Cut(uri, ":")
	if scheme != u.Scheme { // written with capitals
		return false
	}
	path := strings.SplitN(after, "?", 2)[0]
	switch scheme {
	case "https":
	case "http":
		if _, ok := loopback(uri); !ok || fapi {
			return false
		}
	default:
		if fapi || !strings.Contains(scheme, ".") || !strings.HasPrefix(after, "/") || strings.HasPrefix(after, "//") {
			return false
		}
		return plainPath(path)
	}
	return strings.HasPrefix(after, "//") && !strings.HasPrefix(after, "///") && plainHost(u) && plainPath(u.EscapedPath()) &&
		!strings.Contains(u.RawQuery, ";") // servers differ in whether it separates parameters
}

// plainPath has no dot segment, encoded or with a path parameter, and no encoded slash or backslash.
func plainPath(p string) bool {
	low := lower(p)
	for _, bad := range []string{"%2f", "%5c", "%00", "%0a", "%0d", "%25", "%40"} {
		if strings.Contains(low, bad) {
			return false
		}
	}
	low = strings.ReplaceAll(low, "%2e", ".")
	for _, part := range strings.Split(low, "/") {
		name, _, _ := strings.Cut(strings.ReplaceAll(part, "%3b", ";"), ";")
		if name == "." || name == ".." {
			return false
		}
	}
	return !strings.Contains(p, "@") // behind a host it is only a path, but not to every reader
}

// plainHost is a name of lower-case letters, digits, hyphens and single dots, or an address in its one spelling.
func plainHost(u *url.URL) bool {
	host, port := u.Hostname(), u.Port()
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return false
		}
	}
	written := host
	if strings.Contains(host, ":") {
		written = "[" + host + "]"
	}
	if port != "" {
		written += ":" + port
	}
	if written != u.Host || len(host) > 253 { // an empty port, a zone, an encoded letter
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Zone() == "" && ip.String() == host && !ip.Is4In6()
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' ||
			strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x") // browsers read such names as IPv4 addresses
}

// Answer is the address that carries an authorization response to a client (RFC 6749 4.1.2, RFC 9207 2): the redirect with
// its own query kept, iss, state when there was one, and further pairs of name and value. Call it only with a redirect of
// MatchRedirect.
func Answer(redirect, issuer, state string, pairs ...string) string {
	v := url.Values{"iss": {issuer}}
	if state != "" {
		v.Set("state", state)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	switch {
	case !strings.Contains(redirect, "?"):
		redirect += "?"
	case !strings.HasSuffix(redirect, "?") && !strings.HasSuffix(redirect, "&"):
		redirect += "&"
	}
	return redirect + v.Encode()
}

// AnswerError is Answer for a refusal.
func AnswerError(redirect, issuer, state string, e *OAuthError) string {
	return Answer(redirect, issuer, state, "error", e.Code, "error_description", e.Description)
}

// absolute reports whether s is an absolute URI without fragment (RFC 3986 4.3), in printable ASCII.
func absolute(s string) bool {
	if len(s) == 0 || len(s) > maxRedirect || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }) {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.User == nil && (u.Host != "" || u.Opaque != "")
}
