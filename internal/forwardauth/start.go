package forwardauth

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/token"
	"doorward/internal/web"
)

// Lifetimes. A sign-in that waits for a person lives as long as an invitation may (REQ B28); a ticket only for the redirect.
const (
	requestLife = time.Hour
	waitingLife = 14 * 24 * time.Hour
	ticketLife  = time.Minute
)

// asked is a sign-in on its way to a guarded host.
type asked struct {
	realm  *login.Realm
	rp     *directory.RelyingParty
	row    token.Request
	host   string
	origin string
}

// Faults of the pages.
var (
	errNoApplication = fault.New(fault.NotFound, "application-unknown")
	errStart         = fault.New(fault.Invalid, "start-invalid")
)

// start keeps where somebody was on the way to, and leads to an address of its own: from there it survives everything
// that signing in may take. It says nothing of who asks: what comes of it works in the browser alone whose cookie nonce is
// the hash of.
func (d *Door) start(w http.ResponseWriter, r *http.Request) error {
	q, now := r.URL.Query(), d.Clock()
	for _, name := range []string{"host", "to", "nonce"} {
		if len(q[name]) != 1 {
			return errStart
		}
	}
	realm, rp, err := d.application(r, q.Get("host"))
	if err != nil {
		return err
	}
	if !mayReturn(q.Get("to")) || !isNonce(q.Get("nonce")) {
		return errStart
	}
	v := web.From(r)
	row := token.Request{
		ID: uuid.Must(uuid.NewV7()).String(), Realm: realm.ID, Client: rp.ID, Created: now, Expires: now.Add(requestLife),
		Params: map[string]string{"guarded": q.Get("host"), "to": q.Get("to"), "nonce": q.Get("nonce")},
	}
	if err := d.Store.Write(r.Context(), func(tx Tx) error {
		ok, retry, err := tx.Reserve("forward:start:"+realm.ID+":"+v.Network, 300, time.Minute, now)
		if err == nil && !ok {
			err = fault.New(fault.Throttled, "too-many-starts", "minutes", int(retry/time.Minute)+1).After(retry)
		}
		if err != nil {
			return err
		}
		return tx.AddRequest(row)
	}); err != nil {
		return err
	}
	web.SetCookie(w, "request", row.ID, int(waitingLife/time.Second))
	return web.Redirect(w, r, "/forward-auth/start/"+row.ID)
}

// application finds whose a host is, in the realm that the page belongs to.
func (d *Door) application(r *http.Request, host string) (*login.Realm, *directory.RelyingParty, error) {
	realm, rp, ok := d.Realms.Guard(host)
	if !ok || realm.ID != web.From(r).Realm.ID {
		return nil, nil, errNoApplication
	}
	return realm, rp, nil
}

// load reads a kept sign-in, with its application as it is now. again is true when it was answered or has ended.
func (d *Door) load(r *http.Request) (a asked, again bool, err error) {
	if err = d.Store.Read(r.Context(), func(tx Tx) error {
		a.row, err = tx.Request(web.From(r).Realm.ID, r.PathValue("request"))
		return err
	}); err != nil {
		return a, false, err
	}
	a.host = a.row.Params["guarded"]
	if a.realm, a.rp, err = d.application(r, a.host); err != nil {
		return a, false, err
	}
	if a.rp.ID != a.row.Client {
		return a, false, errNoApplication // the host has changed hands
	}
	a.origin = "https://" + a.host
	return a, !a.row.Over.IsZero() || !d.Clock().Before(a.row.Expires), nil
}

// resume goes on with a sign-in: to the sign-in itself where nobody is signed in, to a step-up where the application asks
// for more than was shown, and back to the guarded host with a ticket where nothing is missing.
func (d *Door) resume(w http.ResponseWriter, r *http.Request) error {
	a, again, err := d.load(r)
	if err != nil {
		return err
	}
	if again { // another tab was faster, or somebody went back: it begins anew, on the host that asks
		return web.Leave(w, r, startAddress(a.origin, a.row.Params["to"]))
	}
	signed, err := d.Logins.Authenticate(r.Context(), a.realm.ID, secret.Text(web.Cookie(r, web.SessionCookie)))
	if fault.Of(err, fault.Expired) {
		if err := d.Store.Write(r.Context(), func(tx Tx) error {
			return tx.KeepRequest(a.realm.ID, a.row.ID, d.Clock().Add(waitingLife))
		}); err != nil {
			return err
		}
		return web.Redirect(w, r, "/signin?to=request:"+a.row.ID)
	}
	if err != nil {
		return err
	}
	enough, err := d.Logins.Suffices(r.Context(), signed, goalOf(a.rp), time.Time{})
	if err != nil {
		return err
	}
	if !enough {
		return d.stepUp(w, r, a, signed)
	}
	return d.issue(w, r, a, signed)
}

// DeniedPage tells a person that they cannot use an application with what they have.
type DeniedPage struct {
	web.View
	Name string
	Flow string // where the reason stands, and what can be done
}

var deniedPage = web.Define(Pages, "denied", web.Door,
	web.Sample("plain", DeniedPage{Name: "Northline wiki", Flow: "0191d6a0-0000-7000-8000-000000000000"}))

// stepUp asks the person for what the application wants and the session did not show.
func (d *Door) stepUp(w http.ResponseWriter, r *http.Request, a asked, signed login.Signed) error {
	v := web.From(r)
	view, err := d.Logins.Begin(r.Context(), login.Caller{
		Realm: a.realm.ID, Browser: secret.Text(web.Cookie(r, "browser")), Device: secret.Text(web.Cookie(r, "device")),
		Session: secret.Text(web.Cookie(r, web.SessionCookie)), Network: v.Network, Agent: v.Browser, Language: signed.Person.Language,
	}, login.Start{Goal: goalOf(a.rp), Return: "request:" + a.row.ID, Since: d.Clock().Add(-login.ProofLife)})
	if err != nil {
		return err
	}
	if view.Browser != "" {
		web.SetCookie(w, "browser", view.Browser.Reveal(), 24*3600)
	}
	if view.Step.Act == authn.ActStuck {
		v.For(signed.Person.Language, signed.Person.Zone)
		page := DeniedPage{Name: a.rp.Name, Flow: view.Flow.ID}
		page.Status, page.Back = http.StatusForbidden, "/account"
		return deniedPage.Show(w, r, page)
	}
	return web.Redirect(w, r, "/signin/"+view.Flow.ID)
}

// issue leads back to the guarded host with a ticket, once.
func (d *Door) issue(w http.ResponseWriter, r *http.Request, a asked, signed login.Signed) error {
	now, ticket := d.Clock(), secret.Text(secret.Token())
	what := token.Assure(signed.Session.Evidence, a.rp.ACR...)
	auth := token.Authorization{
		ID: uuid.Must(uuid.NewV7()).String(), Realm: a.realm.ID, Client: a.rp.ID, Person: signed.Person.ID, Session: signed.Session.ID,
		Scopes: slices.Clone(told), Resources: []string{a.origin}, ACR: what.ACR, AMR: what.AMR, AuthTime: time.Unix(what.AuthTime, 0).UTC(),
		Created: now, Until: signed.Session.Until,
	}
	err := d.Store.Write(r.Context(), func(tx Tx) error {
		if err := tx.FinishRequest(a.realm.ID, a.row.ID, now); err != nil {
			return err
		}
		if err := tx.AddAuthorization(auth); err != nil {
			return err
		}
		return tx.AddCode(token.Code{
			Hash: d.hash("ticket", ticket), Realm: a.realm.ID, Client: a.rp.ID, Authorization: auth.ID, Redirect: a.origin + a.row.Params["to"],
			Challenge: a.row.Params["nonce"], Created: now, Expires: now.Add(ticketLife),
		})
	})
	if fault.Of(err, fault.Conflict) || fault.Of(err, fault.Expired) { // another tab was faster
		return web.Leave(w, r, startAddress(a.origin, a.row.Params["to"]))
	}
	if err != nil {
		return err
	}
	web.SetCookie(w, "request", "", -1)
	w.Header().Set("Referrer-Policy", "no-referrer")
	return web.Leave(w, r, a.origin+pathTicket+"?"+url.Values{"ticket": {ticket.Reveal()}}.Encode())
}

// Landing is where a sign-in that was begun for a guarded host leads, "" for any other id. It lets the forms of the page
// lead on to the host, which they do by redirects.
func (d *Door) Landing(r *http.Request, id string) string {
	const prefix = "request:"
	if len(id) <= len(prefix) || id[:len(prefix)] != prefix {
		return ""
	}
	v := web.From(r)
	var row token.Request
	if err := d.Store.Read(r.Context(), func(tx Tx) (err error) {
		row, err = tx.Request(v.Realm.ID, id[len(prefix):])
		return err
	}); err != nil || row.Params["guarded"] == "" {
		return ""
	}
	v.AllowForm("https://" + row.Params["guarded"])
	return "/forward-auth/start/" + row.ID
}

// AgainPage leads on to an application when a ticket could not be taken: the sign-in ended in another browser than it
// began in, or too late.
type AgainPage struct {
	web.View
	Name    string
	Address string
}

var againPage = web.Define(Pages, "again", web.Door,
	web.Sample("plain", AgainPage{Name: "Northline wiki", Address: "https://wiki.northline.example/.doorward/start?to=%2F"}))

func (d *Door) again(w http.ResponseWriter, r *http.Request) error {
	_, rp, err := d.application(r, r.URL.Query().Get("host"))
	if err != nil {
		return err
	}
	to := r.URL.Query().Get("to")
	if !mayReturn(to) {
		to = "/"
	}
	return againPage.Show(w, r, AgainPage{Name: rp.Name, Address: startAddress("https://"+r.URL.Query().Get("host"), to)})
}
