package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// certificatePage presses the buttons between an address and what a certificate leads to.
func (h *hands) certificatePage(realm, address string) {
	h.t.Helper()
	h.open(realm + "/signin")
	h.write(`[autocomplete~="username"]`, address)
	h.press("main form[method=post] button.btn")
	h.press(`form[action$="/certificate"] button.btn`)
}

// tablet looks at a page upright and across on an iPad: nothing is cut off, and axe finds nothing.
func (s *scene) tablet(h *hands, name string) {
	h.t.Helper()
	for _, size := range [][2]int64{{820, 1180}, {1180, 820}} {
		h.screen(size[0], size[1], "light")
		if wide := eval[int64](h.tab, "document.documentElement.scrollWidth"); wide > size[0] {
			h.keep("failed")
			h.t.Errorf("%s is %d px wide on a screen of %d", name, wide, size[0])
		}
		cut := eval[string](h.tab, `[...document.querySelectorAll('main *')].filter(n => {
			const s = getComputedStyle(n);
			return n.scrollWidth > n.clientWidth + 1 && s.overflowX !== 'visible' && n.clientWidth > 1;
		}).map(n => n.outerHTML.slice(0, 120)).join('\n')`)
		if cut != "" {
			h.keep("failed")
			h.t.Errorf("%s is cut off on a screen of %d:\n%s", name, size[0], cut)
		}
		if size[0] < size[1] {
			h.axe(name)
		}
		if pictures() {
			h.keep(fmt.Sprintf("%s-%s-%d", name, s.lang, size[0]))
		}
	}
	h.screen(1440, 900, "light")
}

// The way of a client of the wealth realm, from the mail to the second sign-in, in Chromium with a certificate in its own
// store: nothing that a browser can do is done for it by the test.
func TestREQ_A8_A11_A12_A13_A14_A15_A16_A21_A24_A25_A26_A27_A28_A28b_A29_A31_TheFirstSignInWithTheCall(t *testing.T) {
	t.Parallel()
	langs := []string{"de"}
	if os.Getenv("DOORWARD_TORTURE") != "" || pictures() {
		langs = []string{"de", "en", "fr", "it"}
	}
	var all sync.Map
	for _, lang := range langs {
		t.Run(lang, func(t *testing.T) {
			demos, b := stages(t, 1)
			d := demos[0]
			theCall(&scene{t: t, d: d, b: b, lang: lang, realm: "wealth", shop: d.Realms["wealth"].URL, all: &all, said: map[string]bool{}})
		})
	}
}

func theCall(s *scene) {
	sofia := s.d.person(s.t, "wealth", "member", "invited")
	karl, _ := s.comes(s.person("owner"), false)
	ines, _ := s.comes(s.person("supervisor"), false)
	luca, _ := s.comes(s.person("agent"), false)
	// The browser of the desk has no certificate; neither has Sofia's, before she installs hers.
	bare := withHands(s.b.person(s.t, s.lang), false)
	var p *hands
	var file keyFile
	var page, code, fingerprint string
	app := &authenticator{t: s.t}

	// waits opens the call that waits for Sofia, at the agent.
	waits := func() {
		luca.t.Helper()
		luca.open(page)
		luca.press(`section[aria-labelledby="calls"] a`)
	}
	// shown is the code on Sofia's page.
	shown := func() string { p.t.Helper(); return strings.Join(strings.Fields(p.text("#activation-code")), "") }
	enter := func(code string) {
		luca.t.Helper()
		luca.write("#code", code)
		luca.press(`form[action$="/code"] button.btn`)
	}

	s.step("01 the desk knows her language, and sees that the file waits (A11)", func(t *testing.T) {
		s.find(ines, sofia)
		page = ines.address()
		ines.press(`a[href$="/edit"]`)
		ines.choose("#language", s.lang)
		ines.press(`main form[method=post] button.btn`)
		s.said[sofia.Email] = true
		ines.open(page)
		ines.press(`section[aria-labelledby="certificates"] li a`)
		s.says(ines, "console.certificate.stand-sent")
		s.tablet(ines, "console-certificate-sent")
		if ines.has(`form[action$="/password"]`) {
			t.Error("who issued it can see the password of the file")
		}
	}, ines)
	s.step("02 the mail has the link to the file and no password (A11, A14)", func(t *testing.T) {
		mail := s.sent(t, sofia)
		bare.open(mail.to(t, "/certificate-file/"))
		s.look(bare, "parcel-file")
		s.tablet(bare, "parcel-file")
		if bare.text(`a[href="/help/certificate#linux"]`) == "" {
			t.Error("the page leads to no guide for the system of the file")
		}
		dir := s.t.TempDir()
		bare.keepsIn(dir)
		bare.do("the file that the server made", chromedp.Click(chromedp.CSS("main details:not([open]) > summary")))
		bare.mark("#confirm")
		file.path = bare.fetch(dir, `form button[value="file"]`)
		if name := strings.ToLower(filepath.Base(file.path)); strings.Contains(name, "sofia") || strings.Contains(name, "moser") {
			t.Errorf("the name of the file says whose it is: %s", name)
		}
	}, bare)
	s.step("03 it is there once, and the page says so (A16)", func(t *testing.T) {
		bare.open(s.sent(t, sofia).to(t, "/certificate-file/"))
		s.says(bare, "parcel.parcel-fetched")
		s.look(bare, "parcel-fetched")
	}, bare)
	s.step("04 her contact sees the password once, to say it on the phone (A12, A13)", func(t *testing.T) {
		karl.open(page)
		karl.press(`section[aria-labelledby="certificates"] li a`)
		at := karl.address()
		karl.mark("#confirm")
		karl.press(`form[action$="/password"] button.btn`)
		file.password = karl.text("#p12-password")
		s.look(karl, "console-certificate-password")
		karl.open(at)
		if karl.has(`form[action$="/password"]`) {
			t.Error("the password can be seen again")
		}
		for _, l := range s.d.letters(t) {
			if strings.Contains(l.Text, file.password) {
				t.Errorf("the password stands in the mail %q to %s", l.Subject, l.To)
			}
		}
	}, karl)
	s.step("05 without the certificate nothing is asked, and the page says what helps (A21)", func(t *testing.T) {
		bare.certificatePage(s.shop, sofia.Email)
		s.says(bare, "signin.diagnosis.none.title")
		s.look(bare, "diagnosis-none")
		s.tablet(bare, "diagnosis-none")
		if bare.has("#activation-code") || bare.has("input[type=password]") {
			t.Errorf("without a certificate: %s", bare.text("main"))
		}
	}, bare)
	s.step("06 with it a code waits: grouped, with a countdown, the number, the hours (A15, A24, A31)", func(t *testing.T) {
		p = withHands(openBrowserWith(s.t, []keyFile{file}, s.d.path(s.d.CAFile)).person(s.t, s.lang).asChrome(), false)
		p.t = t
		p.certificatePage(s.shop, sofia.Email)
		s.says(p, "signin.call.title-device", "name", "Sofia’s laptop")
		code = p.text("#activation-code")
		if len(code) != 7 || code[3] != ' ' || strings.Trim(code, "0123456789 ") != "" {
			t.Errorf("the code is shown as %q", code)
		}
		if left := p.text(".count"); !strings.Contains(left, "10") && !strings.Contains(left, "9") {
			t.Errorf("the countdown says %q", left)
		}
		if !p.has(`a[href="tel:+41445550100"]`) {
			t.Error("nothing to tap to call")
		}
		s.says(p, "signin.call.no-words")
		for _, want := range []string{"08:00", "18:00"} {
			if !strings.Contains(p.text("main"), want) {
				t.Errorf("the hours are not there: %s", p.text("main"))
			}
		}
		s.look(p, "call-waiting")
		s.tablet(p, "call-waiting")
	})
	s.step("07 a browser that lost its page comes back to the same code (A31)", func(t *testing.T) {
		p.open(p.address())
		if again := p.text("#activation-code"); again != code {
			t.Errorf("%q, and before %q", again, code)
		}
	}, p)
	s.step("08 the desk finds her, takes the call, and her page shows its words by itself (A27, A29)", func(t *testing.T) {
		s.find(luca, sofia)
		s.look(luca, "console-person-waiting")
		waits()
		s.look(luca, "console-call-waiting")
		luca.press(`form[action$="/open"] button`)
		words := luca.text("#agent-words")
		s.look(luca, "console-call-open")
		s.tablet(luca, "console-call-open")
		p.await(fmt.Sprintf("document.querySelector('#agent-words')?.innerText === %q", words))
		s.says(p, "signin.call.hang-up")
		s.look(p, "call-words")
		s.tablet(p, "call-words")
	}, luca, p)
	s.step("09 a wrong code is refused, and two entries are left (A26)", func(t *testing.T) {
		wrong := "000000"
		if strings.ReplaceAll(code, " ", "") == wrong {
			wrong = "000001"
		}
		enter(wrong)
		if got := luca.text("#error-summary"); !strings.Contains(got, "2") {
			t.Errorf("%q", got)
		}
		s.look(luca, "console-call-wrong")
		s.tablet(luca, "console-call-wrong")
	}, luca)
	s.step("10 a new code withdraws the old one, at once (A25)", func(t *testing.T) {
		old := shown()
		p.press(`button[aria-describedby="new-hint"]`)
		if shown() == old || shown() == "" {
			t.Fatalf("%q after %q", shown(), old)
		}
		enter(old)
		if luca.has(`form[action$="/confirm"] button.btn`) {
			t.Fatalf("the old code counts: %s", luca.text("main"))
		}
		s.look(luca, "console-call-withdrawn")
	}, luca, p)
	s.step("11 a caller who does not fit is rejected: both are told, and the certificate is on hold (A28b)", func(t *testing.T) {
		waits()
		luca.press(`form[action$="/open"] button`)
		luca.write("#reason", "Did not know what device it is")
		luca.press(`form[action$="/reject"] button`)
		s.says(luca, "console.call.flash-rejected")
		s.look(luca, "console-call-rejected")
		s.letter(t, sofia, "activation-rejected", 1)
		p.await("document.querySelector('#activation-code') === null")
		s.look(p, "call-rejected")
		p.certificatePage(s.shop, sofia.Email)
		s.says(p, "signin.diagnosis.suspended.title")
		s.look(p, "diagnosis-suspended")
	}, luca, p)
	s.step("12 it was her after all: the desk accepts the certificate again", func(t *testing.T) {
		ines.open(page)
		ines.press(`section[aria-labelledby="certificates"] li a`)
		s.says(ines, "console.certificate.stand-on-hold")
		ines.press(`a[href$="/resume"]`)
		s.look(ines, "console-certificate-resume")
		ines.write("#reason", "Called her back: she was on a train")
		ines.press(`main form[method=post] button.btn`)
		s.says(ines, "console.certificate.stand-in-use")
		// The chooser remembers what it was told, so she tries again where the page says so.
		p.press(`form[action$="/certificate"] button.btn`)
		if code, fingerprint = shown(), p.text("p.hint strong"); code == "" || fingerprint == "" {
			t.Fatalf("%s: %s", p.address(), p.text("main"))
		}
	}, ines, p)
	s.step("13 the right code matches device, words of the certificate and place (A27)", func(t *testing.T) {
		waits()
		luca.press(`form[action$="/open"] button`)
		enter(code)
		s.says(luca, "console.call.flash-matched")
		for _, want := range []string{"Sofia’s laptop", "127.0.0.1", fingerprint} {
			if !strings.Contains(luca.text(`section[aria-labelledby="where"]`), want) {
				t.Errorf("the call does not say %q: %s", want, luca.text(`section[aria-labelledby="where"]`))
			}
		}
		s.look(luca, "console-call-matched")
		s.tablet(luca, "console-call-matched")
		p.await("document.querySelector('#activation-code') === null")
		s.says(p, "signin.call.matched")
		s.look(p, "call-matched")
		s.tablet(p, "call-matched")
	}, luca, p)
	s.step("14 half a checklist confirms nothing, and loses nothing (A28)", func(t *testing.T) {
		luca.mark(`#result-call-back input[value=passed]`)
		luca.write("#note-call-back", "x")
		luca.submitUnchecked(`form[action$="/confirm"]`)
		s.look(luca, "console-call-half-checked")
		if luca.text("#error-summary") == "" || eval[string](luca.tab, `document.querySelector('#note-call-back').value`) != "x" {
			t.Errorf("%s", luca.text("main"))
		}
		if p.has(`form[action$="/certificate"]`) {
			t.Error("her page has moved on")
		}
	}, luca, p)
	s.step("15 all of it confirms, and her page moves on by itself (A28, A29)", func(t *testing.T) {
		for _, id := range strings.Fields(eval[string](luca.tab, `[...document.querySelectorAll('fieldset[id^=result-]')].filter(f => f.querySelector('[required]')).map(f => f.id.slice(7)).join(' ')`)) {
			luca.mark("#result-" + id + " input[value=passed]")
			luca.write("#note-"+id, "Called back at the number in her file")
		}
		luca.press(`form[action$="/confirm"] button.btn`)
		s.says(luca, "console.call.flash-confirmed")
		s.look(luca, "console-call-confirmed")
		p.await("document.querySelector('.wait, #agent-words') === null")
		s.letter(t, sofia, "activation-confirmed", 1)
	}, luca, p)
	s.step("16 the certificate once more, then authenticator, password and terms (A6, A31)", func(t *testing.T) {
		app.t = t
		sofia.Password = "seven wet otters 41 hum"
		for range 12 {
			if strings.HasPrefix(p.address(), s.shop+"/account") {
				break
			}
			s.onward(p, &sofia, app)
		}
		p.at("/account")
	}, p)
	s.step("17 signing out says what the browser keeps (A23)", func(t *testing.T) {
		p.open(s.shop + "/signout")
		p.press("main form button")
		s.says(p, "signin.signedout.on.chromium")
		s.look(p, "signed-out")
	}, p)
	s.step("18 from the next day on all three, and no call (A8)", func(t *testing.T) {
		app.t = t
		asked := s.every(p, sofia, app)
		if got := strings.Join(asked, ", "); got != "certificate, password, code" {
			t.Errorf("asked for %s", got)
		}
		p.at("/account")
	}, p)
	s.step("19 on a device without her certificate password and code lead nowhere (A8, A21)", func(t *testing.T) {
		bare.certificatePage(s.shop, sofia.Email)
		if bare.has("input[type=password]") {
			t.Errorf("the password is asked for: %s", bare.text("main"))
		}
	}, bare)
}

// sent is the letter with the link to the file, which left before the desk knew her language.
func (s *scene) sent(t testing.TB, to person) letter {
	t.Helper()
	for _, l := range s.d.to(t, to.Email) {
		if strings.Contains(l.Text, "/certificate-file/") {
			return l
		}
	}
	t.Fatalf("no letter to %s leads to a file", to.Email)
	return letter{}
}

// submitUnchecked sends a form as a browser does that does not know what is required.
func (h *hands) submitUnchecked(form string) {
	h.t.Helper()
	eval[bool](h.tab, fmt.Sprintf("(document.querySelector(%q).noValidate = true)", form))
	h.press(form + " button.btn")
}

// onward answers one step of a first sign-in, whichever it is.
func (s *scene) onward(h *hands, who *person, app *authenticator) {
	h.t.Helper()
	switch {
	case h.has("#totp-qr"):
		s.look(h, "set-up-connect")
		app.secret = h.secret()
		h.write("#code", app.code())
		h.press(`form[action$="/prove"] button.btn`)
	case h.has("input[name=authenticator]"):
		s.look(h, "set-up-choose")
		h.mark("input[name=authenticator][value=google]")
		h.press(`form[action$="/choose"] button.btn`)
	case h.has(`form[action$="/certificate"]`):
		s.look(h, "certificate-again")
		h.press(`form[action$="/certificate"] button.btn`)
	case h.has(`[autocomplete="new-password"]`):
		s.look(h, "set-up-password")
		h.write(`[autocomplete="new-password"]`, who.Password)
		h.press(`form[action$="/prove"] button.btn`)
	case h.has(`main form [name=version], main form [name=typed]`):
		s.look(h, "terms")
		h.tick()
		h.fill("email", who.Email)
		h.submit()
	case h.has(`main form[method=get] button.btn`):
		s.look(h, "set-up-app")
		h.press(`main form[method=get] button.btn`)
	case h.has(`[autocomplete~="current-password"]`), h.has(`[autocomplete~="one-time-code"]`):
		s.every(h, *who, app)
	default:
		h.keep("failed")
		h.t.Fatalf("at %s (%s): %s", h.address(), h.title(), h.text("main"))
	}
}

// secret reads the secret of the QR code on the page.
func (h *hands) secret() string {
	h.t.Helper()
	return strings.Join(strings.Fields(h.text("#totp-key")), "")
}

// every is a sign-in of any day, and says what was asked for.
func (s *scene) every(h *hands, who person, app *authenticator) (asked []string) {
	h.t.Helper()
	if !h.has(`[autocomplete~="current-password"], [autocomplete~="one-time-code"]`) {
		h.open(s.shop + "/signin")
		h.write(`[autocomplete~="username"]`, who.Email)
		h.press("main form[method=post] button.btn")
	}
	for range 6 {
		switch {
		case strings.HasPrefix(h.address(), s.shop+"/account"):
			return asked
		case h.has(`form[action$="/certificate"]`):
			asked = append(asked, "certificate")
			h.press(`form[action$="/certificate"] button.btn`)
		case h.has(`[autocomplete~="current-password"]`):
			asked = append(asked, "password")
			h.write("#password", who.Password)
			h.press(`form[action$="/prove"] button.btn`)
		case h.has(`[autocomplete~="one-time-code"]`):
			asked = append(asked, "code")
			h.write("#code", app.code())
			h.press(`form[action$="/prove"] button.btn`)
		default:
			return append(asked, h.title())
		}
	}
	return asked
}
