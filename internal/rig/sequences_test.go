package rig_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/testdb"
)

// thief has some of what belongs to somebody else, and tries everything in any order: skipping steps, going back, several
// tabs, the ids of other flows, forms that no page offered.
type thief struct {
	*rig.Rig
	victim   *rig.Somebody
	password bool // knows the password
	totp     bool // holds the authenticator
	mailbox  bool // reads the mail
	pages    []*walker.Page
	links    []string
	flows    []string
	browsers []*walker.Client
}

var flowID = regexp.MustCompile(`/signin/([0-9a-f]{8}-[0-9a-f-]{27})`)

// saw remembers a page and the flows it names.
func (th *thief) saw(p *walker.Page, err error) {
	th.T.Helper()
	if err != nil {
		th.T.Fatal(err)
	}
	if p.Status >= 500 {
		th.T.Fatalf("%s answers %d", p.URL, p.Status)
	}
	th.pages = append(th.pages, p)
	for _, m := range flowID.FindAllStringSubmatch(p.URL.Path+string(p.Body), -1) {
		th.flows = append(th.flows, m[1])
	}
}

// inside finds a browser of the thief's that stands in the victim's account.
func (th *thief) inside() string {
	for _, c := range th.browsers {
		p, err := c.Get(rig.Origin + "/account")
		if err != nil {
			th.T.Fatal(err)
		}
		if strings.HasPrefix(p.URL.Path, "/account") {
			return p.Main()
		}
	}
	return ""
}

// secrets fills a form with what this thief has, guesses the rest.
func (th *thief) fill(f *walker.Form, guess string) {
	f.Fill("username", th.victim.Is.Address)
	f.Fill("email", th.victim.Is.Address)
	pw, code := guess, "000000"
	if th.password {
		pw = rig.Password
	}
	if th.totp {
		code = walker.TOTP(th.victim.Mind.Secret, th.Clock.Now())
	}
	f.Fill("current-password", pw)
	f.Fill("new-password", "a thief's own password 12")
	f.Fill("one-time-code", code)
}

func pick[T any](t *rapid.T, from []T, what string) (v T, ok bool) {
	if len(from) == 0 {
		return v, false
	}
	return from[rapid.IntRange(0, len(from)-1).Draw(t, what)], true
}

func (th *thief) act(t *rapid.T) {
	c, _ := pick(t, th.browsers, "browser")
	switch rapid.IntRange(0, 9).Draw(t, "act") {
	case 0:
		th.saw(c.Get(rig.Origin + "/signin"))
	case 1, 2, 3: // the form of a page seen before, in whatever browser
		if p, ok := pick(t, th.pages, "page"); ok {
			if f := p.Form(); f != nil {
				th.fill(f, "guess")
				th.saw(c.Submit(f))
			}
		}
	case 4: // any flow, any step, whether a page offered it or not
		if id, ok := pick(t, th.flows, "flow"); ok {
			kind := rapid.SampledFrom([]string{"password", "totp", "invite", "mail", "recovery", "passkey", "call", "spoken", "nonsense"}).Draw(t, "kind")
			values := url.Values{"kind": {kind}, "password": {"guess"}, "code": {"000000"}, "name": {"Mine"}}
			if th.password {
				values.Set("password", rig.Password)
			}
			if th.totp {
				values.Set("code", walker.TOTP(th.victim.Mind.Secret, th.Clock.Now()))
			}
			where := rapid.SampledFrom([]string{"prove", "choose", "terms", "preferences"}).Draw(t, "where")
			values.Set("authenticator", "google")
			values.Set("email", th.victim.Is.Address)
			th.saw(c.Submit(&walker.Form{Action: rig.Origin + "/signin/" + id + "/" + where, Method: "POST", Values: values}))
		}
	case 5:
		if id, ok := pick(t, th.flows, "flow"); ok {
			th.saw(c.Get(rig.Origin + "/signin/" + id + rapid.SampledFrom([]string{"", "/ways", "/choose", "/app", "/qr", "/leave", "/text"}).Draw(t, "page of a flow")))
		}
	case 6: // forgotten password
		p, err := c.Get(rig.Origin + "/signin/forgot")
		th.saw(p, err)
		th.fill(p.Form(), "")
		th.saw(c.Submit(p.Form()))
		if f := p.Form(); f != nil {
			th.fill(f, "")
			th.saw(c.Submit(f))
		}
	case 7:
		for _, l := range th.Deliver() {
			if link := l.Args["link"]; th.mailbox && link != "" {
				th.links = append(th.links, link)
			}
		}
	case 8:
		if link, ok := pick(t, th.links, "link"); ok {
			p, err := c.Get(link)
			th.saw(p, err)
			if f := p.Form(); f != nil {
				th.saw(c.Submit(f))
			}
		}
	case 9:
		th.Clock.Advance(rig.Step * rapid.SampledFrom([]time.Duration{1, 3, 20}).Draw(t, "time"))
	}
}

// Whoever has one thing, or two of the same sort, never gets in and binds nothing, whatever the order.
func TestSEC_A6_H1_TMBX_RandomSequencesNeverGetIn(t *testing.T) {
	for _, c := range []struct {
		name                    string
		password, totp, mailbox bool
	}{
		{"nothing", false, false, false}, {"the password", true, false, false}, {"the authenticator", false, true, false},
		{"the mailbox", false, false, true}, {"password and mailbox", true, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rig.New(t, testdb.SQLite(t))
			org := r.Organization("Alder Works", false)
			n, acted := 0, 0
			rapid.Check(t, func(rt *rapid.T) {
				n++
				victim := r.Join(org, directory.Member, "Vera Victim", fmt.Sprintf("vera%d@alder.example", n))
				r.Deliver()
				held := r.Holds(victim)
				th := &thief{Rig: r, victim: victim, password: c.password, totp: c.totp, mailbox: c.mailbox,
					browsers: []*walker.Client{r.Browser("198.51.100.1"), r.Browser("198.51.100.2")}}
				for range rapid.IntRange(5, 40).Draw(rt, "acts") {
					th.act(rt)
					acted++
				}
				if where := th.inside(); where != "" {
					rt.Fatalf("in, with %s: %s", c.name, where)
				}
				if now := r.Holds(victim); now != held {
					rt.Fatalf("with %s: held %s, now %s", c.name, held, now)
				}
			})
			if acted < 50 {
				t.Errorf("only %d acts: nothing is proven", acted)
			}
		})
	}
}

// The same hands with everything do get in: the walk above is able to.
func TestRandomSequencesCanGetIn(t *testing.T) {
	r := rig.New(t, testdb.SQLite(t))
	org := r.Organization("Alder Works", false)
	victim := r.Join(org, directory.Member, "Vera Victim", "vera@alder.example")
	got := false
	rapid.Check(t, func(rt *rapid.T) {
		th := &thief{Rig: r, victim: victim, password: true, totp: true, browsers: []*walker.Client{r.Browser("198.51.100.1")}}
		for range 60 {
			if got {
				return
			}
			th.act(rt)
			got = th.inside() != ""
		}
	})
	if !got {
		t.Error("with password and authenticator nobody got in: the sequences prove nothing")
	}
}
