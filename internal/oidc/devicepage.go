package oidc

import (
	"net/http"
	"time"

	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/token"
	"doorward/internal/web"
)

var (
	errDeviceOver  = fault.New(fault.Expired, "device-code-over")
	errUnknownCode = fault.New(fault.NotFound, "device-code-unknown").In("user_code")
)

// userCodeCookie holds the code between the page that takes it and the page that shows it again. The store has its hash
// alone.
const userCodeCookie = "device-code"

// DevicePage takes the code that a device shows.
type DevicePage struct {
	web.View
	Code string
}

var devicePage = web.Define(Pages, "device", web.Door,
	web.Sample("plain", DevicePage{}),
	web.Sample("from a link", DevicePage{Code: "WDJB-MJHT"}),
	web.Sample("unknown", DevicePage{Code: "WDJB-MJHX"}).With(errUnknownCode),
	web.Sample("too often", DevicePage{Code: "WDJB-MJHX"}).With(fault.New(fault.Throttled, "too-many-attempts").After(7*time.Minute)))

// typeUserCode shows the page. A code in the address (verification_uri_complete) fills the field and no more: whoever
// sends a link with one must not get further than whoever reads one out.
func (p *Provider) typeUserCode(w http.ResponseWriter, r *http.Request) error {
	code, _ := secret.CanonicalUserCode(r.URL.Query().Get("user_code"))
	return devicePage.Show(w, r, DevicePage{Code: code})
}

// takeUserCode finds the request that a code stands for and leads on to it.
func (p *Provider) takeUserCode(w http.ResponseWriter, r *http.Request) error {
	v, now := web.From(r), p.Clock()
	page := DevicePage{Code: r.PostFormValue("user_code")}
	page.Status = http.StatusUnprocessableEntity
	code, ok := secret.CanonicalUserCode(page.Code)
	if !ok { // no guess: no code looks like that
		return devicePage.Fail(w, r, page, errUnknownCode)
	}
	keys := []string{"oidc:user-code:net:" + v.Realm.ID + ":" + login.Caller{Network: v.Network}.Net()}
	signed, err := p.Logins.Authenticate(r.Context(), v.Realm.ID, secret.Text(web.Cookie(r, web.SessionCookie)))
	switch {
	case err == nil:
		keys = append(keys, "oidc:user-code:person:"+v.Realm.ID+":"+signed.Person.ID)
	case !fault.Of(err, fault.Expired):
		return err
	}
	if err := p.Store.Write(r.Context(), func(tx Tx) error {
		for _, key := range keys {
			ok, retry, err := tx.Reserve(key, userCodeTries, userCodeWindow, now)
			if err != nil {
				return err
			}
			if !ok {
				return fault.New(fault.Throttled, "too-many-attempts").After(retry)
			}
		}
		return nil
	}); err != nil {
		page.Status = 0
		return devicePage.Fail(w, r, page, err)
	}
	var d token.Device
	err = p.Store.Write(r.Context(), func(tx Tx) error {
		if d, err = p.device(tx, v.Realm.ID, code, now); err != nil {
			return err
		}
		for _, key := range keys {
			if err := tx.Release(key); err != nil {
				return err
			}
		}
		return nil
	})
	if fault.Of(err, fault.Expired) {
		p.Count("device_grant", "result", "wrong-code")
		return devicePage.Fail(w, r, page, errUnknownCode)
	}
	if err != nil {
		return err
	}
	web.SetCookie(w, userCodeCookie, code, int(deviceLife/time.Second))
	return web.Redirect(w, r, "/oauth2/authorize/"+d.ID)
}

// device finds a device that waits by its user code. Unknown, expired and decided ones are all errDeviceOver.
func (p *Provider) device(tx Tx, realm, code string, now time.Time) (token.Device, error) {
	d, err := tx.DeviceGrantByUserCode(realm, p.hash("user-code", secret.Text(code)))
	if notFound(err) || err == nil && (d.State != token.DeviceWaiting || !now.Before(d.Expires)) {
		err = errDeviceOver
	}
	return d, err
}

// DeviceConfirmPage asks whether a device may be connected. It is shown for every client, the operator's own too: it is
// all that stands between a person and somebody who reads them a code over the phone.
type DeviceConfirmPage struct {
	web.View
	Client  string
	Home    string
	Code    string
	Address string
	Network string // of the device
	Browser string
	Away    bool // the device is in another network than this browser
	Asked   time.Time
	Scopes  []string
	Shown   string // what this page shows, to whom; comes back with the answer
}

var deviceConfirmPage = web.Define(Pages, "device-confirm", web.Door,
	web.Sample("plain", DeviceConfirmPage{Client: "Northline scanner", Code: "WDJB-MJHT", Address: "a.sample@sampleworks.example", Network: "192.0.2.7", Asked: web.SampleTime, Scopes: []string{"openid", "profile"}}),
	web.Sample("away", DeviceConfirmPage{Client: "Harbour Logistics", Home: "https://app.harbour.example", Code: "WDJB-MJHT", Address: "a.sample@sampleworks.example", Network: "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe", Browser: "Safari on iOS", Away: true,
		Asked: web.SampleTime, Scopes: []string{"openid", "profile", "email", "organization", "offline_access", "orders"}}))

// askAboutDevice shows the page, once the person has shown enough. Where the browser has lost the code it is typed again:
// a page without it could not be compared with the device.
func (p *Provider) askAboutDevice(w http.ResponseWriter, r *http.Request, a asked, signed login.Signed) error {
	v := web.From(r)
	code, ok := secret.CanonicalUserCode(web.Cookie(r, userCodeCookie))
	if !ok {
		return web.Redirect(w, r, "/oauth2/device")
	}
	var d token.Device
	err := p.Store.Read(r.Context(), func(tx Tx) (err error) {
		d, err = p.device(tx, a.realm.ID, code, p.Clock())
		return err
	})
	if err == nil && d.ID != a.row.ID || fault.Of(err, fault.Expired) {
		return web.Redirect(w, r, "/oauth2/device")
	}
	if err != nil {
		return err
	}
	v.For(signed.Person.Language, signed.Person.Zone)
	network := a.row.Params["network"]
	return deviceConfirmPage.Show(w, r, DeviceConfirmPage{
		Client: a.rp.Name, Home: a.rp.Home, Code: code, Address: signed.Person.Address, Network: network, Browser: a.row.Params["browser"],
		Away:  login.Caller{Network: network}.Net() != login.Caller{Network: v.Network}.Net(),
		Asked: a.row.Created, Scopes: a.scopes(), Shown: p.shown(a, signed),
	})
}

// decide carries out what a person decided about the device whose code the page showed, once. change does what belongs to
// it in the same transaction. It begins again where a poll of the device came between.
func (p *Provider) decide(w http.ResponseWriter, r *http.Request, a asked, outcome string, change func(Tx, *token.Device) error) error {
	now := p.Clock()
	code, _ := secret.CanonicalUserCode(r.PostFormValue("user_code"))
	try := func(tx Tx) error {
		d, err := p.device(tx, a.realm.ID, code, now)
		if err != nil {
			return err
		}
		if d.ID != a.row.ID {
			return errDeviceOver
		}
		if err := change(tx, &d); err != nil {
			return err
		}
		if err := tx.UpdateDeviceGrant(d); err != nil {
			return err
		}
		return tx.FinishRequest(a.realm.ID, a.row.ID, now)
	}
	err := p.Store.Write(r.Context(), try)
	for range deviceRaces {
		if !stale(err) {
			break
		}
		err = p.Store.Write(r.Context(), try)
	}
	if err != nil {
		return err
	}
	web.SetCookie(w, userCodeCookie, "", -1)
	p.Count("device_grant", "result", outcome)
	return web.Redirect(w, r, "/oauth2/device/"+outcome)
}

// allowDevice gives the device what it asked for. The page counts as consent, and the person is written to: whoever was
// talked into it reads it once more.
func (p *Provider) allowDevice(w http.ResponseWriter, r *http.Request, a asked, signed login.Signed) error {
	now, v := p.Clock(), web.From(r)
	by := login.By{Signed: signed, Network: v.Network, Agent: v.Browser}
	auth := authorization(a, signed, now)
	return p.decide(w, r, a, "allowed", func(tx Tx, d *token.Device) error {
		d.State, d.Authorization = token.DeviceAllowed, auth.ID
		if err := hang(tx, auth, now); err != nil {
			return err
		}
		if !a.rp.FirstParty {
			if err := tx.PutConsent(token.Consent{Realm: a.realm.ID, Person: signed.Person.ID, Client: a.rp.ID, Scopes: a.scopes(), At: now}); err != nil {
				return err
			}
		}
		if err := tx.Audit(by.Event(now, "client.device-allowed", "", a.deviceData())); err != nil {
			return err
		}
		return tx.Enqueue(by.Notice(now, "device-connected", a.deviceData()))
	})
}

func (p *Provider) denyDevice(w http.ResponseWriter, r *http.Request, a asked, signed login.Signed) error {
	v := web.From(r)
	by := login.By{Signed: signed, Network: v.Network, Agent: v.Browser}
	return p.decide(w, r, a, "denied", func(tx Tx, d *token.Device) error {
		d.State = token.DeviceDenied
		return tx.Audit(by.Event(p.Clock(), "client.device-denied", "", a.deviceData()))
	})
}

// deviceData is what the history keeps about the device that asked.
func (a asked) deviceData() map[string]string {
	return map[string]string{
		"client": a.rp.ID, "name": a.rp.Name, "device_network": a.row.Params["network"], "device_browser": a.row.Params["browser"],
	}
}

// DeviceDonePage says what became of it, and that the device goes on by itself.
type DeviceDonePage struct {
	web.View
	Allowed bool
}

var deviceDonePage = web.Define(Pages, "device-done", web.Door,
	web.Sample("allowed", DeviceDonePage{Allowed: true}),
	web.Sample("denied", DeviceDonePage{}))

func (p *Provider) deviceDone(w http.ResponseWriter, r *http.Request) error {
	outcome := r.PathValue("outcome")
	if outcome != "allowed" && outcome != "denied" {
		return fault.New(fault.NotFound, "no-page")
	}
	return deviceDonePage.Show(w, r, DeviceDonePage{Allowed: outcome == "allowed"})
}
