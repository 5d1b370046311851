package signin_test

import (
	"net/http"
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
)

const token = "K7QD94MTK7QD94MTK7QD94MT00"

func TestSEC_A1_TBOT_LookingAtALinkChangesNothing(t *testing.T) {
	f := &fake{link: login.Link{Purpose: login.SetUp, Person: directory.Person{Address: "a.sample@northline.example", Language: "de"}, Inviter: "C. <Boss>", Expires: web.SampleTime.Add(24 * time.Hour)}}
	b := door(f)
	for range 50 {
		wants(t, b.Get("/link/set-up/"+token), 200, "C. &lt;Boss&gt;", "northline.example", `method="post" action="/link/set-up/`+token+`"`)
		if w := b.Do(http.MethodHead, "/link/set-up/"+token, nil); w.Code != 200 {
			t.Fatalf("HEAD: %d", w.Code)
		}
	}
	if len(f.calls)+len(f.purpose) > 0 || len(b.Cookies) > 0 {
		t.Errorf("calls %v, cookies %v", f.calls, b.Cookies)
	}
	page := b.Get("/link/set-up/" + token).Body.String()
	if strings.Count(page, "<form") != 1 || strings.Count(page, "<button") != 1 {
		t.Error("not one form with one button")
	}
}

func TestREQ_B15_FollowingLeavesTheSecretBehind(t *testing.T) {
	v := view(authn.Step{Act: authn.ActBind, Kinds: []authn.Kind{authn.Password}})
	v.Browser = "browser-secret"
	f := &fake{view: v}
	b := door(f)
	leads(t, b.Post("/link/set-up/"+token, none), "/signin/"+flowID)
	if !slices.Equal(f.purpose, []string{login.SetUp}) || b.Cookies["__Host-browser"] != "browser-secret" {
		t.Errorf("followed %v, cookies %v", f.purpose, b.Cookies)
	}
	if page := b.Get("/signin/" + flowID).Body.String(); strings.Contains(page, token) {
		t.Error("the page of the flow still holds the link's secret")
	}
}

func TestREQ_B15_DeadLinksExplainThemselvesAndOfferANewOne(t *testing.T) {
	for _, c := range []struct {
		purpose string
		err     error
		status  int
		want    []string
	}{
		{"set-up", fault.New(fault.Expired, "link-expired"), 410, []string{"too old", `name="resend"`}},
		{"set-up", fault.New(fault.Expired, "link-voided"), 410, []string{"newer link", `name="resend"`}},
		{"set-up", fault.New(fault.Expired, "link-used"), 410, []string{"was already used", `href="/signin"`}},
		{"set-up", fault.New(fault.NotFound, "link-unknown"), 404, []string{"do not know this link", `href="/signin/code"`}},
		{"password", fault.New(fault.Expired, "link-expired"), 410, []string{"too old", `href="/signin/forgot"`}},
		{"password", fault.New(fault.Expired, "link-used"), 410, []string{"was already used"}},
		{"else", fault.New(fault.NotFound, "link-unknown"), 404, nil},
	} {
		f := &fake{peek: c.err, err: c.err}
		b := door(f)
		wants(t, b.Get("/link/"+c.purpose+"/"+token), c.status, c.want...)
		wants(t, b.Post("/link/"+c.purpose+"/"+token, none), c.status, c.want...)
	}
	f := &fake{}
	leads(t, door(f).Post("/link/set-up/"+token, url.Values{"resend": {"yes"}}), "/signin/sent?for=invitation")
	if !slices.Equal(f.calls, []string{"Resend"}) {
		t.Errorf("calls %v", f.calls)
	}
	f = &fake{err: fault.New(fault.Throttled, "too-many-links").After(time.Minute), link: login.Link{Purpose: "set-up"}}
	wants(t, door(f).Post("/link/set-up/"+token, none), 429, "1 minute", "Set up my account")
}

func TestREQ_B15_ATypedCodeDoesWhatTheLinkDoes(t *testing.T) {
	unknown := fault.New(fault.NotFound, "link-unknown")
	f := &fake{view: proving(authn.TOTP), follow: map[string]error{login.SetUp: unknown}}
	b := door(f)
	wants(t, b.Get("/signin/code"), 200, `autocomplete="one-time-code"`)
	leads(t, b.Post("/signin/code", url.Values{"code": {"k7qd-94mt"}}), "/signin/"+flowID)
	if !slices.Equal(f.purpose, []string{login.SetUp, login.Password}) {
		t.Errorf("tried %v", f.purpose)
	}
	f.purpose, f.follow[login.Password] = nil, unknown
	leads(t, b.Post("/signin/code", url.Values{"code": {"k7qd-94mt"}}), "/signin/"+flowID)
	if !slices.Equal(f.purpose, []string{login.SetUp, login.Password, login.Recover}) {
		t.Errorf("tried %v", f.purpose)
	}
	f.follow[login.Recover] = unknown
	wants(t, b.Post("/signin/code", url.Values{"code": {"k7qd-94mt"}}), 422, "do not know this code", `value="k7qd-94mt"`)
	f.follow[login.SetUp] = fault.New(fault.Expired, "link-expired")
	wants(t, b.Post("/signin/code", url.Values{"code": {"k7qd-94mt"}}), 422, "too old")
	f.follow[login.SetUp] = fault.New(fault.Throttled, "too-many-links").After(time.Minute)
	wants(t, b.Post("/signin/code", url.Values{"code": {"k7qd-94mt"}}), 429, "1 minute")
}

func TestREQ_B16_TheSentPageKnowsNobody(t *testing.T) {
	f := &fake{}
	b := door(f)
	wants(t, b.Get("/signin/resend"), 200, "spam", `action="/signin/resend"`)
	for path, to := range map[string]string{"/signin/forgot": "/signin/sent", "/signin/resend": "/signin/sent?for=invitation"} {
		leads(t, b.Post(path, url.Values{"address": {"a.sample@northline.example"}}), to)
		wants(t, b.Get(to), 200, "check your spam folder", `href="/signin/code"`, `href="`+path+`"`) // "send it again" leads back
	}
	f.err = fault.New(fault.Invalid, "address-invalid").In("address")
	wants(t, b.Post("/signin/forgot", url.Values{"address": {"a.sample@"}}), 422, `value="a.sample@"`)
	f.err = fault.New(fault.Throttled, "too-many-mails").After(40 * time.Minute)
	wants(t, b.Post("/signin/forgot", url.Values{"address": {"a.sample@northline.example"}}), 429, "40 minutes")
}
