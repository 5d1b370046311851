package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// sibling opens another tab of the same browser, with the same cookies.
func (p *tab) sibling(t testing.TB) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(p.ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	q := &tab{t, ctx}
	q.screen(1440, 900, "light")
	return q
}

// prove answers the steps of a sign-in, whichever are asked, until the application's host is back.
func (p *tab) prove(who person, app *authenticator, back string) {
	p.t.Helper()
	for range 8 {
		switch {
		case strings.HasPrefix(p.address(), back):
			return
		case p.has(`main form [autocomplete~="one-time-code"]`):
			p.fill("one-time-code", app.code())
		case p.has(`main form [autocomplete~="current-password"]`):
			p.fill("current-password", who.Password)
		case p.has(`main form[action$="/certificate"]`):
		default:
			p.fill("username", who.Email)
		}
		p.submit()
	}
	p.keep("failed")
	p.t.Fatalf("eight steps, and still at %s (%s)", p.address(), p.title())
}

// One sign-in for two applications in a real browser, and a sign-out that the other one's open page shows by itself.
func TestREQ_B28_TheStoreAndComplaints(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	b := openBrowser(t, d.path(d.CAFile))
	jonas := d.person(t, "shop", "member", "active")
	store, complaints := d.Parties["store"].URL, d.Parties["complaints"].URL
	p := b.person(t, "en")
	app := &authenticator{t: t, secret: jonas.TOTP}

	p.open(store + "/")
	p.check("store-stranger")
	p.follow("Sign in")
	p.prove(jonas, app, store)
	if p.text("#email") != jonas.Email || p.text("#acr") != "urn:doorward:acr:mfa" {
		t.Fatalf("%s: %s", p.address(), p.text("main"))
	}
	p.check("store")
	sid := p.text("#sid")

	other := p.sibling(t)
	other.open(complaints + "/")
	other.follow("Sign in")
	if !strings.HasPrefix(other.address(), complaints) || other.text("#email") != jonas.Email || other.text("#sid") != sid {
		t.Fatalf("asked again at %s: %s", other.address(), other.text("main"))
	}
	other.check("complaints")

	p.follow("Sign out")
	if !strings.HasPrefix(p.address(), store) || p.has("#email") {
		t.Fatalf("after sign-out at %s: %s", p.address(), p.text("main"))
	}
	other.await(`document.querySelector('#email') === null`)
	other.check("complaints-signed-out")
}

// A fresh proof before money moves, asked for in the browser of somebody who is signed in.
func TestREQ_B28_ThePortfolio(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	paul := d.person(t, "wealth", "member", "active")
	b := openBrowserWith(t, []keyFile{{d.path(paul.CertificateFile), paul.CertificatePassword}}, d.path(d.CAFile))
	portfolio := d.Parties["portfolio"].URL
	p := b.person(t, "de")
	app := &authenticator{t: t, secret: paul.TOTP}

	p.open(portfolio + "/")
	p.follow("Anmelden")
	p.prove(paul, app, portfolio)
	p.check("portfolio")
	signedIn := p.text("#auth-time")
	second := time.Now().Unix()
	within(t, "the next second", func() bool { return time.Now().Unix() > second }) // auth_time is in whole seconds
	p.follow("Überweisen")
	if strings.HasPrefix(p.address(), portfolio) {
		t.Fatalf("money moved without a question: %s", p.text("main"))
	}
	p.check("portfolio-asked")
	p.prove(paul, app, portfolio)
	if !strings.Contains(p.text("#flash"), "Clara Weiss") || !strings.Contains(p.text("table"), "urn:doorward:acr:mfa") {
		t.Fatalf("%s (signed in %s)", p.text("main"), signedIn)
	}
	p.check("portfolio-paid")
}
