package e2e

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"doorward/internal/rig/walker"
)

// Four journeys of people who need help, one in each language; where large runs are asked for, each in every language. All of
// them run at once: what they wait for is the next code of an app.
func TestREQ_B39_B40_B43_B44_B49_B59_B61_B82_B88_Recovery(t *testing.T) {
	t.Parallel()
	journeys := []struct {
		name string
		walk func(*scene)
	}{{"an administrator", helpedByAnAdministrator}, {"two of the desk", helpedByTwoOfTheDesk}, {"the only administrator", theOnlyAdministrator}, {"an impostor", anImpostor}}
	langs := []string{"de", "en", "fr", "it"}
	rounds := 1
	if os.Getenv("DOORWARD_TORTURE") != "" || pictures() {
		rounds = len(langs)
	}
	var all sync.Map
	for round := range rounds {
		t.Run(strings.Repeat("again ", round)+"in four languages", func(t *testing.T) {
			demos, b := stages(t, len(journeys))
			for i, j := range journeys {
				lang := langs[(i+round)%len(langs)]
				t.Run(j.name+" in "+lang, func(t *testing.T) {
					t.Parallel()
					j.walk(&scene{t: t, d: demos[i], b: b, lang: lang, shop: demos[i].Realms["shop"].URL, all: &all, said: map[string]bool{}})
				})
			}
		})
	}
}

// A lost phone, helped by the administrator of the company; with nothing but the keyboard.
func helpedByAnAdministrator(s *scene) {
	jonas, mara := s.person("member"), s.person("customer administrator")
	store := s.d.Parties["store"].URL
	admin, _ := s.comes(mara, true)
	p, app := s.comes(jonas, true)
	code1 := app.used
	var link, request string

	s.step("01 on the way to the store, the phone is gone", func(t *testing.T) {
		p.open(s.shop + "/signout")
		p.press("main form button")
		p.open(store + "/")
		p.press(`a[href^="/login"], main a.btn, main form button`)
		p.write(`[autocomplete~="username"]`, jonas.Email)
		p.enter("address")
		p.write("#password", jonas.Password)
		p.enter("password")
		s.look(p, "code")
	}, p)
	s.step("02 problems with the code lead to the form for help (B39, B88)", func(t *testing.T) {
		p.press(`a[href="/help/code"]`)
		s.look(p, "help-code")
		p.press(`article a[href="/help/request"]`)
		s.look(p, "ask")
		if got := eval[string](p.tab, "document.querySelector('#address').value"); got != jonas.Email {
			t.Errorf("the form asks for the address again: %q", got)
		}
		p.choose("#why", "factor")
		p.write("#words", "The phone fell into the lake.")
		p.press(`form[action="/help/request"] button.btn`)
		p.at("/help/request/")
		s.look(p, "ask-sent")
		s.letter(t, jonas, "request-asked", 1)
	}, p)
	s.step("03 the administrator has a mail about it and finds it in the inbox (B59)", func(t *testing.T) {
		s.letter(t, mara, "request-task", 1)
		admin.open(s.shop + "/console/people")
		if got := admin.text(`nav a[href="/console/requests"] .badge`); got != "1" {
			t.Errorf("%q requests wait", got)
		}
		admin.press(`nav a[href="/console/requests"]`)
		s.look(admin, "console-inbox")
		admin.press("ul.inbox a")
		request = admin.address()
		s.look(admin, "console-request-from-the-form")
		if !strings.Contains(admin.text("main"), "The phone fell into the lake.") {
			t.Errorf("the words are not there: %s", admin.text("main"))
		}
	}, admin)
	s.step("04 a reason of one letter is refused, and nothing is lost", func(t *testing.T) {
		admin.press(`a.btn[href*="/reset?ticket="]`)
		s.lostWith(admin, "x")
		if admin.text("#error-summary") == "" || eval[string](admin.tab, "document.querySelector('#reason').value") != "x" ||
			!eval[bool](admin.tab, `document.querySelector('input[name=kinds][value=totp]').checked && document.querySelector('input[name=channel][value=phone]').checked`) {
			t.Errorf("%s: %s", admin.address(), admin.text("main"))
		}
		s.look(admin, "console-reset-wrong")
	}, admin)
	s.step("05 with a reason it is approved (B40)", func(t *testing.T) {
		admin.write("#reason", "Spoke with him at his desk")
		admin.press(`form[action$="/reset"] button.btn:not(.btn--quiet)`)
		admin.at("/console/requests/")
		s.look(admin, "console-request-approved")
		s.second(admin)
	}, admin)
	s.step("06 the mail leads on where the set-up goes on, with the password of before (B43, B61)", func(t *testing.T) {
		link = s.letter(t, jonas, "request-approved", 1).to(t, "/link/recovery/")
		p.open(link)
		s.look(p, "link-recovery")
		fresh := s.answer(p, jonas, store)
		if fresh == nil || p.text("#email") != jonas.Email {
			t.Fatalf("%s: %s", p.address(), p.text("main"))
		}
		app.secret = fresh.secret
	}, p)
	s.step("07 the old authenticator is over", func(t *testing.T) {
		old := code(t, jonas.TOTP, time.Now())
		if time.Now().Unix()/30 == code1 {
			t.Fatal("the same code as before proves nothing")
		}
		c := s.d.walker()
		page, err := c.Get(s.shop + "/signin")
		me := &walker.Person{Address: jonas.Email, Password: jonas.Password, Now: time.Now, Wait: func(time.Time) {}}
		if err == nil {
			page, err = me.Walk(c, page, func(p *walker.Page) bool { f := p.Form(); return f != nil && f.Values.Get("kind") == "totp" })
		}
		if err != nil {
			t.Fatal(err)
		}
		form := page.Form()
		form.Values.Set("code", old)
		if page, err = c.Submit(form); err != nil || page.Text("error-summary") == "" {
			t.Fatalf("%v: the old phone gets to %s", err, page.URL)
		}
		p.open(s.shop + "/account/security")
		s.look(p, "account-security-after")
		if n := eval[int](p.tab, `document.querySelectorAll('li.factor form[action$="/change"]').length`); n != 1 {
			t.Errorf("%d authenticators: %s", n, p.text("main"))
		}
	}, p)
	s.step("08 it stands in the history of both, and the owner had mails (B82)", func(t *testing.T) {
		p.open(s.shop + "/account/history")
		s.look(p, "account-history-after")
		if text := p.text("main"); !strings.Contains(text, mara.Name) || !strings.Contains(text, "Spoke with him at his desk") {
			t.Errorf("the person's own history does not say who helped and why: %s", text)
		}
		admin.open(request)
		if text := admin.text("main"); !strings.Contains(text, s.T("console.ended.done")) {
			t.Errorf("the request does not say that it was used: %s", text)
		}
		for _, template := range []string{"request-opened", "request-approved", "factor-replaced"} {
			s.letter(t, jonas, template, 1)
		}
	}, p, admin)
	s.step("09 the link is spent", func(t *testing.T) {
		p.open(link)
		s.look(p, "link-spent")
		if p.has(`main form[method=post]`) {
			t.Errorf("a spent link still asks: %s", p.text("main"))
		}
	}, p)
}

// lostWith fills in the form of a reset without leaving its page.
func (s *scene) lostWith(h *hands, reason string) {
	h.t.Helper()
	s.look(h, "console-reset")
	h.mark("input[name=kinds][value=totp]")
	h.write("#reason", reason)
	h.mark("input[name=channel][value=phone]")
	h.press(`form[action$="/reset"] button.btn:not(.btn--quiet)`)
}

// second is the second look that a request is chosen for one time in twenty, as nobody can tell beforehand: a supervisor
// calls back and approves. It does nothing where the request was not chosen.
func (s *scene) second(h *hands) {
	h.t.Helper()
	if strings.Contains(h.text("main"), s.T("console.request.next")) {
		return
	}
	request := h.address()
	tom, _ := s.comes(s.person("supervisor"), false)
	tom.t = h.t
	tom.open(request)
	tom.press(`form[action$="/begin"] button`)
	s.checks(tom, "call-back", "passed", "Called back, knew of it")
	tom.press(`form[action$="/approve"] button`)
	h.open(request)
	s.says(h, "console.request.next")
}

// A lost phone, helped by the desk: a check fails, so two people look at it.
func helpedByTwoOfTheDesk(s *scene) {
	jonas := s.person("member")
	nina, _ := s.comes(s.person("agent"), false)
	tom, _ := s.comes(s.person("supervisor"), false)
	p, _ := s.comes(jonas, false)
	var request string

	s.step("01 the agent finds the person, and does not see what a caller could be asked for (H-6)", func(t *testing.T) {
		s.find(nina, jonas)
		s.look(nina, "console-person-veiled")
		s.says(nina, "console.veil.title")
		if strings.Contains(nina.text("main"), jonas.Email) {
			t.Errorf("the address is shown to who has not begun to check: %s", nina.text("main"))
		}
		nina.press(`a.btn[href$="/reset"]`)
		s.lost(nina, "totp", "Phone fell into the lake, called at ten")
		request = nina.address()
	}, nina)
	s.step("02 begins to check, and only then sees it", func(t *testing.T) {
		s.look(nina, "console-request-veiled")
		nina.press(`form[action$="/begin"] button`)
		s.look(nina, "console-request-begun")
		if !strings.Contains(nina.text("main"), jonas.Email) {
			t.Errorf("the address is not shown: %s", nina.text("main"))
		}
		if !nina.has(`form[action$="/approve"] button[disabled]`) {
			t.Error("nothing was checked, and it can be approved")
		}
	}, nina)
	s.step("03 a check half filled is refused, and nothing is lost", func(t *testing.T) {
		s.checks(nina, "call-back", "passed", "x")
		s.look(nina, "console-check-half-filled")
		if nina.text("#error-summary") == "" || !eval[bool](nina.tab, `document.querySelector('#result-call-back input[value=passed]').checked`) ||
			eval[string](nina.tab, `document.querySelector('#note-call-back').value`) != "x" {
			t.Errorf("%s", nina.text("main"))
		}
		if !nina.has(`form[action$="/approve"] button[disabled]`) {
			t.Error("what was half filled counts")
		}
	}, nina)
	s.step("04 one check passes and one fails: a second person is needed, and the owner hears of it (H-2, H-7)", func(t *testing.T) {
		s.checks(nina, "call-back", "passed", "Number of the file, knew of it")
		s.checks(nina, "second-person", "failed", "Nobody else there knew of it")
		s.says(nina, "console.decide.two")
		s.letter(t, jonas, "request-opened", 1)
		s.letter(t, jonas, "request-checked", 1)
		s.letter(t, jonas, "request-check-failed", 1)
		nina.press(`form[action$="/approve"] button`)
		s.look(nina, "console-request-own-approval")
		if !nina.has(`form[action$="/approve"] button[disabled]`) {
			t.Errorf("who approved can approve again: %s", nina.text("main"))
		}
		s.letter(t, jonas, "request-seconded", 1)
	}, nina)
	s.step("05 the supervisor has a mail, sees the evidence and approves", func(t *testing.T) {
		s.letter(t, s.person("supervisor"), "request-second", 1)
		tom.open(s.shop + "/console/requests")
		tom.press("ul.inbox a")
		s.look(tom, "console-request-second")
		for _, want := range []string{"Number of the file, knew of it", "Nobody else there knew of it", s.person("agent").Name} {
			if !strings.Contains(tom.text("main"), want) {
				t.Errorf("the page does not say %q", want)
			}
		}
		tom.press(`form[action$="/approve"] button`)
		s.says(tom, "console.request.next")
	}, tom)
	approved := func(t *testing.T) letter { return s.letter(t, jonas, "request-approved", 1) }
	s.step("06 the mail has a link that stops it; opening it changes nothing", func(t *testing.T) {
		p.open(approved(t).to(t, "/requests/stop/"))
		s.look(p, "stop")
		s.says(p, "requests.stop.title")
		if !p.has(`main form[method=post] #confirm`) {
			t.Errorf("no box to tick: %s", p.text("main"))
		}
	}, p)
	s.step("07 the other link leads to a new authenticator and in", func(t *testing.T) {
		p.open(approved(t).to(t, "/link/recovery/"))
		if s.answer(p, jonas, s.shop+"/account") == nil {
			t.Fatal("no new authenticator")
		}
		s.letter(t, jonas, "factor-replaced", 1)
	}, p)
	s.step("08 both and their reasons stand in the history of the person (B82)", func(t *testing.T) {
		p.open(s.shop + "/account/history")
		for _, want := range []string{s.person("agent").Name, s.person("supervisor").Name, "Phone fell into the lake, called at ten"} {
			if !strings.Contains(p.text("main"), want) {
				t.Errorf("the history does not say %q: %s", want, p.text("main"))
			}
		}
		if text := p.text("main"); strings.Contains(text, "Number of the file") || strings.Contains(text, "Nobody else there") {
			t.Errorf("the notes of the desk stand in the person's own history: %s", text)
		}
		nina.open(request)
		s.look(nina, "console-request-done")
		s.says(nina, "console.ended.done")
	}, p, nina)
}
