package e2e

import (
	"strings"
	"testing"
)

// The only administrator of a company: cannot help themselves, does not vanish, and comes back by two of the desk after a day.
func theOnlyAdministrator(s *scene) {
	mara := s.person("customer administrator")
	boss, _ := s.comes(mara, false)
	nina, _ := s.comes(s.person("agent"), false)
	tom, _ := s.comes(s.person("supervisor"), false)
	var self, request string

	s.step("01 is told to be the only one, and that this is a risk (B44, B49)", func(t *testing.T) {
		boss.open(s.shop + "/account/administrators")
		s.look(boss, "account-administrators-only")
		s.says(boss, "account.administrators.only")
		s.find(boss, mara)
		self = boss.address()
		s.look(boss, "console-person-own")
	}, boss)
	s.step("02 cannot reset, demote, disable or delete themselves", func(t *testing.T) {
		for _, act := range []string{"reset", "role", "disable", "delete"} {
			if boss.open(self); boss.has(`main a[href*="` + self[len(s.shop):] + `/` + act + `"]`) {
				t.Errorf("%s is offered", act)
			}
			boss.open(self + "/" + act)
			if boss.has("main form[method=post]") {
				t.Errorf("%s: a form at %s", act, boss.address())
			}
		}
		s.look(boss, "console-not-allowed")
	}, boss)
	s.step("03 nor does a supervisor make the last one vanish (B49)", func(t *testing.T) {
		for _, act := range []string{"disable", "role", "delete"} {
			s.find(tom, mara)
			tom.press(`main a[href$="/` + act + `"]`)
			s.look(tom, "console-"+act)
			switch act {
			case "role":
				tom.choose("#role", "member")
			case "delete":
				tom.write("#typed", mara.Name)
			}
			tom.write("#reason", "Left the company in November")
			tom.press(`main form[method=post] button.btn:not(.btn--quiet)`)
			s.look(tom, "console-"+act+"-last")
			if !strings.Contains(tom.text("#error-summary"), s.T("error.last-administrator")) {
				t.Fatalf("%s: %s", act, tom.text("main"))
			}
		}
	}, tom)
	s.step("04 the phone is gone: the way leads from the sign-in to the form", func(t *testing.T) {
		boss.open(s.shop + "/signout")
		boss.press("main form button")
		boss.open(s.shop + "/signin")
		boss.write(`[autocomplete~="username"]`, mara.Email)
		boss.press("main form[method=post] button.btn")
		boss.write("#password", mara.Password)
		boss.press(`form[action$="/prove"] button.btn`)
		boss.press(`a[href="/help/code"]`)
		boss.press(`article a[href="/help/request"]`)
		boss.choose("#why", "only-administrator")
		boss.press(`form[action="/help/request"] button.btn`)
		boss.at("/help/request/")
	}, boss)
	s.step("05 the desk says what is lost, calls back, and one approval is not enough (H-2)", func(t *testing.T) {
		nina.open(s.shop + "/console/requests")
		s.look(nina, "console-inbox-staff")
		nina.press("ul.inbox a")
		s.look(nina, "console-request-only-administrator")
		nina.press(`a.btn[href*="/reset?ticket="]`)
		s.lost(nina, "everything", "Only administrator, phone and notes stolen")
		request = nina.address()
		nina.press(`form[action$="/begin"] button`)
		s.checks(nina, "call-back", "passed", "Number of the file, knew of it")
		nina.press(`form[action$="/approve"] button`)
		s.says(nina, "console.because.privileged")
		tom.open(request)
		tom.press(`form[action$="/approve"] button`)
		s.look(tom, "console-request-cooling")
		s.says(tom, "console.waits.cooling")
	}, nina, tom)
	s.step("06 a day has to pass, the page says until when, and a link stops it", func(t *testing.T) {
		mail := s.letter(t, mara, "request-approved", 1)
		boss.open(mail.to(t, "/link/recovery/"))
		s.look(boss, "link-not-yet")
		s.says(boss, "signin.stuck.grant-not-yet.title")
		if !strings.Contains(boss.text("main dl"), s.T("signin.stuck.due")) || boss.has("main .btn:not(.btn--quiet)") {
			t.Errorf("it does not say when, or goes on: %s", boss.text("main"))
		}
		boss.open(mail.to(t, "/requests/stop/"))
		s.look(boss, "stop-approved")
		s.says(boss, "requests.stop.title")
	}, boss)
	s.step("07 she stops it; nobody else can use it (H-7)", func(t *testing.T) {
		boss.mark("#confirm")
		boss.press("main form[method=post] button.btn--bad")
		s.look(boss, "stopped")
		s.says(boss, "requests.over.cancelled.title")
		tom.open(request)
		s.says(tom, "console.ended.cancelled")
		boss.open(s.letter(t, mara, "request-approved", 1).to(t, "/link/recovery/"))
		if boss.has("main form[method=post] button.btn--block") {
			t.Errorf("the link lives on: %s", boss.text("main"))
		}
	}, boss, tom)
}

// Somebody who is not the person calls one after the other of the desk.
func anImpostor(s *scene) {
	jonas, eva := s.person("member"), s.person("owner")
	nina, _ := s.comes(s.person("agent"), false)
	tom, _ := s.comes(s.person("supervisor"), false)
	p, app := s.comes(jonas, false)
	var first string

	call := func(h *hands, reason string) {
		h.t.Helper()
		s.find(h, jonas)
		h.press(`a.btn[href$="/reset"]`)
		s.lost(h, "totp", reason)
	}
	refuse := func(h *hands, why string) {
		h.t.Helper()
		h.write("#reason-refuse", why)
		h.mark("input[name=suspicious]")
		h.press(`form[action$="/refuse"] button`)
		s.says(h, "console.ended.refused")
	}
	s.step("01 a caller fails the call back and is refused (H-1, T-HD1)", func(t *testing.T) {
		call(nina, "New phone, in a great hurry")
		first = nina.text("h1")
		nina.press(`form[action$="/begin"] button`)
		s.checks(nina, "call-back", "failed", "He knew nothing of it")
		s.look(nina, "console-request-failed-check")
		if !nina.has(`form[action$="/approve"] button[disabled]`) {
			t.Error("after a failed check it can be approved")
		}
		refuse(nina, "Knew nothing of it when called back")
		s.look(nina, "console-request-refused")
		for _, template := range []string{"request-opened", "request-check-failed", "request-refused"} {
			s.letter(t, jonas, template, 1)
		}
	}, nina)
	s.step("02 the next of the desk sees it at once, and two are needed now (T-HD2)", func(t *testing.T) {
		call(tom, "Lost his phone, wants it quickly")
		s.look(tom, "console-request-after-a-refusal")
		s.says(tom, "console.request.refused-before")
		s.says(tom, "console.because.refused")
		if text := tom.text("main"); !strings.Contains(text, "Knew nothing of it when called back") || !strings.Contains(text, strings.Fields(first)[len(strings.Fields(first))-1]) {
			t.Errorf("the refusal is not named: %s", text)
		}
		refuse(tom, "The same voice, knew no name")
	}, tom)
	s.step("03 the second refusal alarms supervisors and owners, and stands in the history", func(t *testing.T) {
		s.letter(t, eva, "request-alarm", 1)
		s.letter(t, s.person("supervisor"), "request-alarm", 1)
		s.find(tom, jonas)
		s.look(tom, "console-person-alarm")
		if !strings.Contains(tom.text("aside"), s.T("event.request.alarm")) {
			t.Errorf("the history: %s", tom.text("aside"))
		}
	}, tom)
	s.step("04 a third request is stopped by its owner, by the link in the mail, without signing in (H-7)", func(t *testing.T) {
		call(nina, "Says that the phone is broken")
		p.open(s.letter(t, jonas, "request-opened", 3).to(t, "/requests/stop/"))
		s.look(p, "stop-open")
		p.mark("#confirm")
		p.press("main form[method=post] button.btn--bad")
		s.says(p, "requests.over.cancelled.title")
		request := nina.address()
		nina.open(request)
		s.look(nina, "console-request-stopped")
		s.says(nina, "console.ended.cancelled")
	}, p, nina)
	s.step("05 this was not me: the account is frozen at once", func(t *testing.T) {
		p.open(s.letter(t, jonas, "request-refused", 1).to(t, "/not-me/"))
		s.look(p, "not-me")
		s.says(p, "requests.deny.title")
		p.mark("#confirm")
		p.press("main form[method=post] button.btn--bad")
		s.look(p, "frozen")
		s.says(p, "requests.frozen.title")
		s.letter(t, s.person("customer administrator"), "account-frozen-console", 1)
	}, p)
	s.step("06 with the right password and code, the sign-in says that it is blocked", func(t *testing.T) {
		app.t = t
		p.open(s.shop + "/signin")
		p.write(`[autocomplete~="username"]`, jonas.Email)
		p.press("main form[method=post] button.btn")
		p.write("#password", jonas.Password)
		p.press(`form[action$="/prove"] button.btn`)
		p.write("#code", app.code())
		p.press(`form[action$="/prove"] button.btn`)
		s.look(p, "blocked")
		s.says(p, "signin.stuck.blocked.title")
	}, p)
	s.step("07 the desk sees why, and what to do", func(t *testing.T) {
		s.find(tom, jonas)
		s.look(tom, "console-person-frozen")
		s.says(tom, "console.advice.thaw")
	}, tom)
}
