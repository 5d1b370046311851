package rig

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"doorward/internal/admin"
	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// An owner who is alone and has lost everything comes back by the machine, as docs/people.md says: the command line invites a second
// account, the old one cannot go before that is set up, and nothing of it is silent.
func TestSEC_H1_TheOnlyOwnerComesBackByTheMachine(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		ctx := context.Background()
		r := New(t, store)
		staff := r.Organization("Northline Supply AG", true)
		olga := r.Join(staff, directory.Owner, "Olga Owner", "olga@northline.example")
		r.Deliver()
		cli := admin.CommandLine(r.Realm, staff)
		const why = "the only owner has lost everything"

		remove := func() error {
			_, err := r.Roster.Delete(ctx, cli, olga.Is.ID, olga.Is.Name, why)
			return err
		}
		if err := remove(); word(err) != "last-owner" {
			t.Fatalf("the only owner is removed: %v", err)
		}
		var link string
		p, err := r.People.Invite(ctx, cli, admin.Invitation{
			Address: "olga.new@northline.example", Name: "Olga Owner", Role: directory.Owner, Organization: staff.ID, Language: "en", Show: func(l string) { link = l },
		})
		r.must(err)
		if all := to(r.Deliver(), olga, "privileged-invited-console"); len(all) != 1 || !strings.Contains(all[0].Text, "olga.new@northline.example") {
			t.Errorf("the account of before is told %d times", len(all))
		}
		if err := remove(); word(err) != "last-owner" {
			t.Fatalf("removed before anybody else is an owner: %v", err)
		}

		again := &Somebody{Is: p, Mind: r.Mind(p.Address), Browser: r.Browser("192.0.2.20")}
		page, err := again.Browser.Get(link)
		r.must(err)
		if _, err = again.Mind.Walk(again.Browser, page, walker.At("/account")); err != nil {
			t.Fatal(err)
		}
		h := &house{Rig: r}
		h.says(h.open(again, "/console/people", http.StatusOK), true, "Olga Owner", "olga.new@northline.example")
		r.must(remove())
		if n := r.Sessions(olga); n != 0 {
			t.Errorf("%d sessions of the account of before", n)
		}
		if page, err := olga.Browser.Get(Origin + "/account"); err != nil || page.URL.Path == "/account" {
			t.Errorf("the account of before is still in: %v", err)
		}
		if all := r.Deliver(); !slices.ContainsFunc(all, func(l Letter) bool { return l.Template == "account-deleted" && l.To == olga.Is.Address }) {
			t.Errorf("the account of before is not told of its end: %v", all)
		}
		h.open(again, "/console/people", http.StatusOK)
		r.Read(func(tx *sqlstore.Tx) error {
			for whom, kind := range map[string]string{p.ID: "person.added", olga.Is.ID: "person.deleted"} {
				all, err := tx.Events(audit.Query{Realm: r.Realm.ID, Person: whom, Limit: 100})
				if err != nil {
					return err
				}
				if !slices.ContainsFunc(all, func(e audit.Event) bool { return e.Type == kind && e.Actor == "cli" }) {
					t.Errorf("%s does not stand in the trail as the command line's", kind)
				}
			}
			return nil
		})
	})
}
