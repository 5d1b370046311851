package signin_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// walk is one person on their way through the pages, who can do the wrong thing first.
type walk struct {
	t    *testing.T
	rig  *rig.Rig
	c    *walker.Client
	me   *walker.Person
	page *walker.Page
}

func (w *walk) get(address string) {
	w.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = rig.Origin + address
	}
	page, err := w.c.Get(address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.page = page
}

// send fills the form of the page by autocomplete values and sends it.
func (w *walk) send(values map[string]string) {
	w.t.Helper()
	f := w.page.Form()
	if f == nil {
		w.t.Fatalf("no form at %s: %s", w.page.URL, w.page.Main())
	}
	for key, value := range values {
		if !f.Fill(key, value) {
			w.t.Fatalf("%s asks for no %s: %s", w.page.URL, key, w.page.Main())
		}
	}
	page, err := w.c.Submit(f)
	if err != nil {
		w.t.Fatal(err)
	}
	w.page = page
}

// wrong sends values that are refused, and stays on the page.
func (w *walk) wrong(values map[string]string, status int, words string) {
	w.t.Helper()
	title := w.page.Title()
	w.send(values)
	if w.page.Status != status || !strings.HasPrefix(w.page.Title(), "Error:") || !strings.Contains(w.page.Text("error-summary"), words) {
		w.t.Fatalf("%v: status %d, title %q, summary %q; want %d and %q", values, w.page.Status, w.page.Title(), w.page.Text("error-summary"), status, words)
	}
	if !strings.HasSuffix(w.page.Title(), strings.TrimPrefix(title, "Error: ")) {
		w.t.Fatalf("after %v at %q, not at %q", values, w.page.Title(), title)
	}
}

// right sends values that are taken, and arrives at a page with the title.
func (w *walk) right(values map[string]string, title string) {
	w.t.Helper()
	w.send(values)
	if w.page.Status != 200 || !strings.HasPrefix(w.page.Title(), title) {
		w.t.Fatalf("%v: status %d at %s, %q, %q; want %q", values, w.page.Status, w.page.URL, w.page.Title(), w.page.Text("error-summary"), title)
	}
}

func (w *walk) secret() {
	w.t.Helper()
	key := strings.Join(strings.Fields(w.page.Text("totp-key")), "")
	if len(key) != 32 || key == w.me.Secret {
		w.t.Fatalf("key %q, before %q", key, w.me.Secret)
	}
	w.me.Secret = key
}

const good = "plum harbour 77 violin"

// From the invitation to the account by plain HTTP, doing the wrong thing first at every step.
func TestREQ_B15_B20_B22_B23_B24_B25_B27_B81_B83_B87_SetUpWithEveryMistake(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		r := rig.New(t, s)
		org := r.Organization("Alder Works", false)
		_, link := r.Invite(org, directory.Member, "Max Alder", "max@alder.example")
		w := &walk{t: t, rig: r, c: r.Browser("192.0.2.10"), me: r.Mind("max@alder.example")}

		w.get(link[:len(link)-1])
		if w.page.Status != 404 || w.page.Link("Send me a new link") == "" {
			t.Fatalf("a broken link: %d %s", w.page.Status, w.page.Main())
		}
		w.get(link)
		if !strings.Contains(w.page.Main(), "max@alder.example") {
			t.Errorf("the link does not name the user: %s", w.page.Main())
		}
		w.right(nil, "Choose a password")

		w.wrong(map[string]string{"new-password": ""}, 422, "at least 12")
		w.wrong(map[string]string{"new-password": "short"}, 422, "5 characters")
		w.wrong(map[string]string{"new-password": "password1234"}, 422, "")
		w.wrong(map[string]string{"new-password": "max alder 2026 max"}, 422, "“")
		w.wrong(map[string]string{"new-password": strings.Repeat("long", 100)}, 422, "256")
		if strings.Contains(string(w.page.Body), "longlong") {
			t.Error("the page repeats a password")
		}
		w.right(map[string]string{"new-password": good}, "Choose your authenticator")

		f := w.page.Form()
		f.Values.Del("authenticator")
		if page, err := w.c.Submit(f); err != nil || page.Status != 422 {
			t.Fatalf("nothing chosen: %v %v", page, err)
		}
		w.right(map[string]string{"authenticator": "google"}, "Get Google Authenticator")
		w.right(nil, "Connect your account")
		w.secret()
		w.get(w.page.Link("Back")) // another authenticator means another secret
		w.get(w.page.Link("Back"))
		w.right(map[string]string{"authenticator": "microsoft"}, "Get Microsoft Authenticator")
		w.right(nil, "Connect your account")
		w.secret()
		w.wrong(map[string]string{"one-time-code": "12 34"}, 422, "6 digits")
		w.wrong(map[string]string{"one-time-code": "000000"}, 422, "not right")
		w.wrong(map[string]string{"one-time-code": "000000"}, 422, "new key")
		w.secret()
		code := w.me.NextCode()
		w.right(map[string]string{"one-time-code": code[:3] + " " + code[3:], "name": "Work phone"}, "Your first sign-in")

		w.wrong(map[string]string{"current-password": "not this one, surely"}, 422, "not right")
		w.right(map[string]string{"current-password": good}, "Your first sign-in")
		if !strings.Contains(w.page.Main(), "Next code in") {
			t.Errorf("no countdown although the code was just used: %s", w.page.Main())
		}
		w.wrong(map[string]string{"one-time-code": code}, 422, "already used")
		w.right(map[string]string{"one-time-code": w.me.NextCode()}, "Terms")

		w.get(w.page.Link("Decline"))
		w.get(w.page.Link("Back to the terms"))
		w.wrong(map[string]string{"email": "max@alder.example"}, 422, "to the end")
		w.wrong(map[string]string{"email": "eve@alder.example", "read": "yes"}, 422, "not the address")
		w.right(map[string]string{"email": " Max@Alder.example", "read": "yes"}, "What may we write to you about?")
		for name := range w.page.Form().Values {
			t.Errorf("%s is chosen for the person", name)
		}
		at := w.page.URL.String()
		w.send(nil)
		if w.page.URL.Path != "/account" || w.page.Status != 200 {
			t.Fatalf("arrived at %s (%d)", w.page.URL, w.page.Status)
		}
		w.get(at) // back in the browser
		if w.page.URL.Path != "/account" {
			t.Errorf("back leads to %s", w.page.URL)
		}
		w.get(link)
		if w.page.Status != 410 || !strings.Contains(w.page.Main(), "was already used") {
			t.Errorf("the link afterwards: %d %s", w.page.Status, w.page.Main())
		}
		for what, text := range map[string]string{"the link": link, "the password": good, "the seed": w.me.Secret, "a code": code} {
			if strings.Contains(r.Log.String(), text) {
				t.Errorf("the log holds %s", what)
			}
		}
		u, _ := url.Parse(rig.Origin)
		for _, k := range w.c.HTTP.Jar.Cookies(u) {
			if strings.Contains(r.Log.String(), k.Value) {
				t.Errorf("the log holds the cookie %s", k.Name)
			}
		}
	})
}

// A set-up that was left goes on where it was, in another browser; what was done is not asked again.
func TestREQ_B15_ASetUpGoesOnElsewhere(t *testing.T) {
	r := rig.New(t, testdb.SQLite(t))
	_, link := r.Invite(r.Organization("Alder Works", false), directory.Member, "Max Alder", "max@alder.example")
	w := &walk{t: t, rig: r, c: r.Browser("192.0.2.10"), me: r.Mind("max@alder.example")}
	w.get(link)
	w.right(nil, "Choose a password")
	w.right(map[string]string{"new-password": good}, "Choose your authenticator")
	at := w.page.URL.String()
	w.get(w.page.Link("Finish later"))
	if !strings.Contains(w.page.Main(), "close this window") {
		t.Errorf("it does not say how to go on: %s", w.page.Main())
	}
	r.Clock.Advance(48 * time.Hour)
	old := w.c
	w.c = r.Browser("203.0.113.4")
	w.get(at)
	if w.page.Status != 410 {
		t.Errorf("the flow opens in a browser it does not belong to: %d", w.page.Status)
	}
	w.get(link)
	if !strings.HasPrefix(w.page.Title(), "Welcome back") {
		t.Errorf("title %q", w.page.Title())
	}
	w.right(nil, "Choose your authenticator")
	w.c = old
	w.get(at)
	if w.page.Status != 410 {
		t.Errorf("the flow still opens where it was left: %d", w.page.Status)
	}
}

// Guessing ends in the same way for everybody: after ten wrong passwords a wait, which the page and the header say.
func TestSEC_T6_GuessesEndAlikeForKnownAndUnknownAddresses(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		r := rig.New(t, s)
		r.Join(r.Organization("Alder Works", false), directory.Member, "Max Alder", "max@alder.example")
		guesses := func(address string) (statuses []int) {
			w := &walk{t: t, rig: r, c: r.Browser("192.0.2.60"), me: r.Mind(address)}
			for range 13 {
				if f := pageForm(w); f == nil || !f.Asks("current-password") {
					w.get("/signin")
					w.send(map[string]string{"username": address})
				}
				w.send(map[string]string{"current-password": "quite another one 55"})
				statuses = append(statuses, w.page.Status)
				if w.page.Status == 429 && (w.page.Header.Get("Retry-After") == "" || !strings.Contains(w.page.Text("error-summary"), "minutes")) {
					t.Errorf("it does not say how long to wait: %s", w.page.Main())
				}
			}
			return statuses
		}
		known, unknown := guesses("max@alder.example"), guesses("nobody@alder.example")
		if !slices.Equal(known, unknown) || known[0] != 422 || known[12] != 429 {
			t.Errorf("known %v, unknown %v", known, unknown)
		}
	})
}

func pageForm(w *walk) *walker.Form {
	if w.page == nil {
		return nil
	}
	return w.page.Form()
}

// A forgotten password needs the authenticator too, and ends with words, not with a session.
func TestREQ_B73_AForgottenPasswordAlsoProvesTheSecondFactor(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		r := rig.New(t, s)
		max := r.Join(r.Organization("Alder Works", false), directory.Member, "Max Alder", "max@alder.example")
		r.Deliver()
		w := &walk{t: t, rig: r, c: r.Browser("192.0.2.44"), me: max.Mind}
		w.get("/signin/forgot")
		w.wrong(map[string]string{"username": "max@"}, 422, "whole e-mail address")
		w.right(map[string]string{"username": "max@alder.example"}, "Check your mailbox")
		letters := r.Deliver()
		if len(letters) != 1 {
			t.Fatalf("%d letters", len(letters))
		}
		link := regexp.MustCompile(`https://\S+/link/password/\S+`).FindString(letters[0].Text)
		w.get(link)
		w.right(nil, "Enter the code")
		w.wrong(map[string]string{"one-time-code": "000000"}, 422, "not right")
		w.right(map[string]string{"one-time-code": max.Mind.NextCode()}, "Choose a new password")
		w.right(map[string]string{"new-password": "walnut cinema 48 kayak"}, "Your new password is saved")
		w.get("/account")
		if w.page.URL.Path == "/account" {
			t.Error("a reset signed somebody in")
		}
		w.get("/signin")
		w.right(map[string]string{"username": "max@alder.example"}, "Enter your password")
		w.wrong(map[string]string{"current-password": rig.Password}, 422, "not right")
		w.right(map[string]string{"current-password": "walnut cinema 48 kayak"}, "Enter the code")
	})
}

var (
	anyID   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	anyTime = regexp.MustCompile(`data-now="\d+"`)
)

// What a stranger sees is the same, byte for byte, whether the address is known, invited, or nobody's.
func TestREQ_B71_SEC_TENUM_KnownAndUnknownAddressesLookTheSame(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		r := rig.New(t, s)
		org := r.Organization("Alder Works", false)
		r.Join(org, directory.Member, "Max Alder", "known1@alder.example")
		r.Invite(org, directory.Member, "Nora Alder", "known2@alder.example")
		var first []string
		for _, address := range []string{"known1@alder.example", "known2@alder.example", "nobody@alder.example"} {
			w := &walk{t: t, rig: r, c: r.Browser("192.0.2.50"), me: r.Mind(address)}
			var seen []string
			see := func() {
				body := anyTime.ReplaceAllString(anyID.ReplaceAllString(string(w.page.Body), "ID"), "")
				body = strings.NewReplacer(address, "ADDRESS", strings.Replace(address, "@", "@<wbr>", 1), "ADDRESS", initialsOf(address), "XX").Replace(body)
				seen = append(seen, w.page.URL.Path[:7]+" "+body)
				for name, values := range w.page.Header {
					if name != "Set-Cookie" && name != "Date" && name != "Content-Length" {
						seen = append(seen, name+": "+strings.Join(values, ","))
					}
				}
			}
			w.get("/signin")
			w.send(map[string]string{"username": address})
			see()
			w.send(map[string]string{"current-password": "quite another one 55"})
			see()
			w.get(w.page.Link("Forgotten"))
			w.send(map[string]string{"username": address})
			see()
			w.get("/signin/resend")
			w.send(map[string]string{"username": address})
			see()
			if first == nil {
				first = sorted(seen)
				continue
			}
			for i, now := range sorted(seen) {
				if i >= len(first) || now != first[i] {
					t.Errorf("%s differs:\n%s\n--- from\n%s", address, now, first[min(i, len(first)-1)])
				}
			}
		}
	})
}

// initialsOf is the avatar of an address.
func initialsOf(address string) string {
	return `aria-hidden="true">` + strings.ToUpper(address[:1]) + `<`
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// Blocked people learn it after right credentials only.
func TestREQ_B71_BlockedIsSaidAfterRightCredentialsOnly(t *testing.T) {
	r := rig.New(t, testdb.SQLite(t))
	max := r.Join(r.Organization("Alder Works", false), directory.Member, "Max Alder", "max@alder.example")
	r.Clock.Advance(time.Hour)
	r.Write(func(tx *sqlstore.Tx) error {
		p, err := tx.Person(max.Is.Realm, max.Is.ID)
		if err != nil {
			return err
		}
		p.State = directory.Disabled
		tx.Bump()
		return tx.UpdatePerson(p)
	})
	w := &walk{t: t, rig: r, c: r.Browser("192.0.2.51"), me: max.Mind}
	w.get("/signin")
	w.right(map[string]string{"username": "max@alder.example"}, "Enter your password")
	w.wrong(map[string]string{"current-password": "quite another one 55"}, 422, "not right")
	w.send(map[string]string{"current-password": rig.Password})
	if w.page.Form() != nil && w.page.Form().Asks("one-time-code") {
		w.send(map[string]string{"one-time-code": max.Mind.NextCode()})
	}
	if !strings.Contains(w.page.Title(), "blocked") || w.page.Link("Ask for help") == "" {
		t.Errorf("at %q: %s", w.page.Title(), w.page.Main())
	}
}
