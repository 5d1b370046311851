package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// call is a request of an application from a machine of its own, authenticated as the store.
func (d *demo) call(t testing.TB, path string, form url.Values) (answer map[string]any) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, d.Realms["shop"].URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("store", d.Parties["store"].Secret)
	res, err := d.walker().HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// A till of the store shows a code; its person allows it in a browser, finds it in their account, and takes it back there.
func TestREQ_B70_SEC_O1_O14_ADeviceAndTheListOfApplications(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	shop := d.Realms["shop"].URL
	b := openBrowser(t, d.path(d.CAFile))
	jonas := d.person(t, "shop", "member", "active")
	p := b.person(t, "en")
	app := &authenticator{t: t, secret: jonas.TOTP}

	asked := d.call(t, "/oauth2/device_authorization", url.Values{"scope": {"openid profile email"}})
	code, _ := asked["user_code"].(string)
	if len(code) != 9 {
		t.Fatalf("%v", asked)
	}
	poll := func() map[string]any {
		return d.call(t, "/oauth2/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {asked["device_code"].(string)}})
	}
	if got := poll(); got["error"] != "authorization_pending" {
		t.Errorf("nobody has decided: %v", got)
	}
	p.open(shop + "/oauth2/device")
	p.check("device")
	p.fill("user_code", "BBBB-BBBB")
	p.submit()
	if p.text("#error-summary") == "" {
		t.Errorf("a code that nobody has: %s", p.text("main"))
	}
	p.check("device-unknown")
	p.fill("user_code", strings.ToLower(strings.ReplaceAll(code, "-", "")))
	p.submit()
	p.prove(jonas, app, shop+"/oauth2/authorize/")
	for _, want := range []string{code, "Northline Store", "Nobody from us will ever ask you for such a code"} {
		if !strings.Contains(p.text("main"), want) {
			t.Errorf("the page does not say %q: %s", want, p.text("main"))
		}
	}
	p.check("device-confirm")
	p.follow("Connect this device")
	p.at("/oauth2/device/allowed")
	p.check("device-allowed")
	var tokens map[string]any
	within(t, "the tokens", func() bool {
		if tokens = poll(); tokens["access_token"] != nil {
			return true
		}
		time.Sleep(time.Second)
		return false
	})

	p.follow("Your applications")
	p.at("/account/applications")
	if !strings.Contains(p.text("main"), "Northline Store") || !strings.Contains(p.text("main"), "Your e-mail address") {
		t.Errorf("the list: %s", p.text("main"))
	}
	p.check("applications")
	p.follow("Sign out there")
	p.check("application-remove")
	p.submit()
	p.at("/account/applications")
	if !strings.Contains(p.text("main"), "No application yet") {
		t.Errorf("still there: %s", p.text("main"))
	}
	p.check("applications-none")
	if got := d.call(t, "/oauth2/introspect", url.Values{"token": {tokens["access_token"].(string)}}); got["active"] != false {
		t.Errorf("the till goes on: %v", got)
	}
}
