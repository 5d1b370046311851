package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"doorward/internal/fault"
)

// The trusted edge (SEC N-2, N-3; SECURITY engine 8). This is the only place that reads what proxies say about a request.
//
//   - The client is the peer of the connection, unless the peer is a configured proxy. Then it is the right-most address
//     in the one configured header that is not itself a proxy: everything further left was written by the client.
//   - A hop that cannot be read ends the walk: the client is then the last hop that was understood. Nothing is guessed.
//   - Every header that claims to say who is calling, for which host, or with which certificate is removed before any
//     handler runs, in every spelling, and counted. A header a handler never sees cannot be believed by it.
//   - One exception: a door that answers a proxy's questions about another request (forward-auth) is handed what a
//     configured proxy says about that request, beside the headers and for those questions only (Door.Told).
//   - Names with an underscore are removed altogether: some proxies pass them on as if it were a hyphen.
//   - The result stands in Request.RemoteAddr. It is for throttling and for people to read, never a reason to let
//     anybody in. Links are built from the configuration alone.

// Headers a proxy may be configured to use.
const (
	XForwardedFor = "x-forwarded-for"
	Forwarded     = "forwarded" // RFC 7239
)

// maxHops is how many hops are looked at, from the right. Longer chains are made up.
const maxHops = 32

// Edge knows the proxies in front of this server. The zero Edge has none.
type Edge struct {
	proxies     []netip.Prefix
	header      string
	certificate string // see certificate.go
}

// NewEdge reads a list of addresses ("192.0.2.7") and networks ("10.0.0.0/8") and the header they set, empty for
// X-Forwarded-For. It fails with fault.Invalid, code "proxy-invalid" or "proxy-header-invalid".
func NewEdge(proxies []string, header string) (Edge, error) {
	e := Edge{header: strings.ToLower(header)}
	switch e.header {
	case "":
		e.header = XForwardedFor
	case XForwardedFor, Forwarded:
	default:
		return Edge{}, fault.New(fault.Invalid, "proxy-header-invalid", "header", header)
	}
	for _, p := range proxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			addr, err := netip.ParseAddr(p)
			if err != nil || addr.Zone() != "" {
				return Edge{}, fault.New(fault.Invalid, "proxy-invalid", "proxy", p)
			}
			prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		if prefix.Bits() == 0 || prefix.Addr().Is4In6() {
			return Edge{}, fault.New(fault.Invalid, "proxy-invalid", "proxy", p) // everybody is no proxy
		}
		e.proxies = append(e.proxies, prefix.Masked())
	}
	return e, nil
}

// Trusts reports whether the address is one of the proxies.
func (e Edge) Trusts(a netip.Addr) bool {
	for _, p := range e.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Client finds the address of the client of a request. The result is invalid only when the peer's own address cannot
// be read, as on a Unix socket.
func (e Edge) Client(r *http.Request) netip.Addr {
	peer := peerOf(r.RemoteAddr)
	if !e.Trusts(peer) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values(e.header), ","), ",")
	client := peer
	for i := len(hops) - 1; i >= 0 && i >= len(hops)-maxHops; i-- {
		hop, ok := e.hop(hops[i])
		if !ok {
			return client
		}
		client = hop
		if !e.Trusts(hop) {
			return client
		}
	}
	return client
}

// hop reads one element of the header.
func (e Edge) hop(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	if e.header == XForwardedFor {
		return address(s)
	}
	var found string
	for pair := range strings.SplitSeq(s, ";") {
		name, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !ok {
			return netip.Addr{}, false
		}
		if !strings.EqualFold(name, "for") {
			continue
		}
		if found != "" {
			return netip.Addr{}, false // two answers are none
		}
		found = value
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			found = value[1 : len(value)-1]
		} else if strings.ContainsAny(value, `":[]`) {
			return netip.Addr{}, false // RFC 7239 wants these quoted
		}
		if strings.ContainsAny(found, `"\`) {
			return netip.Addr{}, false
		}
	}
	return address(found)
}

// address reads an address with or without a port: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80.
func address(s string) (netip.Addr, bool) {
	if len(s) > 64 {
		return netip.Addr{}, false
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return plain(ap.Addr())
	}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s = s[1 : len(s)-1]
		if !strings.Contains(s, ":") {
			return netip.Addr{}, false
		}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return plain(a)
}

// plain gives an address its one form: IPv4 in IPv6 is IPv4, so that no client has two. Zones mean nothing elsewhere.
func plain(a netip.Addr) (netip.Addr, bool) {
	if a.Zone() != "" || a.IsUnspecified() {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

func peerOf(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().WithZone("").Unmap()
}

// strange are the names that are removed, without hyphens and dots and in lower case; a * stands for anything before or behind.
var strange = []string{
	"forwarded", "xforwarded*", "via", "xrealip", "realip", "clientip", "xclientip", "xclusterclientip", "trueclientip",
	"cfconnectingip*", "fastlyclientip", "flyclientip", "xazure*", "xappengineuserip", "xoriginatingip", "xremoteip", "xremoteaddr",
	"xprotousessl", "xurlscheme", "frontendhttps", "xhost", "xoriginalhost", "xoriginalurl", "xoriginalmethod",
	"xrewriteurl", "xhttpmethod*", "xmethodoverride",
	"clientcert*", "xclientcert*", "sslclient*", "sslcert*", "xssl*", "xtlsclient*", "tlsclient*", "xamznmtls*", "*clientcert*",
	"remoteuser", "xremoteuser", "xuser", "xauthenticateduser", "xwebauthuser", "xauthrequest*", "xenvoy*", "proxy", "earlydata",
}

// Original is what a proxy says about the request it asks about, every value as it came: the headers X-Forwarded-Method,
// -Proto, -Host and -Uri, X-Original-URL and X-Original-Method. Whoever reads it decides what to do with two values.
type Original struct {
	Method, Proto, Host, URI []string
	URL, URLMethod           []string
}

// Original takes what the peer says about another request out of the headers, so that Admit finds it no more. ok is false,
// and nothing is taken, when the peer is no configured proxy: from anybody else it is a lie (SEC N-2).
func (e Edge) Original(r *http.Request) (o Original, ok bool) {
	if !e.Trusts(peerOf(r.RemoteAddr)) {
		return o, false
	}
	for name, to := range map[string]*[]string{
		"X-Forwarded-Method": &o.Method, "X-Forwarded-Proto": &o.Proto, "X-Forwarded-Host": &o.Host, "X-Forwarded-Uri": &o.URI,
		"X-Original-Url": &o.URL, "X-Original-Method": &o.URLMethod,
	} {
		*to = r.Header[name]
		delete(r.Header, name)
	}
	return o, true
}

// Admit rewrites RemoteAddr to the client and removes what only this place may read. dropped is called with a name of
// the list above for every header that was removed and not used.
func (e Edge) Admit(r *http.Request, dropped func(name string)) {
	peer, client := peerOf(r.RemoteAddr), e.Client(r)
	if client.IsValid() && client != peer {
		r.RemoteAddr = net.JoinHostPort(client.String(), "0")
	}
	trusted := e.Trusts(peer)
	for name := range r.Header {
		as, out := isStrange(name)
		if !out {
			continue
		}
		delete(r.Header, name)
		if trusted && (strings.EqualFold(name, e.header) || e.certificateHeader(name) || as == "via") {
			continue // used, or what every proxy says
		}
		dropped(as)
	}
}

// ordinary are names that nearly every request brings, in net/http's spelling. Whoever adds one looks at strange first; a
// test does.
var ordinary = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Authorization": true, "Cache-Control": true, "Connection": true,
	"Content-Length": true, "Content-Type": true, "Cookie": true, "Dpop": true, "If-None-Match": true, "Origin": true, "Referer": true,
	"Sec-Fetch-Dest": true, "Sec-Fetch-Mode": true, "Sec-Fetch-Site": true, "Sec-Fetch-User": true, "User-Agent": true,
}

// isStrange says under which name of the list a header is removed.
func isStrange(name string) (as string, ok bool) {
	if ordinary[name] {
		return "", false
	}
	return found(name)
}

func found(name string) (as string, ok bool) {
	if strings.Contains(name, "_") {
		return "underscore", true
	}
	name = punctuation.Replace(strings.ToLower(name))
	for _, s := range strange {
		if part, anywhere := strings.CutPrefix(s, "*"); anywhere && strings.Contains(name, strings.TrimSuffix(part, "*")) {
			return s, true
		}
		if prefix, any := strings.CutSuffix(s, "*"); any && strings.HasPrefix(name, prefix) || name == s {
			return s, true
		}
	}
	return "", false
}

var punctuation = strings.NewReplacer("-", "", ".", "")
