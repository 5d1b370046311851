package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/web"
)

func TestREQ_A23_A43_SigningOutSaysWhatRemains(t *testing.T) {
	f := &fake{signed: true}
	b := door(f)
	b.Cookies = map[string]string{"__Host-session": "s", "__Host-device": "d"}
	wants(t, b.Get("/signout"), 200, `action="/signout"`)
	if f.called("SignOut") {
		t.Fatal("a link signed somebody out")
	}
	w := b.Post("/signout", none)
	leads(t, w, "/signout/done")
	if !f.called("SignOut") || b.Cookies["__Host-session"] != "" || b.Cookies["__Host-device"] != "d" {
		t.Errorf("calls %v, cookies %v", f.calls, b.Cookies)
	}
	if got := w.Header().Get("Clear-Site-Data"); got != `"cache"` {
		t.Errorf("Clear-Site-Data %s", got)
	}
	f.signed = false
	leads(t, b.Get("/signout"), "/signout/done")
	wants(t, b.Get("/signout/done"), 200, "What remains")
}

// A browser that has shown a certificate is told how long it goes on showing it, each its own way; another one is not.
func TestREQ_A23_A43_BrowsersKeepTheChosenCertificate(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36":                         "Chrome and Edge show the same certificate",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0":                                                        "Firefox shows the same certificate",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15":                   "until it is quit",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1": "it lives with the device",
		"Lynx/2.9": "This browser shows the same certificate",
	} {
		b := door(&fake{})
		b.Agent = agent
		if w := b.Get("/signout/done"); strings.Contains(w.Body.String(), "the same certificate") {
			t.Errorf("%s: told without a certificate", agent)
		}
		b.Cookies = map[string]string{"__Host-certificate": "1"}
		wants(t, b.Get("/signout/done"), 200, want)
	}
}

func TestREQ_B87_StrengthIsShownWhileTyping(t *testing.T) {
	b := door(&fake{})
	for password, want := range map[string]string{
		"password1234":                  `{"score":1,"words":"Easy to guess. `,
		"seven wet otters hum at night": `{"score":4}`,
		"":                              `{"score":0,"words":"`,
	} {
		w := b.Post("/signin/strength", url.Values{"password": {password}})
		if w.Code != 200 || !strings.HasPrefix(w.Body.String(), want) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%q: %d %s", password, w.Code, w.Body)
		}
		if password != "" && strings.Contains(w.Body.String(), password) {
			t.Error("the answer repeats the password")
		}
	}
	if w := b.Post("/signin/strength", url.Values{"password": {strings.Repeat("x", 8<<10)}}); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("8 KiB: %d", w.Code)
	}
}

func TestFinishedFlowsSayWhatChanged(t *testing.T) {
	v := view(authn.Step{Act: authn.ActAdmit})
	v.Finished, v.Flow.Goal = true, authn.Goal{Bind: authn.Password, Way: authn.ByReplace}
	f := &fake{view: v}
	b := door(f)
	leads(t, b.Post("/signin/"+flowID+"/prove", url.Values{"kind": {"password"}}), "/signin/done?what=password")
	wants(t, b.Get("/signin/done?what=password"), 200, "Your new password is saved")
	wants(t, b.Get("/signin/done?what=totp"), 200, "Your authenticator is connected")
	wants(t, b.Get("/signin/done?what=%3Cb%3E"), 404)
	f.signed, f.speaks, b.Cookies = true, "de", map[string]string{"__Host-session": "s"} // the browser asks for English, the account's pages before were German
	wants(t, b.Get("/signin/done?what=totp"), 200, "Ihr Authenticator ist verbunden", `href="/account/security"`)
}

func TestLeavingAChangeAsksFirst(t *testing.T) {
	v := binding(t, "google")
	v.Flow.OneTime, v.Flow.Goal = "", authn.Goal{Bind: authn.TOTP, Way: authn.ByEnrol}
	f := &fake{view: v}
	b := door(f)
	wants(t, b.Get("/signin/"+flowID), 200, "Stop here", `href="/signin/`+flowID+`/leave"`)
	wants(t, b.Get("/signin/"+flowID+"/leave"), 200, "what you started here is deleted", `action="/signin/`+flowID+`/leave"`)
	if len(f.calls) > 0 {
		t.Fatal("looking left")
	}
	leads(t, b.Post("/signin/"+flowID+"/leave", none), "/signin")
	if !f.called("Abandon") {
		t.Error("nothing was left")
	}
	f.signed, b.Cookies = true, map[string]string{"__Host-session": "s"}
	leads(t, b.Post("/signin/"+flowID+"/leave", none), "/account")
}

func TestREQ_B15_ASetUpCanBeFinishedLater(t *testing.T) {
	v := binding(t, "google")
	v.Flow.Expires = web.SampleTime.Add(48 * time.Hour)
	b := door(&fake{view: v})
	wants(t, b.Get("/signin/"+flowID), 200, "Finish later")
	if page := wants(t, b.Get("/signin/"+flowID+"/leave"), 200, "close this window", "23 November"); strings.Contains(page, "<form") {
		t.Error("a set-up can be thrown away by the button beside")
	}
}
