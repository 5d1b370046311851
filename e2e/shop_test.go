package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"doorward/internal/rig/walker"
)

// authenticator is the person's app: it never shows a code twice to the same eyes, it waits for the next.
type authenticator struct {
	t      testing.TB
	secret string
	used   int64
}

func (a *authenticator) code() string {
	a.t.Helper()
	within(a.t, "the next code", func() bool { return time.Now().Unix()/30 > a.used })
	now := time.Now()
	a.used = now.Unix() / 30
	return code(a.t, a.secret, now)
}

// signIn comes in as on any day: address, password, code. Where customers show a certificate, the desk says that it does it
// another way.
func (p *tab) signIn(realm, address, password string, app *authenticator) {
	p.t.Helper()
	p.open(realm + "/signin")
	p.fill("username", address)
	p.submit()
	if p.has(`main form[action$="/certificate"]`) {
		p.click(`a[href$="/ways"]`)
		p.click(`a.pick[href*="with=password"]`)
	}
	p.fill("current-password", password)
	p.submit()
	p.fill("one-time-code", app.code())
	p.submit()
	p.at("/account")
}

// at fails unless the page's path begins with prefix.
func (p *tab) at(prefix string) {
	p.t.Helper()
	u, err := url.Parse(p.address())
	if err != nil || !strings.HasPrefix(u.Path, prefix) {
		p.keep("failed")
		p.t.Fatalf("at %s, not at %s: %s", p.address(), prefix, p.text("main"))
	}
}

// check looks at a page for what every page owes: no violation of axe, nothing cut off; pictures of it are kept.
func (p *tab) check(name string) {
	p.t.Helper()
	p.axe(name)
	p.look(name)
}

const newPassword = "seven wet otters 41 hum"

// The main job of the shop realm: invited, set up, signed in for the first time, at home in the account.
func TestREQ_B13_B14_B20_B21_B22_B24_B25_B27_B33_Shop(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	shop := d.Realms["shop"].URL
	b := openBrowser(t, d.path(d.CAFile))
	boss := d.person(t, "shop", "customer administrator", "active")
	admin := b.person(t, "en")
	p := b.person(t, "en")
	app := &authenticator{t: t}
	const address = "nora.keller@brenner.example"
	var link string

	step := func(name string, f func(t *testing.T)) {
		t.Helper()
		if t.Failed() {
			t.FailNow()
		}
		t.Run(name, func(t *testing.T) {
			admin.t, p.t, app.t = t, t, t
			f(t)
		})
	}

	step("01 an administrator invites (B45)", func(t *testing.T) {
		admin.signIn(shop, boss.Email, boss.Password, &authenticator{t: t, secret: boss.TOTP})
		admin.open(shop + "/console/people/invite")
		admin.check("invite")
		admin.fill("name", "Nora Keller")
		admin.fill("email", address)
		admin.submit()
		if !strings.Contains(admin.text("main"), "Nora Keller") {
			t.Errorf("the console does not show who was invited: %s", admin.text("main"))
		}
	})
	step("02 the mail names the user name and carries one link (B13, B14)", func(t *testing.T) {
		mail := d.await(t, address, 0)
		link = mail.link(t)
		for _, want := range []string{address, boss.Name} {
			if !strings.Contains(mail.Text, want) {
				t.Errorf("the invitation does not name %q:\n%s", want, mail.Text)
			}
		}
		if !strings.HasPrefix(link, shop+"/") {
			t.Errorf("the link leads to %s", link)
		}
	})
	step("03 a mail scanner opens the link and uses nothing up (B15)", func(t *testing.T) {
		for range 3 {
			page, err := d.walker().Get(link)
			if err != nil || page.Status != http.StatusOK {
				t.Fatalf("the link answers %v %v", page, err)
			}
		}
	})
	step("04 the link welcomes (B15)", func(t *testing.T) {
		p.open(link)
		p.check("welcome")
		p.submit()
		p.at("/signin/")
	})
	step("05 a weak password is refused with a reason, a good one is taken (A6, B87)", func(t *testing.T) {
		p.check("password")
		p.fill("new-password", "password1234")
		p.submit()
		if p.text("#error-summary") == "" || !strings.HasPrefix(p.title(), "Error:") {
			t.Errorf("no error: %q %s", p.title(), p.text("main"))
		}
		p.axe("password refused")
		p.fill("new-password", newPassword)
		p.submit()
	})
	step("06 choose an authenticator (B8, B10)", func(t *testing.T) {
		for _, want := range []string{"Microsoft Authenticator", "Google Authenticator"} {
			if !strings.Contains(p.text("main"), want) {
				t.Errorf("%s is not offered", want)
			}
		}
		p.check("choose")
		p.submit()
	})
	step("07 get the app: its own QR code, not the secret's (B9, B12)", func(t *testing.T) {
		p.check("get-app")
		for _, found := range p.scan() {
			if strings.HasPrefix(found, "otpauth:") {
				t.Errorf("the secret's code stands on the store's page")
			}
		}
		p.submitOrGo()
	})
	step("08 connect: one QR code, the key as text, the field below (B20, B33, B34)", func(t *testing.T) {
		p.check("connect")
		found := p.scan()
		if len(found) != 1 {
			t.Fatalf("%d codes on the page: %q", len(found), found)
		}
		uri, err := url.Parse(found[0])
		if err != nil || uri.Scheme != "otpauth" || uri.Host != "totp" {
			t.Fatalf("scanned %q", found[0])
		}
		app.secret = uri.Query().Get("secret")
		if key := strings.Join(strings.Fields(p.text("#totp-key")), ""); key != app.secret {
			t.Errorf("the key as text is %q", key)
		}
		if !strings.Contains(uri.Path, address) || uri.Query().Get("issuer") == "" {
			t.Errorf("the app would show %q", found[0])
		}
		below := eval[bool](p, `document.querySelector('main img[alt]').getBoundingClientRect().bottom <= document.querySelector('[autocomplete="one-time-code"]').getBoundingClientRect().top`)
		if !below {
			t.Error("the field does not stand below the code")
		}
	})
	step("09 a wrong code is refused, a right one counts, with spaces (B20, B21)", func(t *testing.T) {
		p.fill("one-time-code", "000000")
		p.submit()
		if p.text("#error-summary") == "" {
			t.Error("a wrong code is not refused")
		}
		c := app.code()
		p.fill("one-time-code", c[:3]+" "+c[3:])
		p.submit()
	})
	step("10 the first sign-in, as on every day; it counts down to the next code (B22, B23)", func(t *testing.T) {
		p.check("first-password")
		if !strings.Contains(p.text("main"), address) {
			t.Error("the page does not say whose sign-in it is")
		}
		p.fill("current-password", newPassword)
		p.submit()
		p.check("first-code")
		if time.Now().Unix()/30 == app.used {
			p.fill("one-time-code", code(t, app.secret, time.Unix(app.used*30, 0)))
			p.submit()
			if !strings.Contains(strings.ToLower(p.text("#error-summary")), "already") {
				t.Errorf("a used code is refused with %q", p.text("#error-summary"))
			}
		}
		p.fill("one-time-code", app.code())
		p.submit()
		if wrong := p.text("#error-summary"); wrong != "" {
			p.keep("failed")
			t.Fatalf("a fresh code is refused at %s: %s", time.Now(), wrong)
		}
	})
	step("11 the terms: typed address must be the account's (B24, B25)", func(t *testing.T) {
		if !strings.Contains(p.title(), "Terms") {
			t.Fatalf("title %q", p.title())
		}
		p.check("terms")
		p.tick()
		p.fill("email", "somebody.else@brenner.example")
		p.submit()
		if p.text("#error-summary") == "" {
			t.Error("another address is accepted")
		}
		p.tick()
		p.fill("email", strings.ToUpper(address[:1])+address[1:])
		p.submit()
	})
	step("12 preferences: nothing is chosen for anybody (B27)", func(t *testing.T) {
		if n := eval[int](p, `document.querySelectorAll('main form input[type=checkbox]:checked').length`); n != 0 {
			t.Errorf("%d topics are on", n)
		}
		p.check("preferences")
		p.submit()
	})
	step("13 in the account", func(t *testing.T) {
		p.at("/account")
		p.check("account")
		p.open(shop + "/account/security")
		p.check("security")
		p.open(shop + "/account/history")
		p.check("history")
	})
	step("14 the administrator sees the person active (B81)", func(t *testing.T) {
		admin.open(shop + "/console/people")
		admin.check("people")
		if text := admin.text("main"); !strings.Contains(text, "Nora Keller") {
			t.Errorf("not listed: %s", text)
		}
	})
	step("15 the link is spent and says so (B15)", func(t *testing.T) {
		other := b.person(t, "en")
		other.open(link)
		if other.has(`main form[method=post] [autocomplete~="new-password"]`) {
			t.Error("a spent link still asks for a password")
		}
		other.check("spent-link")
	})
	step("16 out, and in again with both factors (B4, B51)", func(t *testing.T) {
		p.open(shop + "/signout")
		p.submit()
		p.open(shop + "/account")
		p.at("/signin")
		p.signIn(shop, address, newPassword, app)
	})
}

// tick ticks the boxes of the step.
func (p *tab) tick() {
	p.t.Helper()
	eval[bool](p, `(document.querySelectorAll('main form input[type=checkbox]:not(:checked)').forEach(n => n.click()), true)`)
}

// submitOrGo presses the main button of a step that posts nothing.
func (p *tab) submitOrGo() {
	p.t.Helper()
	p.click(`main form button:not([type=button])`)
}

// The same without JavaScript: any HTTP client can walk it (B90).
func TestREQ_B90_SEC_F2_SetUpWithoutJavaScript(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	shop := d.Realms["shop"].URL
	guest := d.person(t, "shop", "member", "invited")
	c := d.walker()
	page, err := c.Get(d.await(t, guest.Email, 0).link(t))
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	me := &walker.Person{
		Address: guest.Email, Password: newPassword, Now: time.Now,
		Wait: func(until time.Time) { within(t, "the next code", func() bool { return !time.Now().Before(until) }) },
		Code: func(secret string, at time.Time) string { return code(t, secret, at) },
		Seen: func(p *walker.Page) {
			seen = append(seen, p.Title())
			if csp := p.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: policy %q", p.URL, csp)
			}
		},
	}
	if _, err := me.Walk(c, page, walker.At("/account")); err != nil {
		t.Fatalf("%v\nafter %q", err, seen)
	}
	if page, err = c.Get(shop + "/account/security"); err != nil || page.Status != http.StatusOK {
		t.Fatalf("%v %v", page, err)
	}

	again := d.walker()
	start, err := again.Get(shop + "/signin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := me.Walk(again, start, walker.At("/account")); err != nil {
		t.Fatal(err)
	}
}

// A demo that was killed is continued: what was acknowledged is there, nothing is half done.
func TestREQ_A31_SetUpSurvivesARestart(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	guest := d.person(t, "shop", "member", "invited")
	link := d.await(t, guest.Email, 0).link(t)
	c := d.walker()
	page, err := c.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	me := &walker.Person{Address: guest.Email, Password: newPassword, Now: time.Now,
		Wait: func(until time.Time) { within(t, "the next code", func() bool { return !time.Now().Before(until) }) }}
	// Until the password is set.
	if _, err := me.Walk(c, page, func(p *walker.Page) bool { f := p.Form(); return f != nil && p.Text("totp-key") != "" }); err != nil {
		t.Fatal(err)
	}
	d.stop(9)
	d2 := startDemoIn(t, d.Dir)
	link2 := strings.Replace(link, d.Realms["shop"].URL, d2.Realms["shop"].URL, 1)
	fresh := d2.walker()
	if page, err = fresh.Get(link2); err != nil {
		t.Fatal(err)
	}
	var asked []string
	me.Seen = func(p *walker.Page) { asked = append(asked, p.Title()) }
	if _, err := me.Walk(fresh, page, walker.At("/account")); err != nil {
		t.Fatalf("%v\nafter %q", err, asked)
	}
}

func TestDemoStopsAndStarts(t *testing.T) {
	d := startDemo(t)
	if len(d.People) < 8 || d.Tour == "" || len(d.Realms) != 2 {
		t.Fatalf("demo.json: %d people, tour %q, realms %v", len(d.People), d.Tour, d.Realms)
	}
	page, err := d.walker().Get(d.Tour)
	if err != nil || page.Status != http.StatusOK {
		t.Fatalf("the tour answers %v %v", page, err)
	}
	info, err := os.Stat(d.path("demo.json"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		t.Errorf("demo.json can be read by others: %s", info.Mode())
	}
	if out, code := run(t, nil, "nonsense"); code != 2 || strings.Count(strings.TrimSpace(out), "\n") > 0 {
		t.Errorf("a wrong command ends with %d: %q", code, out)
	}
	for _, p := range d.People {
		if p.State == "active" && (p.Password == "" || p.TOTP == "") {
			t.Error(fmt.Sprint(p.Realm, " ", p.Role, ": how to sign in is not said"))
		}
	}
}
