package forwardauth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"doorward/internal/directory"
	"doorward/internal/login"
)

// Rules of reading what a proxy says (SEC N-2).
//
//   - The guarded host is the Host of the question where that is a guarded one, else X-Forwarded-Host or the host of
//     X-Original-URL. What is said twice must be the same: a proxy that sets one of them and passes the client's other one
//     on would otherwise be lied to through.
//   - A header that comes twice was written by two.
//   - The request came over TLS, or it is not for us: cookies and assertions would cross the network in the clear.

// Said is what a configured proxy says about the original request, as the trusted edge hands it on.
type Said struct {
	Method, Proto, Host, URI []string // X-Forwarded-…
	URL, URLMethod           []string // X-Original-URL, X-Original-Method
}

type saidKey struct{}

// Told gives a request what a configured proxy says about another one. Only the trusted edge may call it.
func Told(r *http.Request, s Said) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), saidKey{}, s))
}

// original is a request to a guarded host.
type original struct {
	host   string // as the realm file writes it
	origin string
	method string
	path   string // with the query, where people are led back to; "/" when it cannot be an address
	realm  *login.Realm
	rp     *directory.RelyingParty
}

var (
	errSaidTwice = errors.New("the proxy's headers contradict each other, or one comes twice")
	errNotSaid   = errors.New("the proxy does not say for which host and method it asks")
	errPlain     = errors.New("the original request did not come over TLS")
	errUnknown   = errors.New("no application is guarded under this host")
)

// original reads what a question is about. Errors: errUnknown for a host that is not guarded, any other for words that
// cannot be understood.
func (d *Door) original(r *http.Request, s Said) (o original, err error) {
	var said [6]string
	for i, values := range [][]string{s.Method, s.Proto, s.Host, s.URI, s.URL, s.URLMethod} {
		if len(values) > 1 {
			return o, errSaidTwice
		}
		if len(values) == 1 {
			said[i] = values[0]
		}
	}
	proto, host, uri := said[1], said[2], said[3]
	if said[4] != "" {
		scheme, urlHost, urlPath := cutURL(said[4])
		if err := agree(&proto, scheme); err != nil {
			return o, err
		}
		if err := agree(&uri, urlPath); err != nil {
			return o, err
		}
		host, urlHost = plainHost(host), plainHost(urlHost)
		if err := agree(&host, urlHost); err != nil {
			return o, err
		}
	}
	o.method = said[0]
	if err := agree(&o.method, said[5]); err != nil {
		return o, err
	}
	envoy, isEnvoy := strings.CutPrefix(r.RequestURI, strings.TrimSuffix(pathEnvoy, "/"))
	if isEnvoy {
		uri, o.method = envoy, r.Method
	}
	o.host = plainHost(host)
	direct := d.Realms.Guards(hostName(r.Host))
	if direct {
		if err := agree(&o.host, plainHost(r.Host)); err != nil {
			return o, err
		}
	}
	if o.host == "" || o.method == "" && !strings.HasPrefix(r.URL.Path, pathHost) {
		return o, errNotSaid
	}
	if proto != "" && !strings.EqualFold(proto, "https") && !strings.EqualFold(proto, "wss") {
		return o, errPlain
	}
	var ok bool
	if o.realm, o.rp, ok = d.Realms.Guard(o.host); !ok {
		return o, errUnknown
	}
	if own, ok := d.Realms.ByHost(hostName(r.Host)); !direct && (!ok || own.ID != o.realm.ID) {
		return o, errUnknown // another realm's application
	}
	o.origin = "https://" + o.host
	if o.path = uri; !mayReturn(uri) {
		o.path = "/"
	}
	return o, nil
}

// agree fills in what was not said yet, and refuses what was said otherwise.
func agree(have *string, also string) error {
	if also == "" || *have == also {
		return nil
	}
	if *have != "" {
		return errSaidTwice
	}
	*have = also
	return nil
}

// cutURL cuts an absolute address, without understanding more of it than it must.
func cutURL(s string) (scheme, host, path string) {
	scheme, rest, _ := strings.Cut(s, "://")
	at := strings.IndexAny(rest, "/?#")
	if at < 0 {
		return scheme, rest, "/"
	}
	return scheme, rest[:at], rest[at:]
}

// plainHost is a host as the realm file writes it.
func plainHost(s string) string { return strings.TrimSuffix(strings.ToLower(s), ":443") }

// maxReturn bounds the address that people are led back to; what is longer loses its end and leads to the first page.
const maxReturn = 2048

// mayReturn reports whether people may be led back to a path with its query. It is always put behind "https://" and the
// guarded host, and begins with a slash: wherever else somebody would like it to lead, it stays there. Left out is what
// browsers read otherwise than it is written, and our own paths, which would lead round in a circle.
func mayReturn(path string) bool {
	if !strings.HasPrefix(path, "/") || len(path) > maxReturn || path == strings.TrimSuffix(pathHost, "/") || strings.HasPrefix(path, pathHost) {
		return false
	}
	return !strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' })
}
