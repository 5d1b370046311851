package signin_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/authn/totp"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/web"
	"doorward/internal/web/signin"
	"doorward/internal/web/webtest"
)

// fake stands for the use cases: it answers every flow with one view, and writes down what it was asked.
type fake struct {
	view   login.View // of Look, and of every call that does not fail
	err    error      // of every call but Look
	failed login.View // beside err, as Prove fills it
	look   error
	link   login.Link
	peek   error
	signed bool
	speaks string // language of who is signed in

	calls   []string
	answer  authn.Answer
	start   login.Start
	done    login.Done
	model   string
	purpose []string
	follow  map[string]error
}

func (f *fake) call(name string) (login.View, error) {
	f.calls = append(f.calls, name)
	if f.err != nil {
		return f.failed, f.err
	}
	return f.view, nil
}

func (f *fake) Begin(_ context.Context, _ login.Caller, s login.Start) (login.View, error) {
	f.start = s
	return f.call("Begin")
}

func (f *fake) Look(context.Context, login.Caller, string) (login.View, error) { return f.view, f.look }

func (f *fake) Bereft(context.Context, login.Caller, string) (login.Signed, authn.Kind, error) {
	_, err := f.call("Bereft")
	return login.Signed{Person: f.view.Person}, authn.TOTP, err
}

func (f *fake) Lose(_ context.Context, _ login.Caller, _ string, found bool) (login.View, error) {
	return f.call(map[bool]string{false: "Lose", true: "Find"}[found])
}

func (f *fake) Prove(_ context.Context, _ login.Caller, _ string, a authn.Answer) (login.View, error) {
	f.answer = a
	return f.call("Prove")
}

func (f *fake) Choose(_ context.Context, _ login.Caller, _, model string) (login.View, error) {
	f.model = model
	v, err := f.call("Choose")
	v.Flow.Choice = model
	return v, err
}

func (f *fake) Perform(_ context.Context, _ login.Caller, _ string, d login.Done) (login.View, error) {
	f.done = d
	return f.call("Perform")
}

func (f *fake) Decline(context.Context, login.Caller, string) error {
	_, err := f.call("Decline")
	return err
}

func (f *fake) Later(context.Context, login.Caller, string) (login.View, error) {
	return f.call("Later")
}

func (f *fake) Abandon(context.Context, login.Caller, string) error {
	_, err := f.call("Abandon")
	return err
}

func (f *fake) Peek(context.Context, login.Caller, string, string) (login.Link, error) {
	return f.link, f.peek
}

func (f *fake) Follow(_ context.Context, _ login.Caller, purpose, _ string) (login.View, error) {
	f.purpose = append(f.purpose, purpose)
	if err := f.follow[purpose]; err != nil {
		return login.View{}, err
	}
	return f.call("Follow")
}

func (f *fake) Forgot(context.Context, login.Caller, string) error {
	_, err := f.call("Forgot")
	return err
}

func (f *fake) Resend(context.Context, login.Caller, string) error {
	_, err := f.call("Resend")
	return err
}

func (f *fake) Remind(context.Context, login.Caller, string) error {
	_, err := f.call("Remind")
	return err
}

func (f *fake) Authenticate(context.Context, string, secret.Text) (login.Signed, error) {
	if f.signed {
		return login.Signed{Person: directory.Person{Language: f.speaks}}, nil
	}
	return login.Signed{}, fault.New(fault.Expired, "session-over")
}

func (f *fake) SignOut(context.Context, login.Caller) error {
	_, err := f.call("SignOut")
	return err
}

func (f *fake) called(name string) bool { return slices.Contains(f.calls, name) }

const flowID = "0197a1b2-0000-7000-8000-000000000001"

// realm is the sample realm with terms and topics, as a flow carries it.
func realm() *login.Realm {
	r := *webtest.Shop
	r.Apps = append(slices.Clone(r.Apps), directory.App{ID: "old", Name: "Old Codes", Kind: "app", Hidden: true})
	r.Terms = directory.Terms{Version: "4", Text: directory.Localized{"en": "# 1 Scope\nBe <kind>.\n\nPay in time.", "de": "# 1 Zweck\nSeien Sie nett."}}
	r.Topics = []directory.Topic{{ID: "products", Name: directory.Localized{"en": "New products"}}, {ID: "offers", Name: directory.Localized{"en": "Offers"}}}
	return &login.Realm{Realm: r}
}

func view(step authn.Step) login.View {
	return login.View{Realm: realm(), Step: step, Flow: authn.Flow{
		ID: flowID, Realm: "shop", State: authn.FlowOpen, Address: "a.sample@northline.example",
		Subject: authn.Subject{Realm: "shop", Issuer: "Northline Supply", Address: "a.sample@northline.example"},
	}}
}

func proving(kinds ...authn.Kind) login.View {
	return view(authn.Step{Act: authn.ActProve, Kinds: kinds})
}

// binding is a set-up that has come to its authenticator; choice is the app, empty when none is chosen.
func binding(t *testing.T, choice string) login.View {
	t.Helper()
	v := view(authn.Step{Act: authn.ActBind, Kinds: []authn.Kind{authn.TOTP}, At: 2, Of: 6})
	v.Flow.OneTime, v.Flow.Choice, v.Flow.Now = "o", choice, web.SampleTime
	if choice != "" {
		q, err := totp.New(totp.Config{}).Offer(context.Background(), v.Flow, nil)
		if err != nil {
			t.Fatal(err)
		}
		v.Question = q
	}
	return v
}

func duty(d authn.Duty) login.View { return view(authn.Step{Act: authn.ActPerform, Duty: d}) }

func minted(v login.View) login.View {
	v.Minted = &login.Minted{Cookie: "session-secret", Device: "device-secret"}
	v.Browser = "browser-secret"
	return v
}

func (f *fake) Renew(_ context.Context, _ login.Caller, flow string) (login.View, error) {
	return f.Look(context.Background(), login.Caller{}, flow)
}

func (f *fake) Awaits(context.Context, login.Caller, string) (string, error) { return "", nil }

// door serves the pages over a fake.
func door(f *fake, o ...func(*signin.Options)) *webtest.Browser {
	options := signin.Options{Logins: f}
	for _, change := range o {
		change(&options)
	}
	site := webtest.NewSite(signin.Pages)
	mux := http.NewServeMux()
	site.Mount(mux)
	signin.New(options).Mount(site, mux)
	return &webtest.Browser{Handler: site.Handler(mux), Lang: "en"}
}

const (
	chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15"
	iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	pixel  = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"
)

func throttled() error {
	return fault.New(fault.Throttled, "too-many-attempts", "minutes", 12).After(12 * time.Minute)
}
