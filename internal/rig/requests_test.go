package rig

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

var linkIn = regexp.MustCompile(`https://\S+`)

// as is somebody acting, behind the session they signed in with.
func (r *Rig) as(s *Somebody) login.By {
	r.T.Helper()
	var by login.By
	r.Read(func(tx *sqlstore.Tx) error {
		p, err := tx.Person(s.Is.Realm, s.Is.ID)
		if err != nil {
			return err
		}
		org, err := tx.Organization(p.Realm, p.Organization)
		by = login.By{Signed: login.Signed{Person: p, Organization: org, Realm: r.Realm}, Network: "192.0.2.10", Agent: "Firefox on Windows"}
		return err
	})
	return by
}

// to are the letters that a person got, by template.
func to(letters []Letter, s *Somebody, template string) []Letter {
	return slices.DeleteFunc(slices.Clone(letters), func(l Letter) bool { return l.Person != s.Is.ID || l.Template != template })
}

// reset is what an administrator does for somebody of their own. A few requests are chosen for a second look, which nobody
// can tell beforehand, nor shake off by asking again: a supervisor calls back and is the second.
func (r *Rig) reset(by, whom *Somebody, kinds ...authn.Kind) helpdesk.Request {
	r.T.Helper()
	ctx := context.Background()
	q, err := r.Requests.Reset(ctx, r.as(by), admin.Wish{
		Person: whom.Is.ID, Kinds: kinds, Reason: "New phone, the old one was handed in", Channel: helpdesk.InPerson,
	})
	r.must(err)
	if q.State == helpdesk.Approved {
		return q
	}
	staff := r.Organization("Northline Supply AG", true)
	super := r.Join(staff, directory.Supervisor, "Sue Second", "sue."+q.Number+"@northline.example")
	q, err = r.Requests.Check(ctx, r.as(super), q.ID, helpdesk.Check{Rule: "call-back", Result: helpdesk.Passed, Note: "called back"})
	r.must(err)
	q, err = r.Requests.Approve(ctx, r.as(super), q.ID, q.Version)
	r.must(err)
	return q
}

func TestREQ_B40_B43_AnAdministratorHelpsAfterALostPhone(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r := New(t, store)
		alder := r.Organization("Alder Works", false)
		ada := r.Join(alder, directory.Administrator, "Ada Admin", "ada@alder.example")
		max := r.Join(alder, directory.Member, "Max Member", "max@alder.example")
		r.Deliver()
		old, before := max.Mind.Secret, r.Holds(max)

		q := r.reset(ada, max, authn.TOTP)
		if q.State != helpdesk.Approved || !q.From.Equal(r.Clock.Now()) {
			t.Fatalf("%+v", q)
		}
		if r.Holds(max) != before {
			t.Fatal("an approval changed what somebody holds")
		}
		letters := to(r.Deliver(), max, "request-approved")
		if len(letters) != 1 {
			t.Fatalf("%d letters", len(letters))
		}
		link := linkIn.FindString(letters[0].Text)

		// In a new browser: the link, the password of before, a new authenticator, its code.
		b := r.Browser("198.51.100.77")
		page, err := b.Get(link)
		r.must(err)
		max.Mind.Secret = ""
		asked := ""
		max.Mind.Seen = func(p *walker.Page) { asked += " " + p.URL.Path + " (" + p.Title() + ")" }
		if _, err = max.Mind.Walk(b, page, walker.At("/account")); err != nil {
			t.Fatalf("%v\n%s", err, asked)
		}
		if max.Mind.Secret == "" || max.Mind.Secret == old {
			t.Error("no new authenticator")
		}
		if n := strings.Count(r.Holds(max), "totp"); n != 1 {
			t.Errorf("%d authenticators held", n)
		}
		r.Read(func(tx *sqlstore.Tx) error {
			live, err := tx.HelpRequestsLive(max.Is.Realm, max.Is.ID)
			if len(live) != 0 {
				t.Errorf("still open: %+v", live)
			}
			return err
		})
	})
}
