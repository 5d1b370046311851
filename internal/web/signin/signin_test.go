package signin_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
	"doorward/internal/web/signin"
	"doorward/internal/web/webtest"
)

// wants fails unless the answer has the status and holds every text.
func wants(t *testing.T, w *httptest.ResponseRecorder, status int, texts ...string) string {
	t.Helper()
	page := strings.ReplaceAll(w.Body.String(), "\u00a0", " ")
	if w.Code != status {
		t.Fatalf("status %d, want %d, to %q\n%s", w.Code, status, w.Header().Get("Location"), page)
	}
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("the page lacks %q\n%s", text, page)
		}
	}
	return page
}

func leads(t *testing.T, w *httptest.ResponseRecorder, to string) {
	t.Helper()
	if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != to {
		t.Errorf("status %d to %q, want 303 to %q\n%s", w.Code, got, to, w.Body)
	}
}

func TestSEC_S1_CookiesBelongToThisHostAlone(t *testing.T) {
	f := &fake{view: minted(proving(authn.Password))}
	w := door(f).Post("/signin/"+flowID+"/prove", url.Values{"kind": {"password"}, "password": {"x"}})
	leads(t, w, "/account")
	ages := map[string]int{"__Host-session": 0, "__Host-browser": 24 * 3600, "__Host-device": 365 * 24 * 3600}
	for _, c := range w.Result().Cookies() {
		age, known := ages[c.Name]
		if !known {
			t.Errorf("cookie %s is not expected", c.Name)
		}
		delete(ages, c.Name)
		if !c.HttpOnly || !c.Secure || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode || c.MaxAge != age {
			t.Errorf("cookie %s: %+v", c.Name, c)
		}
	}
	if len(ages) > 0 {
		t.Errorf("missing: %v", ages)
	}
}

func TestSEC_S2_TFIX_OnlyAdmissionSetsASession(t *testing.T) {
	v := proving(authn.TOTP)
	v.Browser = "browser-secret"
	f := &fake{view: v}
	b := door(f)
	leads(t, b.Post("/signin", url.Values{"address": {"a.sample@northline.example"}}), "/signin/"+flowID)
	leads(t, b.Post("/signin/"+flowID+"/prove", url.Values{"kind": {"password"}}), "/signin/"+flowID)
	if len(b.Cookies) != 1 || b.Cookies["__Host-browser"] != "browser-secret" {
		t.Errorf("cookies before admission: %v", b.Cookies)
	}
}

// What goes wrong with the answer to a step: status, words, and what is kept of the input.
func TestREQ_B20_ARefusedAnswerShowsTheFormAgain(t *testing.T) {
	for name, c := range map[string]struct {
		view   login.View
		form   url.Values
		err    error
		filled bool // the use case fills the view beside the error
		status int
		want   []string
		never  []string
	}{
		"wrong password": {proving(authn.Password), url.Values{"kind": {"password"}, "password": {"hunter2hunter2"}}, authn.Reject("password-wrong").In("password"), true, 422,
			[]string{"<title>Error:", `href="#password"`, `aria-invalid="true"`, "The address or the password is not right"}, []string{"hunter2"}},
		"used code": {proving(authn.TOTP), url.Values{"kind": {"totp"}, "code": {"482 917"}}, authn.Reject("code-used", "seconds", 12).In("code"), true, 422,
			[]string{"already used", "12 s", `value="482 917"`, `autocomplete="one-time-code"`}, nil},
		"clock": {proving(authn.TOTP), url.Values{"kind": {"totp"}, "code": {"482917"}}, authn.Reject("code-clock", "seconds", 94, "direction", "fast").In("code"), true, 422,
			[]string{"about 94 s fast"}, nil},
		"letters": {proving(authn.TOTP), url.Values{"kind": {"totp"}, "code": {"48a"}}, fault.New(fault.Invalid, "code-format", "digits", 6).In("code").Because(authn.ErrRejected), true, 422,
			[]string{"A code has 6 digits"}, nil},
		"weak password": {view(authn.Step{Act: authn.ActBind, Kinds: []authn.Kind{authn.Password}}), url.Values{"kind": {"password"}, "password": {"hunter2hunter2"}},
			fault.New(fault.Invalid, "password-weak", "score", 1, "hint", "hint-date").In("password"), true, 422, []string{"too easy to guess. Dates and years"}, []string{"hunter2"}},
		"too often": {proving(authn.TOTP), url.Values{"kind": {"totp"}, "code": {"482917"}}, throttled(), false, 429, []string{"12 minutes", `value="482917"`, "not locked"}, nil},
		"busy":      {proving(authn.Password), url.Values{"kind": {"password"}, "password": {"hunter2hunter2"}}, fault.New(fault.Unavailable, "busy").After(3 * time.Second), false, 503, []string{"3 seconds"}, []string{"hunter2"}},
		"terms": {duty(authn.Terms), url.Values{"email": {"b@northline.example"}, "read": {"yes"}}, fault.New(fault.Invalid, "terms-address").In("email"), false, 422,
			[]string{"not the address you sign in with", `value="b@northline.example"`, " checked"}, nil},
		"terms changed": {duty(authn.Terms), url.Values{"email": {"a@northline.example"}, "read": {"yes"}}, fault.New(fault.Conflict, "terms-changed"), false, 409,
			[]string{"The terms have changed meanwhile", `name="version" value="4"`}, []string{" checked"}},
		"terms unread": {duty(authn.Terms), url.Values{"email": {"a@northline.example"}}, fault.New(fault.Invalid, "terms-read").In("read"), false, 422,
			[]string{`href="#read"`, `id="read-error"`}, []string{" checked"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{view: c.view, err: c.err}
			if c.filled {
				f.failed = c.view
			}
			action := "/prove"
			if c.view.Step.Act == authn.ActPerform {
				action = "/terms"
			}
			w := door(f).Post("/signin/"+flowID+action, c.form)
			page := wants(t, w, c.status, append(c.want, `id="error-summary"`)...)
			for _, text := range c.never {
				if strings.Contains(page, text) {
					t.Errorf("the page holds %q", text)
				}
			}
			if retry := w.Header().Get("Retry-After"); (retry != "") != (c.status == 429 || c.status == 503) {
				t.Errorf("Retry-After %q with %d", retry, c.status)
			}
		})
	}
}

func TestAStepThatMovedOnLeadsToWhereItIs(t *testing.T) {
	f := &fake{view: duty(authn.Terms), err: fault.New(fault.Conflict, "not-expected")}
	b := door(f)
	for _, action := range []string{"prove", "choose", "terms", "preferences", "decline"} {
		leads(t, b.Post("/signin/"+flowID+"/"+action, url.Values{"authenticator": {"google"}}), "/signin/"+flowID)
	}
	wants(t, b.Get("/signin/"+flowID), 200, "This step was done already")
}

func TestAFlowThatIsOverSaysHowToBeginAgain(t *testing.T) {
	f := &fake{look: fault.New(fault.Expired, "flow-over"), err: fault.New(fault.Expired, "flow-over")}
	b := door(f)
	for _, path := range []string{"", "/ways", "/choose", "/app", "/qr", "/store/ios", "/text", "/decline", "/leave"} {
		wants(t, b.Get("/signin/"+flowID+path), 410, "This sign-in is over", `href="/signin"`)
	}
	for _, path := range []string{"/prove", "/choose", "/terms", "/preferences", "/decline"} {
		wants(t, b.Post("/signin/"+flowID+path, url.Values{"authenticator": {"google"}}), 410, "This sign-in is over")
	}
	f.signed = true
	b.Cookies = map[string]string{"__Host-session": "s"}
	leads(t, b.Get("/signin/"+flowID), "/account") // back in the browser, after signing in
	f.err = fault.New(fault.Rejected, "too-many-wrong")
	f.failed.Flow = authn.Flow{ID: flowID, State: authn.FlowVoid}
	wants(t, b.Post("/signin/"+flowID+"/prove", url.Values{"kind": {"totp"}}), 410, "wrong five times")
}

func TestOurErrorsShowAReferenceOnly(t *testing.T) {
	f := &fake{view: proving(authn.Password), err: errors.New("disk full at /var/lib"), look: nil}
	page := wants(t, door(f).Post("/signin/"+flowID+"/prove", url.Values{"kind": {"password"}}), 500, `id="reference"`)
	if strings.Contains(page, "disk") {
		t.Error("the page shows an error of ours")
	}
}

func TestREQ_B74_PasswordFormsCarryTheUserName(t *testing.T) {
	for name, v := range map[string]login.View{
		"current-password": proving(authn.Password),
		"new-password":     view(authn.Step{Act: authn.ActBind, Kinds: []authn.Kind{authn.Password}}),
	} {
		page := wants(t, door(&fake{view: v}).Get("/signin/"+flowID), 200, `autocomplete="`+name+`"`,
			`autocomplete="username" value="a.sample@northline.example"`, `maxlength="256"`)
		if strings.Count(page, `type="password"`) != 1 || strings.Contains(page, "onpaste") {
			t.Errorf("%s: not one plain field", name)
		}
	}
	wants(t, door(&fake{}).Get("/signin"), 200, `autocomplete="username"`)
}

func TestREQ_A6_B74_TheRulesStandBeforeTheyAreBroken(t *testing.T) {
	v := view(authn.Step{Act: authn.ActBind, Kinds: []authn.Kind{authn.Password}})
	v.Realm.Password.Length = 15
	wants(t, door(&fake{view: v}).Get("/signin/"+flowID), 200, "At least 15 characters", "data thefts", "Bitwarden or 1Password")
}

func TestREQ_B23_ThePageCountsDownToTheNextCode(t *testing.T) {
	v := proving(authn.TOTP)
	v.Wait = 11500 * time.Millisecond
	wants(t, door(&fake{view: v}).Get("/signin/"+flowID), 200, "Next code in 12 seconds", `dur="12s"`, `data-until="`, "just used")
	v.Wait = 0
	if page := door(&fake{view: v}).Get("/signin/" + flowID).Body.String(); strings.Contains(page, "data-until") {
		t.Error("a countdown although the next code is there")
	}
}

func TestREQ_B22_TheFirstSignInSaysThatItIsEveryDays(t *testing.T) {
	v := proving(authn.Password)
	v.Flow.OneTime, v.Step.At, v.Step.Of = "o", 3, 6
	wants(t, door(&fake{view: v}).Get("/signin/"+flowID), 200, "Your first sign-in", "every day", "Step 3 of 6", "a.sample@<wbr>northline.example")
	v.Flow.OneTime = ""
	if page := door(&fake{view: v}).Get("/signin/" + flowID).Body.String(); strings.Contains(page, "Step 3") {
		t.Error("a plain sign-in is numbered")
	}
}

func TestWaysAreOfferedLastUsedFirst(t *testing.T) {
	v := proving(authn.TOTP)
	v.Ways = []login.Way{
		{Kind: authn.TOTP, Credential: "c2", Name: "Office computer", Model: "extension", LastUsed: web.SampleTime.Add(-time.Hour)},
		{Kind: authn.TOTP, Credential: "c1", Name: "Work phone"},
	}
	f := &fake{view: v}
	b := door(f)
	page := wants(t, b.Get("/signin/"+flowID+"/ways"), 200, "browser extension", "“Work phone”, not used yet")
	if strings.Index(page, "Office computer") > strings.Index(page, "Work phone") {
		t.Error("the last used one does not come first")
	}
	wants(t, b.Get("/signin/"+flowID), 200, "/ways")
	wants(t, b.Get("/signin/"+flowID+"?with=c1"), 200, "authenticator “Work phone”", `name="with" value="c1"`)
	wants(t, b.Get("/signin/"+flowID+"?with=passkey"), 200, `name="kind" value="totp"`) // an unknown wish changes nothing
	b.Post("/signin/"+flowID+"/prove", url.Values{"kind": {"totp"}, "with": {"c1"}, "code": {"123456"}})
	if f.answer.Credential != "c1" || f.answer.Kind != authn.TOTP || f.answer.Text != "123456" {
		t.Errorf("handed in %+v", f.answer)
	}
	f.view.Ways = v.Ways[:1]
	leads(t, b.Get("/signin/"+flowID+"/ways"), "/signin/"+flowID)
}

func TestEveryReasonToBeStuckHasWords(t *testing.T) {
	for _, reason := range []authn.Reason{login.Blocked, authn.NeedsGrant, authn.SetUpOver, "made up"} {
		v := view(authn.Step{Act: authn.ActStuck, Reason: reason})
		page := wants(t, door(&fake{view: v}).Get("/signin/"+flowID), 200, "/help/request", "+41 61 555 02 00")
		if strings.Contains(page, "⟦") {
			t.Errorf("%s: a word is missing", reason)
		}
	}
	wants(t, door(&fake{view: proving(authn.Passkey)}).Get("/signin/"+flowID), 200, "This way cannot be used here")
}

func TestSEC_F4_ALandingIsNeverTakenFromTheAddress(t *testing.T) {
	for _, to := range []string{"https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", strings.Repeat("x", 5000)} {
		f := &fake{view: minted(proving(authn.Password)), signed: true}
		b := door(f)
		b.Cookies = map[string]string{"__Host-session": "s"}
		leads(t, b.Get("/signin?to="+url.QueryEscape(to)), "/account")
		f.view.Minted.Return = to
		leads(t, b.Post("/signin/"+flowID+"/prove", url.Values{"kind": {"password"}}), "/account")
	}
	f := &fake{view: proving(authn.Password)}
	f.view.Flow.Return = "rp:store"
	b := door(f, func(o *signin.Options) {
		o.Landing = func(_ *http.Request, id string) string {
			return map[string]string{"rp:store": "https://store.example/callback"}[id]
		}
	})
	if csp := b.Get("/signin/" + flowID).Header().Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://store.example") {
		t.Errorf("the browser would stop at the relying party: %s", csp)
	}
	f.view = minted(f.view)
	f.view.Minted.Return = "rp:store"
	leads(t, b.Post("/signin/"+flowID+"/prove", url.Values{"kind": {"password"}}), "https://store.example/callback")
	leads(t, b.Get("/signin/"+flowID), "https://store.example/callback") // the last duty was done in another tab
}

func TestREQ_B28_WhereItAllBeganIsKept(t *testing.T) {
	f := &fake{view: proving(authn.Password)}
	b := door(f)
	wants(t, b.Get("/signin?to=people"), 200, `name="to" value="people"`)
	b.Post("/signin", url.Values{"address": {"a@northline.example"}, "to": {"people"}})
	if f.start.Return != "people" || f.start.Address != "a@northline.example" {
		t.Errorf("began with %+v", f.start)
	}
}

func TestNotYouLeavesOnlyWhenSomebodyElseBegins(t *testing.T) {
	f := &fake{view: proving(authn.Password)}
	b := door(f)
	wants(t, b.Get("/signin/"+flowID), 200, `href="/signin?leave=`+flowID)
	wants(t, b.Get("/signin?leave="+flowID), 200, `name="leave" value="`+flowID)
	if len(f.calls) > 0 {
		t.Fatalf("looking changed something: %v", f.calls)
	}
	leads(t, b.Post("/signin", url.Values{"address": {"b@northline.example"}, "leave": {flowID}}), "/signin/"+flowID)
	if !slices.Equal(f.calls, []string{"Abandon", "Begin"}) {
		t.Errorf("calls %v", f.calls)
	}
}

func TestAnEmptyAddressNeverBeginsFromTheSession(t *testing.T) {
	f := &fake{view: proving(authn.Password), signed: true}
	b := door(f)
	b.Cookies = map[string]string{"__Host-session": "s"}
	wants(t, b.Post("/signin", url.Values{}), 422, `id="error-summary"`)
	if f.called("Begin") {
		t.Error("an empty form began a flow that rises from the session")
	}
}

func TestREQ_B26_DecliningSaysWhatHappensAndSignsOut(t *testing.T) {
	f := &fake{view: duty(authn.Terms)}
	b := door(f)
	wants(t, b.Get("/signin/"+flowID+"/decline"), 200, "administrators of your organization will be told", "Back to the terms")
	if len(f.calls) > 0 {
		t.Fatal("looking declined")
	}
	b.Cookies = map[string]string{"__Host-session": "s"}
	leads(t, b.Post("/signin/"+flowID+"/decline", none), "/signin/declined")
	if b.Cookies["__Host-session"] != "" {
		t.Error("the session's cookie remains")
	}
	wants(t, b.Get("/signin/declined"), 200, "You have declined the terms")
}

// none is a form without fields: a button alone.
var none = url.Values{"x": {""}}

func TestREQ_B24_TermsKeepVersionAndLanguageOfWhatWasShown(t *testing.T) {
	v := duty(authn.Terms)
	v.Person = directory.Person{ID: "p", Language: "fr"}
	f := &fake{view: v}
	b := door(f)
	b.Lang = "fr"
	page := wants(t, b.Get("/signin/"+flowID), 200, "Terms", `name="version" value="4"`, `name="language" value="en"`, `<h2>1 Scope</h2>`, "Be &lt;kind&gt;.", `lang="en"`, `tabindex="0"`, `href="#email"`)
	if strings.Contains(page, " checked") {
		t.Error("the box is ticked for the person")
	}
	b.Post("/signin/"+flowID+"/terms", url.Values{"email": {"A@x.example"}, "read": {"yes"}, "version": {"4"}, "language": {"en"}})
	if want := (login.Done{Duty: authn.Terms, Typed: "A@x.example", Read: true, Version: "4", Language: "en"}); f.done.Typed != want.Typed || f.done.Version != want.Version || f.done.Language != want.Language || !f.done.Read || f.done.Duty != want.Duty {
		t.Errorf("handed in %+v", f.done)
	}
	text := b.Get("/signin/" + flowID + "/text")
	if got := text.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" || !strings.Contains(text.Body.String(), "Be <kind>.") {
		t.Errorf("to print: %s %q", got, text.Body)
	}
}

func TestREQ_B27_NothingIsChosenForAnybody(t *testing.T) {
	f := &fake{view: duty(authn.Preferences)}
	b := door(f)
	if page := wants(t, b.Get("/signin/"+flowID), 200, "New products", "Offers"); strings.Contains(page, " checked") {
		t.Error("a topic is on")
	}
	b.Post("/signin/"+flowID+"/preferences", url.Values{"topic": {"offers"}})
	if !f.done.Topics["offers"] || f.done.Topics["products"] || f.done.Duty != authn.Preferences {
		t.Errorf("handed in %+v", f.done)
	}
}

func TestSEC_F3_FormsOfOthersAreRefused(t *testing.T) {
	f := &fake{view: proving(authn.Password)}
	handler := door(f).Handler
	for _, path := range []string{"/signin", "/signin/" + flowID + "/prove", "/link/set-up/x", "/signout", "/signin/strength"} {
		r := httptest.NewRequest(http.MethodPost, "https://"+webtest.Shop.Host+path, strings.NewReader("address=a@b.example"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if len(f.calls) > 0 {
		t.Errorf("calls %v", f.calls)
	}
}
