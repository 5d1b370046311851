package signin_test

import (
	"bytes"
	"image/png"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"doorward/internal/authn"
	"doorward/internal/authn/totp"
	"doorward/internal/fault"
)

func TestREQ_B8_B91_TheRealmsAuthenticatorsAreOffered(t *testing.T) {
	f := &fake{view: binding(t, "")}
	b := door(f)
	b.Agent = chrome
	page := wants(t, b.Get("/signin/"+flowID), 200, "Microsoft Authenticator", "Google Authenticator", "browser extension",
		`value="microsoft" required checked`, "Recommended by Northline Supply", "No smartphone?", "Step 2 of 6")
	if strings.Contains(page, "Old Codes") || strings.Contains(page, "otpauth") {
		t.Error("the page shows a hidden authenticator or a secret")
	}
	leads(t, b.Post("/signin/"+flowID+"/choose", url.Values{"authenticator": {"google"}}), "/signin/"+flowID+"/app")
	if f.model != "google" {
		t.Errorf("chose %q", f.model)
	}
	wants(t, b.Post("/signin/"+flowID+"/choose", none), 422, "Please choose an authenticator", `href="#authenticator"`)
	f.err = fault.New(fault.Invalid, "authenticator-unknown").In("authenticator")
	wants(t, b.Post("/signin/"+flowID+"/choose", url.Values{"authenticator": {"old"}}), 422, "no longer offered")
}

func TestREQ_B30_TheExtensionIsNotOfferedWhereItDoesNotExist(t *testing.T) {
	for agent, want := range map[string]string{safari: "does not exist for Safari", iphone: "browsers on a computer", pixel: "browsers on a computer"} {
		b := door(&fake{view: binding(t, "")})
		b.Agent = agent
		if page := wants(t, b.Get("/signin/"+flowID), 200, "is not offered here", want); strings.Contains(page, `value="extension"`) {
			t.Errorf("offered to %s", agent)
		}
	}
}

func TestREQ_B9_B12_TheStoresCodeNeverStandsBesideTheSecrets(t *testing.T) {
	f := &fake{view: binding(t, "microsoft")}
	b := door(f)
	b.Agent = chrome
	page := wants(t, b.Get("/signin/"+flowID+"/app"), 200, "Get the app", `src="/signin/`+flowID+`/store/ios"`, "qr--store", `href="https://apps.apple.com/app/id983156458"`)
	if strings.Contains(page, "otpauth") || strings.Contains(page, `/qr"`) {
		t.Error("the store's page shows the secret")
	}
	wants(t, b.Get("/signin/"+flowID+"/app?on=android"), 200, `src="/signin/`+flowID+`/store/android"`)
	wants(t, b.Get("/signin/"+flowID+"/app?on=%22%3E"), 200, "/store/ios")
	page = wants(t, b.Get("/signin/"+flowID), 200, `src="/signin/`+flowID+`/qr"`)
	if strings.Contains(page, "/store/") || strings.Contains(page, "apps.apple.com") {
		t.Error("the secret's page shows a store")
	}
	for _, path := range []string{"/store/ios", "/store/android", "/qr"} {
		picture(t, b.Get("/signin/"+flowID+path))
	}
	wants(t, b.Get("/signin/"+flowID+"/store/windows"), 404)

	b.Agent = pixel
	page = wants(t, b.Get("/signin/"+flowID+"/app"), 200, "Open in Google Play")
	if strings.Contains(page, "<img") || strings.Index(page, "play.google.com") > strings.Index(page, "apps.apple.com") {
		t.Error("on an Android phone its own store does not come first, as a link")
	}
}

func picture(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(w.Body.Bytes()))
	if w.Code != 200 || err != nil || w.Header().Get("Content-Type") != "image/png" {
		t.Fatalf("status %d: %v", w.Code, err)
	}
	if m.Bounds().Dx() < 200 {
		t.Errorf("%d px wide", m.Bounds().Dx())
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
}

func TestREQ_B31_TheExtensionComesFromThisBrowsersStore(t *testing.T) {
	b := door(&fake{view: binding(t, "extension")})
	b.Agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
	page := wants(t, b.Get("/signin/"+flowID+"/app"), 200, "Add to Firefox", "puzzle piece", "Add to Chrome")
	if strings.Index(page, "addons.mozilla.org") > strings.Index(page, "chromewebstore") {
		t.Error("the other browser's store comes first")
	}
	wants(t, b.Get("/signin/"+flowID), 200, "copies it", `value="Firefox on Windows"`)
}

func TestREQ_B33_B34_ConnectShowsCodeKeyAndLinkOnce(t *testing.T) {
	f := &fake{view: binding(t, "microsoft")}
	b := door(f)
	b.Agent = chrome
	page := wants(t, b.Get("/signin/"+flowID), 200, `id="totp-qr"`, `id="totp-uri"`, `autocomplete="one-time-code"`, `action="/signin/`+flowID+`/prove"`)
	key, err := totp.KeyText(f.view.Question)
	if err != nil {
		t.Fatal(err)
	}
	if got := regexp.MustCompile(`id="totp-key"[^>]*>([^<]*)<`).FindStringSubmatch(page); got == nil || got[1] != key.Reveal() || len(strings.Fields(got[1])) != 8 {
		t.Errorf("the key in groups of four: %q", got)
	}
	if strings.Index(page, `id="totp-qr"`) > strings.Index(page, `id="code"`) {
		t.Error("the field does not stand below the code")
	}
	if n := strings.Count(page, "<img"); n != 1 {
		t.Errorf("%d pictures", n)
	}
	b.Agent = iphone
	page = wants(t, b.Get("/signin/"+flowID), 200, `id="totp-uri"`, "<details")
	if strings.Index(page, `id="totp-uri"`) > strings.Index(page, `id="totp-qr"`) {
		t.Error("on a phone the link does not come first")
	}
	if n := strings.Count(page, `id="totp-uri"`); n != 1 {
		t.Errorf("%d links", n)
	}
}

func TestREQ_B83_ThreeWrongCodesGiveClockHelpAndAFreshKey(t *testing.T) {
	old := binding(t, "microsoft")
	old.Flow.Wrong = 1
	f := &fake{view: old, failed: old, err: authn.Reject("code-wrong").In("code")}
	b := door(f)
	wants(t, b.Post("/signin/"+flowID+"/prove", url.Values{"kind": {"totp"}, "code": {"000 000"}, "name": {"My phone"}}), 422,
		"2 more wrong codes", `value="000 000"`, `value="My phone"`, "/help/clock")
	if f.answer.Name != "My phone" {
		t.Errorf("handed in %+v", f.answer)
	}
	f.failed.Flow.Wrong = 2
	wants(t, b.Post("/signin/"+flowID+"/prove", url.Values{"kind": {"totp"}, "code": {"000000"}}), 422, "One more wrong code")
	fresh := binding(t, "microsoft")
	f.failed, f.err = fresh, authn.Reject("code-wrong-new-key", "seconds", 94, "direction", "fast").In("code")
	page := wants(t, b.Post("/signin/"+flowID+"/prove", url.Values{"kind": {"totp"}, "code": {"000000"}}), 422,
		"This is a new key", "/help/clock", "about 94 s fast")
	key, _ := totp.KeyText(fresh.Question)
	if !strings.Contains(page, key.Reveal()) || strings.Contains(page, `value="000000"`) {
		t.Error("the page does not begin anew with the fresh key")
	}
}

func TestPagesOfAnAuthenticatorLeadOnWhenItIsNotItsTurn(t *testing.T) {
	for _, v := range []struct {
		name string
		view func() *fake
	}{
		{"a sign-in", func() *fake { return &fake{view: proving(authn.Password)} }},
		{"the password's turn", func() *fake {
			return &fake{view: view(authn.Step{Act: authn.ActBind, Kinds: []authn.Kind{authn.Password}})}
		}},
	} {
		b := door(v.view())
		for _, path := range []string{"/choose", "/app", "/qr", "/store/ios"} {
			leads(t, b.Get("/signin/"+flowID+path), "/signin/"+flowID)
		}
	}
	b := door(&fake{view: binding(t, "")}) // nothing chosen yet
	leads(t, b.Get("/signin/"+flowID+"/app"), "/signin/"+flowID)
	wants(t, b.Get("/signin/"+flowID+"/qr"), 404)
	back := door(&fake{view: binding(t, "google")}) // back from the third page to the first: the choice is kept
	back.Agent = chrome
	wants(t, back.Get("/signin/"+flowID+"/choose"), 200, `value="google" required checked`)
	wants(t, back.Get("/signin/"+flowID), 200, `href="/signin/`+flowID+`/app"`, "Back")
}

func TestREQ_B89_StepsComeInTheReadersLanguageOrSayWhichTheyAreIn(t *testing.T) {
	v := binding(t, "microsoft")
	v.Realm.Apps[0].Steps = map[string][]string{"de": {"Öffnen Sie die App."}, "en": {"Open the app."}}
	b := door(&fake{view: v})
	b.Lang = "de"
	wants(t, b.Get("/signin/"+flowID), 200, "Öffnen Sie die App", `<ol class="numbers">`)
	b.Lang = "fr"
	wants(t, b.Get("/signin/"+flowID), 200, "Open the app", `<ol class="numbers" lang="en">`)
}
