package forwardauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/memory"
	"doorward/internal/secret"
	"doorward/internal/session"
	"doorward/internal/token"
)

// Names of what a proxy reads, and of the cookies of a guarded host (without __Host-).
const (
	headerAssertion = "Doorward-Assertion"
	headerLocation  = "Doorward-Location" // where a browser should go, beside a 401
	headerUser      = "Remote-User"

	cookieHost  = "doorward"       // opens the guarded host
	cookieStart = "doorward-start" // ties a sign-in to the browser that began it
)

// half is when an assertion is replaced: whoever gets one can use it for as long again.
const half = token.AccessLife / 2

// check answers whether a request may pass. 200 goes with who is there; everything else lets nobody through.
func (d *Door) check(w http.ResponseWriter, r *http.Request, said Said) {
	answer := func(result string, status int, words string) {
		d.Count("forward_auth_checks", "result", result)
		say(w, status, words)
	}
	o, err := d.original(r, said)
	switch {
	case errors.Is(err, errUnknown):
		answer("unknown-host", http.StatusForbidden, "No application is guarded under this name.")
		return
	case err != nil:
		d.Log.LogAttrs(r.Context(), slog.LevelWarn, "a proxy's question cannot be read", slog.String("error", err.Error()))
		answer("invalid", http.StatusBadRequest, "This question cannot be answered: "+err.Error()+".")
		return
	}
	cookies := r.CookiesNamed("__Host-" + cookieHost)
	if len(cookies) > 1 { // one of them was planted
		answer("invalid", http.StatusForbidden, "The cookie came twice. Please close the browser and try again.")
		return
	}
	var p *pass
	if len(cookies) == 1 {
		p, err = d.pass(r.Context(), o, secret.Text(cookies[0].Value))
	} else {
		err = errOver
	}
	switch {
	case fault.Of(err, fault.Expired):
		d.signIn(w, r, o, "")
	case err != nil:
		d.Log.LogAttrs(r.Context(), slog.LevelError, "forward-auth failed", slog.String("host", o.host), slog.String("error", err.Error()))
		answer("failed", http.StatusServiceUnavailable, "This does not work right now. Please try again.")
	case !p.enough:
		d.signIn(w, r, o, `, error="insufficient_user_authentication"`) // RFC 9470
	default:
		d.Count("forward_auth_checks", "result", "passed")
		h := w.Header()
		for _, one := range p.plain {
			h.Set(one[0], one[1])
		}
		h.Set(headerAssertion, p.jwt)
		w.WriteHeader(http.StatusOK)
	}
}

// signIn sends browsers to sign in, and tells programs that they cannot pass: a page would be no answer for them.
func (d *Door) signIn(w http.ResponseWriter, r *http.Request, o original, more string) {
	h := w.Header()
	h.Set("WWW-Authenticate", `Doorward realm="`+o.realm.ID+`"`+more)
	if !navigates(r, o.method) {
		d.Count("forward_auth_checks", "result", "unauthorized")
		say(w, http.StatusUnauthorized, "Please sign in. If you were sending a form, open the page anew in another tab, sign in there, and send the form again.")
		return
	}
	d.Count("forward_auth_checks", "result", "signin")
	to := startAddress(o.origin, o.path)
	if r.URL.Path == pathNginx {
		h.Set(headerLocation, to)
		say(w, http.StatusUnauthorized, "Please sign in.")
		return
	}
	h.Set("Location", to)
	w.WriteHeader(http.StatusFound)
}

func startAddress(origin, path string) string {
	return origin + pathStart + "?to=" + url.QueryEscape(path)
}

// navigates reports whether a request opens a page: what a script fetches, a form that was sent and a web socket could not
// follow a redirect to a sign-in.
func navigates(r *http.Request, method string) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	return method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") && (mode == "" || mode == "navigate") &&
		r.Header.Get("Upgrade") == "" && r.Header.Get("X-Requested-With") == ""
}

// pass is what a cookie opens: one host, for one application, while its session lives.
type pass struct {
	rp      *directory.RelyingParty // as it was; another one means that the realm changed
	session session.Session
	enough  bool // by the policies of realm, organization and application
	plain   [][2]string
	epoch   int64
	at      time.Time // when it was looked up

	claims token.Forward // without times
	jwt    string
	issued time.Time
	kid    string
}

// errOver is for a cookie that opens nothing, whatever the reason.
var errOver = fault.New(fault.Expired, "session-over")

// pass finds what a cookie opens, from memory where that is young enough. It fails with fault.Expired where nobody is
// signed in.
func (d *Door) pass(ctx context.Context, o original, cookie secret.Text) (*pass, error) {
	key := passKey{sha256.Sum256([]byte(cookie)), o.host}
	now, epoch := d.Clock(), d.Epoch()
	old := d.passes.get(key)
	if old != nil {
		age := now.Sub(old.at)
		fresh := old.epoch == epoch && age >= 0 && age < memory.LiveFor && old.rp == o.rp && old.session.Live(now)
		if fresh && (!old.enough || young(old, now)) {
			return old, nil
		}
	}
	p, err := d.look(ctx, o, cookie, now)
	if err != nil {
		d.passes.drop(key)
		return nil, err
	}
	p.epoch = epoch
	if p.enough {
		if err := d.assert(ctx, p, o, old, now); err != nil {
			return nil, err
		}
	}
	d.passes.put(key, p)
	return p, nil
}

func young(p *pass, now time.Time) bool {
	age := now.Sub(p.issued)
	return age >= 0 && age < half
}

// look asks the database: the cookie, what it stands for, the session behind that, and the policies.
func (d *Door) look(ctx context.Context, o original, cookie secret.Text, now time.Time) (*pass, error) {
	var row token.Refresh
	var auth token.Authorization
	if err := d.Store.Read(ctx, func(tx Tx) (err error) {
		if row, err = tx.Refresh(d.hash(cookieHost, cookie)); err == nil {
			auth, err = tx.Authorization(row.Realm, row.Authorization)
		}
		return err
	}); fault.Of(err, fault.NotFound) {
		return nil, errOver
	} else if err != nil {
		return nil, err
	}
	if row.Realm != o.realm.ID || row.Client != o.rp.ID || !now.Before(row.Expires) || auth.Client != o.rp.ID ||
		!slices.Equal(auth.Resources, []string{o.origin}) || !auth.Ended.IsZero() || !now.Before(auth.Until) {
		return nil, errOver
	}
	signed, err := d.Logins.Vouch(ctx, o.realm.ID, auth.Session)
	if err != nil {
		return nil, err
	}
	if signed.Person.ID != auth.Person {
		return nil, errOver
	}
	p := &pass{rp: o.rp, session: signed.Session, at: now}
	if p.enough, err = d.Logins.Suffices(ctx, signed, goalOf(o.rp), time.Time{}); err != nil {
		return nil, err
	}
	p.claims, p.plain = d.about(o, signed)
	return p, nil
}

// goalOf is what somebody must have shown to use an application: its policy, and the classes the realm file names.
func goalOf(rp *directory.RelyingParty) authn.Goal {
	return authn.Goal{Client: rp.ID, ACR: strings.Join(rp.ACR, " ")}
}

// about is what an application is told of a person.
func (d *Door) about(o original, s login.Signed) (token.Forward, [][2]string) {
	what := token.Assure(s.Session.Evidence, o.rp.ACR...)
	c := token.Forward{
		Issuer: o.realm.Origin, Subject: token.Subject(d.Ring, o.realm.ID, *o.rp, s.Person.ID), Audience: token.Audience{o.origin},
		AuthTime: what.AuthTime, ACR: what.ACR, AMR: what.AMR, Session: s.Session.ID,
		Profile: token.UserinfoClaims(*o.rp, told, token.ClaimsRequest{}, o.realm.Zone, s.Person, s.Organization),
	}
	open := func(what, value string) string {
		if slices.Contains(o.rp.ForwardHeaders, what) {
			return printable(value)
		}
		return ""
	}
	// All of them stand in every answer, empty where the application is not told: some proxies leave what the client wrote
	// in the place of a header that does not come.
	plain := [][2]string{
		{headerUser, printable(c.Subject)},
		{"Remote-Email", open(directory.ForwardEmail, c.Email)},
		{"Remote-Name", open(directory.ForwardName, c.Name)},
		{"Remote-Organization", open(directory.ForwardOrganization, c.OrganizationName)},
		{"Remote-Groups", open(directory.ForwardGroups, strings.Join(c.Roles, ","))},
	}
	return c, plain
}

// told are the scopes whose claims stand in an assertion.
var told = []string{token.ScopeProfile, token.ScopeEmail, token.ScopeOrganization}

// printable writes a text for a header: bytes that are no printable ASCII, and the percent sign, as %XX of their UTF-8. A
// name may hold any letter; a line end in it must not begin another header, nor split the answer.
func printable(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// assert signs what the application is told, unless old says the same and is young enough: one signature for each person
// and host in two and a half minutes, not one for each request.
func (d *Door) assert(ctx context.Context, p *pass, o original, old *pass, now time.Time) error {
	keys, err := d.Keys(ctx, o.realm.ID)
	if err != nil {
		return err
	}
	signer, err := keys.Signer(token.ES256, now)
	if err != nil {
		return err
	}
	if old != nil && old.kid == signer.ID && young(old, now) && reflect.DeepEqual(old.claims, p.claims) {
		p.jwt, p.issued, p.kid = old.jwt, old.issued, old.kid
		return nil
	}
	c := p.claims
	c.Issued, c.Expires = now.Unix(), now.Add(token.AccessLife).Unix()
	p.issued, p.kid = now, signer.ID
	p.jwt, err = signer.SignForward(c)
	return err
}

// hash is how a secret of one kind is kept. Every kind has its own domain: none opens another's door (SEC O-15).
func (d *Door) hash(kind string, s secret.Text) []byte {
	return d.Ring.Hash("forward-"+kind, string(s))
}

// passesKept bounds the memory of what is kept.
const passesKept = 1 << 14

// passKey is the SHA-256 of a cookie and the host it was shown at: what one opens is never told at another.
type passKey struct {
	cookie [32]byte
	host   string
}

// passes keeps what was looked up. What it hands out is never changed afterwards.
type passes struct {
	mu    sync.Mutex
	byKey map[passKey]*pass
}

func (c *passes) get(key passKey) *pass {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byKey[key]
}

// put keeps p unless something newer is there: looked up later, or in a later epoch.
func (c *passes) put(key passKey, p *pass) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.byKey[key]; have != nil && (have.epoch > p.epoch || have.epoch == p.epoch && have.at.After(p.at)) {
		return
	}
	if len(c.byKey) >= passesKept {
		clear(c.byKey)
	}
	c.byKey[key] = p
}

func (c *passes) drop(key passKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byKey, key)
}
