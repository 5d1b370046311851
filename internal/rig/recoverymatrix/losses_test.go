package recoverymatrix

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/activation"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/realms"
)

// loss is one honest loss: who has lost what, and what brings them back. The table is in losses.
type loss struct {
	who  string // of the house
	lost []authn.Kind
	way  string // channels of the way back, in the words of docs/recovery-matrix.md
	by   []string
	// missing says why there is no way yet. The walk is made all the same, and as soon as it arrives the test fails, so that
	// the row is written anew.
	missing string
}

const (
	alone  = "mailbox, the authenticator"
	called = "mailbox, an agent who called back, a supervisor, an hour, a spoken code that an agent confirms"
	twice  = "mailbox, an agent who called back, a supervisor, a day, a spoken code that an agent confirms"
	anew   = " who removes the account and invites a new one, with another mailbox"
)

// losses are those of the shop.
var losses = []loss{
	{who: "member", lost: []authn.Kind{authn.Password}, way: alone},
	{who: "member", lost: []authn.Kind{authn.TOTP}, way: "mailbox, the password, an administrator", by: []string{"admin", "supervisor"}},
	{who: "member", lost: []authn.Kind{authn.TOTP}, way: "mailbox, the password, an agent who called back", by: []string{"agent", "supervisor"}},
	{who: "member", lost: []authn.Kind{authn.Password, authn.TOTP}, way: called, by: []string{"agent", "supervisor"}},
	{who: "admin", lost: []authn.Kind{authn.Password}, way: alone},
	{who: "admin", lost: []authn.Kind{authn.TOTP}, way: "mailbox, the password, the other administrator, a supervisor", by: []string{"admin2", "supervisor"}},
	{who: "admin", lost: []authn.Kind{authn.Password, authn.TOTP}, way: twice, by: []string{"agent", "supervisor"}},
	{who: "only", lost: []authn.Kind{authn.Password}, way: alone},
	{who: "only", lost: []authn.Kind{authn.TOTP}, way: "mailbox, the password, an agent who called back, a supervisor", by: []string{"agent", "supervisor"}},
	{who: "only", lost: []authn.Kind{authn.Password, authn.TOTP}, way: twice, by: []string{"agent", "supervisor"}},
	{who: "agent", lost: []authn.Kind{authn.Password}, way: "mailbox, the authenticator, a supervisor who called back, an owner", by: []string{"supervisor", "owner"}},
	{who: "agent", lost: []authn.Kind{authn.TOTP}, way: "mailbox, the password, a supervisor who called back, an owner", by: []string{"supervisor", "owner"}},
	{who: "agent", lost: []authn.Kind{authn.Password, authn.TOTP}, way: "mailbox, a supervisor who called back, an owner, a day", by: []string{"supervisor", "owner"}},
	{who: "owner", lost: []authn.Kind{authn.Password}, way: "mailbox, the authenticator, two other owners who called back", by: []string{"owner2", "owner3"}},
	{who: "owner", lost: []authn.Kind{authn.TOTP}, way: "mailbox, the password, two other owners who called back", by: []string{"owner2", "owner3"}},
	{who: "owner", lost: []authn.Kind{authn.Password, authn.TOTP}, way: "mailbox, two other owners who called back, a day", by: []string{"owner2", "owner3"}},
	// The mailbox is gone as well, and nothing that is left can be mailed to: the account has no way back, so the person gets another one.
	{who: "member", lost: bereft, way: "an administrator" + anew, by: []string{"admin"}},
	{who: "admin", lost: bereft, way: "the other administrator" + anew, by: []string{"admin2"}},
	{who: "only", lost: bereft, way: "a supervisor" + anew, by: []string{"supervisor"}},
	{who: "agent", lost: bereft, way: "an owner" + anew, by: []string{"owner"}},
	{who: "owner", lost: bereft, way: "another owner" + anew, by: []string{"owner2"}},
}

// bereft is everything, and the mailbox too.
var bereft = []authn.Kind{authn.Password, authn.TOTP, authn.Mail}

// home is a realm with somebody of every audience.
type home struct {
	*rig.Rig
	people map[string]*rig.Somebody
}

func newHome(t *testing.T, store *sqlstore.Store, text []byte) *home {
	t.Helper()
	realm, err := directory.ParseRealm("realm.toml", text)
	if err != nil {
		t.Fatal(err)
	}
	h := &home{rig.New(t, store, func(r *directory.Realm) {
		realm.Host, realm.Origin = r.Host, r.Origin
		*r = realm
	}), map[string]*rig.Somebody{}}
	staff, alder, birch := h.Organization("Northline Supply AG", true), h.Organization("Alder Works", false), h.Organization("Birch Optics", false)
	for _, one := range []struct {
		name string
		role directory.Role
		in   directory.Organization
	}{
		{"owner", directory.Owner, staff}, {"owner2", directory.Owner, staff}, {"owner3", directory.Owner, staff}, {"supervisor", directory.Supervisor, staff},
		{"agent", directory.Agent, staff}, {"admin", directory.Administrator, alder}, {"admin2", directory.Administrator, alder},
		{"member", directory.Member, alder}, {"only", directory.Administrator, birch},
	} {
		h.people[one.name] = h.Join(one.in, one.role, strings.ToUpper(one.name[:1])+one.name[1:]+" Sample", one.name+"@sample.example")
	}
	h.Deliver()
	return h
}

// desk is a browser in which somebody who helps is signed in.
func (h *home) desk(name string) (*walker.Client, error) {
	c := h.Browser("192.0.2.20")
	if err := enter(c, h.people[name].Mind); err != nil {
		return nil, fmt.Errorf("%s signs in: %w", name, err)
	}
	return c, nil
}

// help is what those who help do on their pages, one after the other, until a request about somebody is approved.
func (h *home) help(whom *rig.Somebody, lost []authn.Kind, by []string) (q helpdesk.Request, err error) {
	for i, name := range by {
		c, err := h.desk(name)
		if err != nil {
			return q, err
		}
		staff := h.people[name].Is.Role.Staff()
		at := "/console/people/" + whom.Is.ID + "/reset"
		if i > 0 {
			at = "/console/requests/" + q.ID
		}
		page, err := c.Get(rig.Origin + at)
		if err != nil {
			return q, err
		}
		if i == 0 {
			f := page.FormTo("/reset")
			if f == nil {
				return q, fmt.Errorf("%s cannot open a request: %s", name, page.Main())
			}
			f.Values["kinds"] = kindsOf(lost)
			f.Values.Set("reason", "Known for years, called back on the number on file")
			f.Values.Set("channel", "phone")
			if page, err = c.Submit(f); err != nil {
				return q, err
			}
		}
		if q, err = h.live(whom); err != nil || q.State == helpdesk.Approved {
			return q, err
		}
		if staff {
			for _, f := range page.Forms() {
				if f.Values.Get("rule") == "call-back" && len(q.Missing([]string{"call-back"})) > 0 {
					f.Values.Set("result-call-back", "passed")
					f.Values.Set("note-call-back", "Reached on the number on file")
					if page, err = c.Submit(f); err != nil {
						return q, err
					}
				}
			}
		}
		if f := page.FormTo("/approve"); f != nil {
			if page, err = c.Submit(f); err != nil {
				return q, err
			}
		}
		if q, err = h.live(whom); err != nil || q.State == helpdesk.Approved {
			return q, err
		}
		if i == len(by)-1 {
			return q, fmt.Errorf("not approved: %s", page.Main())
		}
	}
	return q, nil
}

// call is the agents' side of a call in which somebody reads a code.
func (h *home) call(whom *rig.Somebody, code string, by []string) error {
	for _, name := range by {
		var live []activation.Activation
		c, err := h.desk(name)
		if err != nil {
			return err
		}
		h.Read(func(tx *sqlstore.Tx) (err error) {
			live, err = tx.ActivationsOf(whom.Is.Realm, whom.Is.ID, 1)
			return err
		})
		if len(live) == 0 || live[0].State == activation.Confirmed {
			break
		}
		at := rig.Origin + "/console/people/" + whom.Is.ID + "/calls/" + live[0].ID
		page, err := c.Get(at)
		if err != nil {
			return err
		}
		for _, step := range []string{"/open", "/code", "/confirm"} {
			f := page.FormTo(step)
			if f == nil {
				continue
			}
			f.Fill("code", code)
			f.Values.Set("result-call-back", "passed")
			f.Values.Set("note-call-back", "Reached on the number on file")
			if page, err = c.Submit(f); err != nil {
				return err
			}
		}
		if e := page.Text("error-summary"); e != "" {
			return fmt.Errorf("%s on the call: %s", name, e)
		}
	}
	return nil
}

func kindsOf(lost []authn.Kind) (all []string) {
	if len(lost) > 1 {
		return []string{"everything"}
	}
	return []string{string(lost[0])}
}

func (h *home) live(whom *rig.Somebody) (q helpdesk.Request, err error) {
	h.Read(func(tx *sqlstore.Tx) error {
		all, e := tx.HelpRequestsLive(whom.Is.Realm, whom.Is.ID)
		if err = e; len(all) > 0 {
			q = all[0]
		} else if err == nil {
			err = fmt.Errorf("no request about %s", whom.Is.Address)
		}
		return nil
	})
	return q, err
}

// anew is the way of who has lost the mailbox, too: a new account is invited, so that nobody is the last of their kind, and the old
// one is removed.
func (h *home) anew(l loss) error {
	whom := h.people[l.who]
	c, err := h.desk(l.by[0])
	if err != nil {
		return err
	}
	page, err := c.Get(rig.Origin + "/console/people/invite")
	if err != nil {
		return err
	}
	f, address := page.FormTo("/console/people/invite"), l.who+".new@sample.example"
	if f == nil {
		return fmt.Errorf("%s invites nobody: %s", l.by[0], page.Main())
	}
	for name, value := range map[string]string{"email": address, "name": whom.Is.Name + " again", "role": string(whom.Is.Role), "organization": whom.Is.Organization} {
		f.Fill(name, value)
	}
	if page, err = c.Submit(f); err != nil || page.Status >= http.StatusBadRequest {
		return fmt.Errorf("%s invites: %v %s", l.by[0], err, page.Main())
	}
	link, told := "", 0
	for _, m := range h.Deliver() {
		if m.To == address {
			link = linkIn.FindString(m.Text)
		}
		if m.Template == "privileged-invited-console" {
			told++
		}
	}
	if told == 0 && whom.Is.Role != directory.Member {
		return fmt.Errorf("nobody is told that %s is invited as %s", address, whom.Is.Role)
	}
	mind, b := h.Mind(address), h.Browser("198.51.100.73")
	if page, err = b.Get(link); err != nil {
		return err
	}
	if _, err = mind.Walk(b, page, walker.At("/account")); err != nil {
		return err
	}
	if page, err = c.Get(rig.Origin + "/console/people/" + whom.Is.ID + "/delete"); err != nil {
		return err
	}
	if f = page.FormTo("/delete"); f == nil {
		return fmt.Errorf("%s removes nobody: %s", l.by[0], page.Main())
	}
	f.Fill("typed", whom.Is.Name)
	f.Fill("reason", "Lost everything and the mailbox, known for years")
	if page, err = c.Submit(f); err != nil || page.Text("error-summary") != "" {
		return fmt.Errorf("%s removes: %v %s", l.by[0], err, page.Main())
	}
	if n := h.Sessions(whom); n != 0 {
		return fmt.Errorf("%d sessions of the account of before", n)
	}
	h.Read(func(tx *sqlstore.Tx) error {
		now, e := tx.PersonByAddress(whom.Is.Realm, address)
		h.people[l.who] = &rig.Somebody{Is: now, Mind: mind, Browser: b}
		if _, gone := tx.PersonByAddress(whom.Is.Realm, whom.Is.Address); gone == nil {
			err = fmt.Errorf("%s is still there", whom.Is.Address)
		}
		return e
	})
	return err
}

// back walks the way from a loss to the account, as the person would, and reports where it ends otherwise.
func (h *home) back(l loss) error {
	if slices.Contains(l.lost, authn.Mail) {
		return h.anew(l)
	}
	whom := h.people[l.who]
	mind := h.Mind(whom.Is.Address)
	mind.Password, mind.Secret = whom.Mind.Password, whom.Mind.Secret
	if slices.Contains(l.lost, authn.TOTP) {
		mind.Secret = ""
	}
	if slices.Contains(l.lost, authn.Password) {
		mind.Password = fmt.Sprintf("lantern %d quiet harbour glass", h.Clock.Now().Unix())
	}
	template, done := "request-approved", walker.At("/account")
	if len(l.by) > 0 {
		q, err := h.help(whom, l.lost, l.by)
		if err != nil {
			return err
		}
		h.Clock.Until(q.From)
	} else {
		template, done = "password-reset", walker.At("/signin/done")
		page, err := h.Browser("198.51.100.70").Submit(&walker.Form{Action: rig.Origin + "/signin/forgot", Method: http.MethodPost, Values: url.Values{"address": {whom.Is.Address}, "email": {whom.Is.Address}}})
		if err != nil || page.Status >= 400 {
			return fmt.Errorf("forgot: %v %v", err, page.Main())
		}
	}
	link := ""
	for _, m := range h.Deliver() {
		if m.Person == whom.Is.ID && m.Template == template {
			link = linkIn.FindString(m.Text)
		}
	}
	if link == "" {
		return fmt.Errorf("no mail %s", template)
	}
	_, err := h.Browser("198.51.100.71").Get(link) // a scanner of mail was there first
	var page *walker.Page
	if err == nil {
		c := h.Browser("198.51.100.71")
		if page, err = c.Get(link); err == nil {
			reads := func(p *walker.Page) bool { return done(p) || p.Text("activation-code") != "" }
			if page, err = mind.Walk(c, page, reads); err == nil && !done(page) {
				if err = h.call(whom, page.Text("activation-code"), l.by); err == nil {
					if page, err = c.Get(page.URL.String()); err == nil {
						_, err = mind.Walk(c, page, done)
					}
				}
			}
		}
	}
	if err != nil {
		return err
	}
	// And from now on as every day, with what they have now.
	whom.Mind = mind
	c := h.Browser("198.51.100.72")
	if page, err = c.Get(rig.Origin + "/signin"); err == nil {
		_, err = mind.Walk(c, page, walker.At("/account"))
	}
	return err
}

// Every honest loss has a way back, which is walked on the pages until the person stands in their account again; where
// there is none yet, the table says so, and this fails as soon as there is.
func TestSEC_H1_EveryHonestLossHasAWayBack(t *testing.T) {
	for name, text := range map[string][]byte{"shop": realms.Shop} { // the ways back of the wealth realm begin with a certificate: internal/rig
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t, testdb.SQLite(t), text)
			for _, l := range losses {
				h.Clock.Advance(8 * 24 * time.Hour) // so that no help is the second one within a week
				err := h.back(l)
				what := fmt.Sprintf("%s who lost %v (%s%s)", l.who, l.lost, l.way, l.missing)
				switch {
				case l.missing == "" && err != nil:
					t.Errorf("%s: %v", what, err)
				case l.missing != "" && err == nil:
					t.Errorf("%s: there is a way now: say so in the table", what)
				case l.missing != "":
					if !strings.Contains(err.Error(), "no form") {
						t.Errorf("%s: ends otherwise than by being stuck: %v", what, err)
					}
				}
			}
		})
	}
}
