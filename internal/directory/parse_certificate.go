package directory

import (
	"net/netip"
	"slices"
	"strings"
)

// Where and how clients show certificates (RFC 8705).
//
//   - They do it at a host of its own, "mtls." before the realm's. The realm's own host never asks: a person's browser
//     would show its list of certificates (DESIGN 7).
//   - The host is there only where a client needs it, so that nobody else has a name and a certificate to look after.
//   - With tls_client_auth the realm file says whose certificates count, and by exactly one name which of them is the client's.

// Where people's browsers show device certificates (DESIGN 7). The names stand beside each other because a browser that was
// told "cancel", or was given the wrong certificate, asks no more at that name until it is closed: trying again is another
// name. They belong to every realm; nothing is asked there before the realm has a CA.

// CertHosts are the hosts at which the browsers of the realm's people show device certificates, the first one first.
func (r Realm) CertHosts() []string {
	hosts := make([]string, len(certPrefixes))
	for i, prefix := range certPrefixes {
		hosts[i] = prefix + r.Host
	}
	return hosts
}

// CertOrigin is the origin of the host for the nth try, counted from 0. It begins anew behind the last.
func (r Realm) CertOrigin(try int) string {
	n := len(certPrefixes)
	return strings.Replace(r.Origin, "://", "://"+certPrefixes[(try%n+n)%n], 1)
}

var certPrefixes = []string{"cert.", "cert2.", "cert3."}

// CertTries is how many names there are to try.
var CertTries = len(certPrefixes)

// HostOfCert is the realm's host that belongs to one of its CertHosts. ok is false for every other host.
func HostOfCert(host string) (realm string, ok bool) {
	for _, prefix := range certPrefixes {
		if realm, ok = strings.CutPrefix(host, prefix); ok {
			return realm, true
		}
	}
	return "", false
}

// reserved reports whether a host name stands before a realm's, where certificates are shown.
func reserved(host string) (prefix string, is bool) {
	for _, prefix = range append([]string{MTLSPrefix}, certPrefixes...) {
		if strings.HasPrefix(host, prefix) {
			return prefix, true
		}
	}
	return "", false
}

// MTLSPrefix stands before a realm's host in the name of its MTLSHost.
const MTLSPrefix = "mtls."

// ShowsCertificate reports whether the client has to show a certificate, to prove itself or to have its tokens bound.
func (r RelyingParty) ShowsCertificate() bool {
	return r.Auth == AuthTLS || r.Auth == AuthSelfSignedTLS || r.Auth != "" && r.TLSBoundTokens
}

// MTLSHost is the host at which the realm's clients show certificates, empty when none has to.
func (r Realm) MTLSHost() string {
	if !slices.ContainsFunc(r.Relying, RelyingParty.ShowsCertificate) {
		return ""
	}
	return MTLSPrefix + r.Host
}

// MTLSOrigin is the origin of MTLSHost, empty where there is none.
func (r Realm) MTLSOrigin() string {
	if r.MTLSHost() == "" {
		return ""
	}
	return strings.Replace(r.Origin, "://", "://"+MTLSPrefix, 1)
}

// HostOfMTLS is the realm's host that belongs to a host at which certificates are shown. ok is false for every other host.
func HostOfMTLS(host string) (realm string, ok bool) { return strings.CutPrefix(host, MTLSPrefix) }

// certificate wants one name and the CAs with tls_client_auth, and neither without.
func (c *check) certificate(at string, rp *RelyingParty) {
	names := []struct {
		key, value string
		fits       func(string) bool
		words      string
	}{
		{"subject_dn", rp.TLSClientAuthSubject, func(s string) bool { return strings.Contains(s, "=") }, "the subject of its certificate as RFC 4514 writes it, such as CN=app.example.com,O=Example"},
		{"san_dns", rp.TLSClientAuthDNS, func(s string) bool { host, err := CanonicalHost(s); return err == nil && host == s }, "a host name in lower case without port, as its certificate has it"},
		{"san_uri", rp.TLSClientAuthURI, func(s string) bool { return plainText(s) && strings.Contains(s, ":") }, "a URI, as its certificate has it"},
		{"san_ip", rp.TLSClientAuthIP, func(s string) bool {
			a, err := netip.ParseAddr(s)
			return err == nil && a.String() == s && a.Zone() == ""
		}, "an address in its shortest form, such as 192.0.2.7 or 2001:db8::7"},
		{"san_email", rp.TLSClientAuthEmail, func(s string) bool { return plainText(s) && strings.Count(s, "@") == 1 }, "an e-mail address, as its certificate has it"},
	}
	given := 0
	for _, n := range names {
		key := at + ".tls_client_auth_" + n.key
		switch {
		case !c.Has(key):
		case rp.Auth != AuthTLS:
			c.Bad(key, "auth is %s: it is not looked at", rp.Auth)
		default:
			if given++; given > 1 {
				c.Bad(key, "another name stands here already: exactly one says which certificate is the client's")
				continue
			}
			c.line(key, n.value, 500)
			if n.value != "" && !n.fits(n.value) {
				c.Bad(key, "%s", n.words)
			}
		}
	}
	switch ca := at + ".tls_client_auth_ca"; {
	case rp.Auth != AuthTLS:
		if c.Has(ca) {
			c.Bad(ca, "auth is %s: it is not looked at", rp.Auth)
		}
	case strings.TrimSpace(rp.TLSClientAuthCA) == "":
		c.Bad(ca, "missing: the CA certificates, as PEM text, whose certificates count")
	default:
		rp.CALine = c.TextLine(ca)
	}
	if rp.Auth == AuthTLS && given == 0 {
		c.Bad(at, "auth is %s: one of tls_client_auth_subject_dn, …_san_dns, …_san_uri, …_san_ip, …_san_email is missing", AuthTLS)
	}
}
