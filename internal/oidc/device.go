package oidc

import (
	"errors"
	"net/http"
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/secret"
	"doorward/internal/token"
	"doorward/internal/web"
)

// Rules of the device grant (RFC 8628; SEC O-1). A device without a browser shows a code, and its person allows it in a
// browser elsewhere. Whoever talks a stranger into typing a code gets the stranger's access, so:
//
//   - Only clients that have the grant in the realm file may ask, and never those of fapi2.
//   - The request of a device is an authorization request like any other: policy, step-up and acr hold for it, and it is
//     kept under its own id. What differs is its end: a page that always asks, and no address to send anything to.
//   - A user code lives ten minutes and is kept as a keyed hash. Wrong ones are counted before they are looked up, by
//     network and by person; unknown, expired and used ones get the same answer.
//   - A device code is fetched once. A second use ends what the first one gave, as with any code (SEC O-4).
const (
	deviceLife     = 10 * time.Minute
	devicePace     = 5 * time.Second
	deviceSlack    = 500 * time.Millisecond // a network delays one poll more than the next
	userCodeTries  = 5
	userCodeWindow = 10 * time.Minute
	deviceRaces    = 5 // how often a page that met a poll begins again
)

var (
	errPending  = token.Refuse(token.CodeAuthorizationPending, "nobody has decided yet")
	errSlowDown = token.Refuse(token.CodeSlowDown, "asked too early: wait five seconds longer from now on")
	errDenied   = token.Refuse(token.CodeAccessDenied, "the person said no")
	errTooLate  = token.Refuse(token.CodeExpiredToken, "the device code has expired: ask for a new one")
)

// waiting is the answer to a device (RFC 8628 3.2).
type waiting struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	Expires    int    `json:"expires_in"`
	Interval   int    `json:"interval"`
}

// checkDevice checks what a device asks for, with its client as it is now. The error is an *OAuthError.
func checkDevice(params token.Params, rp directory.RelyingParty) (token.Ask, error) {
	ask := token.Ask{Client: rp.ID, MaxAge: -1, ACR: rp.ACR}
	if rp.Auth == "" || !rp.May(directory.GrantDevice) || rp.Strict() {
		return ask, errNoGrant
	}
	scopes, err := token.ParseScope(params["scope"])
	if err == nil {
		ask.Scopes, err = token.RequestScopes(rp, scopes)
	}
	if err == nil {
		ask.Resources = params.Resources()
		err = token.CheckResources(rp, ask.Resources)
	}
	return ask, err
}

// askForDevice is the device authorization endpoint (RFC 8628 3.1).
func (p *Provider) askForDevice(c *call) error {
	rp, once, err := p.authenticate(c)
	if err != nil {
		return err
	}
	if _, err := checkDevice(c.params, rp); err != nil {
		return err
	}
	if err := p.throttle(c.r, "device", 60, time.Minute); err != nil {
		return err
	}
	v := web.From(c.r)
	row := token.Request{
		ID: newID(), Realm: c.realm.ID, Client: rp.ID, Created: c.now, Expires: c.now.Add(deviceLife),
		Params: map[string]string{
			"grant_type": directory.GrantDevice, "client_id": rp.ID, "scope": c.params["scope"], "resource": c.params["resource"],
			"network": v.Network, "browser": v.Browser,
		},
	}
	device := secret.Text(newHandle())
	var user string
	err = errors.New("no code drawn")
	for try := 0; try == 0 || try < 5 && fault.Of(err, fault.Exists); try++ { // a code that is taken is drawn again
		user = secret.UserCode()
		err = p.Store.Write(c.r.Context(), func(tx Tx) error {
			if err := spend(tx, once, errClient); err != nil {
				return err
			}
			if err := tx.AddRequest(row); err != nil {
				return err
			}
			if err := tx.AddDeviceGrant(token.Device{
				ID: row.ID, Realm: row.Realm, Client: row.Client, Hash: p.hash("device", device), UserCode: p.hash("user-code", secret.Text(user)),
				Scopes: []string{}, State: token.DeviceWaiting, Created: c.now, Expires: row.Expires, Interval: devicePace,
			}); err != nil {
				return err
			}
			return tx.Audit(audit.Event{
				Realm: c.realm.ID, At: c.now, Type: "client.device-asked", Actor: "system", Network: v.Network, Browser: v.Browser,
				Data: map[string]string{"client": rp.ID, "name": rp.Name},
			})
		})
	}
	if err != nil {
		return err
	}
	p.Count("device_grant", "result", "asked")
	at := c.realm.Origin + "/oauth2/device"
	return writeJSON(c.w, http.StatusOK, waiting{
		DeviceCode: device.Reveal(), UserCode: user, URI: at, Complete: at + "?user_code=" + user,
		Expires: int(deviceLife / time.Second), Interval: int(devicePace / time.Second),
	})
}

// deviceTokens answers a device that polls (RFC 8628 3.4, 3.5). Every poll moves the row's version, so of any number at once one
// gets the tokens.
func (p *Provider) deviceTokens(c *call, rp directory.RelyingParty, once token.Once, proof token.Proof) (out issued, err error) {
	hash := p.hash("device", secret.Text(c.params["device_code"]))
	var refusal error
	try := func(tx Tx) error {
		refusal = nil
		if err := errors.Join(spend(tx, once, errClient), spend(tx, proof.Once, errProofUsed)); err != nil {
			return err
		}
		d, err := tx.DeviceGrant(hash)
		if notFound(err) || err == nil && (d.Realm != c.realm.ID || d.Client != rp.ID) {
			return errGrant
		}
		if err != nil {
			return err
		}
		switch late := !c.now.Before(d.Expires); {
		case d.State == token.DeviceUsed:
			refusal = errGrant
			return p.end(tx, c, d.Realm, d.Authorization, "device-code-reused")
		case d.State == token.DeviceDenied:
			refusal = errDenied
			return nil
		case late && d.State == token.DeviceAllowed: // nobody has anything of it, and nobody will
			refusal = errTooLate
			_, err := tx.EndAuthorization(d.Realm, d.Authorization, "never-fetched", c.now)
			return err
		case late:
			refusal = errTooLate
			return nil
		case d.State == token.DeviceWaiting:
			refusal = errPending
			if !d.Polled.IsZero() && c.now.Sub(d.Polled) < d.Interval-deviceSlack {
				refusal, d.Interval = errSlowDown, d.Interval+devicePace
			}
			d.Polled = c.now
			return tx.UpdateDeviceGrant(d)
		}
		auth, err := tx.Authorization(d.Realm, d.Authorization)
		if err != nil {
			return err
		}
		if err := c.bind(tx, rp, &auth, proof); err != nil {
			return err
		}
		d.State, d.Polled = token.DeviceUsed, c.now
		if err := tx.UpdateDeviceGrant(d); err != nil {
			return err
		}
		scopes, err := token.RequestScopes(rp, auth.Scopes) // as the client is now
		if err != nil {
			return err
		}
		out, err = p.give(tx, c, rp, auth, scopes)
		return err
	}
	for range 3 {
		if err = p.Store.Write(c.r.Context(), try); !stale(err) {
			break
		}
	}
	switch {
	case stale(err): // the same device asks many times at once
		err = errSlowDown
	case err == nil:
		err = refusal
	}
	if err == nil {
		p.Count("device_grant", "result", "fetched")
	}
	return out, err
}

// stale reports that somebody else changed the row first.
func stale(err error) bool { f := fault.As(err); return f != nil && f.Code == "stale" }
