package recoverymatrix

import (
	"os"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/realms"
)

// wealth makes the realm one with the policy of the wealth portal as it is shipped: members show a certificate first, and
// whatever is set up in its place takes a call.
func wealth(t *testing.T) func(*directory.Realm) {
	t.Helper()
	shipped, err := directory.ParseRealm("wealth.toml", realms.Wealth)
	if err != nil {
		t.Fatal(err)
	}
	return func(r *directory.Realm) { r.Policy, r.PolicyLine = shipped.Policy, shipped.PolicyLine }
}

// joins walks somebody through their set-up. Where the policy asks for a call, the desk takes it.
func (c *cast) joins(r *rig.Rig, s *rig.Somebody, link string) error {
	if link == "" { // whoever is not invited by mail begins with their certificate
		link = rig.Origin + "/signin"
	}
	page, err := s.Browser.Get(link)
	if err != nil {
		return err
	}
	in := walker.At("/account")
	page, err = s.Mind.Walk(s.Browser, page, func(p *walker.Page) bool { return in(p) || p.Text("activation-code") != "" })
	if err != nil || in(page) {
		return err
	}
	desk := &home{r, c.people}
	if err := desk.call(s, page.Text("activation-code"), []string{"agent"}); err != nil {
		return err
	}
	if page, err = s.Browser.Get(page.URL.String()); err == nil {
		_, err = s.Mind.Walk(s.Browser, page, in)
	}
	return err
}

// enter signs somebody in who has no certificate, also where the first page asks for one.
func enter(c *walker.Client, mind *walker.Person) error {
	page, err := c.Get(rig.Origin + "/signin")
	if err != nil {
		return err
	}
	in := walker.At("/account")
	page, err = mind.Walk(c, page, func(p *walker.Page) bool { return in(p) || p.FormTo("/certificate") != nil })
	if err != nil || in(page) {
		return err
	}
	if page, err = c.Get(rig.Origin + page.URL.Path + "?with=password"); err == nil {
		_, err = mind.Walk(c, page, in)
	}
	return err
}

// clients are the attackers of the wealth portal: those of holders of whom nobody else here has all and more, and those whom two
// people at the desk believe.
var clients = []attack{
	{name: "certificate and password", cert: true, password: true},
	{name: "certificate and phone", cert: true, totp: true, laptop: true},
	{name: "certificate, mailbox and agent", cert: true, mailbox: true, desk: []string{"first"}},
	{name: "mailbox, password and phone", mailbox: true, password: true, totp: true},
	{name: "phone number", desk: []string{"first", "second"}},
	{name: "certificate and phone number", cert: true, desk: []string{"first", "second"}},
	{name: "password and phone number", password: true, desk: []string{"first", "second"}},
}

// The wealth portal as it is shipped, with its call: none of those who have two things of three, or one and everybody at the desk,
// gets a session or binds anything before the cooling-off is over.
func TestSEC_H1_A3_TMBX_NobodyIsTalkedRoundAtTheWealthPortal(t *testing.T) {
	c := newCast(t, wealth(t))
	for _, one := range clients {
		a := one.aim(c, "max")
		if a.quick, a.depth = true, 5; len(a.desk) > 0 {
			a.depth = 4
		}
		if os.Getenv("DOORWARD_TORTURE") != "" {
			a.depth, a.deep = 8, true
		}
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			f := a.search(t, true)
			t.Logf("%d states, %d changes, %d moves", f.states, f.edges, f.moves)
			for _, h := range f.holes {
				t.Errorf("a way in: %s", h)
			}
			for _, s := range f.silent {
				t.Errorf("silent: %s", s)
			}
			if f.edges < 1 || a.cert && f.routes["thief POST /signin/{flow}/certificate"] == 0 {
				t.Error("too little was tried, or the certificate never shown: this proves nothing")
			}
		})
	}
}

// What the policy of the portal does allow, the search finds: who has all three comes in; and, where there is time for it, who has the
// certificate and the password and is believed by two sets up an authenticator, an hour later and behind the call.
func TestSEC_H1_A3_TheSearchFindsWhatThePortalAllows(t *testing.T) {
	c := newCast(t, wealth(t))
	all := []attack{{name: "all three", cert: true, password: true, totp: true, depth: 5}}
	if os.Getenv("DOORWARD_TORTURE") != "" {
		all = append(all, attack{name: "certificate, password and two", cert: true, password: true, desk: []string{"first", "second"}, depth: 16})
	}
	for _, one := range all {
		a := one.aim(c, "max")
		if a.quick, a.waits = true, nil; len(a.desk) > 0 {
			a.waits = []time.Duration{time.Hour}
		}
		f := a.search(t, false)
		if len(f.holes) == 0 {
			t.Errorf("%s: %d states, %d moves, and no way: %v", one.name, f.states, f.moves, f.routes)
			continue
		}
		t.Log(f.states, f.moves, f.holes[0])
	}
}
